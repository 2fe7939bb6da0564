// Requests about names. Each record shares its names with the description, so that they stay until
// the kernel has read them, whoever is dropped.
//
// A sync_directory is two requests on one record, one after the other:
//
//   opening ──descriptor──> syncing ──> ends with the answer of the sync
//      └─ error: ends
//
// The record owns the descriptor from the answer of `opening` on. However it ends, the descriptor
// closes by a record of its own, for whose answer nobody waits: the sync has told all there is to
// tell. It is not cancelled when dropped; dropped between the two, when the kernel has nothing of
// it, it ends there, as it does when the runtime's end cancels it.

#include <fcntl.h>
#include <stdio.h>  // RENAME_NOREPLACE
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include <parkring/fs/paths.hpp>

#include "base/owned_fd.hpp"
#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "fs/path/path_error.hpp"
#include "fs/path/path_requests.hpp"
#include "kernel/abi.hpp"

namespace parkring {
namespace detail {

struct path_status {
  std::string path;
  struct statx answer {};
};

namespace {

namespace abi = kernel::abi;

bool never(const record&) noexcept { return false; }

std::uint64_t address_of(const std::string& path) noexcept {
  return reinterpret_cast<std::uint64_t>(path.c_str());
}

bool refuse_nul(const std::string& path, op_waiter& w) noexcept {
  if (path.find('\0') == std::string::npos) return false;
  w.answer = -EINVAL;
  return true;
}

// Interrupted before it did anything: again, unless nobody wants it any more.
bool again(const record& r, const op_waiter* w, std::int32_t res) noexcept {
  return res == -EINTR && (w != nullptr || r.cancel_wanted == cancel_wish::none);
}

// ---- one request on one or two names ----

struct path_payload {
  path_action action;
  std::uint32_t mode;
  shared_names names;
  file_ref first_at, second_at;
};

int descriptor_of(const file_ref& at) noexcept {
  return at.get() != nullptr ? state_of(*at.get()).fd.get() : AT_FDCWD;
}

const char* name_of(path_action action) noexcept {
  switch (action) {
    case path_action::rename:
      return "rename";
    case path_action::remove:
      return "remove";
    case path_action::remove_directory:
      return "remove_directory";
    case path_action::create_directory:
      return "create_directory";
    case path_action::link:
      return "link";
    case path_action::symlink:
      return "symlink";
  }
  return "path";
}

void prepare_path(record& r, abi::sqe& e) noexcept {
  const auto& p = r.as<path_payload>();
  e.fd = descriptor_of(p.first_at);
  e.addr = address_of(p.names->first);
  switch (p.action) {
    case path_action::rename:
      e.rename_flags = p.mode;
      [[fallthrough]];
    case path_action::link:
      e.opcode = p.action == path_action::rename ? abi::op_renameat : abi::op_linkat;
      e.addr2 = address_of(p.names->second);
      e.len = static_cast<std::uint32_t>(descriptor_of(p.second_at));
      break;
    case path_action::remove:
    case path_action::remove_directory:
      e.opcode = abi::op_unlinkat;
      if (p.action == path_action::remove_directory) e.unlink_flags = AT_REMOVEDIR;
      break;
    case path_action::create_directory:
      e.opcode = abi::op_mkdirat;
      e.len = p.mode;
      break;
    case path_action::symlink:
      e.opcode = abi::op_symlinkat;
      e.fd = descriptor_of(p.second_at);
      e.addr2 = address_of(p.names->second);
      break;
  }
}

// "a, b", "a, b in /data", "a in /data, b in /other".
std::string subject_of(const path_names& names, const file_ref& first, const file_ref& second) {
  if (first.get() == second.get() || names.second.empty()) return fs::shown_at(first.get(), &names);
  const path_names one{names.first, {}}, other{names.second, {}};
  return fs::shown_at(first.get(), &one) + ", " + fs::shown_at(second.get(), &other);
}

const record_type path_type = {
    .name = "path",
    .prepare = &prepare_path,
    .complete =
        [](record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
          return again(r, w, res) ? after_completion::resubmit : after_completion::finish;
        },
    .destroy = [](record& r) noexcept { r.as<path_payload>().~path_payload(); },
    .cancel_when_dropped = &never,
    .describe =
        [](const record& r, std::string& out) {
          const auto& p = r.as<path_payload>();
          out += std::string(name_of(p.action)) + "(" +
                 subject_of(*p.names, p.first_at, p.second_at) + ")";
        },
    .has_effect = true,
    .breaks_chain = false,
};

// ---- sync_directory ----

struct sync_directory_payload {
  base::owned_fd fd;  // of the directory, once it is open
  shared_names names;
};

void prepare_sync_directory(record& r, abi::sqe& e) noexcept {
  const auto& p = r.as<sync_directory_payload>();
  if (p.fd) {
    e.opcode = abi::op_fsync;
    e.fd = p.fd.get();
  } else {
    e.opcode = abi::op_openat;
    e.fd = AT_FDCWD;
    e.addr = address_of(p.names->first);
    e.open_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  }
}

after_completion next_step(record& r, op_waiter* w, std::int32_t res) noexcept {
  auto& p = r.as<sync_directory_payload>();
  if (again(r, w, res)) return after_completion::resubmit;
  if (p.fd || res < 0) return after_completion::finish;
  p.fd = base::owned_fd(res);
  return r.cancel_wanted == cancel_wish::none ? after_completion::resubmit
                                              : after_completion::finish;
}

const record_type sync_directory_type = {
    .name = "sync_directory",
    .prepare = &prepare_sync_directory,
    .complete = [](record& r, op_waiter* w, std::int32_t res, std::uint32_t,
                   bool) noexcept { return next_step(r, w, res); },
    .destroy =
        [](record& r) noexcept {
          auto& p = r.as<sync_directory_payload>();
          if (p.fd) {
            auto& ops = *static_cast<op::operations*>(r.owner);
            if (record* closing = ops.acquire(close_type)) {
              closing->emplace<close_payload>(std::move(p.fd));
              ops.submit(*closing, nullptr);
            }
          }
          p.~sync_directory_payload();
        },
    .cancel_when_dropped = &never,
    .describe =
        [](const record& r, std::string& out) {
          out += "sync_directory(" + r.as<sync_directory_payload>().names->first + ")";
        },
    .has_effect = true,
};

// ---- file_size ----

struct path_size_payload {
  std::shared_ptr<path_status> status;
};

const record_type path_size_type = {
    .name = "file_size",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          auto& s = *r.as<path_size_payload>().status;
          e.opcode = abi::op_statx;
          e.fd = AT_FDCWD;
          e.addr = address_of(s.path);
          e.len = STATX_SIZE;
          e.off = reinterpret_cast<std::uint64_t>(&s.answer);
        },
    .complete =
        [](record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
          if (res == -EINTR && w != nullptr) return after_completion::resubmit;
          if (res >= 0 && w != nullptr)
            static_cast<path_size_waiter*>(w)->size =
                r.as<path_size_payload>().status->answer.stx_size;
          return after_completion::finish;
        },
    .destroy = [](record& r) noexcept { r.as<path_size_payload>().~path_size_payload(); },
    .cancel_when_dropped = &never,
    .describe =
        [](const record& r, std::string& out) {
          out += "file_size(" + r.as<path_size_payload>().status->path + ")";
        },
    .breaks_chain = false,
};

std::string advice_for(int number, path_action action, std::uint32_t mode, bool has_nul) {
  const bool creates = action == path_action::create_directory || action == path_action::link ||
                       action == path_action::symlink;
  const bool renames = action == path_action::rename;
  switch (number) {
    case EEXIST:
      if (creates || (renames && mode == RENAME_NOREPLACE))
        return "the name is taken; remove what has it, or choose another";
      [[fallthrough]];
    case ENOTEMPTY:
      return "the directory is not empty; remove what is in it first";
    case EXDEV:
      return "both names must be on one file system; copy the file instead";
    case EISDIR:
      return action == path_action::remove ? "this is a directory; use remove_directory"
                                           : "a file cannot take the name of a directory";
    case ENOTDIR:
      if (action == path_action::remove_directory)
        return "this is no directory, or a part of the path is not; files go with remove";
      break;
    case ENOENT:
      if (renames && mode == RENAME_EXCHANGE) return "both names must be there to be exchanged";
      if (action == path_action::symlink)
        return "a directory above the name is missing, or the target is empty";
      break;
    case EPERM:
      if (action == path_action::link)
        return "a directory has one name, only files are linked; and the system may forbid it for "
               "files of other users (fs.protected_hardlinks)";
      break;
    case EINVAL:
      if (has_nul || !renames) break;
      return mode == 0 ? "a directory cannot be moved into itself"
                       : "a directory cannot be moved into itself; or the file system can only "
                         "replace what has the name";
    default:
      break;
  }
  return fs::path_advice(number, has_nul);
}

}  // namespace

bool path_request::ready(op_waiter& w) noexcept {
  int refused = fs::refusal(first_at.get(), names.get());
  if (refused == 0) refused = fs::refusal(second_at.get(), nullptr);
  if (refused != 0) w.answer = -refused;
  return refused != 0;
}

record* path_request::make(op_waiter&) noexcept {
  record* r = exec::this_core().ops.acquire(path_type);
  if (r != nullptr)
    r->emplace<path_payload>(action, mode, names, first_at.share(), second_at.share());
  return r;
}

void path_request::start(op_waiter& w) noexcept {
  auto& ops = exec::this_core().ops;
  record* r = make(w);
  if (r == nullptr) return ops.starve(w);
  ops.submit(*r, &w);
}

error path_request::failure(int number) const {
  return {number, name_of(action), subject_of(*names, first_at, second_at),
          advice_for(number, action, mode, fs::has_nul(*names))};
}

bool sync_directory_request::ready(op_waiter& w) noexcept { return refuse_nul(names->first, w); }

void sync_directory_request::start(op_waiter& w) noexcept {
  auto& ops = exec::this_core().ops;
  record* r = ops.acquire(sync_directory_type);
  if (r == nullptr) return ops.starve(w);
  r->emplace<sync_directory_payload>().names = names;
  ops.submit(*r, &w);
}

error sync_directory_request::failure(int number) const {
  return {number, "sync_directory", fs::shown(*names),
          fs::path_advice(number, fs::has_nul(*names))};
}

bool path_size_request::ready(op_waiter& w) noexcept { return refuse_nul(status->path, w); }

void path_size_request::start(op_waiter& w) noexcept {
  auto& ops = exec::this_core().ops;
  record* r = ops.acquire(path_size_type);
  if (r == nullptr) return ops.starve(w);
  r->emplace<path_size_payload>(status);
  ops.submit(*r, &w);
}

error path_size_request::failure(int number) const {
  const bool nul = status->path.find('\0') != std::string::npos;
  return {number, "file_size", fs::shown(status->path), fs::path_advice(number, nul)};
}

}  // namespace detail

