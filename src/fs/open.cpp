#include <fcntl.h>

#include <cerrno>
#include <new>

#include <parkring/fs/file.hpp>

#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "fs/open_completion.hpp"
#include "fs/path/path_requests.hpp"
#include "kernel/abi.hpp"

namespace parkring {
namespace detail {
namespace {

namespace abi = kernel::abi;

struct open_payload {
  std::string path;
  int flags;
  std::uint32_t mode;
};

const record_type open_type = {
    .name = "open",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          auto& p = r.as<open_payload>();
          e.opcode = abi::op_openat;
          e.fd = AT_FDCWD;
          e.addr = reinterpret_cast<std::uint64_t>(p.path.c_str());
          e.len = p.mode;
          e.open_flags = static_cast<std::uint32_t>(p.flags);
        },
    .complete = &complete_open,
    .destroy = [](record& r) noexcept { r.as<open_payload>().~open_payload(); },
    .cancel_when_dropped = nullptr,
    .describe = [](const record& r,
                   std::string& out) { out += "open(" + r.as<open_payload>().path + ")"; },
};

}  // namespace

opened_file::~opened_file() {
  if (fd_ >= 0) base::close_descriptor(fd_);
}

bool open_request::ready(op_waiter& w) noexcept {
  if (path.find('\0') == std::string::npos) return false;
  w.answer = -EINVAL;
  return true;
}

void open_request::start(op_waiter& w) noexcept {
  auto& core = exec::this_core();
  record* r = core.ops.acquire(open_type);
  if (r == nullptr) return core.ops.starve(w);
  try {
    r->emplace<open_payload>(path, fs::open_flags(options), options.mode);
  } catch (const std::bad_alloc&) {
    core.ops.release_unused(*r);
    w.answer = -ENOMEM;
    core.ready.push_back(w);
    return;
  }
  core.ops.submit(*r, &w);
}

std::expected<fs::file, error> open_request::value(op_waiter& w) {
  return adopt(static_cast<open_waiter&>(w).opened.release());
}

std::expected<fs::file, error> open_request::adopt(int descriptor) {
  base::owned_fd fd(descriptor);
  auto& ring_kernel = exec::this_core().driver.ring.served_by();
  using facts_kind = kernel::file_facts::kind;
  kernel::file_facts facts;
  const int answer = ring_kernel.inspect(fd.get(), options.direct, facts);
  if (answer < 0) return std::unexpected(failure(-answer));
  if (facts.what == facts_kind::directory) return std::unexpected(failure(EISDIR));
  auto f = std::make_unique<file_state>();
  f->home_of = running_core().home_of;
  f->path = std::move(path);
  f->direct = options.direct;
  f->appends = options.append;
  f->registrable = options.registered;
  f->fd = std::move(fd);
  f->descriptor = f->ring_target = f->fd.get();
  if (facts.what == facts_kind::regular) {
    f->kind = fs::file_kind::regular;
  } else if (facts.what == facts_kind::device) {
    f->kind = fs::file_kind::device;
  } else {
    f->kind = fs::file_kind::stream;
    f->stream = std::make_unique<fs::stream_queue>();
    f->special = true;
  }
  // Reads of a stream take turns, which its home gives.
  if (f->stream == nullptr)
    f->team = running_core().team;
  else
    pin_running_task(running_core());
  // Some file systems write to the page cache without waiting, as they were told, and then wait for
  // the sync: a write that is one is for another thread from the beginning.
  const bool syncs = options.data_sync && options.access == fs::access::write && !f->special;
  if (syncs) f->ring_flags = abi::iosqe_async;
  if (!f->direct && !f->special && !syncs && ring_kernel.inline_io())
    f->inline_first = options.inline_first;
  if (f->direct) {
    f->memory_alignment = facts.memory_alignment;
    f->offset_alignment = facts.offset_alignment;
  }
  return fs::file(*f.release());
}

error open_request::failure(int number) const {
  std::string advice;
  switch (number) {
    case EBADF:
      advice = "the descriptor is not open";
      break;
    case ENOENT:
      advice = "check the path, or open with creation::if_missing";
      break;
    case EISDIR:
      advice = "this is a directory; open a file inside it";
      break;
    case ENOTDIR:
      advice = "a part of the path is a file, not a directory";
      break;
    case EACCES:
      advice = "the user lacks permission on the file or a directory above it";
      break;
    case EPERM:
      advice = options.noatime ? "noatime is for the file's owner or root; open without it"
                               : "the file is sealed or immutable, or the user may not do this";
      break;
    case EEXIST:
      advice = "the file exists; open with creation::if_missing to use it";
      break;
    case EMFILE:
      advice =
          "the process has reached its limit of descriptors; close files or raise it "
          "(ulimit -n)";
      break;
    case ENFILE:
      advice = "the system has reached its limit of open files (fs.file-max)";
      break;
    case ENXIO:
      advice = "a FIFO that nobody reads, or a device that is not there";
      break;
    case ELOOP:
      advice = options.follow_link ? "too many symbolic links" : "the path is a symbolic link";
      break;
    case ENOSPC:
      advice = "the file system has no room for a new file; free space";
      break;
    case EROFS:
      advice = "the file system is mounted read-only";
      break;
    case ENAMETOOLONG:
      advice = "a name may have 255 bytes, a path 4,095";
      break;
    case ETXTBSY:
      advice = "the file is a program that is running";
      break;
    case EINVAL:
      if (path.find('\0') != std::string::npos)
        advice = "the path contains a NUL character, which no file name can";
      else if (options.direct)
        advice = "the file system does not support direct I/O; open without `direct`";
      else
        advice = "the file system does not take these options";
      break;
    default:
      break;
  }
  std::string shown = path;
  for (std::size_t at; (at = shown.find('\0')) != std::string::npos;) shown.replace(at, 1, "\\0");
  return {number, "open", std::move(shown), std::move(advice)};
}

}  // namespace detail

int fs::open_flags(const open_options& o) noexcept {
  int flags = O_CLOEXEC;
  switch (o.access) {
    case access::read:
      flags |= O_RDONLY;
      break;
    case access::write:
      flags |= O_WRONLY;
      break;
    case access::read_write:
      flags |= O_RDWR;
      break;
  }
  if (o.creation != creation::never) flags |= O_CREAT;
  if (o.creation == creation::must_be_new) flags |= O_EXCL;
  if (o.truncate) flags |= O_TRUNC;
  if (o.append) flags |= O_APPEND;
  if (o.direct) flags |= O_DIRECT;
  if (o.noatime) flags |= O_NOATIME;
  if (o.data_sync) flags |= O_DSYNC;
  if (!o.follow_link) flags |= O_NOFOLLOW;
  return flags;
}

fs::open_operation fs::open(const std::filesystem::path& path, const open_options& options) {
  return open_operation(detail::open_request{path.native(), options});
}

fs::file fs::adopt_descriptor(int fd, const std::filesystem::path& name,
                              const open_options& options) {
  auto f = detail::open_request{name.native(), options}.adopt(fd);
  if (!f) throw io_error(std::move(f).error());
  return std::move(*f);
}

}  // namespace parkring
