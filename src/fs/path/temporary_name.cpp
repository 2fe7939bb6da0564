#include "fs/path/temporary_name.hpp"

#include <fcntl.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <new>

#include "fs/path/parting_job.hpp"
#include "fs/tree/remove_tree.hpp"

namespace parkring::detail {

temporary_name::~temporary_name() {
  if (kept.load(std::memory_order_relaxed)) return;
  if (!real && this_thread_core == nullptr) return;  // the world may be gone
  try {
    fs::in_parting([&calls = calls, tree = tree, path = std::move(path)]() noexcept {
      if (tree)
        fs::erase_tree(calls, path);
      else
        calls.remove(AT_FDCWD, path.c_str(), 0);
    });
  } catch (...) {
  }
}

}  // namespace parkring::detail

namespace parkring::fs {

// The work of remove_all, done here to its end: however deep it is, few descriptors are enough.
int erase_tree(kernel::file_calls& calls, const std::string& path) noexcept {
  try {
    remove_tree work({}, path, path, 1, calls);
    int first = 0;
    while (work.left_over()) {
      work.do_share();
      for (const error& e : work.take_errors())
        if (first == 0) first = -e.number();
    }
    return first;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

std::string new_letters(bool real, unsigned n) {
  if (!real) return std::to_string(n);
  constexpr char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::array<unsigned char, 12> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) < 0) return std::to_string(n);
  std::string s;
  for (const unsigned char b : bytes) s += letters[b % 32];
  return s;
}

}  // namespace parkring::fs
