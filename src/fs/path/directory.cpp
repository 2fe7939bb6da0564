// Open directories, and what is opened from them. A directory's state is a file's, which closes in
// the same way; nobody reads or writes it.
#include <parkring/fs/directory.hpp>

#include <fcntl.h>

#include <cerrno>
#include <new>

#include "exec/core.hpp"
#include "fs/file_access.hpp"
#include "fs/file_state.hpp"
#include "fs/open_completion.hpp"
#include "fs/path/handle_request.hpp"
#include "fs/path/path_error.hpp"
#include "fs/path/path_requests.hpp"
#include "kernel/abi.hpp"
#include "kernel/open_how.hpp"

namespace parkring {
namespace detail {
namespace {

namespace abi = kernel::abi;

struct open_at_payload {
  file_ref at;
  shared_names names;
  abi::open_how how;  // the kernel reads it when it begins
  bool limited;
};

const record_type open_at_type = {
    .name = "open",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          auto& p = r.as<open_at_payload>();
          e.fd = p.at.get() != nullptr ? state_of(*p.at.get()).fd.get() : AT_FDCWD;
          e.addr = reinterpret_cast<std::uint64_t>(p.names->first.c_str());
          if (p.limited) {
            e.opcode = abi::op_openat2;
            e.len = sizeof p.how;
            e.addr2 = reinterpret_cast<std::uint64_t>(&p.how);
          } else {
            e.opcode = abi::op_openat;
            e.len = static_cast<std::uint32_t>(p.how.mode);
            e.open_flags = static_cast<std::uint32_t>(p.how.flags);
          }
        },
    .complete = &complete_open,
    .destroy = [](record& r) noexcept { r.as<open_at_payload>().~open_at_payload(); },
    .cancel_when_dropped = nullptr,
    .describe =
        [](const record& r, std::string& out) {
          const auto& p = r.as<open_at_payload>();
          out += "open(" + fs::shown_at(p.at.get(), p.names.get()) + ")";
        },
};

}  // namespace

bool open_at_request::ready(op_waiter& w) noexcept {
  const int refused = fs::refusal(at.get(), names.get());
  if (refused != 0) w.answer = -refused;
  return refused != 0;
}

void start_open_at(op_waiter& w, const file_ref& at, const shared_names& names,
                   const abi::open_how& how, bool limited) noexcept {
  auto& ops = exec::this_core().ops;
  record* r = ops.acquire(open_at_type);
  if (r == nullptr) return ops.starve(w);
  r->emplace<open_at_payload>(at.share(), names, how, limited);
  ops.submit(*r, &w);
}

void open_at_request::start(op_waiter& w) noexcept {
  abi::open_how how{};
  how.flags = static_cast<std::uint64_t>(as_directory ? O_RDONLY | O_DIRECTORY | O_CLOEXEC
                                                      : fs::open_flags(options));
  if (!as_directory && options.creation != fs::creation::never) how.mode = options.mode;
  if (limit == fs::within::beneath) how.resolve = abi::resolve_beneath;
  start_open_at(w, at, names, how, limit == fs::within::beneath);
}

std::string open_at_request::full_path() const {
  if (at.get() == nullptr) return names->first;
  return (state_of(*at.get()).path / names->first).native();
}

error open_at_request::failure(int number) const {
  const char* const what = as_directory ? "open_directory" : "open";
  const std::string subject = fs::shown_at(at.get(), names.get());
  if (limit == fs::within::beneath) {
    // A file may be refused as well as the call.
    const bool may_be_the_file = number == EPERM && !as_directory;
    if (std::string advice = beneath_advice(number); !advice.empty() && !may_be_the_file)
      return {number, what, subject, std::move(advice)};
    if (may_be_the_file && !options.noatime)
      return {number, what, subject,
              "the file is sealed or immutable, or openat2(2) is forbidden here"};
  }
  if (as_directory && number == ENOTDIR)
    return {number, what, subject, "this is no directory, or a part of the path is not"};
  if (as_directory || number == EBADF) return fs::path_error(number, what, at.get(), *names);
  const error plain = open_request{names->first, options}.failure(number);
  return {number, what, subject, plain.advice()};
}

std::expected<fs::file, error> open_file_at_request::value(op_waiter& w) const {
  return open_request{full_path(), options}.adopt(static_cast<open_waiter&>(w).opened.release());
}

fs::file adopt_handle(base::owned_fd fd, std::string path) {
  auto& core = running_core();
  auto state = std::make_unique<file_state>();
  state->home_of = core.home_of;
  state->team = core.team;
  state->path = std::move(path);
  state->registrable = false;
  state->fd = std::move(fd);
  state->descriptor = state->ring_target = state->fd.get();
  return file_access::adopt(std::move(state));
}

std::expected<fs::directory, error> open_directory_request::value(op_waiter& w) const {
  base::owned_fd fd(static_cast<open_waiter&>(w).opened.release());
  return fs::directory(adopt_handle(std::move(fd), full_path()));
}

}  // namespace detail

