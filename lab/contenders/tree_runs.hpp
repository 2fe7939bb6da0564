// How the contenders of the rows about trees are measured: each runs in a process of its own from
// its beginning to its end, program or not, over and over while the time lasts.
#pragma once

#include <functional>
#include <string>

#include "../session.hpp"

namespace lab {

/// What one run does, in a child process: 0 when it went well. It may execute a program.
using tree_run = std::function<int()>;

/// Runs and hands in `units` of work per run and second. `before` is no part of the time.
void run_in_children(session& run, unsigned units, const std::function<void()>& before,
                     const tree_run& what);

/// A new place for a copy of the tree, and the caches as the row wants them.
[[nodiscard]] std::string prepare_copy(session& run);

/// Becomes the program, with its output going nowhere.
int become_quiet(const char* const* command);

[[nodiscard]] bool program_in_path(const char* program);

}  // namespace lab
