#include "fs/tree/copy_file.hpp"

#include <fcntl.h>
#include <stdio.h>  // RENAME_NOREPLACE
#include <sys/sysmacros.h>
#include <unistd.h>  // SEEK_DATA

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace parkring::fs {
namespace {

constexpr unsigned names_tried = 1000;
constexpr std::size_t longest_name = 255;
// Below this a file is read and written: two calls, as a copy by the kernel takes, and none is lost
// where the kernel cannot.
constexpr std::uint64_t worth_a_range = 128 * 1024;
constexpr std::uint64_t range_bytes = 4U << 20;  // between two looks at whether it is still wanted

// The file system cannot do it, or not between these two.
bool is_refusal(std::int64_t error) noexcept {
  switch (-error) {
    case EXDEV:
    case EOPNOTSUPP:
    case EINVAL:
    case ENOTTY:
    case ENOSYS:
    case EPERM:
    case EBADF:
    case ETXTBSY:
      return true;
    default:
      return false;
  }
}

timespec time_of(const struct statx_timestamp& t) noexcept {
  return {static_cast<time_t>(t.tv_sec), static_cast<long>(t.tv_nsec)};
}

// All attributes; one that is gone meanwhile is none.
int copy_attributes(kernel::file_calls& calls, int from, int to) {
  std::int64_t n = calls.list_attributes({.fd = from}, {});
  if (n == -EOPNOTSUPP) return 0;  // it can have none
  std::vector<char> names;
  while (n > 0) {
    names.resize(static_cast<std::size_t>(n));
    n = calls.list_attributes({.fd = from}, names);
    if (n == -ERANGE)
      n = calls.list_attributes({.fd = from}, {});  // more came: once more
    else
      break;
  }
  if (n < 0) return static_cast<int>(n);
  std::vector<std::byte> value(64 * 1024);  // the longest that there is, xattr(7)
  for (std::int64_t at = 0; at < n;) {
    const char* const name = names.data() + at;
    at += static_cast<std::int64_t>(std::char_traits<char>::length(name)) + 1;
    const std::int64_t size = calls.get_attribute({.fd = from}, name, value);
    if (size == -ENODATA || size == -EACCES || size == -EPERM) continue;
    if (size < 0) return static_cast<int>(size);
    const int error = calls.set_attribute(
        {.fd = to}, name, std::span<const std::byte>(value).first(static_cast<std::size_t>(size)),
        0);
    if (error != 0) return error;
  }
  return 0;
}

}  // namespace

std::string name_beside(const std::string& name, unsigned n) {
  const std::size_t slash = name.rfind('/');
  const std::size_t start = slash == std::string::npos ? 0 : slash + 1;
  std::string end(".");
  end += std::to_string(n) += ".copying";
  return name.substr(0, start) + "." + name.substr(start, longest_name - 1 - end.size()) + end;
}

int copy_metadata(kernel::file_calls& calls, const copy_options& options, int from, int to,
                  const struct statx& facts) {
  // The owner first: a change of it takes the set-id bits away.
  if (options.owner)
    if (const int error = calls.change_owner(to, "", facts.stx_uid, facts.stx_gid, AT_EMPTY_PATH);
        error != 0)
      return error;
  if (options.attributes)
    if (const int error = copy_attributes(calls, from, to); error != 0) return error;
  if (options.permissions)
    if (const int error = calls.change_mode(to, "", facts.stx_mode & 07777U, AT_EMPTY_PATH);
        error != 0)
      return error;
  if (options.times) {
    const timespec times[2] = {time_of(facts.stx_atime), time_of(facts.stx_mtime)};
    if (const int error = calls.set_times(to, "", times, AT_EMPTY_PATH); error != 0) return error;
  }
  return 0;
}

int copy_link_metadata(kernel::file_calls& calls, const copy_options& options, int at,
                       const char* name, const struct statx& facts) {
  if (options.owner)
    if (const int error =
            calls.change_owner(at, name, facts.stx_uid, facts.stx_gid, AT_SYMLINK_NOFOLLOW);
        error != 0)
      return error;
  if (options.times) {
    const timespec times[2] = {time_of(facts.stx_atime), time_of(facts.stx_mtime)};
    if (const int error = calls.set_times(at, name, times, AT_SYMLINK_NOFOLLOW); error != 0)
      return error;
  }
  return 0;
}

// What it has made goes: nobody is to take a part for the whole.
file_copy::~file_copy() {
  if (!made_a_name_) return;
  (void)made_.close();
  reached in;
  int at = AT_FDCWD;
  if (target_.in) {
    try {
      in = reach(calls_, *target_.in, false);
    } catch (const std::bad_alloc&) {
      return;
    }
    if (in.error != 0) return;
    at = in.fd;
  }
  (void)calls_.remove(at, (beside_.empty() ? target_.name : beside_).c_str(), 0);
}

int file_copy::open_source(int at, const char* name, bool follow) {
  // A FIFO that took the name meanwhile is not waited for.
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow ? 0 : O_NOFOLLOW);
  const int fd = calls_.open(at, name, flags, 0);
  if (fd < 0) return fd;
  source_ = call_fd(calls_, fd);
  if (const int error = calls_.stat(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, facts_); error != 0)
    return error;
  if (S_ISDIR(facts_.stx_mode)) return -EISDIR;
  if (!S_ISREG(facts_.stx_mode)) return -EOPNOTSUPP;
  device_ = makedev(facts_.stx_dev_major, facts_.stx_dev_minor);
  return 0;
}

