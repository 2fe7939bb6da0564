// Requests on files and paths of the simulated disk: done at once, when their time has come.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "kernel/sim/backend.hpp"

namespace parkring::kernel::sim {

namespace {

const char* path_at(std::uint64_t address) noexcept {
  return reinterpret_cast<const char*>(address);
}

// The number in "/proc/self/fd/N", or -1.
int descriptor_in(std::string_view path) noexcept {
  constexpr std::string_view folder = "/proc/self/fd/";
  if (!path.starts_with(folder)) return -1;
  int fd = -1;
  const auto [end, error] = std::from_chars(path.data() + folder.size(), path.end(), fd);
  return error == std::errc() && end == path.end() ? fd : -1;
}
// Of preadv2(2). Those that ask for no waiting, or for no trace in the cache, change nothing here.
constexpr std::uint32_t rwf_dsync = 0x2, rwf_sync = 0x4, rwf_nowait = 0x8, rwf_append = 0x10,
                        rwf_noappend = 0x20, rwf_dontcache = 0x80;
constexpr std::uint32_t rwf_taken =
    rwf_dsync | rwf_sync | rwf_nowait | rwf_append | rwf_noappend | rwf_dontcache;

constexpr std::uint64_t longest_transfer = 0x7ffff000;  // MAX_RW_COUNT, read(2)

}  // namespace

std::int64_t backend::transfer_file(operation& op, bool read) {
  const emulated::request& r = *op.what;
  const abi::sqe& e = r.entry;
  const bool vector =
      (e.opcode == abi::op_readv || e.opcode == abi::op_writev) && !r.selects_buffer();
  const iovec single{r.memory, r.length};
  const iovec* parts = vector ? reinterpret_cast<const iovec*>(e.addr) : &single;
  const std::size_t count = vector ? e.len : 1;
  if (count > 1024) return -EINVAL;
  if (vector && parts == nullptr && count != 0) return -EFAULT;
  auto offset = static_cast<std::int64_t>(e.off);
  if (offset < -1) return -EINVAL;
  if ((e.rw_flags & ~rwf_taken) != 0) return -EOPNOTSUPP;
  if (r.length == 0 && read && op.object.file->node != nullptr &&
      op.object.file->node->is_directory())
    return 0;
  if (!read && (e.rw_flags & rwf_append) != 0) {
    struct statx s {};
    m_.files.stat(*op.object.file, s);
    offset = static_cast<std::int64_t>(s.stx_size);
  }

  // The limit makes the transfer short, as may happen to any.
  std::uint64_t left = std::min<std::uint64_t>(longest_transfer, op.decided.limit);
  std::int64_t moved = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t n = std::min<std::uint64_t>(parts[i].iov_len, left);
    if (n != 0 && parts[i].iov_base == nullptr) return moved != 0 ? moved : -EFAULT;
    auto* const data = static_cast<std::byte*>(parts[i].iov_base);
    const std::int64_t at = offset == -1 ? -1 : offset + moved;
    const std::int64_t got =
        read ? m_.files.read(*op.object.file, {data, n}, at, op.decided.read)
             : m_.files.write(*op.object.file, {data, n}, at, op.decided.write, op.decided.sync);
    if (got < 0) return moved != 0 ? moved : got;
    m_.log_book.add_content(data, static_cast<std::size_t>(got));
    moved += got;
    left -= static_cast<std::uint64_t>(got);
    if (static_cast<std::size_t>(got) != parts[i].iov_len) break;
  }
  if (!read && moved > 0 && (e.rw_flags & (rwf_dsync | rwf_sync)) != 0) {
    if (const int error = m_.files.sync(*op.object.file, op.decided.sync); error != 0) return error;
  }
  return moved;
}

