// Failed requests about names, in words.
#pragma once

#include <string>

#include <parkring/error.hpp>
#include <parkring/fs/paths.hpp>

#include "fs/file_state.hpp"

namespace parkring::fs {

/// A path for an error: with "\0" for each NUL.
[[nodiscard]] std::string shown(std::string path);
[[nodiscard]] std::string shown(const detail::path_names& names);
/// The same of names that start at an open directory: "a in /data"; null: not so.
[[nodiscard]] std::string shown_at(const detail::file_state_base* at,
                                   const detail::path_names* names);

[[nodiscard]] bool has_nul(const detail::path_names& names) noexcept;

/// The errno of a request that is not made: a NUL in a name, or `at`, where it starts or which it
/// is about, was closed; else 0. Either may be null.
[[nodiscard]] int refusal(const detail::file_state_base* at,
                          const detail::path_names* names) noexcept;

/// What most errors about names mean, whatever was asked.
[[nodiscard]] std::string path_advice(int number, bool has_nul);

[[nodiscard]] error path_error(int number, const char* operation, const detail::file_state_base* at,
                               const detail::path_names& names);

}  // namespace parkring::fs
