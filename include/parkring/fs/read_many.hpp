// Many ranges of one or more files, read as few large requests and given out as parts.
//
//   auto parts = pr::fs::read_many(file, ranges, {.merge_gap = 4_KiB});
//   while (auto part = co_await parts.next()) use(part->range, part->bytes());
//
// The ranges are sorted by file and offset. Neighbours that lie close enough become one read, and
// the parts share its memory: nothing is copied. What the kernel is asked is bounded, and so is
// what was read and not yet taken; reading goes on while parts are used.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <parkring/buffer.hpp>
#include <parkring/detail/wait_note.hpp>
#include <parkring/detail/waiter.hpp>
#include <parkring/error.hpp>
#include <parkring/fs/file.hpp>

namespace parkring::detail {
struct many_reads;
}

namespace parkring::fs {

/// A stretch of a file, in bytes.
struct range {
  std::uint64_t offset = 0;
  std::size_t length = 0;

  bool operator==(const range&) const = default;
};

/// A stretch of one file of several. The file must be open when `read_many` is called; it stays
/// open for as long as it is read.
struct file_range {
  std::reference_wrapper<file> of;
  fs::range range;
};

/// In which order parts are given out.
enum class part_order : std::uint8_t {
  as_read,       // as their reads end: the fastest, and the least memory
  as_requested,  // that of the list of ranges
};

struct read_many_options {
  std::size_t max_in_flight = 64;  // reads at once; so many more may wait to be taken
  /// Two ranges become one read when at most so many bytes lie between them. Those are read and
  /// never shown. About as many as the device reads in the time of one request.
  std::size_t merge_gap = 0;
  /// No merged read is longer than this; 0: nothing is merged. A single range may be of any length.
  std::size_t longest_read = std::size_t{256} << 10;
  part_order order = part_order::as_read;
  /// `as_requested` sorts so many ranges among each other, and holds parts of at most twice as
  /// many.
  std::size_t window = 256;
  /// True: a range that cannot be read ends the stream with its error. False: its part has the
  /// error, and the others come all the same.
  bool stop_at_error = true;
};

/// What `read_many` has done so far.
struct read_many_counts {
  std::uint64_t reads = 0;   // made, of all files; fewer than ranges where they were merged
  std::uint64_t merged = 0;  // ranges that share a read with another
  std::uint64_t bytes = 0;   // read, with those in the gaps
};

/// One range, read.
class read_part {
 public:
  std::size_t index = 0;  // of the range in the list
  fs::range range;

  /// The bytes; fewer than `range.length` where the file ends before. *Errors*: `io_error` when the
  /// range could not be read.
  [[nodiscard]] std::span<const std::byte> bytes() const {
    if (error_ != nullptr) throw io_error(*error_);
    return memory_.bytes();
  }
  /// The bytes as text. *Errors*: as `bytes`.
  [[nodiscard]] std::string_view text() const {
    const auto all = bytes();
    return {reinterpret_cast<const char*>(all.data()), all.size()};
  }
  /// Whether all of the range is there: false where the file ends before, or could not be read.
  [[nodiscard]] bool complete() const noexcept {
    return error_ == nullptr && memory_.size() == range.length;
  }
  /// Why the range could not be read, or null. Only without `stop_at_error`.
  [[nodiscard]] const error* failure() const noexcept { return error_.get(); }
  /// Gives the memory up, to be kept or written elsewhere. Ranges that overlap share it: write into
  /// it only where there are none.
  [[nodiscard]] buffer take() && { return std::move(memory_); }

 private:
  friend struct detail::many_reads;
  buffer memory_;
  std::unique_ptr<const error> error_;
};

}  // namespace parkring::fs

