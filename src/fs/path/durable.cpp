// A file is replaced in five steps, each of which begins when the one before has succeeded:
//
//   new file under a name for the time ──> content ──> sync ──> rename ──> sync of the directory
//     └────────── the old content, durable ──────────────┘        └── the new content, as durable
//                                                                     as the directory
//
// A power cut before the last step ends leaves the old name of either: the new file is durable when
// it is renamed. The name for the time belongs to a `temporary_name`, which removes it unless it
// has been renamed. Dropped while the rename is under way both may happen, in either order: the
// name is removed, and the rename finds nothing; or it is renamed, and there is nothing to remove.
#include <parkring/fs/durable.hpp>

#include <fcntl.h>

#include <cerrno>
#include <memory>
#include <optional>

#include <parkring/as_result.hpp>
#include <parkring/blocking.hpp>
#include <parkring/fs/attributes.hpp>
#include <parkring/fs/paths.hpp>

#include "fs/calls.hpp"
#include "fs/path/path_error.hpp"
#include "fs/path/temporary_name.hpp"

namespace parkring::fs {
namespace {

constexpr const char* operation = "write_file_durably";

// What is there now.
struct replaced {
  std::filesystem::path path;  // behind all links
  std::optional<metadata> old;
};

[[noreturn]] void fail(int number, const std::filesystem::path& path, std::string advice) {
  throw io_error(error(number, operation, shown(path.native()), std::move(advice)));
}
[[noreturn]] void fail(const error& why, const std::filesystem::path& path, const char* state) {
  fail(why.number(), path, std::string(state) + ": " + why.message());
}

constexpr const char* old_in_place = "the old content is in place, if there was any";
constexpr const char* new_in_place =
    "the new content is in place, but a power cut may bring the old one back";

task<replaced> find_what_is_there(std::filesystem::path path, links how) {
  constexpr int most_links = 40;  // path_resolution(7)
  replaced r{path, {}};
  for (int followed = 0;; ++followed) {
    auto found = co_await as_result(fs::stat(r.path, links::no_follow));
    if (!found && found.error().number() == ENOENT) co_return r;
    if (!found) fail(found.error(), path, old_in_place);
    if (!found->is_symlink() || how == links::no_follow) {
      if (found->is_directory()) fail(EISDIR, path, "this is a directory");
      if (!found->is_regular() && !found->is_symlink())
        fail(EINVAL, path, "only regular files can be replaced");
      if (found->is_regular()) r.old = *found;
      co_return r;
    }
    if (followed == most_links) fail(ELOOP, path, "too many symbolic links");
    const std::filesystem::path next = co_await fs::read_link(r.path);
    r.path = r.path.parent_path() / next;
  }
}

struct new_file {
  int number = 0;
  base::owned_fd fd;
  std::shared_ptr<detail::temporary_name> name;
};

new_file make_new_file(kernel::file_calls& calls, bool real, const std::string& begin,
                       std::uint32_t mode) {
  new_file n;
  std::string path;
  n.number = with_new_name(calls, real, begin, path, [&calls, mode](const std::string& name) {
    return calls.open(AT_FDCWD, name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
  });
  if (n.number < 0) return n;
  n.fd = base::owned_fd(n.number);
  n.name = std::make_shared<detail::temporary_name>(calls, real, false, std::move(path));
  return n;
}

// Not this process's to give; EINVAL: who it belonged to has no number here (user_namespaces(7)).
bool cannot_give(int number) noexcept {
  return number == EPERM || number == EINVAL || number == EOPNOTSUPP || number == ENOSYS;
}

// Gives what the permissions are then.
task<std::uint32_t> hand_permissions_on(const file& to, const metadata& old) {
  constexpr std::uint32_t plain = 0777;
  std::uint32_t permissions = old.permissions;
  const metadata now = co_await to.metadata();
  if (now.user != old.user || now.group != old.group) {
    const owner before{old.user, old.group};
    const auto given = co_await as_result(set_owner(to, before));
    if (!given && !cannot_give(given.error().number())) throw io_error(given.error());
    if (!given) {
      permissions &= plain;
      bool same_group = now.group == old.group;
      if (!same_group) {
        const owner group_only{std::nullopt, old.group};
        const auto group_given = co_await as_result(set_owner(to, group_only));
        if (!group_given && !cannot_give(group_given.error().number()))
          throw io_error(group_given.error());
        same_group = group_given.has_value();
      }
      // Another group may do what others may.
      if (!same_group) permissions = (permissions & ~070u) | ((permissions & 07u) << 3);
    }
  }
  if (now.permissions != permissions) co_await set_permissions(to, permissions);
  co_return permissions;
}

task<> replace(std::filesystem::path path, std::function<task<>(file&)> write,
               durable_options options) {
  if (has_nul({path.native(), {}}))
    fail(EINVAL, path, "the path contains a NUL character, which no file name can");
  const replaced at = co_await find_what_is_there(path, options.how);
  if (options.must_be_new && at.old) fail(EEXIST, path, "the name is taken");
  const std::filesystem::path parent = at.path.parent_path();
  constexpr std::size_t longest = 255 - 18;  // the dot, ".new-" and twelve letters
  std::string begin_name(".");
  begin_name.append(at.path.filename().native(), 0, longest).append(".new-");
  const std::filesystem::path begin = parent / begin_name;
  const bool hands_on = at.old && options.keep_permissions;

  // Until it has the permissions of the old one, it is for nobody else's eyes.
  auto make = [&calls = file_calls_here(), real = exec::this_core().driver.ring.real(),
               begin = begin.native(), mode = hands_on ? 0600U : options.mode] {
    return make_new_file(calls, real, begin, mode);
  };
  new_file made = co_await blocking(std::move(make));
  if (made.number < 0)
    fail(-made.number, path,
         "no new file can be made beside it: " + path_advice(-made.number, false));
  const std::filesystem::path name = made.name->path;
  file f = adopt_descriptor(made.fd.release(), name,
                            {.access = access::read_write, .creation = creation::must_be_new});

  std::uint32_t permissions = 0;
  if (hands_on) {
    const auto handed_on = co_await as_result(hand_permissions_on(f, *at.old));
    if (!handed_on) fail(handed_on.error(), path, old_in_place);
    permissions = *handed_on;
  }
  co_await write(f);
  if ((permissions & 06000U) != 0) {  // writing takes these away without CAP_FSETID
    const auto again = co_await as_result(set_permissions(f, permissions));
    if (!again) fail(again.error(), path, old_in_place);
  }
  const auto mode = options.must_be_new ? rename_mode::no_replace : rename_mode::replace;
  // One after the other, not as a chain: that does not fit into every ring.
  const auto on_device = co_await as_result(f.sync());
  if (!on_device) fail(on_device.error(), path, old_in_place);
  const auto renamed = co_await as_result(fs::rename(name, at.path, mode));
  if (renamed) {
    made.name->kept.store(true, std::memory_order_relaxed);
  } else if (options.must_be_new && renamed.error().number() == EINVAL) {
    // Where it can only replace: a second name, refused if it is taken; the first goes with `made`.
    const auto linked = co_await as_result(fs::link(name, at.path));
    if (!linked) fail(linked.error(), path, old_in_place);
  } else {
    fail(renamed.error(), path, old_in_place);
  }
  const auto synced = co_await as_result(fs::sync_directory(parent));
  if (!synced) fail(synced.error(), path, new_in_place);
}

task<> write_content(file& f, std::shared_ptr<const std::string> content, std::string path) {
  constexpr std::size_t most = std::size_t{1} << 20;
  const std::string_view all(*content);
  for (std::size_t done = 0; done < all.size();) {
    const std::string_view piece = all.substr(done, most);
    const auto n = co_await as_result(f.write_at(copying(piece), done));
    if (!n) fail(n.error(), path, old_in_place);
    if (*n == 0) fail(EIO, path, "the device takes no more bytes; the old content is in place");
    done += *n;
  }
}

}  // namespace

task<> write_file_durably(std::filesystem::path path, std::string content,
                          durable_options options) {
  auto shared = std::make_shared<const std::string>(std::move(content));
  auto write = [shared, name = path.native()](file& f) { return write_content(f, shared, name); };
  return replace(std::move(path), std::move(write), options);
}

task<> write_file_durably(std::filesystem::path path, std::function<task<>(file&)> write,
                          durable_options options) {
  return replace(std::move(path), std::move(write), options);
}

}  // namespace parkring::fs
