// A name that was made for a time, and what removes it.
#pragma once

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>

#include "kernel/file_calls.hpp"

namespace parkring::detail {

/// *Thread*: any. Of a simulated world it may outlive that: then nobody removes the name.
struct temporary_name {
  kernel::file_calls& calls;
  bool real;
  bool tree;  // a directory, with all that is in it
  std::string path;
  std::filesystem::path shown = path;  // to programs
  std::atomic<bool> kept{false};       // it is not ours any more

  temporary_name(kernel::file_calls& c, bool is_real, bool is_tree, std::string p) noexcept
      : calls(c), real(is_real), tree(is_tree), path(std::move(p)) {}
  temporary_name(const temporary_name&) = delete;
  temporary_name& operator=(const temporary_name&) = delete;
  ~temporary_name();
};

}  // namespace parkring::detail

namespace parkring::fs {

/// Removes what is at `path`, a directory with all that is in it; follows no links. In a job. The
/// first error, as a negative errno, after all has been tried; nothing there is none.
int erase_tree(kernel::file_calls& calls, const std::string& path) noexcept;

/// Calls `make(path)` with new paths that begin with `begin` until it gives something else than
/// -EEXIST, and gives that; the path is then the last one. On a simulated machine they are the same
/// each time.
template <class Make>
int with_new_name(kernel::file_calls& calls, bool real, const std::string& begin, std::string& path,
                  Make make);

/// Letters that nobody has used, or of a simulated machine the `n`th.
std::string new_letters(bool real, unsigned n);

template <class Make>
int with_new_name(kernel::file_calls& calls, bool real, const std::string& begin, std::string& path,
                  Make make) {
  constexpr unsigned most = 10'000;
  int answer = 0;
  for (unsigned n = 0; n < most; ++n) {
    path = begin + new_letters(real, real ? n : calls.names_made++);
    answer = make(path);
    if (answer != -EEXIST) break;
  }
  return answer;
}

}  // namespace parkring::fs
