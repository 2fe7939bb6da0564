// What is done beneath a directory: first a handle, opened by openat2(2), then the call.
//
//   of a name   the handle is of the directory that has it, and the call takes the last part of the
//               path, which no call here follows: unlinkat, mkdirat, renameat2, linkat, symlinkat,
//               mknodat, readlinkat. A name without a slash needs none: it starts at the directory
//               itself.
//   of a file   the handle is of the file itself, or of the link, and the call takes that.
//   of a tree   a walk begins in a handle of its root; a removal at its name, as above. Both open
//               each directory in the one above it, and follow no links.
//
// The frame has the handle or a reference to it; the request or the job its own, as ever.
#include <parkring/fs/confined_directory.hpp>

#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include <parkring/as_result.hpp>

#include "fs/file_access.hpp"
#include "fs/path/handle_request.hpp"
#include "fs/path/job_subject.hpp"
#include "fs/path/path_error.hpp"
#include "fs/path/path_requests.hpp"
#include "fs/tree/tree_starts.hpp"

namespace parkring::fs {
namespace {

using detail::file_access;
using detail::file_ref;
using detail::path_action;

detail::shared_names names_of(std::string first, std::string second = {}) {
  return std::make_shared<const detail::path_names>(std::move(first), std::move(second));
}

[[noreturn]] void fail(int number, const char* operation, const file_ref& at,
                       const std::string& name, std::string advice) {
  const detail::path_names names{name, {}};
  throw io_error(error(number, operation, shown_at(at.get(), &names), std::move(advice)));
}

/// Where the last part of a path begins.
std::size_t last_part(const std::string& path) noexcept {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? 0 : slash + 1;
}

void check_last_part(const char* operation, const file_ref& at, const std::string& path) {
  const std::string_view last = std::string_view(path).substr(last_part(path));
  if (last.empty() || last == "." || last == "..")
    fail(EINVAL, operation, at, path,
         "what is confined to a directory needs a path that ends with a name, not with a slash, "
         "\".\" or \"..\"");
}

/// The handle of what `way` leads to; `path`, which it is a part of, is what errors tell.
task<file> open_handle(const char* operation, file_ref at, std::string path, std::string way,
                       int flags) {
  constexpr unsigned most_tries = 64;
  const auto names = names_of(std::move(way));
  for (unsigned tries = 1;; ++tries) {
    detail::handle_operation opening({at.share(), names, flags});
    auto opened = co_await as_result(std::move(opening));
    if (opened) co_return std::move(*opened);
    const error& e = opened.error();
    if (e.number() == EAGAIN && tries < most_tries) continue;
    fail(e.number(), operation, at, path, e.advice());
  }
}

task<file> handle_of(const char* operation, file_ref at, std::filesystem::path path, links how) {
  check_last_part(operation, at, path.native());
  return open_handle(operation, std::move(at), path.native(), path.native(),
                     how == links::follow ? 0 : O_NOFOLLOW);
}

/// A name in the directory that has it.
struct found_name {
  file_ref in;
  std::string name;
};

task<found_name> find_name(const char* operation, file_ref at, std::filesystem::path path) {
  std::string whole = path.native();
  check_last_part(operation, at, whole);
  const std::size_t last = last_part(whole);
  found_name found;
  if (last == 0) {
    found.in = std::move(at);
    found.name = std::move(whole);
    co_return found;
  }
  std::string name = whole.substr(last), way = whole.substr(0, last);
  auto opening =
      open_handle(operation, std::move(at), std::move(whole), std::move(way), O_DIRECTORY);
  const file in = co_await std::move(opening);
  found.in = file_access::ref(in);
  found.name = std::move(name);
  co_return found;
}

task<> on_name(path_action action, const char* operation, file_ref at, std::filesystem::path path,
               std::uint32_t mode) {
  const found_name found = co_await find_name(operation, std::move(at), std::move(path));
  path_operation request({action, mode, names_of(found.name), found.in.share(), file_ref()});
  co_await std::move(request);
}

task<> on_names(path_action action, const char* operation, file_ref from_at,
                std::filesystem::path from, file_ref to_at, std::filesystem::path to,
                std::uint32_t mode) {
  const found_name first = co_await find_name(operation, std::move(from_at), std::move(from));
  const found_name second = co_await find_name(operation, std::move(to_at), std::move(to));
  path_operation request(
      {action, mode, names_of(first.name, second.name), first.in.share(), second.in.share()});
  co_await std::move(request);
}

task<> make_symlink(file_ref at, std::filesystem::path target, std::filesystem::path path) {
  const found_name found = co_await find_name("symlink", std::move(at), std::move(path));
  path_operation request({path_action::symlink, 0, names_of(target.native(), found.name),
                          found.in.share(), found.in.share()});
  co_await std::move(request);
}

task<> make_fifo(file_ref at, std::filesystem::path path, std::uint32_t mode) {
  found_name found = co_await find_name("create_fifo", std::move(at), std::move(path));
  const detail::path_names names{found.name, {}};
  if (has_nul(names)) fail(EINVAL, "create_fifo", found.in, found.name, path_advice(EINVAL, true));
  const job_subject in(found.in.share());
  auto make = [name = found.name, mode](kernel::file_calls& calls, const job_target& on) {
    return calls.make_fifo(on.at(), name.c_str(), mode);
  };
  auto job = in_a_job(in, "create_fifo", std::move(make));
  const int answer = co_await std::move(job);
  if (answer < 0) fail(-answer, "create_fifo", found.in, found.name, path_advice(-answer, false));
}

task<std::filesystem::path> read_link_below(file_ref at, std::filesystem::path path) {
  found_name found = co_await find_name("read_link", std::move(at), std::move(path));
  auto reading = read_link_at(std::move(found.in), std::move(found.name));
  co_return co_await std::move(reading);
}

task<metadata> stat_below(file_ref at, std::filesystem::path path, links how) {
  const file f = co_await handle_of("stat", std::move(at), std::move(path), how);
  co_return co_await f.metadata();
}

/// Hands the handle to `call(file)`, which gives a task.
template <class T, class Call>
task<T> with_handle(const char* operation, file_ref at, std::filesystem::path path, links how,
                    Call call) {
  const file f = co_await handle_of(operation, std::move(at), std::move(path), how);
  auto called = call(f);
  co_return co_await std::move(called);
}

/// A handle of the directory that a tree begins in, and its path for entries and errors.
struct tree_root {
  base::owned_fd fd;
  std::string path;
};
task<tree_root> find_root(const char* operation, file_ref at, std::filesystem::path path,
                          bool follow) {
  file opened;
  if (!path.empty()) {
    check_last_part(operation, at, path.native());
    auto opening = open_handle(operation, at.share(), path.native(), path.native(),
                               O_DIRECTORY | (follow ? 0 : O_NOFOLLOW));
    opened = co_await std::move(opening);
    at = file_access::ref(opened);
  }
  if (const int refused = refusal(at.get(), nullptr); refused != 0)
    fail(refused, operation, at, path.native(), path_advice(refused, false));
  const auto& state = detail::state_of(*at.get());
  tree_root root{kept_open(state), state.path.native()};
  if (!root.fd) fail(errno, operation, at, path.native(), path_advice(errno, false));
  co_return root;
}

task<directory_entries> read_dir_below(file_ref at, std::filesystem::path path) {
  tree_root root = co_await find_root("read_dir", std::move(at), std::move(path), true);
  co_return tree_starts::read_dir(std::move(root.fd), std::move(root.path));
}

task<walk> walk_below(file_ref at, std::filesystem::path path, walk_options options) {
  if (options.follow == follow_links::always)
    fail(EINVAL, "walk", at, path.native(),
         "a walk that is confined to a directory follows no links below its root");
  const bool follow = options.follow != follow_links::never;
  tree_root root = co_await find_root("walk", std::move(at), std::move(path), follow);
  co_return tree_starts::walk(std::move(root.fd), std::move(root.path), std::move(options));
}

task<removal_counts> remove_below(file_ref at, std::filesystem::path path,
                                  removal_options options) {
  found_name found = co_await find_name("remove_all", std::move(at), std::move(path));
  const detail::path_names names{found.name, {}};
  if (has_nul(names)) fail(EINVAL, "remove_all", found.in, found.name, path_advice(EINVAL, true));
  const auto& state = detail::state_of(*found.in.get());
  base::owned_fd in = kept_open(state);
  if (!in) fail(errno, "remove_all", found.in, found.name, path_advice(errno, false));
  std::string shown_path = (state.path / found.name).native();
  auto removal = tree_starts::remove_all(std::move(in), std::move(found.name),
                                         std::move(shown_path), std::move(options));
  co_return co_await std::move(removal);
}

}  // namespace

// An operation, not a handle: it is for reading, too.
task<confined_directory> confined_directory::open_directory(std::filesystem::path name) const {
  auto opening = at_.open_directory(name, within::beneath);
  auto opened = [](open_directory_operation o) -> task<confined_directory> {
    co_return confined_directory(co_await std::move(o));
  };
  return opened(std::move(opening));
}

task<metadata> confined_directory::stat(std::filesystem::path name, links how) const {
  return stat_below(file_access::ref(at_), std::move(name), how);
}
task<> confined_directory::remove(std::filesystem::path name) const {
  return on_name(path_action::remove, "remove", file_access::ref(at_), std::move(name), 0);
}
task<> confined_directory::remove_directory(std::filesystem::path name) const {
  return on_name(path_action::remove_directory, "remove_directory", file_access::ref(at_),
                 std::move(name), 0);
}
task<> confined_directory::create_directory(std::filesystem::path name, std::uint32_t mode) const {
  return on_name(path_action::create_directory, "create_directory", file_access::ref(at_),
                 std::move(name), mode);
}
task<> confined_directory::rename(std::filesystem::path from, std::filesystem::path to,
                                  rename_mode mode) const {
  return rename(std::move(from), *this, std::move(to), mode);
}
task<> confined_directory::rename(std::filesystem::path from, const confined_directory& other,
                                  std::filesystem::path to, rename_mode mode) const {
  return on_names(path_action::rename, "rename", file_access::ref(at_), std::move(from),
                  file_access::ref(other.at_), std::move(to), rename_flags(mode));
}
task<> confined_directory::link(std::filesystem::path existing, std::filesystem::path name) const {
  return link(std::move(existing), *this, std::move(name));
}
task<> confined_directory::link(std::filesystem::path existing, const confined_directory& other,
                                std::filesystem::path name) const {
  return on_names(path_action::link, "link", file_access::ref(at_), std::move(existing),
                  file_access::ref(other.at_), std::move(name), 0);
}
task<> confined_directory::symlink(std::filesystem::path target, std::filesystem::path name) const {
  return make_symlink(file_access::ref(at_), std::move(target), std::move(name));
}
task<> confined_directory::create_fifo(std::filesystem::path name, std::uint32_t mode) const {
  return make_fifo(file_access::ref(at_), std::move(name), mode);
}
task<std::filesystem::path> confined_directory::read_link(std::filesystem::path name) const {
  return read_link_below(file_access::ref(at_), std::move(name));
}

task<> confined_directory::set_permissions(std::filesystem::path name, std::uint32_t permissions,
                                           links how) const {
  return with_handle<void>(
      "set_permissions", file_access::ref(at_), std::move(name), how,
      [permissions](const file& f) { return fs::set_permissions(f, permissions); });
}
task<> confined_directory::set_owner(std::filesystem::path name, owner who, links how) const {
  return with_handle<void>("set_owner", file_access::ref(at_), std::move(name), how,
                           [who](const file& f) { return fs::set_owner(f, who); });
}
task<> confined_directory::set_times(std::filesystem::path name, file_times times,
                                     links how) const {
  return with_handle<void>("set_times", file_access::ref(at_), std::move(name), how,
                           [times](const file& f) { return fs::set_times(f, times); });
}
task<> confined_directory::touch(std::filesystem::path name, links how) const {
  return with_handle<void>("touch", file_access::ref(at_), std::move(name), how,
                           [](const file& f) { return fs::touch(f); });
}
task<std::optional<std::string>> confined_directory::get_attribute(std::filesystem::path name,
                                                                   std::string attribute,
                                                                   links how) const {
  return with_handle<std::optional<std::string>>(
      "get_attribute", file_access::ref(at_), std::move(name), how,
      [key = std::move(attribute)](const file& f) { return fs::get_attribute(f, key); });
}
task<> confined_directory::set_attribute(std::filesystem::path name, std::string attribute,
                                         std::string value, attribute_mode mode, links how) const {
  return with_handle<void>("set_attribute", file_access::ref(at_), std::move(name), how,
                           [key = std::move(attribute), value = std::move(value), mode](
                               const file& f) { return fs::set_attribute(f, key, value, mode); });
}
task<std::vector<std::string>> confined_directory::list_attributes(std::filesystem::path name,
                                                                   links how) const {
  return with_handle<std::vector<std::string>>(
      "list_attributes", file_access::ref(at_), std::move(name), how,
      [](const file& f) { return fs::list_attributes(f); });
}
task<bool> confined_directory::remove_attribute(std::filesystem::path name, std::string attribute,
                                                links how) const {
  return with_handle<bool>(
      "remove_attribute", file_access::ref(at_), std::move(name), how,
      [key = std::move(attribute)](const file& f) { return fs::remove_attribute(f, key); });
}

task<directory_entries> confined_directory::read_dir(std::filesystem::path name) const {
  return read_dir_below(file_access::ref(at_), std::move(name));
}
task<fs::walk> confined_directory::walk(std::filesystem::path name, walk_options options) const {
  return walk_below(file_access::ref(at_), std::move(name), std::move(options));
}
task<removal_counts> confined_directory::remove_all(std::filesystem::path name,
                                                    removal_options options) const {
  return remove_below(file_access::ref(at_), std::move(name), std::move(options));
}

}  // namespace parkring::fs
