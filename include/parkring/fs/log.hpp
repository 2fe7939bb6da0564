// A write-ahead log: records, appended by many tasks, that are durable once the append has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <ranges>
#include <span>
#include <type_traits>
#include <utility>

#include <parkring/detail/log_wait.hpp>
#include <parkring/error.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/log_options.hpp>
#include <parkring/generator.hpp>
#include <parkring/memory.hpp>
#include <parkring/task.hpp>

namespace parkring::fs::wal {
struct log_access;
}
namespace parkring::fs {

/// An open log, in a directory of its own.
///
/// Records that are appended at the same time share one write and one sync. One that is
/// acknowledged is there after every power cut. A write or sync that fails ends the log for good:
/// what it was to make durable may be lost, and a second sync would say nothing about it. Open the
/// log again then.
///
/// *Owns* its files and two tasks of the runtime that opened it. *Thread*: all but `open` on any,
/// in tasks of any runtime, while the one that opened it runs. *Drop*: who waits is told; what
/// is under way to the device is finished in the background, until when the directory cannot be
/// opened again elsewhere. One log at a time has a directory open: within the process that is
/// checked, other processes are the user's to keep out.
class log {
 public:
  /// None: to be assigned.
  log() noexcept = default;
  log(log&& other) noexcept = default;
  log& operator=(log&& other) noexcept;
  ~log();

  /// Opens the log in `directory`, which is made if it is missing (not the one above it).
  ///
  /// Reads all of it and ends it at the first record that is not whole: see `recovered`.
  /// *Completes when* all that it holds is durable. *Owns* the path. *Thread*: inside a task.
  /// *Drop*: what has begun is finished in the background; all records stay. *Errors*: `io_error`:
  /// those of its files; EBUSY when it is open; EBADMSG when durable records are damaged, see
  /// `log_damage`; EINVAL for options that make no sense.
  [[nodiscard]] static task<log> open(std::filesystem::path directory, log_options options = {});

  /// False when empty or moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return state_ != nullptr; }

  /// What `open` has found.
  [[nodiscard]] const log_report& recovered() const noexcept;

  /// Appends a record and waits until it is durable; gives its position.
  ///
  /// Records lie in the log in the order in which they were awaited.
  /// *Completes when* a sync that began after its write has ended. *Owns* the object.
  /// *Thread*: inside a task. *Drop*: the record may be in the log, or not; nobody else is held up.
  /// *Errors*: `io_error`: EMSGSIZE for one longer than a segment; ENOSPC, EDQUOT, EMFILE, ENFILE
  /// or ENOMEM when there was no room for a further file: then it is not in the log, and the log
  /// goes on; any other is of a log that has failed (`failure`) or was closed, and the record may
  /// be there.
  template <owns_memory V>
  [[nodiscard]] detail::log_append_operation<V> append(V&& record) {
    return {here(), std::move(record), detail::log_wish::durable};
  }
  /// As above, of bytes that stay valid until the await has ended: they are copied once.
  [[nodiscard]] detail::log_append_operation<std::span<const std::byte>> append(
      copied_span<const std::byte> record) {
    return {here(), detail::in_registers(record.bytes), detail::log_wish::durable};
  }
  [[nodiscard]] detail::log_append_operation<std::span<const std::byte>> append(
      copied_span<std::byte> record) {
    return append(copied_span<const std::byte>{record.bytes});
  }

  /// As `append`, without waiting until the record is durable: await `durable` or `sync` for that.
  ///
  /// *Completes when* the record has its position: at once, unless more waits to be written than
  /// goes at once. *Owns* the object. *Thread*: inside a task. *Drop*: as `append`. *Errors*: as
  /// `append`, of what is known by then.
  template <owns_memory V>
  [[nodiscard]] detail::log_append_operation<V> append_unsynced(V&& record) {
    return {here(), std::move(record), detail::log_wish::placed};
  }
  /// As above, of bytes that stay valid until the await has ended.
  [[nodiscard]] detail::log_append_operation<std::span<const std::byte>> append_unsynced(
      copied_span<const std::byte> record) {
    return {here(), detail::in_registers(record.bytes), detail::log_wish::placed};
  }
  [[nodiscard]] detail::log_append_operation<std::span<const std::byte>> append_unsynced(
      copied_span<std::byte> record) {
    return append_unsynced(copied_span<const std::byte>{record.bytes});
  }