int file_copy::make_target(int at) {
  at_target_ = true;
  // Until it has its owner, it is for nobody else's eyes.
  const unsigned mode = options_.owner ? 0600U : facts_.stx_mode & 0777U;
  if (target_.all_at_once) {
    if (options_.existing != existing::replace) {
      struct statx there {};
      const int found =
          calls_.stat(at, target_.name.c_str(), AT_SYMLINK_NOFOLLOW, STATX_TYPE, there);
      if (found == 0) return options_.existing == existing::skip ? 1 : -EEXIST;
      if (found != -ENOENT) return found;
    }
    if (const int error = make_beside(at, mode); error != 0) return error;
  } else {
    const int fd = calls_.open(at, target_.name.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd == -EEXIST && options_.existing == existing::skip) return 1;
    if (fd == -EEXIST && options_.existing == existing::replace) {
      if (const int error = make_beside(at, mode); error != 0) return error;
    } else if (fd < 0) {
      return fd;
    } else {
      made_ = call_fd(calls_, fd);
      made_a_name_ = true;
    }
  }
  at_target_ = false;
  // Only of a file with holes it is worth to ask where they are: others have all their blocks.
  constexpr std::uint64_t sector = 512;
  sparse_ = options_.holes && facts_.stx_blocks * sector < facts_.stx_size;
  data_end_ = sparse_ ? 0 : ~std::uint64_t{0};
  return 0;
}

int file_copy::make_beside(int at, unsigned mode) {
  for (unsigned n = 0; n < names_tried; ++n) {
    std::string name = name_beside(target_.name, n);
    const int fd =
        calls_.open(at, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd == -EEXIST) continue;
    if (fd < 0) return fd;
    made_ = call_fd(calls_, fd);
    beside_ = std::move(name);
    made_a_name_ = true;
    return 0;
  }
  return -EEXIST;
}

int file_copy::step(std::uint64_t most, std::span<std::byte> memory) {
  if (offset_ == 0 && facts_.stx_size != 0 && options_.cloning != cloning::never &&
      (options_.cloning == cloning::always || ways_.no_clone != device_)) {
    const int error = calls_.clone(source_.get(), made_.get());
    if (error == 0) {
      cloned_ = at_end_ = true;
      return 0;
    }
    at_target_ = true;
    if (options_.cloning == cloning::always || !is_refusal(error)) return error;
    at_target_ = false;
    ways_.no_clone = device_;
  }
  const std::uint64_t stop = offset_ + most;
  while (!at_end_ && offset_ < stop) {
    if (sparse_ && offset_ >= data_end_) {
      if (const int error = find_data(); error != 0) return error;
      if (at_end_) break;
    }
    const std::uint64_t piece = std::min({stop - offset_, data_end_ - offset_, range_bytes});
    const bool by_range = facts_.stx_size >= worth_a_range && ways_.no_range != device_;
    const int error = by_range ? copy_ranges(piece) : read_and_write(piece, memory);
    if (error != 0) return error;
  }
  return at_end_ ? 0 : 1;
}

