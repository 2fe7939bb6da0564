// A mapping is shared by its handle and by the loads under way, and unmapped by whoever lets go of
// it last: the handle, the frame of a load, or the job of one, which is destroyed on a thread of
// the pool, or at home when it comes there and nobody waits any more. To unmap much takes its time;
// so on the thread of a runtime it is handed to the pool then.
#include <parkring/fs/mapping.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <vector>

#include "fs/path/job_subject.hpp"
#include "fs/path/parting_job.hpp"

namespace parkring {
namespace detail {

struct mapped_region {
  void* base = nullptr;  // of pages; null: a copy
  std::size_t mapped = 0;
  std::vector<std::byte> copy;
  std::span<const std::byte> bytes;
  std::uint64_t offset = 0;
  std::string path;

  mapped_region() = default;
  mapped_region(const mapped_region&) = delete;
  mapped_region& operator=(const mapped_region&) = delete;
  ~mapped_region() {
    if (base != nullptr) ::munmap(base, mapped);
  }
};

}  // namespace detail

namespace fs {

struct mapping_maker {
  static mapping of(std::shared_ptr<detail::mapped_region> r) noexcept {
    return mapping(std::move(r));
  }
};

namespace {

using detail::mapped_region;

void let_go(mapped_region* region) noexcept {
  constexpr std::size_t small = std::size_t{1} << 20;
  std::unique_ptr<mapped_region> last(region);
  if (last->mapped <= small || detail::this_thread_core == nullptr) return;
  in_parting([last = std::move(last)]() mutable noexcept { last.reset(); });
}

struct mapped {
  int number = 0;
  std::shared_ptr<mapped_region> region;
};

// Linux 5.14.
constexpr int madv_populate_read = 22;

int populate(std::span<const std::byte> part) noexcept {
  if (part.empty()) return 0;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t first = address / page * page;
  int answer;
  do {
    answer = ::madvise(reinterpret_cast<void*>(first), address + part.size() - first,
                       madv_populate_read);
  } while (answer != 0 && errno == EINTR);
  return answer == 0 ? 0 : -errno;
}

int map_pages(mapped_region& r, int fd, std::size_t size, const map_options& o) noexcept {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t before = o.offset % page;
  void* const base = ::mmap(nullptr, size + before, PROT_READ, MAP_SHARED, fd,
                            static_cast<off_t>(o.offset - before));
  if (base == MAP_FAILED) return -errno;
  r.base = base;
  r.mapped = size + before;
  r.bytes = {static_cast<const std::byte*>(base) + before, size};
  // A hint: whether it is taken changes nothing but speed.
  if (o.pattern != access_pattern::normal)
    (void)::madvise(base, r.mapped,
                    o.pattern == access_pattern::sequential ? MADV_SEQUENTIAL : MADV_RANDOM);
  return o.populate ? populate(r.bytes) : 0;
}

int copy_content(mapped_region& r, kernel::file_calls& calls, int fd, std::size_t size) {
  r.copy.resize(size);
  std::size_t have = 0;
  while (have < size) {
    const std::int64_t n = calls.read(fd, std::span(r.copy).subspan(have), r.offset + have);
    if (n < 0) return static_cast<int>(n);
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  r.copy.resize(have);
  r.bytes = r.copy;
  return 0;
}

mapped map_now(kernel::file_calls& calls, int fd, bool real, const map_options& o) noexcept {
  mapped m;
  try {
    struct statx s;
    m.number = calls.stat(fd, "", AT_EMPTY_PATH, STATX_SIZE | STATX_TYPE, s);
    if (m.number < 0) return m;
    if (!S_ISREG(s.stx_mode)) {
      m.number = -ENODEV;
      return m;
    }
    m.region = std::shared_ptr<mapped_region>(new mapped_region, &let_go);
    m.region->offset = o.offset;
    const std::uint64_t there = s.stx_size > o.offset ? s.stx_size - o.offset : 0;
    const std::uint64_t wanted = std::min(there, o.length.value_or(there));
    if (wanted == 0) return m;
    if (wanted > static_cast<std::uint64_t>(PTRDIFF_MAX)) {
      m.number = -ENOMEM;
      return m;
    }
    const auto size = static_cast<std::size_t>(wanted);
    m.number = real ? map_pages(*m.region, fd, size, o) : copy_content(*m.region, calls, fd, size);
  } catch (const std::bad_alloc&) {
    m.number = -ENOMEM;
  }
  return m;
}

std::string advice_for(int number) {
  switch (number) {
    case EACCES:
    case EBADF:
      return "a file that is mapped must be open for reading";
    case ENODEV:
      return "only regular files can be mapped, of file systems that can";
    case ENOMEM:
      return "there is no room in the address space, or too many mappings (vm.max_map_count)";
    case EFAULT:
      return "the file has become shorter than what is mapped, or the device has failed";
    default:
      return {};
  }
}

task<mapping> map_file(job_subject s, map_options options) {
  const bool real = exec::this_core().driver.ring.real();
  auto job = [real, options](kernel::file_calls& calls, const job_target& on) {
    return map_now(calls, on.fd.get(), real, options);
  };
  mapped m = co_await in_a_job(s, "map", job);
  if (m.number < 0) throw io_error(subject_error(-m.number, "map", s, advice_for(-m.number)));
  m.region->path = detail::state_of(*s.file.get()).path.native();
  co_return mapping_maker::of(std::move(m.region));
}

task<> load_part(std::shared_ptr<mapped_region> region, std::size_t from, std::size_t count) {
  const std::size_t size = region == nullptr ? 0 : region->bytes.size();
  if (from > size || count > size - from)
    throw io_error(error(EINVAL, "load", region == nullptr ? "" : region->path,
                         "the part is not within the mapping"));
  if (region == nullptr || region->base == nullptr) co_return;  // it is in memory
  auto job = [region, from, count] { return populate(region->bytes.subspan(from, count)); };
  const int answer = co_await blocking(std::move(job));
  if (answer < 0) throw io_error(error(-answer, "load", region->path, advice_for(-answer)));
}

}  // namespace

std::span<const std::byte> mapping::bytes() const noexcept {
  return region_ == nullptr ? std::span<const std::byte>() : region_->bytes;
}
std::uint64_t mapping::offset() const noexcept { return region_ == nullptr ? 0 : region_->offset; }

task<> mapping::load(std::size_t from, std::size_t count) const {
  return load_part(region_, from, count);
}

void mapping::drop() noexcept { region_.reset(); }

task<mapping> map(const file& f, map_options options) { return map_file(job_subject(f), options); }

}  // namespace fs
}  // namespace parkring