namespace fs {
namespace {

using detail::file_access;
using detail::file_ref;
using detail::path_action;

detail::shared_names names_of(const std::filesystem::path& first,
                              const std::filesystem::path& second = {}) {
  return std::make_shared<const detail::path_names>(first.native(), second.native());
}

path_operation one_name(path_action action, const directory& at, const std::filesystem::path& name,
                        std::uint32_t mode = 0) {
  return path_operation({action, mode, names_of(name), file_access::ref(at), file_ref()});
}

path_operation two_names(path_action action, const directory& from,
                         const std::filesystem::path& first, const directory& to,
                         const std::filesystem::path& second, std::uint32_t mode = 0) {
  return path_operation(
      {action, mode, names_of(first, second), file_access::ref(from), file_access::ref(to)});
}

}  // namespace

open_file_at_operation directory::open(const std::filesystem::path& name,
                                       const open_options& options, within limit) const {
  return open_file_at_operation(detail::open_file_at_request{
      {file_access::ref(*this), names_of(name), options, limit, false}});
}
open_directory_operation directory::open_directory(const std::filesystem::path& name,
                                                   within limit) const {
  return open_directory_operation(detail::open_directory_request{
      {file_access::ref(*this), names_of(name), open_options{}, limit, true}});
}

stat_operation directory::stat(const std::filesystem::path& name, links how) const {
  return stat_operation({file_access::ref(*this), names_of(name), how});
}
stat_operation directory::metadata() const { return handle_.metadata(); }

path_operation directory::rename(const std::filesystem::path& from, const std::filesystem::path& to,
                                 rename_mode mode) const {
  return rename(from, *this, to, mode);
}
path_operation directory::rename(const std::filesystem::path& from, const directory& other,
                                 const std::filesystem::path& to, rename_mode mode) const {
  return two_names(path_action::rename, *this, from, other, to, rename_flags(mode));
}
path_operation directory::remove(const std::filesystem::path& name) const {
  return one_name(path_action::remove, *this, name);
}
path_operation directory::remove_directory(const std::filesystem::path& name) const {
  return one_name(path_action::remove_directory, *this, name);
}
path_operation directory::create_directory(const std::filesystem::path& name,
                                           std::uint32_t mode) const {
  return one_name(path_action::create_directory, *this, name, mode);
}
path_operation directory::link(const std::filesystem::path& existing,
                               const std::filesystem::path& name) const {
  return link(existing, *this, name);
}
path_operation directory::link(const std::filesystem::path& existing, const directory& other,
                               const std::filesystem::path& name) const {
  return two_names(path_action::link, *this, existing, other, name);
}
path_operation directory::symlink(const std::filesystem::path& target,
                                  const std::filesystem::path& name) const {
  return two_names(path_action::symlink, *this, target, *this, name);
}
task<std::filesystem::path> directory::read_link(std::filesystem::path name) const {
  return read_link_at(file_access::ref(*this), std::move(name));
}
sync_operation directory::sync() const { return sync_operation({file_access::ref(*this), false}); }

open_directory_operation open_directory(const std::filesystem::path& path) {
  return open_directory_operation(detail::open_directory_request{
      {file_ref(), names_of(path.empty() ? std::filesystem::path(".") : path), open_options{},
       within::anywhere, true}});
}

}  // namespace fs
}  // namespace parkring