namespace fs {

std::uint32_t rename_flags(rename_mode mode) noexcept {
  switch (mode) {
    case rename_mode::replace:
      break;
    case rename_mode::no_replace:
      return RENAME_NOREPLACE;
    case rename_mode::exchange:
      return RENAME_EXCHANGE;
  }
  return 0;
}

namespace {

using detail::path_action;

path_operation on_names(path_action action, const std::filesystem::path& first,
                        const std::filesystem::path& second = {}, std::uint32_t mode = 0) {
  auto names = std::make_shared<const detail::path_names>(first.native(), second.native());
  return path_operation({action, mode, std::move(names)});
}

}  // namespace

path_operation rename(const std::filesystem::path& from, const std::filesystem::path& to,
                      rename_mode mode) {
  return on_names(path_action::rename, from, to, rename_flags(mode));
}
path_operation symlink(const std::filesystem::path& target, const std::filesystem::path& name) {
  return on_names(path_action::symlink, target, name);
}
path_operation remove(const std::filesystem::path& path) {
  return on_names(path_action::remove, path);
}
path_operation remove_directory(const std::filesystem::path& path) {
  return on_names(path_action::remove_directory, path);
}
path_operation create_directory(const std::filesystem::path& path, std::uint32_t mode) {
  return on_names(path_action::create_directory, path, {}, mode);
}
path_operation link(const std::filesystem::path& existing, const std::filesystem::path& name) {
  return on_names(path_action::link, existing, name);
}

sync_directory_operation sync_directory(const std::filesystem::path& path) {
  std::string name = path.empty() ? std::string(".") : path.native();
  return sync_directory_operation(
      {std::make_shared<const detail::path_names>(std::move(name), std::string())});
}

path_size_operation file_size(const std::filesystem::path& path) {
  auto status = std::make_shared<detail::path_status>();
  status->path = path.native();
  return path_size_operation({std::move(status)});
}

}  // namespace fs
}  // namespace parkring
