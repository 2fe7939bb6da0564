#include "data_file.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "row.hpp"

namespace lab {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t granule = 256U << 10;
constexpr std::uint64_t least_size = 1U << 20;

std::string errno_text(int error) {
  const char* name = ::strerrorname_np(error);
  return std::string(name != nullptr ? name : "errno " + std::to_string(error)) + " (" +
         std::strerror(error) + ")";
}

class descriptor {
 public:
  explicit descriptor(int fd) : fd_(fd) {}
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

std::string direct_problem(const fs::path& path) {
  descriptor file(::open(path.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC));
  if (file.get() < 0) return "open with O_DIRECT: " + errno_text(errno);
  // Newer kernels accept the flag there and read memory, as without it.
  struct statfs system {};
  if (::fstatfs(file.get(), &system) == 0 && system.f_type == TMPFS_MAGIC)
    return "it lies on tmpfs, which has no device";
  const std::unique_ptr<void, decltype(&std::free)> memory(std::aligned_alloc(4096, unit_bytes),
                                                           &std::free);
  if (::pread(file.get(), memory.get(), unit_bytes, 0) < 0)
    return "a direct read: " + errno_text(errno);
  return {};
}

// Reads the file once and sums each unit of it.
block_table table_of(const fs::path& path, std::uint64_t size) {
  descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0)
    throw file_error("open", path, errno, "make it readable, or name another file");
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED)
    throw file_error("mmap", path, errno, "name a file on a file system that can map it");
  ::madvise(memory, size, MADV_SEQUENTIAL);
  block_table table({static_cast<const std::byte*>(memory), size});
  ::munmap(memory, size);
  return table;
}

fs::path cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/')
    return fs::path(cache) / "parkring";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return fs::path(home) / ".cache" / "parkring";
  return fs::read_symlink("/proc/self/exe").parent_path();
}

std::string in_mib(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

fs::path own_path(const fs::path& folder, std::uint64_t size) {
  const std::string name = size % (1U << 30) == 0 ? std::to_string(size >> 30) + "GiB"
                                                  : std::to_string(size >> 20) + "MiB";
  return folder / ("lab-" + name + ".bin");
}

block_table expected_table(std::uint64_t size) {
  std::vector<std::byte> part(granule);
  block_table table;
  for (std::uint64_t at = 0; at < size; at += granule) {
    for (std::uint64_t i = 0; i < granule / unit_bytes; ++i)
      fill_unit(at / unit_bytes + i, part.data() + i * unit_bytes);
    table.append(part);
  }
  return table;
}

// Written under another name and renamed at the end, so that a half-made file is never used.
void make(const fs::path& path, std::uint64_t size) {
  fs::path unfinished = path;
  unfinished += ".part";
  const std::string remedy = "free some space, set XDG_CACHE_HOME to another disk, or give --file";
  {
    descriptor file(::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) throw file_error("create", unfinished, errno, remedy);
    const auto give_up = [&](const char* operation, int error) {
      ::unlink(unfinished.c_str());
      throw file_error(operation, unfinished, error, remedy);
    };
    std::vector<std::byte> part(1U << 20);
    for (std::uint64_t at = 0; at < size; at += part.size()) {
      for (std::uint64_t i = 0; i < part.size() / unit_bytes; ++i)
        fill_unit(at / unit_bytes + i, part.data() + i * unit_bytes);
      for (std::size_t written = 0; written < part.size();) {
        const auto n = ::write(file.get(), part.data() + written, part.size() - written);
        if (n < 0 && errno != EINTR) give_up("write", errno);
        if (n > 0) written += static_cast<std::size_t>(n);
      }
    }
    if (::fsync(file.get()) < 0) give_up("fsync", errno);
  }
  fs::rename(unfinished, path);
}

std::optional<std::uint64_t> regular_size(const fs::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) < 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(info.st_size);
}

}  // namespace

file_error::file_error(const std::string& operation, const fs::path& path, int error,
                       const std::string& remedy)
    : file_error(operation, path, errno_text(error), remedy) {}