std::int64_t backend::do_file(operation& op) {
  const emulated::request& r = *op.what;
  const abi::sqe& e = r.entry;
  if (!op.object.file) return -EINVAL;
  open_file& file = *op.object.file;
  m_.files.set_now(static_cast<std::int64_t>(m_.realtime_ns()));
  switch (e.opcode) {
    case abi::op_read:
    case abi::op_readv:
    case abi::op_read_fixed: {
      if (r.selects_buffer() && op.what->home->choose_buffer(*op.what) != 0) return -ENOBUFS;
      return transfer_file(op, true);
    }
    case abi::op_write:
    case abi::op_writev:
    case abi::op_write_fixed:
      return transfer_file(op, false);
    case abi::op_fsync:
      if ((e.fsync_flags & ~abi::fsync_datasync) != 0) return -EINVAL;
      return m_.files.sync(file, op.decided.sync);
    case abi::op_sync_file_range:
      return m_.files.sync_range(file, static_cast<std::int64_t>(e.off), e.len);
    case abi::op_fallocate:
      return m_.files.fallocate(file, static_cast<int>(e.len), static_cast<std::int64_t>(e.off),
                                static_cast<std::int64_t>(e.addr));
    case abi::op_ftruncate:
      return m_.files.truncate(file, static_cast<std::int64_t>(e.off));
    case abi::op_fadvise:
      return e.fadvise_advice > 5 ? -EINVAL : 0;
    default:
      return -EINVAL;
  }
}

// What is no file has little to tell; false when the request is not about such.
bool backend::stat_stream(const abi::sqe& e) noexcept {
  auto* const out = reinterpret_cast<struct statx*>(e.off);
  if (out == nullptr || *path_at(e.addr) != '\0' || (e.statx_flags & AT_EMPTY_PATH) == 0)
    return false;
  const open_object* const found = m_.table.find(e.fd);
  if (found == nullptr || !found->stream) return false;
  *out = {};
  out->stx_mask = STATX_TYPE | STATX_MODE;
  out->stx_mode = static_cast<std::uint16_t>(
      (found->stream->as_socket() != nullptr ? S_IFSOCK : S_IFIFO) | 0600);
  return true;
}

std::int64_t backend::do_path(operation& op) {
  const abi::sqe& e = op.what->entry;
  m_.files.set_now(static_cast<std::int64_t>(m_.realtime_ns()));
  if (e.opcode == abi::op_close) return m_.table.close(e.fd);
  if (e.opcode == abi::op_madvise) return 0;

  // Where relative paths start.
  const auto directory = [&](int fd, open_file*& out) {
    out = nullptr;
    if (fd == AT_FDCWD) return 0;
    const open_object* const found = m_.table.find(fd);
    if (found == nullptr) return -EBADF;
    if (!found->file) return -ENOTDIR;
    out = found->file.get();
    return 0;
  };
  const bool absolute = e.addr != 0 && *path_at(e.addr) == '/';
  open_file* from = nullptr;
  if (e.addr == 0) return -EFAULT;
  if (e.opcode == abi::op_statx && stat_stream(e)) return 0;
  if (e.opcode != abi::op_symlinkat && !absolute) {
    if (const int error = directory(e.fd, from); error != 0) return error;
  }
  const char* const path = path_at(e.addr);
  switch (e.opcode) {
    case abi::op_openat2:
      if (e.len < sizeof(abi::open_how)) return -EINVAL;
      if (e.addr2 == 0) return -EFAULT;
      [[fallthrough]];
    case abi::op_openat:
      return open_path(op, from, path);
    case abi::op_statx: {
      auto* const out = reinterpret_cast<struct statx*>(e.off);
      if (out == nullptr) return -EFAULT;
      return m_.files.stat(from, path, static_cast<int>(e.statx_flags), e.len, *out);
    }
    case abi::op_unlinkat:
      return m_.files.unlink(from, path, static_cast<int>(e.unlink_flags));
    case abi::op_mkdirat:
      return m_.files.mkdir(from, path, e.len);
    case abi::op_symlinkat: {
      open_file* at = nullptr;
      const char* const made = path_at(e.addr2);
      if (made == nullptr) return -EFAULT;
      if (*made != '/') {
        if (const int error = directory(e.fd, at); error != 0) return error;
      }
      return m_.files.symlink(path, at, made);
    }
    case abi::op_renameat:
    case abi::op_linkat: {
      open_file* to = nullptr;
      const char* const target = path_at(e.addr2);
      if (target == nullptr) return -EFAULT;
      if (*target != '/') {
        if (const int error = directory(static_cast<int>(e.len), to); error != 0) return error;
      }
      return e.opcode == abi::op_renameat
                 ? m_.files.rename(from, path, to, target, e.rename_flags)
                 : m_.files.link(from, path, to, target, static_cast<int>(e.hardlink_flags));
    }
    default:
      return -EINVAL;
  }
}

