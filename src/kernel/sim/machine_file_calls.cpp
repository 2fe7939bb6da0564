#include "kernel/sim/machine_file_calls.hpp"

#include <fcntl.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "kernel/sim/worlds.hpp"

namespace parkring::kernel::sim {

using parkring::sim::operation_kind;

// 0 when it is to happen, else what it answers.
int machine_file_calls::begin(call& c) {
  if (m_.stopped() != machine::stop_reason::none || !m_.step()) return -EIO;  // nobody hears of it
  m_.files.set_now(static_cast<std::int64_t>(m_.realtime_ns()));
  c.what.step = m_.this_step();
  c.what.time = m_.age();
  c.subject = m_.log_book.subject(std::string(c.what.path));
  m_.log(c.what.step, trace_entry::kind::begin, c.what.name.data(), 0, c.subject, c.what.offset,
         c.what.length);
  auto wait = static_cast<std::uint64_t>(m_.faults.latency_of(c.what.kind, m_.calm).count());
  int answer = 0;
  if (const auto struck = m_.strike(c.what, c.of)) {
    using parkring::sim::fault;
    if (struck->what == fault::failed_sync)
      c.refused_sync = true;
    else if (struck->what != fault::interrupted)  // signal(7): calls about files begin again
      answer = -struck->error;
    if (struck->length != 0) c.length = struck->length;
    wait += static_cast<std::uint64_t>(struck->delay.count());
  }
  m_.time.pass(m_.now_ns() + wait);
  return answer;
}

template <class Act>
std::int64_t machine_file_calls::make(call c, Act act) noexcept {
  try {
    std::int64_t answer = begin(c);
    if (m_.stopped() != machine::stop_reason::none) return answer;
    if (answer == 0) answer = act(c);
    m_.log(m_.this_step(), trace_entry::kind::effect, c.what.name.data(), 0, c.subject,
           c.what.offset, c.what.length,
           answer < first_descriptor ? answer : m_.table.index_of(static_cast<int>(answer)));
    return answer;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

// Where a relative path starts.
std::int64_t machine_file_calls::place(int at, std::string_view path, open_file*& out,
                                       bool may_be_empty) const noexcept {
  out = nullptr;
  if (path.empty() && !may_be_empty) return -ENOENT;
  if (at == AT_FDCWD || path.starts_with('/')) return 0;
  out = file(at);
  return out != nullptr ? 0 : -EBADF;
}

// The same of calls about what a file has beside its content.
int machine_file_calls::place_of_details(int at, std::string_view path, int flags,
                                         open_file*& out) const noexcept {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return -EINVAL;
  return static_cast<int>(place(at, path, out, (flags & AT_EMPTY_PATH) != 0));
}

open_file* machine_file_calls::file(int fd) const noexcept {
  const open_object* const found = m_.table.find(fd);
  return found != nullptr ? found->file.get() : nullptr;
}

template <class Act>
std::int64_t machine_file_calls::on_file(int fd, call c, Act act) noexcept {
  open_file* const f = file(fd);
  if (f == nullptr) return -EBADF;
  const open_object* const found = m_.table.find(fd);
  std::string name;
  name = m_.log_book.subject_text(found->subject);
  c.what.path = name;
  return make(std::move(c), [&](const call& how) { return act(*f, how); });
}

int machine_file_calls::open(int at, const char* path, int flags, unsigned mode) noexcept {
  open_file* from = nullptr;
  if (const auto error = place(at, path, from); error != 0) return static_cast<int>(error);
  call c{.what = {.kind = operation_kind::open, .name = "openat", .path = path}};
  c.of.may_need_space = (flags & O_CREAT) != 0;
  return static_cast<int>(make(std::move(c), [&](const call& how) -> std::int64_t {
    open_ref opened;
    if (const int error = m_.files.open(from, path, flags | O_CLOEXEC, mode, opened); error < 0)
      return error;
    if (opened->node->is_fifo() && !opened->by_path()) return -ENXIO;  // its other end is no file's
    return m_.table.add({{}, std::move(opened), how.subject});
  }));
}

int machine_file_calls::close(int fd) noexcept { return m_.table.close(fd); }

// No step: nothing of it reaches the disk.
int machine_file_calls::duplicate(int fd) noexcept {
  try {
    return m_.table.duplicate(fd);
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }
}

int machine_file_calls::reopen(int fd, int flags) noexcept {
  if (file(fd) == nullptr) return -ENOENT;  // in /proc
  call c{.what = {.kind = operation_kind::open, .name = "openat"}};
  c.of.may_need_space = false;
  return static_cast<int>(
      on_file(fd, std::move(c), [&](open_file& f, const call& how) -> std::int64_t {
        open_ref opened;
        if (const int error = m_.files.reopen(f, flags | O_CLOEXEC, opened); error < 0)
          return error;
        return m_.table.add({{}, std::move(opened), how.subject});
      }));
}

int machine_file_calls::stat(int at, const char* path, int flags, unsigned mask,
                             struct statx& out) noexcept {
  open_file* from = nullptr;
  const bool itself = (flags & AT_EMPTY_PATH) != 0;
  if (const auto error = place(at, path, from, itself); error != 0) return static_cast<int>(error);
  call c{.what = {.kind = operation_kind::metadata, .name = "statx", .path = path}};
  c.of.may_need_space = false;
  return static_cast<int>(make(std::move(c), [&](const call&) -> std::int64_t {
    return m_.files.stat(from, path, flags, mask, out);
  }));
}

std::int64_t machine_file_calls::read_entries(int fd, std::span<std::byte> out) noexcept {
  call c{.what = {.kind = operation_kind::metadata, .name = "getdents64", .length = out.size()}};
  c.of.may_need_space = false;
  return on_file(fd, std::move(c),
                 [&](open_file& f, const call&) { return m_.files.read_entries(f, out); });
}

std::int64_t machine_file_calls::read_link(int at, const char* path, std::span<char> out) noexcept {
  open_file* from = nullptr;
  if (out.empty()) return -EINVAL;
  if (const auto error = place(at, path, from, true); error != 0) return error;
  call c{.what = {.kind = operation_kind::metadata, .name = "readlinkat", .path = path}};
  c.of.may_need_space = false;
  return make(std::move(c), [&](const call&) -> std::int64_t {
    std::string target;
    if (*path == '\0') {
      if (from == nullptr) return -ENOENT;
      if (!from->alive()) return -EIO;
      if (!from->node->is_symlink()) return -ENOENT;
      target = from->node->target;
    } else if (const int error = m_.files.read_link(from, path, target); error != 0) {
      return error;
    }
    const std::size_t n = std::min(target.size(), out.size());
    std::memcpy(out.data(), target.data(), n);
    return static_cast<std::int64_t>(n);
  });
}

int machine_file_calls::make_directory(int at, const char* path, unsigned mode) noexcept {
  open_file* from = nullptr;
  if (const auto error = place(at, path, from); error != 0) return static_cast<int>(error);
  call c{.what = {.kind = operation_kind::metadata, .name = "mkdirat", .path = path}};
  return static_cast<int>(make(
      std::move(c), [&](const call&) -> std::int64_t { return m_.files.mkdir(from, path, mode); }));
}

int machine_file_calls::make_symlink(const char* target, int at, const char* path) noexcept {
  open_file* from = nullptr;
  if (*target == '\0') return -ENOENT;
  if (const auto error = place(at, path, from); error != 0) return static_cast<int>(error);
  call c{.what = {.kind = operation_kind::metadata, .name = "symlinkat", .path = path}};
  return static_cast<int>(make(std::move(c), [&](const call&) -> std::int64_t {
    return m_.files.symlink(target, from, path);
  }));
}

int machine_file_calls::make_fifo(int at, const char* path, unsigned mode) noexcept {
  open_file* from = nullptr;
  if (const auto error = place(at, path, from); error != 0) return static_cast<int>(error);
  call c{.what = {.kind = operation_kind::metadata, .name = "mkfifoat", .path = path}};
  return static_cast<int>(make(std::move(c), [&](const call&) -> std::int64_t {
    return m_.files.mkfifo(from, path, mode);
  }));
}

int machine_file_calls::remove(int at, const char* path, int flags) noexcept {
  open_file* from = nullptr;
  if (const auto error = place(at, path, from); error != 0) return static_cast<int>(error);
  call c{.what = {.kind = operation_kind::metadata, .name = "unlinkat", .path = path}};
  c.of.may_need_space = false;
  return static_cast<int>(make(std::move(c), [&](const call&) -> std::int64_t {
    return m_.files.unlink(from, path, flags);
  }));
}

int machine_file_calls::rename(int from_at, const char* from, int to_at, const char* to,
                               unsigned flags) noexcept {
  open_file *source = nullptr, *goal = nullptr;
  if (const auto error = place(from_at, from, source); error != 0) return static_cast<int>(error);
  if (const auto error = place(to_at, to, goal); error != 0) return static_cast<int>(error);
  call c{
      .what = {.kind = operation_kind::metadata, .name = "renameat2", .path = from, .target = to}};
  return static_cast<int>(make(std::move(c), [&](const call&) -> std::int64_t {
    return m_.files.rename(source, from, goal, to, flags);
  }));
}

int machine_file_calls::link(int from_at, const char* from, int to_at, const char* to,
                             int flags) noexcept {
  open_file *source = nullptr, *goal = nullptr;
  const bool itself = (flags & AT_EMPTY_PATH) != 0;
  if (const auto error = place(from_at, from, source, itself); error != 0)
    return static_cast<int>(error);
  if (const auto error = place(to_at, to, goal); error != 0) return static_cast<int>(error);
  call c{.what = {.kind = operation_kind::metadata, .name = "linkat", .path = from, .target = to}};
  return static_cast<int>(make(std::move(c), [&](const call&) -> std::int64_t {
    return m_.files.link(source, from, goal, to, flags);
  }));
}

int machine_file_calls::change_mode(int at, const char* path, unsigned mode, int flags) noexcept {
  open_file* from = nullptr;
  if (const int error = place_of_details(at, path, flags, from); error != 0) return error;
  call c{.what = {.kind = operation_kind::metadata, .name = "fchmodat", .path = path}};
  return static_cast<int>(make(std::move(c), [&](const call&) -> std::int64_t {
    return m_.files.change_mode(from, path, mode, (flags & AT_SYMLINK_NOFOLLOW) == 0);
  }));
}

int machine_file_calls::change_owner(int at, const char* path, uid_t user, gid_t group,
                                     int flags) noexcept {
  open_file* from = nullptr;
  if (const int error = place_of_details(at, path, flags, from); error != 0) return error;
  call c{.what = {.kind = operation_kind::metadata, .name = "fchownat", .path = path}};
  return static_cast<int>(make(std::move(c), [&](const call&) -> std::int64_t {
    return m_.files.change_owner(from, path, user, group, (flags & AT_SYMLINK_NOFOLLOW) == 0);
  }));
}

int machine_file_calls::set_times(int at, const char* path, const timespec (&times)[2],
                                  int flags) noexcept {
  open_file* from = nullptr;
  if (times[0].tv_nsec == UTIME_OMIT && times[1].tv_nsec == UTIME_OMIT) return 0;  // wherever
  for (const timespec& t : times)
    if (t.tv_nsec != UTIME_NOW && t.tv_nsec != UTIME_OMIT &&
        (t.tv_nsec < 0 || t.tv_nsec >= 1'000'000'000))
      return -EINVAL;
  if (const int error = place_of_details(at, path, flags, from); error != 0) return error;
  const auto value = [this](const timespec& t) -> std::optional<std::int64_t> {
    if (t.tv_nsec == UTIME_OMIT) return std::nullopt;
    if (t.tv_nsec == UTIME_NOW) return static_cast<std::int64_t>(m_.realtime_ns());
    return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
  };
  call c{.what = {.kind = operation_kind::metadata, .name = "utimensat", .path = path}};
  return static_cast<int>(make(std::move(c), [&](const call&) -> std::int64_t {
    return m_.files.set_times(from, path, value(times[0]), value(times[1]),
                              (flags & AT_SYMLINK_NOFOLLOW) == 0);
  }));
}

namespace {

// What xattr(7) says of names, and ext4.
int wrong_attribute(std::string_view name) noexcept {
  constexpr std::size_t longest = 255;
  if (name.empty() || name.size() > longest) return -ERANGE;
  for (const std::string_view space : {"user.", "trusted.", "security."})
    if (name.starts_with(space)) return name.size() == space.size() ? -EINVAL : 0;
  return -EOPNOTSUPP;
}

}  // namespace

// `name`: of the attribute, null of all of them; `without`: what a file answers that can have none
// of users.
template <class Act>
std::int64_t machine_file_calls::on_attributes(const attribute_place& of, const char* operation,
                                               const char* name, int without, Act act) noexcept {
  const int wrong = name != nullptr ? wrong_attribute(name) : 0;
  if (wrong == -ERANGE) return wrong;
  open_file* from = nullptr;
  if (of.path == nullptr && (from = file(of.fd)) == nullptr) return -EBADF;
  const std::string_view path = of.path != nullptr ? of.path : "";
  if (of.path != nullptr && path.empty()) return -ENOENT;
  call c{.what = {.kind = operation_kind::metadata, .name = operation, .path = path}};
  return make(std::move(c), [&](const call&) -> std::int64_t {
    int error = 0;
    inode* const node = m_.files.with_attributes(from, path, of.follow, error);
    if (node == nullptr) return error;
    const bool of_users = name != nullptr && std::string_view(name).starts_with("user.");
    if (of_users && !node->is_regular() && !node->is_directory()) return without;
    return wrong != 0 ? wrong : act(node->attributes);
  });
}

std::int64_t machine_file_calls::get_attribute(const attribute_place& of, const char* name,
                                               std::span<std::byte> out) noexcept {
  return on_attributes(of, "getxattr", name, -ENODATA, [&](const auto& all) -> std::int64_t {
    const auto found = all.find(std::string_view(name));
    if (found == all.end()) return -ENODATA;
    const std::string& value = found->second;
    if (out.empty()) return static_cast<std::int64_t>(value.size());
    if (out.size() < value.size()) return -ERANGE;
    std::memcpy(out.data(), value.data(), value.size());
    return static_cast<std::int64_t>(value.size());
  });
}

int machine_file_calls::set_attribute(const attribute_place& of, const char* name,
                                      std::span<const std::byte> value, int flags) noexcept {
  constexpr std::size_t longest = 65536;  // xattr(7)
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0) return -EINVAL;
  if (value.size() > longest) return wrong_attribute(name) == -ERANGE ? -ERANGE : -E2BIG;
  return static_cast<int>(
      on_attributes(of, "setxattr", name, -EPERM, [&](auto& all) -> std::int64_t {
        const std::string key(name);
        const bool there = all.contains(key);
        if (there && (flags & XATTR_CREATE) != 0) return -EEXIST;
        if (!there && (flags & XATTR_REPLACE) != 0) return -ENODATA;
        all[key] = std::string(reinterpret_cast<const char*>(value.data()), value.size());
        return 0;
      }));
}

std::int64_t machine_file_calls::list_attributes(const attribute_place& of,
                                                 std::span<char> out) noexcept {
  return on_attributes(of, "listxattr", nullptr, 0, [&](const auto& all) -> std::int64_t {
    std::string names;
    for (const auto& [name, value] : all) names.append(name).push_back('\0');
    if (out.empty()) return static_cast<std::int64_t>(names.size());
    if (out.size() < names.size()) return -ERANGE;
    std::memcpy(out.data(), names.data(), names.size());
    return static_cast<std::int64_t>(names.size());
  });
}

int machine_file_calls::remove_attribute(const attribute_place& of, const char* name) noexcept {
  return static_cast<int>(
      on_attributes(of, "removexattr", name, -EPERM, [&](auto& all) -> std::int64_t {
        const auto found = all.find(std::string_view(name));
        if (found == all.end()) return -ENODATA;
        all.erase(found);
        return 0;
      }));
}

std::int64_t machine_file_calls::read(int fd, std::span<std::byte> out,
                                      std::uint64_t offset) noexcept {
  if (offset > INT64_MAX) return -EINVAL;
  call c{
      .what = {
          .kind = operation_kind::read, .name = "pread64", .offset = offset, .length = out.size()}};
  return on_file(fd, std::move(c), [&](open_file& f, const call& how) {
    const std::size_t n = std::min<std::uint64_t>(out.size(), how.length);
    return m_.files.read(f, out.first(n), static_cast<std::int64_t>(offset));
  });
}

std::int64_t machine_file_calls::write(int fd, std::span<const std::byte> data,
                                       std::uint64_t offset) noexcept {
  if (offset > INT64_MAX) return -EINVAL;
  call c{.what = {.kind = operation_kind::write,
                  .name = "pwrite64",
                  .offset = offset,
                  .length = data.size()}};
  return on_file(fd, std::move(c), [&](open_file& f, const call& how) {
    const std::size_t n = std::min<std::uint64_t>(data.size(), how.length);
    return m_.files.write(f, data.first(n), static_cast<std::int64_t>(offset));
  });
}

int machine_file_calls::sync(int fd, bool data_only) noexcept {
  call c{.what = {.kind = operation_kind::sync, .name = data_only ? "fdatasync" : "fsync"}};
  return static_cast<int>(
      on_file(fd, std::move(c), [&](open_file& f, const call& how) -> std::int64_t {
        return m_.files.sync(f, how.refused_sync ? sync_fate::refused : sync_fate::normal);
      }));
}

int machine_file_calls::truncate(int fd, std::uint64_t size) noexcept {
  if (size > INT64_MAX) return -EINVAL;
  call c{.what = {.kind = operation_kind::resize, .name = "ftruncate", .offset = size}};
  return static_cast<int>(on_file(fd, std::move(c), [&](open_file& f, const call&) -> std::int64_t {
    return m_.files.truncate(f, static_cast<std::int64_t>(size));
  }));
}

// This machine's file system shares no blocks; whoever asks reads and writes then.
std::int64_t machine_file_calls::copy_range(int from, std::uint64_t, int to, std::uint64_t,
                                            std::uint64_t) noexcept {
  return file(from) == nullptr || file(to) == nullptr ? -EBADF : -EOPNOTSUPP;
}
int machine_file_calls::clone(int from, int to) noexcept {
  return file(from) == nullptr || file(to) == nullptr ? -EBADF : -EOPNOTSUPP;
}

std::int64_t machine_file_calls::seek(int fd, std::uint64_t offset, int whence) noexcept {
  const open_file* const f = file(fd);
  return f == nullptr ? -EBADF : m_.files.seek(*f, static_cast<std::int64_t>(offset), whence);
}

int machine_file_calls::advise(int fd, std::uint64_t, std::uint64_t length, int advice) noexcept {
  const open_file* const f = file(fd);
  if (f == nullptr || f->by_path()) return -EBADF;
  if (length > INT64_MAX) return -EINVAL;
  return advice >= 0 && advice <= POSIX_FADV_NOREUSE ? 0 : -EINVAL;
}

int machine_file_calls::lock(int fd, short type, std::uint64_t offset,
                             std::uint64_t length) noexcept {
  open_file* const f = file(fd);
  return f == nullptr ? -EBADF : m_.files.lock(*f, type, offset, length);
}

int machine_file_calls::inspect_file_system(int at, const char* path,
                                            file_system_facts& out) noexcept {
  struct statx s {};
  if (const int error = stat(at, path, *path == '\0' ? AT_EMPTY_PATH : 0, STATX_TYPE, s);
      error != 0)
    return error;
  const std::uint64_t used = m_.files.space_used() / file_data::page_size;
  const std::uint64_t all = m_.files.options().capacity / file_data::page_size;
  out = {.block_size = file_data::page_size,
         .blocks = all,
         .blocks_free = all - std::min(all, used),
         .blocks_available = all - std::min(all, used),
         .files = m_.files.options().inodes,
         .files_free = m_.files.options().inodes - m_.files.inode_count(),
         .longest_name = 255};
  return 0;
}

}  // namespace parkring::kernel::sim
