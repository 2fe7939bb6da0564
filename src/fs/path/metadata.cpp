// stat: one request, whose answer lies in the record until it is told.
#include "fs/path/metadata.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <new>
#include <utility>

#include <parkring/detail/frame_allocator.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/paths.hpp>

#include "exec/core.hpp"
#include "fs/file_access.hpp"
#include "fs/file_state.hpp"
#include "fs/path/path_error.hpp"
#include "fs/rw_error.hpp"
#include "kernel/abi.hpp"

namespace parkring {
namespace fs {
namespace {

file_time time_of(const struct statx_timestamp& t) noexcept {
  return file_time(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

}  // namespace

const char* name_of(file_type type) noexcept {
  switch (type) {
    case file_type::regular:
      return "file";
    case file_type::directory:
      return "directory";
    case file_type::symlink:
      return "symbolic link";
    case file_type::block_device:
      return "block device";
    case file_type::character_device:
      return "character device";
    case file_type::fifo:
      return "FIFO";
    case file_type::socket:
      return "socket";
    case file_type::unknown:
      break;
  }
  return "unknown";
}

file_type type_of_mode(unsigned mode) noexcept {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return file_type::regular;
    case S_IFDIR:
      return file_type::directory;
    case S_IFLNK:
      return file_type::symlink;
    case S_IFBLK:
      return file_type::block_device;
    case S_IFCHR:
      return file_type::character_device;
    case S_IFIFO:
      return file_type::fifo;
    case S_IFSOCK:
      return file_type::socket;
    default:
      return file_type::unknown;
  }
}

file_type type_of_entry(unsigned char d_type) noexcept {
  return type_of_mode(static_cast<unsigned>(DTTOIF(d_type)));
}

metadata metadata_of(const struct statx& s) noexcept {
  constexpr std::uint64_t block = 512;  // stx_blocks counts these, whatever the file system uses
  metadata m;
  m.type = type_of_mode(s.stx_mode);
  m.permissions = s.stx_mode & 07777u;
  m.user = s.stx_uid;
  m.group = s.stx_gid;
  m.size = s.stx_size;
  m.allocated = s.stx_blocks * block;
  m.link_count = s.stx_nlink;
  m.inode = s.stx_ino;
  m.device = makedev(s.stx_dev_major, s.stx_dev_minor);
  m.special_device = makedev(s.stx_rdev_major, s.stx_rdev_minor);
  m.block_size = s.stx_blksize;
  m.accessed = time_of(s.stx_atime);
  m.modified = time_of(s.stx_mtime);
  m.changed = time_of(s.stx_ctime);
  if ((s.stx_mask & STATX_BTIME) != 0) m.created = time_of(s.stx_btime);
  if ((s.stx_mask & statx_dioalign) != 0 && s.stx_dio_offset_align != 0)
    m.direct = direct_limits{s.stx_dio_mem_align, s.stx_dio_offset_align};
  if ((s.stx_mask & statx_mnt_id) != 0) m.mount = s.stx_mnt_id;
  return m;
}

}  // namespace fs

namespace detail {
namespace {

namespace abi = kernel::abi;

struct free_statx {
  void operator()(struct statx* s) const noexcept { deallocate_frame(s, sizeof *s); }
};
struct stat_payload {
  file_ref at;
  shared_names names;
  fs::links how;
  std::unique_ptr<struct statx, free_statx> answer;
};

const record_type stat_type = {
    .name = "stat",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          auto& p = r.as<stat_payload>();
          static constexpr char empty[] = "";
          e.opcode = abi::op_statx;
          e.fd = p.at.get() != nullptr ? state_of(*p.at.get()).fd.get() : AT_FDCWD;
          e.addr = reinterpret_cast<std::uint64_t>(p.names ? p.names->first.c_str() : empty);
          e.len = fs::metadata_mask;
          e.off = reinterpret_cast<std::uint64_t>(p.answer.get());
          if (p.names == nullptr) e.statx_flags = AT_EMPTY_PATH;
          if (p.how == fs::links::no_follow) e.statx_flags |= AT_SYMLINK_NOFOLLOW;
        },
    .complete =
        [](record& r, op_waiter* w, std::int32_t res, std::uint32_t, bool) noexcept {
          if (res == -EINTR && w != nullptr) return after_completion::resubmit;
          if (res >= 0 && w != nullptr)
            static_cast<stat_waiter*>(w)->found = fs::metadata_of(*r.as<stat_payload>().answer);
          return after_completion::finish;
        },
    .destroy = [](record& r) noexcept { r.as<stat_payload>().~stat_payload(); },
    .cancel_when_dropped = [](const record&) noexcept { return false; },
    .describe =
        [](const record& r, std::string& out) {
          const auto& p = r.as<stat_payload>();
          out += "stat(" + fs::shown_at(p.at.get(), p.names.get()) + ")";
        },
    .breaks_chain = false,
};

}  // namespace

bool stat_request::ready(op_waiter& w) noexcept {
  if (const int refused = fs::refusal(at.get(), names.get()); refused != 0) {
    w.answer = -refused;
    return true;
  }
  return false;
}

void stat_request::start(op_waiter& w) noexcept {
  auto& core = at.get() != nullptr ? core_for(*at.get()) : exec::this_core();
  void* memory = nullptr;
  try {
    memory = allocate_frame(sizeof(struct statx));
  } catch (const std::bad_alloc&) {
    w.answer = -ENOMEM;
    core.ready.push_back(w);
    return;
  }
  std::unique_ptr<struct statx, free_statx> answer(::new (memory) struct statx());
  record* r = core.ops.acquire(stat_type);
  if (r == nullptr) return core.ops.starve(w);
  r->emplace<stat_payload>(at.share(), names, how, std::move(answer));
  core.ops.submit(*r, &w);
}

error stat_request::failure(int number) const {
  if (names == nullptr) return fs::file_error(number, "metadata", state_of(*at.get()));
  return fs::path_error(number, "stat", at.get(), *names);
}

}  // namespace detail

fs::stat_operation fs::stat(const std::filesystem::path& path, links how) {
  auto names = std::make_shared<const detail::path_names>(path.native(), std::string());
  return stat_operation({detail::file_ref(), std::move(names), how});
}

fs::stat_operation fs::file::metadata() const {
  return stat_operation({detail::file_access::ref(*this), nullptr, links::follow});
}

}  // namespace parkring
