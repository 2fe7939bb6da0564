#include "fs/path/temporary_name.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <new>
#include <vector>

#include "base/owned_fd.hpp"
#include "fs/path/parting_job.hpp"

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
namespace {

// A directory on the way down: what is left to remove in it.
struct level {
  base::owned_fd fd;
  std::vector<std::string> names;
  std::string own;  // its name in the one above
};

int read_names(kernel::file_calls& calls, int fd, std::vector<std::string>& names) {
  constexpr std::size_t head = offsetof(dirent64, d_name);
  std::array<std::byte, 8192> buffer;
  for (;;) {
    const std::int64_t n = calls.read_entries(fd, buffer);
    if (n <= 0) return static_cast<int>(n);
    for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
      unsigned short size;
      std::memcpy(&size, buffer.data() + at + offsetof(dirent64, d_reclen), sizeof size);
      const char* const name = reinterpret_cast<const char*>(buffer.data() + at + head);
      if (std::strcmp(name, ".") != 0 && std::strcmp(name, "..") != 0) names.emplace_back(name);
      at += size;
    }
  }
}

int enter(kernel::file_calls& calls, int at, const std::string& name, std::vector<level>& way) {
  level l;
  const int fd = calls.open(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  l.fd = base::owned_fd(fd);
  l.own = name;
  const int answer = read_names(calls, fd, l.names);
  way.push_back(std::move(l));
  return answer;
}

int remove_below(kernel::file_calls& calls, const std::string& path) {
  int first = 0;
  const auto note = [&first](int answer) {
    if (first == 0 && answer < 0) first = answer;
  };
  std::vector<level> way;
  note(enter(calls, AT_FDCWD, path, way));
  while (!way.empty()) {
    level& here = way.back();
    if (!here.names.empty()) {
      const std::string name = std::move(here.names.back());
      here.names.pop_back();
      const int answer = calls.remove(here.fd.get(), name.c_str(), 0);
      if (answer == -EISDIR || answer == -EPERM) {
        const int entered = enter(calls, here.fd.get(), name, way);
        note(entered == -ENOTDIR ? answer : entered);
      } else if (answer != -ENOENT) {
        note(answer);
      }
      continue;
    }
    const std::string name = std::move(here.own);
    way.pop_back();
    note(calls.remove(way.empty() ? AT_FDCWD : way.back().fd.get(), name.c_str(), AT_REMOVEDIR));
  }
  return first;
}

}  // namespace

int erase_tree(kernel::file_calls& calls, const std::string& path) noexcept {
  try {
    return remove_below(calls, path);
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
