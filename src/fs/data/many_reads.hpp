// The state of a `read_many`: what is to be read, who reads, and what is there to be taken.
//
// Readers are tasks, at most `max_in_flight` of them; each has one read at a time. A reader claims
// the next items of the sorted list as one run, reads it, and delivers it. Whoever asks takes parts
// out of what was delivered.
//
//   item     unclaimed ──claim──> in a run that is read ──deliver──> delivered ──take──> gone
//   reader   reads ──deliver──> claims again; without room it is idle, on `idle_`, until there is
//
// A reader whose request has gone to the kernel brings in the next one, idle or new (`one_more`),
// and so does whoever makes room. So what the page cache answers at once is read by a single
// reader, which does not stop for it, and what has to wait is read by as many as may. While there
// are room and items, at least one reader is not idle. Readers have no deadline: that of the `next`
// which began them is not theirs.
//
// Room. As read: readers claim while fewer than `max_in_flight` runs wait to be taken. As
// requested: the list is cut into windows, each sorted for itself, and readers are at most one
// window ahead of who takes; what they deliver lies in `slots_`, two windows of parts.
//
// Ownership. The stream, each reader's frame and each `next` that waits count a reference here; the
// stream owns the readers. A read owns its buffer and file, as any. So whichever goes first, a
// reader that is dropped in flight leaves nothing behind but the record of its request.
//
// All of it belongs to the thread of one runtime; no user's code runs inside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/value_queue.hpp>
#include <parkring/fs/read_many.hpp>
#include <parkring/spawn.hpp>

#include "fs/data/range_order.hpp"

namespace parkring::detail {

struct many_reads {
  // ---- what is to be read ----

  /// Neighbours in `items_` that are read at once: [first, last).
  struct run {
    std::size_t first = 0, last = 0;
    std::uint64_t begin = 0, end = 0;  // of the file, in bytes; wider than the items for direct I/O
    std::uint32_t file = 0;
    int refused = 0;  // an errno: it is not to be read
  };
  /// A run that was read. `got` bytes of it are in `memory`; fewer than asked for where the file
  /// ends, or where the read failed.
  struct finished {
    run of;
    buffer memory;
    std::size_t got = 0;
    int failed = 0;  // an errno
  };

  many_reads(std::vector<file_ref> files, std::vector<fs::ranged_item> items,
             const fs::read_many_options& options);

  static fs::read_many_stream stream_of(std::vector<file_ref> files,
                                        std::vector<fs::ranged_item> items,
                                        const fs::read_many_options& options);

  // ---- for readers ----

  /// Takes the next run off the list; false: there is no room, or nothing left.
  [[nodiscard]] bool claim(run& out) noexcept;
  [[nodiscard]] bool all_claimed() const noexcept { return next_ == items_.size(); }
  [[nodiscard]] bool has_room() const noexcept;
  /// The run of a single item, of one that could not be read as a whole.
  [[nodiscard]] run single(std::size_t item) const noexcept { return run_from(item, item + 1); }
  void deliver(finished&& f);
  void fail(std::exception_ptr why) noexcept;  // out of memory, say: ends the stream
  /// Brings in another reader if there is something for it to do.
  void one_more() noexcept;
  void wait_idle(waiter& w) noexcept { idle_.push_back(w); }
  [[nodiscard]] file_state_base& file(std::uint32_t number) const noexcept {
    return *files_[number].get();
  }

  // ---- for who asks ----

  [[nodiscard]] bool answerable() const noexcept;
  [[nodiscard]] std::optional<fs::read_part> take();
  void wait_for_part(waiter& w);
  void stop_waiting(waiter& w) noexcept {
    if (asks_ == &w) asks_ = nullptr;
  }
  /// No more reads: readers are dropped.
  void end() noexcept;
  /// The stream goes: a `next` that waits is told.
  void abandon() noexcept;
  void check_thread();

  std::uint32_t references = 1;
  fs::read_many_counts counts;
  std::unique_ptr<const error> stopped_by;  // why it has ended, not yet told

 private:
  [[nodiscard]] bool in_order() const noexcept {
    return how_.order == fs::part_order::as_requested;
  }
  [[nodiscard]] run run_from(std::size_t first, std::size_t limit) const noexcept;
  [[nodiscard]] fs::read_part part_of(finished& f, std::size_t item);
  [[nodiscard]] std::optional<fs::read_part> give(fs::read_part&& p);
  [[nodiscard]] std::optional<fs::read_part> take_as_read();
  [[nodiscard]] std::optional<fs::read_part> take_in_order();
  [[nodiscard]] std::size_t window_of(std::size_t item) const noexcept {
    return item / how_.window;
  }
  void tell() noexcept;

  const fs::read_many_options how_;
  std::vector<file_ref> files_;         // let go once nothing more is read of them
  std::vector<fs::ranged_item> items_;  // sorted, as a whole or window by window
  std::size_t next_ = 0;                // the first that is not claimed
  std::size_t taken_ = 0;               // parts given out

  value_queue<finished> delivered_;  // as read: not yet begun to be taken
  std::optional<finished> current_;  // as read: parts of it are taken, from item `at_` on
  std::size_t at_ = 0;
  std::vector<std::optional<fs::read_part>> slots_;  // in order: by index, modulo their number

  std::vector<join_handle<void>> readers_;
  waiter_list idle_;
  waiter* asks_ = nullptr;  // a `next` that waits
  core_base* core_ = nullptr;
  std::exception_ptr broken_;
  bool ended_ = false;      // nothing is given out any more
  bool abandoned_ = false;  // because the stream has gone
};

}  // namespace parkring::detail
