// What is asked about names, and done with them, in more than one step.
//
// Reading links has no opcode: a job of the pool does it, for all links of a path in one go. The
// job owns its strings; nobody waits for it any more when its task was dropped.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <utility>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/blocking.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/fs/paths.hpp>

#include "fs/calls.hpp"
#include "fs/path/path_error.hpp"
#include "fs/path/path_requests.hpp"

namespace parkring::fs {
namespace {

struct followed {
  int error = 0;
  std::string path;
};

[[noreturn]] void fail(int number, const char* operation, const std::filesystem::path& path) {
  throw io_error(path_error(number, operation, nullptr, {path.native(), {}}));
}

void refuse_nul(const char* operation, const std::filesystem::path& path) {
  if (has_nul({path.native(), {}})) fail(EINVAL, operation, path);
}

followed read_one(kernel::file_calls& calls, int at, const std::string& path) {
  followed f;
  f.path.resize(PATH_MAX);
  const std::int64_t n = calls.read_link(at, path.c_str(), std::span(f.path));
  if (n < 0) f.error = static_cast<int>(-n);
  f.path.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return f;
}

// Link by link, from the root on. `start` is where a relative path starts.
followed follow_all(kernel::file_calls& calls, const std::string& path, const std::string& start) {
  constexpr int most_links = 40;  // path_resolution(7)
  // Whatever is wrong with the path the kernel tells at once.
  struct statx s;
  if (const int answer = calls.stat(AT_FDCWD, path.c_str(), 0, STATX_TYPE, s); answer < 0)
    return {-answer, {}};
  std::string done = path.starts_with('/') || start == "/" ? std::string() : start;
  std::string left = path;
  for (int links = 0; !left.empty();) {
    const std::size_t slash = left.find('/');
    const std::string part = left.substr(0, slash);
    left.erase(0, slash == std::string::npos ? slash : slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      done.erase(done.find_last_of('/') == std::string::npos ? 0 : done.find_last_of('/'));
      continue;
    }
    followed link = read_one(calls, AT_FDCWD, done + '/' + part);
    if (link.error == EINVAL) {  // it is none
      done += '/' + part;
    } else if (link.error != 0) {
      return link;
    } else {
      if (++links > most_links) return {ELOOP, {}};
      if (link.path.starts_with('/')) done.clear();
      left = link.path + '/' + left;
    }
  }
  return {0, done.empty() ? "/" : std::move(done)};
}

// The directory that relative paths start from; a simulated machine has the root only.
std::string start_of(const std::filesystem::path& path) {
  if (path.is_absolute() || !exec::this_core().driver.ring.real()) return "/";
  std::error_code why;
  const auto here = std::filesystem::current_path(why);
  if (why) fail(why.value(), "canonical", path);
  return here.native();
}

task<bool> leads_to_directory(std::filesystem::path path) {
  const auto found = co_await as_result(fs::stat(path));
  co_return found && found->is_directory();
}

}  // namespace

task<bool> exists(std::filesystem::path path) {
  const auto size = co_await as_result(fs::file_size(path));
  if (size) co_return true;
  const error& e = size.error();
  if (e.number() == ENOENT || e.number() == ENOTDIR) co_return false;
  throw io_error(error(e.number(), "exists", e.subject(), e.advice()));
}

task<std::filesystem::path> read_link(std::filesystem::path path) {
  return read_link_at({}, std::move(path));
}

task<std::filesystem::path> read_link_at(detail::file_ref at, std::filesystem::path path) {
  const detail::path_names names{path.native(), {}};
  if (const int refused = refusal(at.get(), &names); refused != 0)
    throw io_error(path_error(refused, "read_link", at.get(), names));
  base::owned_fd from;
  if (at.get() != nullptr) {
    from = kept_open(detail::state_of(*at.get()));
    if (!from) throw io_error(path_error(errno, "read_link", at.get(), names));
  }
  auto job = [&calls = file_calls_here(), from = std::move(from), name = path.native()]() mutable {
    followed link = read_one(calls, from ? from.get() : AT_FDCWD, name);
    from.reset();
    return link;
  };
  followed link = co_await blocking(std::move(job));
  if (link.error != 0) {
    error e = path_error(link.error, "read_link", at.get(), names);
    if (link.error == EINVAL)
      e = error(EINVAL, e.operation(), e.subject(), "this is no symbolic link");
    throw io_error(std::move(e));
  }
  co_return std::filesystem::path(std::move(link.path));
}

task<std::filesystem::path> canonical(std::filesystem::path path) {
  refuse_nul("canonical", path);
  auto job = [&calls = file_calls_here(), name = path.native(), start = start_of(path)] {
    return follow_all(calls, name, start);
  };
  followed found = co_await blocking(std::move(job));
  if (found.error != 0) fail(found.error, "canonical", path);
  co_return std::filesystem::path(std::move(found.path));
}

task<> create_directories(std::filesystem::path path, std::uint32_t mode) {
  std::vector<std::filesystem::path> missing;
  for (std::filesystem::path p = path;;) {
    const auto made = co_await as_result(fs::create_directory(p, mode));
    if (made) break;
    const int number = made.error().number();
    if (number == EEXIST) {
      const bool right = co_await leads_to_directory(p);
      if (right) break;
    }
    std::filesystem::path above = p.parent_path();
    if (number != ENOENT || above.empty() || above == p) fail(number, "create_directories", path);
    missing.push_back(std::move(p));
    p = std::move(above);
  }
  for (; !missing.empty(); missing.pop_back()) {
    const std::filesystem::path& p = missing.back();
    const auto made = co_await as_result(fs::create_directory(p, mode));
    if (made) continue;
    const int number = made.error().number();
    if (number == EEXIST) {
      const bool right = co_await leads_to_directory(p);
      if (right) continue;
    }
    fail(number, "create_directories", path);
  }
}

}  // namespace parkring::fs