file_error::file_error(const std::string& operation, const fs::path& path,
                       const std::string& reason, const std::string& remedy)
    : std::runtime_error(operation + " " + path.string() + ": " + reason + "; " + remedy) {}

data_file::data_file(fs::path path, block_table table)
    : path_(std::move(path)), table_(std::move(table)), why_not_direct_(direct_problem(path_)) {}

data_file data_file::existing(const fs::path& path, const say& report) {
  const std::string remedy = "give --file a readable regular file of at least " +
                             in_mib(least_size) + ", or leave it out and the lab makes one";
  struct stat info {};
  if (::stat(path.c_str(), &info) < 0) throw file_error("stat", path, errno, remedy);
  if (S_ISDIR(info.st_mode)) throw file_error("open", path, EISDIR, remedy);
  if (!S_ISREG(info.st_mode)) throw file_error("open", path, "not a regular file", remedy);
  descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) throw file_error("open", path, errno, remedy);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size < least_size)
    throw file_error("open", path, "too small: " + std::to_string(size) + " bytes", remedy);
  report("reading " + path.string() + " (" + in_mib(size) + ") once, to know its content");
  return {path, table_of(path, size / granule * granule)};
}

data_file data_file::own(std::uint64_t size, const say& report) {
  fs::path folder = cache_folder();
  std::error_code problem;
  fs::create_directories(folder, problem);
  if (problem || ::access(folder.c_str(), W_OK) != 0) {
    const fs::path other = fs::read_symlink("/proc/self/exe").parent_path();
    report(folder.string() + " cannot be written to; the test file goes to " + other.string());
    folder = other;
  }

  const auto there = [&] { return regular_size(own_path(folder, size)) == size; };
  struct statvfs disk {};
  if (!there() && ::statvfs(folder.c_str(), &disk) == 0) {
    constexpr std::uint64_t spare = 256U << 20;
    const std::uint64_t available = static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize;
    const std::uint64_t wanted = size;
    while (size > hot_set_bytes && available < size + spare) size /= 2;
    if (size != wanted)
      report("only " + in_mib(available) + " are free in " + folder.string() +
             ": the test file has " + in_mib(size) + " instead of " + in_mib(wanted));
  }

  const fs::path path = own_path(folder, size);
  const block_table expected = expected_table(size);
  if (there()) {
    block_table found = table_of(path, size);
    if (found == expected) return {path, std::move(found)};
    report(path.string() + " is damaged and is made again");
  }
  report("making " + path.string() + " (" + in_mib(size) + ")");
  make(path, size);
  block_table found = table_of(path, size);
  if (found != expected)
    throw file_error("read", path, "what was written is not what is read",
                     "check the disk, or give --file on another one");
  return {path, std::move(found)};
}

cached_pages::cached_pages(const fs::path& path, std::uint64_t bytes) : bytes_(bytes) {
  descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  void* memory =
      file.get() < 0 ? MAP_FAILED : ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED)
    throw file_error("mmap", path, errno, "the file must stay readable while it is measured");
  base_ = static_cast<std::byte*>(memory);
  // Measuring processes are forked with this mapping in place; they do not need it.
  ::madvise(base_, bytes_, MADV_DONTFORK);
  locked_ = ::mlock(base_, bytes_) == 0;
  refresh();
}

cached_pages::~cached_pages() { ::munmap(base_, bytes_); }

void cached_pages::refresh() const {
  if (share_present() >= 1.0) return;
  ::madvise(base_, bytes_, MADV_POPULATE_READ);
}

double cached_pages::share_present() const {
  std::vector<unsigned char> present((bytes_ + 4095) / 4096);
  if (::mincore(base_, bytes_, present.data()) < 0) return 0;
  const auto number =
      std::count_if(present.begin(), present.end(), [](unsigned char p) { return (p & 1) != 0; });
  return static_cast<double>(number) / static_cast<double>(present.size());
}

void drop_cached_pages(const fs::path& path) {
  descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() >= 0) ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
}

}  // namespace lab