abi::open_how backend::opening_of(const abi::sqe& e) noexcept {
  if (e.opcode == abi::op_openat) return {e.open_flags, e.len, 0};
  if (e.addr2 == 0 || e.len < sizeof(abi::open_how)) return {};
  return *reinterpret_cast<const abi::open_how*>(e.addr2);
}

std::int64_t backend::open_path(operation& op, open_file* from, const char* path) {
  const abi::open_how how = opening_of(op.what->entry);
  const int flags = static_cast<int>(how.flags);
  const bool beneath = how.resolve == abi::resolve_beneath;
  if (how.resolve != 0 && !beneath) return -EINVAL;
  const bool creates = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  if (op.what->entry.opcode == abi::op_openat2 && how.mode != 0 && !creates) return -EINVAL;
  const auto open_end = [&](const ref<pipe>& p) {
    op.object.stream = open_pipe(m_.net.all(), p, flags & O_ACCMODE);
    return finish_open_pipe(op);
  };
  if (op.object.stream) return finish_open_pipe(op);  // has waited for the other end
  if (const int fd = descriptor_in(path); fd >= 0 && !beneath) {
    const open_object* const found = m_.table.find(fd);
    if (found == nullptr) return -ENOENT;
    pipe* const p = found->stream ? found->stream->as_pipe() : nullptr;
    if (p == nullptr) return -ENXIO;  // as for sockets; files are opened by their own names
    return open_end(ref<pipe>(p));
  }
  open_ref opened;
  const int answer =
      m_.files.open(from, path, flags, static_cast<unsigned>(how.mode), opened, beneath);
  if (answer < 0) return answer;
  if (!opened->node->is_fifo() || opened->by_path())
    return give_descriptor({{}, std::move(opened), op.object.subject});
  ref<pipe>& named = m_.named_pipes[opened->node->number];
  if (!named) named = ref<pipe>(new pipe);
  return open_end(ref<pipe>(named));
}

// Opening one end waits for the other, as fifo(7) tells.
std::int64_t backend::finish_open_pipe(operation& op) {
  const int flags = static_cast<int>(opening_of(op.what->entry).flags);
  if (!op.object.stream->as_pipe()->both_ends_open()) {
    if ((flags & O_NONBLOCK) == 0) return must_wait;
    if ((flags & O_ACCMODE) == O_WRONLY) return -ENXIO;
  }
  return give_descriptor({op.object.stream, {}, op.object.subject});
}

// What the trace calls it.
void backend::describe(operation& op) noexcept {
  const emulated::request& r = *op.what;
  const abi::sqe& e = r.entry;
  switch (e.opcode) {
    case abi::op_openat:
    case abi::op_openat2:
      if (e.addr == 0) break;
      if (const int fd = descriptor_in(path_at(e.addr)); fd >= 0) {
        // Not by its number, which depends on which other worlds there are.
        const open_object* const found = m_.table.find(fd);
        op.object.subject = found != nullptr ? found->subject : m_.log_book.subject("/proc");
        break;
      }
      [[fallthrough]];
    case abi::op_statx:
    case abi::op_unlinkat:
    case abi::op_mkdirat:
      if (e.addr != 0) op.object.subject = m_.log_book.subject(path_at(e.addr));
      break;
    case abi::op_renameat:
    case abi::op_linkat:
    case abi::op_symlinkat:
      if (e.addr != 0 && e.addr2 != 0)
        op.object.subject =
            m_.log_book.subject(std::string(path_at(e.addr)) + " -> " + path_at(e.addr2));
      break;
    case abi::op_close:
      if (const open_object* const found = m_.table.find(e.fd)) op.object.subject = found->subject;
      break;
    default:
      break;
  }
  m_.log(m_.this_step(), trace_entry::kind::begin, abi::op_name(e.opcode), r.number,
         op.object.subject, offset_of(op), r.length);
}

}  // namespace parkring::kernel::sim
