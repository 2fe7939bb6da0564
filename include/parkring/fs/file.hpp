// Files: opened, read and written at offsets, made durable, closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <parkring/buffer.hpp>
#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/rw.hpp>
#include <parkring/detail/simple_op.hpp>
#include <parkring/fs/metadata.hpp>
#include <parkring/fs/options.hpp>
#include <parkring/fs/read_write.hpp>
#include <parkring/memory.hpp>
#include <parkring/task.hpp>

namespace parkring::fs {

class file;

}  // namespace parkring::fs

namespace parkring::detail {

struct file_access;

/// The error of handing over memory whose owner is not known.
template <class Memory>
[[noreturn]] void hand_memory_over() {
  static_assert(sizeof(Memory) == 0,
                "this argument does not say who keeps the memory alive while the kernel has it. "
                "Hand over a parkring::buffer, or an owner that moves in and comes back: "
                "std::move(vector), or parkring::copying(span), or, where the frame cannot die "
                "early, parkring::borrowed(span)");
}

[[noreturn, gnu::cold]] void throw_too_long(const buffer_block& block, std::size_t count);

struct sync_request {
  using value_type = void;
  file_ref file;
  bool data_only;
  record* make(op_waiter& w) noexcept;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<void, error> value(op_waiter&) const noexcept { return {}; }
  error failure(int number) const;
};

struct size_waiter : op_waiter {
  std::uint64_t size = 0;
};
struct size_request {
  using value_type = std::uint64_t;
  file_ref file;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<std::uint64_t, error> value(op_waiter& w) const noexcept {
    return static_cast<size_waiter&>(w).size;
  }
  error failure(int number) const;
};

struct far_close;
// Of a `close` on another worker than the file's home.
struct close_waiter : op_waiter {
  far_close* far = nullptr;
  close_waiter() noexcept {}
  ~close_waiter() {
    if (far != nullptr) leave();
  }