namespace parkring::detail {

/// What a stream and those that read for it share; see src/fs/data/many_reads.hpp.
class many_reads_ref {
 public:
  many_reads_ref() noexcept = default;
  explicit many_reads_ref(many_reads& of) noexcept : of_(&of) {}  // takes over a reference
  many_reads_ref(many_reads_ref&& other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
  many_reads_ref(const many_reads_ref& other) noexcept;
  many_reads_ref& operator=(many_reads_ref other) noexcept {
    std::swap(of_, other.of_);
    return *this;
  }
  ~many_reads_ref() {
    if (of_ != nullptr) let_go();
  }
  [[nodiscard]] many_reads* get() const noexcept { return of_; }
  many_reads& operator*() const noexcept { return *of_; }
  many_reads* operator->() const noexcept { return of_; }

 private:
  void let_go() noexcept;
  many_reads* of_ = nullptr;
};

/// Waits for the next part. What it is about lies in the stream, so that a dropped one loses none.
class next_part_awaiter : public waiter {
 public:
  explicit next_part_awaiter(const many_reads_ref& of) : of_(of) {}
  next_part_awaiter(const next_part_awaiter&) = delete;
  next_part_awaiter& operator=(const next_part_awaiter&) = delete;
  ~next_part_awaiter();

  [[nodiscard]] bool await_ready();
  void await_suspend(std::coroutine_handle<> h);
  std::optional<fs::read_part> await_resume();
  std::expected<std::optional<fs::read_part>, error> await_outcome();

 private:
  many_reads_ref of_;
  wait_note note_;
};

}  // namespace parkring::detail

namespace parkring::fs {

/// The parts that `read_many` reads, one after another.
///
/// *Owns* its list of ranges, references to the files, and what was read and not yet taken. Reads
/// begin with the first `next`, under no deadline of who asks. *Thread*: inside a task of the
/// files' runtime, one; destroyed there, too. *Drop*: reads under way own their memory and end by
/// themselves; no more are made.
class [[nodiscard("nothing is read before the first part is asked for")]] read_many_stream {
 public:
  using bound_to_thread = void;
  using value_type = read_part;

  read_many_stream(read_many_stream && other) noexcept = default;
  read_many_stream& operator=(read_many_stream&& other) noexcept;
  ~read_many_stream();

  /// Waits for the next part; an empty optional says that all were given out.
  ///
  /// *Completes when* a part has been read, in the order asked for. *Owns* nothing: keep the
  /// stream. *Thread*: inside a task, one at a time. *Drop*: stops waiting; the part is for the
  /// next `next`. *Errors*: with `stop_at_error` the `io_error` of the range that would come next;
  /// then the stream has ended. `std::bad_alloc`; `task_aborted` when the stream goes meanwhile.
  [[nodiscard("co_await it")]] auto next() { return next_operation{reads_}; }

  [[nodiscard]] read_many_counts counts() const noexcept;

 private:
  friend struct detail::many_reads;
  explicit read_many_stream(detail::many_reads_ref reads) noexcept : reads_(std::move(reads)) {}

  struct [[nodiscard("co_await it")]] next_operation {
    const detail::many_reads_ref& of;
    detail::next_part_awaiter operator co_await()&& { return detail::next_part_awaiter(of); }
  };
  detail::many_reads_ref reads_;
};

/// Reads `ranges` of a file. Files of direct I/O take any range, too: reads are made wider.
///
/// The list is copied, the file need not be kept. Ranges may overlap, be empty and repeat; one that
/// is too long for an offset is an error of its own. *Thread*: inside a task of the file's runtime.
/// *Errors*: `std::bad_alloc`.
[[nodiscard]] read_many_stream read_many(file& from, std::span<const range> ranges,
                                         const read_many_options& options = {});
[[nodiscard]] inline read_many_stream read_many(file& from, std::initializer_list<range> ranges,
                                                const read_many_options& options = {}) {
  return read_many(from, std::span<const range>(ranges.begin(), ranges.size()), options);
}
/// As above, of several files of one runtime.
[[nodiscard]] read_many_stream read_many(std::span<const file_range> ranges,
                                         const read_many_options& options = {});

}  // namespace parkring::fs