  /// Not for spans and other views, nor for lvalues: the error says what to write instead.
  template <class Memory>
  requires std::ranges::contiguous_range<Memory> &&
      (!owns_memory<std::remove_cvref_t<Memory>> ||
       std::is_lvalue_reference_v<Memory>)detail::log_durable_operation append(Memory&&) {
    detail::hand_memory_over<Memory>();
  }
  template <class Memory>
  requires std::ranges::contiguous_range<Memory> &&
      (!owns_memory<std::remove_cvref_t<Memory>> ||
       std::is_lvalue_reference_v<Memory>)detail::log_durable_operation append_unsynced(Memory&&) {
    detail::hand_memory_over<Memory>();
  }

  /// Waits until the record at `position`, and all before it, is durable.
  ///
  /// *Completes when* it is; at once where it has been for long. *Owns* nothing. *Thread*: inside a
  /// task. *Drop*: stops waiting. *Errors*: `io_error`, as `append`; EINVAL for a position that no
  /// append has given.
  [[nodiscard("co_await it")]] detail::log_durable_operation durable(lsn position) {
    return {here(), position.value + 1};
  }
  /// As `durable`, of all that was appended before.
  [[nodiscard("co_await it")]] detail::log_durable_operation sync() {
    return {here(), detail::log_durable_awaiter::so_far};
  }

  /// Says that nothing before `position` is needed any more, which is one that `append`, `end` or a
  /// `log_record` gave. Whole files before it are used again or removed.
  ///
  /// *Completes when* that is durable: records before it are never given again, also when the log
  /// is opened anew. *Owns* nothing. *Thread*: inside a task. *Drop*: it may happen all the same.
  /// *Errors*: as `append`, but for a lack of room: a log that finds none for a further file is
  /// truncated all the same, and goes on in the files that this frees; EINVAL for a position behind
  /// `durable_end`.
  [[nodiscard]] task<> truncate_before(lsn position);

  /// The records from `from` on that are durable, as a stream; from the first one without it.
  ///
  /// Reads files of its own, so it may be asked on any runtime, and by several at a time. What it
  /// throws: EINVAL where no record begins at `from`; ENODATA where `truncate_before` went past it;
  /// with `follow`, once it has given all that is durable, the log's failure. It ends with
  /// the log.
  [[nodiscard]] generator<log_record> records(lsn from, log_reading how = log_reading::to_end);
  [[nodiscard]] generator<log_record> records();

  /// Of the oldest record that is needed.
  [[nodiscard]] lsn first() const noexcept;
  /// Where the next record goes.
  [[nodiscard]] lsn end() const noexcept;
  /// Up to where all is durable.
  [[nodiscard]] lsn durable_end() const noexcept;

  /// Why the log takes no more records, if it has failed.
  [[nodiscard]] std::optional<error> failure() const;
  [[nodiscard]] log_counters counters() const noexcept;

  /// Ends the log: no record is taken any more, all that were are made durable.
  ///
  /// *Completes when* they are, and nothing of the log is under way: then its directory may be
  /// opened again, also by another process. *Owns* nothing. *Thread*: inside a task. *Drop*: it
  /// ends all the same. *Errors*: `io_error`: that of a log that has failed before; ENOSPC and the
  /// like where records of `append_unsynced` were refused and nobody was told.
  [[nodiscard]] task<> close();

 private:
  friend struct wal::log_access;
  explicit log(detail::log_state_ref state) noexcept;
  void check_usable() const {
    PARKRING_CHECK(state_ != nullptr, "the log is empty or moved from; open it first");
  }
  [[nodiscard]] detail::log_ref here() const {
    check_usable();
    return here_;
  }
  [[nodiscard]] const detail::log_state_ref& usable() const {
    check_usable();
    return state_;
  }
  void drop() noexcept;

  detail::log_state_ref state_;
  detail::log_ref here_{};  // of `state_`
};

}  // namespace parkring::fs