// Moves on to the next data; at the end of the file sets the size, for the hole before it.
int file_copy::find_data() {
  const std::int64_t start = calls_.seek(source_.get(), offset_, SEEK_DATA);
  if (start == -ENXIO) {  // no more data: but it may have become shorter
    struct statx now {};
    if (const int error = calls_.stat(source_.get(), "", AT_EMPTY_PATH, STATX_SIZE, now);
        error != 0)
      return error;
    offset_ = std::max<std::uint64_t>(offset_, now.stx_size);
    at_end_ = true;
    at_target_ = true;
    if (const int error = calls_.truncate(made_.get(), offset_); error != 0) return error;
    at_target_ = false;
    return 0;
  }
  if (start < 0) {  // the file system does not tell: as one piece
    sparse_ = false;
    data_end_ = ~std::uint64_t{0};
    return 0;
  }
  const std::int64_t end = calls_.seek(source_.get(), static_cast<std::uint64_t>(start), SEEK_HOLE);
  offset_ = static_cast<std::uint64_t>(start);
  data_end_ = end > start ? static_cast<std::uint64_t>(end) : ~std::uint64_t{0};
  return 0;
}

int file_copy::copy_ranges(std::uint64_t most) {
  const std::int64_t n = calls_.copy_range(source_.get(), offset_, made_.get(), offset_, most);
  if (n == -EINTR) return 0;
  // Some give 0 where bytes are: /proc and its like. What is read tells.
  // So it does after a refusal, wherever that comes: behind a hole, or when another device's files
  // had theirs in between.
  if (n == 0 || is_refusal(n)) {
    if (n < 0) ways_.no_range = device_;
    facts_.stx_size = 0;  // from here on it is read
    return 0;
  }
  if (n < 0) {
    at_target_ = n == -ENOSPC || n == -EDQUOT || n == -EFBIG || n == -EROFS;
    return static_cast<int>(n);
  }
  offset_ += static_cast<std::uint64_t>(n);
  bytes_ += static_cast<std::uint64_t>(n);
  return 0;
}

int file_copy::read_and_write(std::uint64_t most, std::span<std::byte> memory) {
  const std::size_t want = std::min<std::uint64_t>(most, memory.size());
  const std::int64_t n = calls_.read(source_.get(), memory.first(want), offset_);
  if (n == -EINTR) return 0;
  if (n < 0) return static_cast<int>(n);
  const auto got = static_cast<std::size_t>(n);
  if (const int error = write_all(memory.data(), got); error != 0) return error;
  bytes_ += got;
  // A short answer behind all that the file had is its end, and saves the one that says so.
  const bool all_of_it = got < want && offset_ >= facts_.stx_size && facts_.stx_size != 0;
  if (got == 0 || (all_of_it && !sparse_)) at_end_ = true;
  return 0;
}

int file_copy::write_all(const std::byte* data, std::size_t size) {
  at_target_ = true;
  while (size != 0) {
    const std::int64_t n = calls_.write(made_.get(), {data, size}, offset_);
    if (n == -EINTR) continue;
    if (n <= 0) return n == 0 ? -EIO : static_cast<int>(n);
    data += n;
    size -= static_cast<std::size_t>(n);
    offset_ += static_cast<std::uint64_t>(n);
  }
  at_target_ = false;
  return 0;
}

int file_copy::finish(int at) {
  at_target_ = true;
  const int described =
      options_.owner || options_.attributes || options_.permissions || options_.times
          ? copy_metadata(calls_, options_, source_.get(), made_.get(), facts_)
          : 0;
  if (described != 0) return described;
  if (options_.owner && !options_.permissions)
    if (const int error =
            calls_.change_mode(made_.get(), "", facts_.stx_mode & 0777U, AT_EMPTY_PATH);
        error != 0)
      return error;
  if (const int error = made_.close(); error != 0) return error;
  if (!beside_.empty())
    if (const int error = give_name(at); error != 0) return error;
  made_a_name_ = false;
  source_ = {};
  return 0;
}

int file_copy::give_name(int at) {
  if (options_.existing == existing::replace)
    return calls_.rename(at, beside_.c_str(), at, target_.name.c_str(), 0);
  int error = calls_.rename(at, beside_.c_str(), at, target_.name.c_str(), RENAME_NOREPLACE);
  if (error != -EINVAL && error != -ENOSYS) return error;
  // Not on every file system: a second name, which no other name gives way to, does the same.
  error = calls_.link(at, beside_.c_str(), at, target_.name.c_str(), 0);
  if (error == 0) (void)calls_.remove(at, beside_.c_str(), 0);
  return error;
}

}  // namespace parkring::fs