 private:
  void leave() noexcept;
};
struct close_request {
  using value_type = void;
  file_ref file;
  std::string path;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<void, error> value(op_waiter&) const noexcept { return {}; }
  error failure(int number) const;
  void start_far(file_state& f, close_waiter& w) noexcept;
};

/// The file that an `open` produces, from the completion on an owner.
class opened_file {
 public:
  opened_file() noexcept = default;
  opened_file(opened_file&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  opened_file& operator=(opened_file&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~opened_file();
  void set(int fd) noexcept { fd_ = fd; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};
struct open_waiter : op_waiter {
  opened_file opened;
};
struct open_request {
  using value_type = fs::file;
  std::string path;
  fs::open_options options;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<fs::file, error> value(op_waiter& w);
  /// Makes a file of a descriptor, which it owns from here on.
  std::expected<fs::file, error> adopt(int descriptor);
  error failure(int number) const;
};

}  // namespace parkring::detail

namespace parkring::fs {

using sync_operation = detail::simple_operation<detail::sync_request>;
using size_operation = detail::simple_operation<detail::size_request, detail::size_waiter>;
using close_operation = detail::simple_operation<detail::close_request, detail::close_waiter>;
using open_operation = detail::simple_operation<detail::open_request, detail::open_waiter>;

/// An open file. Any number of requests may be in flight on it.
///
/// *Owns* the descriptor, together with its requests: it closes after the last of them, whenever
/// the handle goes. *Thread*: used on the runtime that opened it; may be dropped on any thread,
/// also after the runtime's end.
class file {
 public:
  file() noexcept = default;
  file(file&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  file& operator=(file&& other) noexcept {
    if (this != &other) {
      drop();
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  ~file() { drop(); }

  /// False when empty, moved from or closed.
  [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }

  /// Reads into all of `into`, from byte `offset` of the file on (pread(2)).
  ///
  /// Gives the number of bytes, 0 at the end of the file; fewer than asked for near the end, from
  /// pipes and devices, and beyond 2 GiB less a page. Streams ignore the offset.
  /// *Completes when* bytes have arrived or the file has ended. *Owns* a lock on the buffer from
  /// the call on, and a reference to the file. *Thread*: the file's runtime. *Drop*: the buffer
  /// stays locked until the kernel is done; reads of streams are cancelled, and bytes they got all
  /// the same go to the next reader. *Errors*: `io_error`; `buffer_locked` when the buffer is in
  /// use already.
  [[nodiscard]] rw_operation<locking> read_at(buffer& into, std::uint64_t offset) {
    detail::buffer_block* const block = buffer_access::block(into);
    if (block == nullptr) [[unlikely]]
      return {request(detail::direction::read, nullptr, 0, offset), locking{}};
    return with_lock(detail::direction::read, *block, offset, block->size);
  }
  /// As above, into the first `count` bytes of the buffer.
  [[nodiscard]] rw_operation<locking> read_at(buffer& into, std::uint64_t offset,
                                              std::size_t count) {
    return with_count(detail::direction::read, into, offset, count);
  }

  /// Reads into all bytes of an object that moves into the request and back: gives
  /// `{memory, count}`.
  ///
  /// *Completes when* bytes have arrived. *Owns* the object. *Thread*: the file's runtime. *Drop*:
  /// the object stays with the request and is destroyed when the kernel is done. *Errors*:
  /// `io_error`; the object is lost with it.
  template <owns_memory V>
  [[nodiscard]] rw_operation<owning<V>> read_at(V&& into, std::uint64_t offset) {
    return owned(detail::direction::read, std::move(into), offset);
  }
  /// As above for an array of `count` elements.
  template <class T>
  [[nodiscard]] rw_operation<owning<sized_array<T>>> read_at(std::unique_ptr<T[]> into,
                                                             std::size_t count,
                                                             std::uint64_t offset) {
    return owned(detail::direction::read, sized_array<T>{std::move(into), count}, offset);
  }

  /// Reads into a pooled buffer and copies to the span on resume.
  ///
  /// *Completes when* bytes have arrived. *Owns* the pooled buffer; the span must be valid when the
  /// await resumes. *Thread*: the file's runtime. *Drop*: at once, the span is not touched after.
  /// *Errors*: `io_error`.
  [[nodiscard]] rw_operation<through_copy<std::byte>> read_at(copied_span<std::byte> into,
                                                              std::uint64_t offset) {
    return {request(detail::direction::read, into.bytes.data(), into.bytes.size(), offset),
            through_copy<std::byte>(into.bytes)};
  }

  /// Reads into memory that its owner keeps until the await has ended.
  ///
  /// *Completes when* bytes have arrived. *Owns* nothing: the memory is the caller's to keep.
  /// *Thread*: the file's runtime. *Drop*: blocks the thread until the kernel is done, so only for
  /// frames that do not die early. *Errors*: `io_error`.
  [[nodiscard]] rw_operation<borrowing> read_at(borrowed_span<std::byte> into,
                                                std::uint64_t offset) {
    return {request(detail::direction::read, into.bytes.data(), into.bytes.size(), offset),
            borrowing{}};
  }

  /// Writes all of `from` at byte `offset` (pwrite(2)); gives the number of bytes written.
  ///
  /// *Completes when* the page cache or, with direct or data_sync, the device has the bytes.
  /// *Owns* a shared lock on the buffer from the call on: other writes may use it too, reads into
  /// it may not. *Thread*: the file's runtime. *Drop*: regular files: a write that the ring has is
  /// finished in the background, also at the runtime's end while its `shutdown_patience` lasts.
  /// *Errors*: `io_error`; `buffer_locked` while a read has the buffer.
  [[nodiscard]] rw_operation<locking> write_at(const buffer& from, std::uint64_t offset) {
    return with_count(detail::direction::write, from, offset, from.size());
  }
  /// As above, the first `count` bytes of the buffer.
  [[nodiscard]] rw_operation<locking> write_at(const buffer& from, std::uint64_t offset,
                                               std::size_t count) {
    return with_count(detail::direction::write, from, offset, count);
  }
  /// Writes the bytes of an object that moves into the request and back. As `read_at`.
  template <owns_memory V>
  [[nodiscard]] rw_operation<owning<V>> write_at(V&& from, std::uint64_t offset) {
    return owned(detail::direction::write, std::move(from), offset);
  }
  /// As above for an array of `count` elements.
  template <class T>
  [[nodiscard]] rw_operation<owning<sized_array<T>>> write_at(std::unique_ptr<T[]> from,
                                                              std::size_t count,
                                                              std::uint64_t offset) {
    return owned(detail::direction::write, sized_array<T>{std::move(from), count}, offset);
  }
  /// Writes a span, copied to a pooled buffer if the ring has to do it. As `read_at`.
  [[nodiscard]] rw_operation<through_copy<const std::byte>> write_at(
      copied_span<const std::byte> from, std::uint64_t offset) {
    return {request(detail::direction::write, read_only(from.bytes), from.bytes.size(), offset),
            through_copy<const std::byte>(from.bytes)};
  }
  [[nodiscard]] rw_operation<through_copy<const std::byte>> write_at(copied_span<std::byte> from,
                                                                     std::uint64_t offset) {
    return write_at(copied_span<const std::byte>{from.bytes}, offset);
  }
  /// Writes memory that its owner keeps until the await has ended. As `read_at`.
  [[nodiscard]] rw_operation<borrowing> write_at(borrowed_span<const std::byte> from,
                                                 std::uint64_t offset) {
    return {request(detail::direction::write, read_only(from.bytes), from.bytes.size(), offset),
            borrowing{}};
  }
  [[nodiscard]] rw_operation<borrowing> write_at(borrowed_span<std::byte> from,
                                                 std::uint64_t offset) {
    return write_at(borrowed_span<const std::byte>{from.bytes}, offset);
  }

  /// Not for spans and other views, nor for lvalues: the error says what to write instead.
  template <class Memory>
  requires std::ranges::contiguous_range<Memory> &&
      (!owns_memory<std::remove_cvref_t<Memory>> ||
       std::is_lvalue_reference_v<Memory>)rw_operation<locking> read_at(Memory&&, std::uint64_t) {
    detail::hand_memory_over<Memory>();
  }
  template <class Memory>
  requires std::ranges::contiguous_range<Memory> &&
      (!owns_memory<std::remove_cvref_t<Memory>> ||
       std::is_lvalue_reference_v<Memory>)rw_operation<locking> write_at(Memory&&, std::uint64_t) {
    detail::hand_memory_over<Memory>();
  }

  /// Reads until all of `into` is filled.
  ///
  /// *Completes when* the buffer is full. *Owns* a lock on the buffer from the call on. *Thread*:
  /// the file's runtime. *Drop*: as `read_at`. *Errors*: `io_error`, with ENODATA when the file
  /// ends before; its `transferred()` says how many bytes had arrived.
  [[nodiscard]] task<> read_exactly_at(buffer& into, std::uint64_t offset);
  /// As above, the first `count` bytes of the buffer.
  [[nodiscard]] task<> read_exactly_at(buffer& into, std::uint64_t offset, std::size_t count);

  /// Writes until all of `from` is written.
  ///
  /// *Completes when* every byte is written. *Owns* a shared lock on the buffer from the call on.
  /// *Thread*: the file's runtime. *Drop*: the part under way is finished, the rest is not written.
  /// *Errors*: `io_error`, whose `transferred()` says how many bytes were written.
  [[nodiscard]] task<> write_all_at(const buffer& from, std::uint64_t offset);
  /// As above, the first `count` bytes of the buffer.
  [[nodiscard]] task<> write_all_at(const buffer& from, std::uint64_t offset, std::size_t count);

  /// What is known about the file (statx(2)); see `fs::metadata`.
  ///
  /// *Completes when* the file system has answered. *Owns* a reference to the file. *Thread*: the
  /// file's runtime. *Drop*: left to finish. *Errors*: `io_error`.
  [[nodiscard]] stat_operation metadata() const;

  /// The size in bytes (statx(2)).
  ///
  /// *Completes when* the file system has answered. *Owns* a reference to the file. *Thread*: the
  /// file's runtime. *Drop*: at once. *Errors*: `io_error`.
  [[nodiscard]] size_operation size() const;

  /// Makes content and metadata durable (fsync(2)).
  ///
  /// *Completes when* the device has everything written before the call. *Owns* a reference to the
  /// file. *Thread*: the file's runtime. *Drop*: finished in the background. *Errors*: `io_error`;
  /// after EIO what was written since the last success may be gone; a second try proves nothing.
  [[nodiscard]] sync_operation sync();
  /// As `sync`, without metadata that reading does not need (fdatasync(2)).
  [[nodiscard]] sync_operation datasync();

  /// Cuts or extends the file to `size` bytes (ftruncate(2)).
  ///
  /// *Completes when* the file has the size. *Owns* a reference to the file. *Thread*: the file's
  /// runtime. *Drop*: not done if it had not begun, else finished in the background. *Errors*:
  /// `io_error`.
  [[nodiscard]] task<> truncate(std::uint64_t size);

  /// Closes the file and tells what close(2) says: `co_await std::move(f).close()`.
  ///
  /// *Completes when* the last request has ended and the descriptor is closed. *Owns* the file.
  /// *Thread*: the file's runtime. *Drop*: the file closes all the same. *Errors*: `io_error`: an
  /// error of an earlier write that only shows now; the descriptor is gone all the same.
  [[nodiscard]] close_operation close() &&;

  /// The path it was opened by.
  [[nodiscard]] const std::filesystem::path& path() const noexcept;
  /// The descriptor, for system calls of one's own; -1 of an empty file. It stays the file's. In a
  /// simulated world it is a number that no system call takes.
  [[nodiscard]] int native_handle() const noexcept {
    return state_ == nullptr ? -1 : state_->descriptor;
  }
  /// What memory, offsets and sizes must be multiples of for direct I/O; 1 without.
  [[nodiscard]] std::size_t memory_alignment() const noexcept;
  [[nodiscard]] std::size_t offset_alignment() const noexcept;

 private:
  friend struct detail::file_access;  // for requests that are declared elsewhere
  friend struct detail::open_request;
  explicit file(detail::file_state_base& state) noexcept : state_(&state) {}

  // The kernel only reads from it.
  static std::byte* read_only(std::span<const std::byte> from) noexcept {
    return const_cast<std::byte*>(from.data());
  }
  [[nodiscard, gnu::always_inline]] detail::rw_request request(detail::direction way,
                                                               std::byte* data, std::size_t size,
                                                               std::uint64_t offset) const {
    check_usable();
    return {detail::file_ref(*state_), detail::block_lock(), data, size, offset, way};
  }
  template <class V>
  rw_operation<owning<V>> owned(detail::direction way, V&& value, std::uint64_t offset) {
    const std::size_t size = owned_memory<V>::size(value);
    return {request(way, nullptr, size, offset), owning<V>(std::move(value))};
  }
  [[gnu::always_inline]] rw_operation<locking> with_lock(detail::direction way,
                                                         detail::buffer_block& block,
                                                         std::uint64_t offset,
                                                         std::size_t count) const {
    const detail::home_ref& locker = check_usable();
    const bool locked = way == detail::direction::read ? block.lock_exclusive(locker, nullptr)
                                                       : block.lock_shared(locker, nullptr);
    if (!locked) [[unlikely]]
      detail::throw_locked(block);
    return {detail::rw_request{detail::file_ref(*state_), detail::block_lock(&block), block.data,
                               count, offset, way},
            locking{}};
  }
  rw_operation<locking> with_count(detail::direction way, const buffer& b, std::uint64_t offset,
                                   std::size_t count) const {
    detail::buffer_block* const block = buffer_access::block(b);
    if (block == nullptr) [[unlikely]]
      return {request(way, nullptr, 0, offset), locking{}};
    if (count > block->size) [[unlikely]] {
      check_usable();
      detail::throw_too_long(*block, count);
    }
    return with_lock(way, *block, offset, count);
  }
  // Gives the runtime whose requests lock buffers.
  [[gnu::always_inline]] const detail::home_ref& check_usable() const {
    PARKRING_CHECK(state_ != nullptr, "the file is empty, moved from or closed; open it first");
    const detail::core_base* const core = detail::this_thread_core;
    if (core == nullptr || !detail::usable_on(*state_, *core) ||
        state_->special.load(std::memory_order_relaxed)) [[unlikely]]
      return check_unusual();
    return core->home_of;
  }
  // As above of a stream, and where no runtime runs or another one.
  [[gnu::cold]] const detail::home_ref& check_unusual() const;
  void drop() noexcept;

  detail::file_state_base* state_ = nullptr;
};

/// Opens a file (openat(2)) through the ring.
///
/// *Completes when* the file is open. *Owns* the path. *Thread*: inside a task; the file belongs to
/// its runtime. *Drop*: cancelled if it can be, else closed when it opens. *Errors*: `io_error` for
/// a missing file, a directory, a lack of permission or of descriptors, a path with a NUL.
[[nodiscard]] open_operation open(const std::filesystem::path& path, const open_options& = {});

/// Takes over an open descriptor, such as the end of a pipe or a copy of standard input.
///
/// `name` is what errors call it; of the options only `direct`, `inline_first` and `registered`
/// matter. *Owns* the descriptor, also when it throws. *Thread*: inside a task; the file belongs to
/// its runtime. *Errors*: `io_error` for a directory or a descriptor that is not open.
[[nodiscard]] file adopt_descriptor(int fd, const std::filesystem::path& name,
                                    const open_options& options = {});

/// The whole content of a file, however long it turns out to be.
///
/// *Completes when* the end of the file was read. *Owns* the path and the content so far. *Thread*:
/// inside a task. *Drop*: the file closes after its last read. *Errors*: `io_error`; the content
/// read so far is dropped.
[[nodiscard]] task<std::string> read_file(std::filesystem::path path);

/// Writes `content` as the whole content of a file, creating it if needed.
///
/// *Completes when* everything is written and the file is closed; not yet durable. *Owns* the
/// content. *Thread*: inside a task. *Drop*: the file may hold a part of the content. *Errors*:
/// `io_error`, also what only close(2) reports; the file may then hold a part of the content.
[[nodiscard]] task<> write_file(std::filesystem::path path, std::string content,
                                open_options options = {.access = access::write,
                                                        .creation = creation::if_missing,
                                                        .truncate = true});

}  // namespace parkring::fs

namespace parkring {

/// What direct I/O on `f` needs: `pr::buffer(64_KiB, pr::aligned(f))`.
[[nodiscard]] inline alignment aligned(const fs::file& f) noexcept {
  return {f.memory_alignment()};
}

}  // namespace parkring
