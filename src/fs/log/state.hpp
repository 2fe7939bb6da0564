// A log that is open: what its handle, its tasks and those who wait for it share.
//
// Who does what. Two tasks of the runtime that opened the log work for it; they belong to no task
// of the user, so nobody who appends can stop them by being dropped:
//   committer  recovers, then writes one group after the other: takes what has gathered, writes it
//              so that it is durable when the write ends (O_DSYNC), and wakes whose records those
//              are; then it lets them run, so that what they append next goes together. One group
//              is in flight at a time.
//   preparer   fills files with zeros before they are needed, and does away with surplus ones.
// An append copies its record into the group that gathers, which gives it its position, and waits.
// Where there is no room it waits in the *crowd* first; the committer copies those, in order, once
// the next group begins. So the order of the records is that of the appends.
//
// What is whose
//   under `lock_`, any thread   the gathering group, the lists of waiters, `live_`, the positions,
//                               `failure_`, `closing_`, `abandoned_`, the counters
//   the tasks' thread           the group in flight, the current file, the slots, `ready_`. The
//                               committer suspends between taking and completing, and the preparer
//                               anywhere, so each leaves its part whole before it awaits
//   the kernel                  buffers that it writes from have its lock, by their request's
//   record
//
// Life
//   opening    the committer recovers, and writes the record that begins the epoch
//   open       records are taken
//   closing    none is taken; the committer goes on until nothing is left
//   abandoned  the handle was dropped: who waits has been told; the group in flight is finished
//   failed     a write of records, or a sync of the directory, failed: who waits has been told, and
//              whoever comes is. Nothing is written any more, since what the failed one left nobody
//              knows
//   ended      no task works for it: nothing of it is under way, its directory is free
// Both tasks have a reference to the state, and so have the handle, and the coroutines that open,
// close, read and truncate. Those who append or wait have none (`log_gate`): they are in its lists,
// or do not use it any more. The tasks end by themselves; destroyed with the runtime, whose end
// waits for their requests, they end it too.
//
// Why no acknowledged record is lost
//   A record is acknowledged when the write of its group has ended, and with it the sync that
//   follows in the same request.
//   A file becomes part of the log only when it was prepared: its size, its blocks and its name are
//   durable. Its header goes right before the first group in it, which begins only when all in the
//   file before is durable.
//   A file is used again when it is durable that what it held is not needed: by a record, or, where
//   there is no room for one, in the header of the last file.
//   So of all that recovery reads only the last group may not be on the device (only in the page
//   cache, where a failed sync leaves it): recovery writes it again, and syncs.
//   And so a group that is not whole, with the beginning of another behind it, is damage: it was
//   durable. Without, it is the group that was under way, and was never acknowledged.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <parkring/buffer.hpp>
#include <parkring/detail/log_wait.hpp>
#include <parkring/error.hpp>
#include <parkring/fs/directory.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/log_options.hpp>
#include <parkring/task.hpp>

#include "fs/log/format.hpp"

namespace parkring::fs {
class log;
}

namespace parkring::fs::wal {

/// Mistakes that a log can be told to make, so that tests can show that they would be found.
struct flaws {
  bool acknowledge_before_sync = false;  // appends end before their records are durable
  bool no_generation = false;            // records do not know their position
  bool trust_the_cache = false;          // recovery does not write the last group again
  bool free_before_truncating = false;   // on a full disk: files go before the header says so
};

/// A part of the log, in the slot that holds it.
struct segment {
  std::uint64_t number = 0;
  std::uint64_t base = 0;
  std::uint64_t end = 0;  // of its records; of the last one: the log's
  std::uint64_t size = 0;
  std::size_t slot = 0;

  [[nodiscard]] std::uint64_t offset_of(std::uint64_t position) const noexcept {
    return header_size + (position - base);
  }
};

/// Records that are written and synced together.
struct group {
  buffer memory;
  std::byte* data = nullptr;  // of `memory`, which any thread may fill while no request has it
  std::size_t capacity = 0;
  std::size_t used = 0;
  std::uint64_t base = 0;  // position of its first record
  std::uint64_t records = 0;
  std::uint64_t unwaited = 0;         // of them, those that nobody waits for
  std::uint64_t truncate_before = 0;  // the highest that a record in it says

  [[nodiscard]] std::uint64_t end() const noexcept { return base + used; }
  void give_memory(std::size_t size);
};

class state : public std::enable_shared_from_this<state> {
 public:
  state(std::filesystem::path directory, const log_options& options, const flaws& f);
  state(const state&) = delete;
  state& operator=(const state&) = delete;
  ~state();

  // ---- for the handle, on any thread ----

  /// Begins to open it: on the thread that its tasks are to have.
  static void start(const std::shared_ptr<state>& s);
  /// For operations, until the handle goes.
  [[nodiscard]] detail::log_ref ref() const noexcept { return {&gate_, generation_}; }
  /// Takes no records from now on; all that were taken are made durable.
  void close();
  /// The handle has gone.
  void abandon() noexcept;
  [[nodiscard]] std::uint64_t first() noexcept;
  [[nodiscard]] std::uint64_t end() noexcept;
  [[nodiscard]] std::uint64_t durable_end() noexcept;
  [[nodiscard]] log_counters counters() noexcept;
  [[nodiscard]] detail::log_failure failure() noexcept;
  /// Of one that has ended: why not all that was taken is durable; null: it is.
  [[nodiscard]] detail::log_failure shortcoming() noexcept;
  [[nodiscard]] const log_report& report() const noexcept { return report_; }
  [[nodiscard]] const std::filesystem::path& directory() const noexcept { return directory_; }
  [[nodiscard]] std::filesystem::path path_of(std::size_t number) const;
  [[nodiscard]] std::size_t longest() const noexcept { return longest_; }
  [[nodiscard]] error error_of(int number, const char* operation, std::string advice) const;

  /// What a reader at `position` has to know.
  struct place {
    bool truncated = false;   // it lies before what is needed
    bool at_end = false;      // nothing behind it is durable
    bool ended = false;       // and nothing will be
    std::uint64_t begin = 0;  // else there is a record at or behind this
    segment in;               // which lies here; none, with an end of 0, where all were refused
  };
  [[nodiscard]] place locate(std::uint64_t position) noexcept;
  /// Whether the segment still is part of the log: then what was read of it before is.
  [[nodiscard]] bool has_segment(std::uint64_t number) noexcept;

  /// What stands for a position in a record; see format.hpp.
  [[nodiscard]] std::uint64_t tag(std::uint64_t position) const noexcept {
    return flaws_.no_generation ? 0 : position;
  }

  // ---- waiting ----

  using predicate = bool (*)(const state&) noexcept;
  class wait_awaiter;
  struct wait_operation;
  /// Waits in one of the lists below until the predicate holds, which is asked under the lock; or
  /// until it is woken, so ask again.
  [[nodiscard]] wait_operation when(detail::waiter_list& list, predicate done) noexcept;
  static bool has_opened(const state& s) noexcept { return s.opened_ || s.failure_ != nullptr; }
  static bool has_ended(const state& s) noexcept { return s.tasks_ == 0; }
  [[nodiscard]] detail::waiter_list& openers() noexcept { return openers_; }
  [[nodiscard]] detail::waiter_list& closers() noexcept { return closers_; }
  /// Whether it was told to end, and does so without further requests of the user.
  [[nodiscard]] bool is_ending() noexcept;
  [[nodiscard]] bool opening_is_over() noexcept;
  [[nodiscard]] bool is_over() noexcept;
  /// Whether its tasks may run while the calling task waits for them.
  [[nodiscard]] bool runs_beside_caller() const noexcept;

 private:
  friend detail::log_append_awaiter;
  friend detail::log_durable_awaiter;
  // One of its tasks: goes with its frame, also if that never ran.
  struct running {
    explicit running(std::shared_ptr<state> s) noexcept : of(std::move(s)) {}
    running(running&& other) noexcept = default;
    running& operator=(running&&) = delete;
    ~running() {
      if (of != nullptr) of->task_ended();
    }
    std::shared_ptr<state> of;
  };

  // ---- under the lock ----
  [[nodiscard]] bool place_record(detail::log_append_awaiter& w) noexcept;
  void place_crowd() noexcept;
  static void wake(detail::waiter_list& list) noexcept;
  void tell_all(const detail::log_failure& why) noexcept;
  void wake_durable() noexcept;
  void free_segments() noexcept;
  /// Whether no record is taken, and why.
  [[nodiscard]] bool refuses() const noexcept {
    return failure_ != nullptr || closing_ || abandoned_ || tasks_ == 0;
  }
  [[nodiscard]] const detail::log_failure& refusal() const noexcept {
    return failure_ != nullptr ? failure_ : closed_;
  }
  [[nodiscard]] detail::log_failure too_long(std::size_t size) const noexcept;
  [[nodiscard]] detail::log_failure never_appended(std::uint64_t position) const noexcept;
  [[nodiscard]] bool was_refused(std::uint64_t position) const noexcept;

  // ---- the committer's (committer.cpp) ----
  static task<> run(running mine);
  static bool has_to_commit(const state& s) noexcept;
  task<> commit_all();
  [[nodiscard]] bool is_done() noexcept;
  task<bool> next_file();
  task<> await_file();
  task<bool> truncate_in_place();
  task<> write_group(bool new_file);
  task<> write_parts(bool new_file);
  void begin_epoch();
  [[nodiscard]] bool take_group();
  void make_room_for_longest();
  void complete(bool new_file) noexcept;
  void refuse_group(const error& why);
  void fail(const error& why) noexcept;
  void fail_opening(const error& why) noexcept;
  void task_ended() noexcept;

  // ---- the preparer's (prepare.cpp) ----
  static task<> run_preparer(running mine);
  static bool has_to_prepare(const state& s) noexcept;
  static bool has_answer(const state& s) noexcept;
  task<> prepare();
  task<> fill(std::size_t slot);
  task<> sync_names();
  task<> give_bytes_back(std::size_t slot);
  [[nodiscard]] open_options for_records() const;
  task<> release_surplus();
  [[nodiscard]] bool has_surplus() const noexcept;
  [[nodiscard]] bool tasks_stop() const noexcept { return failure_ != nullptr || abandoned_; }
  [[nodiscard]] bool stops() noexcept;  // the same, without the lock

  // ---- recovery (recovery.cpp) ----
  struct found;
  struct found_slots;
  struct scanned;
  task<> recover();
  task<> make_directory();
  task<std::size_t> count_slots();
  task<> find_slots(found_slots& all);
  task<> find_end(found_slots& all);
  task<bool> find_beginning(found_slots& all, scanned last);
  task<scanned> scan(found part, std::uint64_t limit);
  task<> look_behind(scanned& s);
  task<> look_into_headless(found_slots& all, scanned& last);
  task<> drop_from(found_slots& all, std::size_t index);
  task<> restore_last_group(scanned s);
  void damaged(const std::string& what);
  [[nodiscard]] std::size_t usual_group() const noexcept {
    return options_.group < options_.segment - header_size ? options_.group
                                                           : options_.segment - header_size;
  }

  detail::log_gate& gate_;
  const std::uint64_t generation_;
  const std::filesystem::path directory_;
  const log_options options_;
  const flaws flaws_;
  const std::size_t longest_;  // record
  detail::home_ref home_;      // of the runtime that has the tasks
  std::uint64_t team_ = 0;     // and of its workers

  detail::sync_lock& lock_;        // the gate's
  detail::waiter_list appends_;    // log_append_awaiters with a position, in its order
  detail::waiter_list crowd_;      // those without, in the order in which they came
  detail::waiter_list durables_;   // log_durable_awaiters
  detail::waiter_list committer_;  // where it waits for work, or for a file
  detail::waiter_list preparer_;
  detail::waiter_list openers_;
  detail::waiter_list closers_;
  group gathering_;
  std::deque<segment> live_;  // what readers may read
  std::uint64_t first_ = 0;
  std::uint64_t durable_end_ = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> refused_;  // positions that hold nothing
  detail::log_failure last_refusal_;
  bool untold_refusal_ = false;       // of records that nobody waited for: for the next `sync`
  detail::log_failure failure_;       // it has failed, or could not be opened
  const detail::log_failure closed_;  // what those are told who come too late
  bool opened_ = false;
  bool closing_ = false;
  bool abandoned_ = false;
  bool recovered_ = false;      // the slots are known
  bool committed_all_ = false;  // the committer has ended
  unsigned tasks_ = 0;          // that work for it
  log_counters counters_;

  // The tasks' own.
  enum class slot_state : std::uint8_t {
    empty,  // a file without a header to rely on, maybe without bytes
    ready,  // prepared, and in `ready_`
    live,
    free,  // truncated; its size and its name are durable
  };
  struct slot {
    slot_state what = slot_state::empty;
    std::uint64_t size = 0;
  };
  struct ready_file {
    file handle;
    std::size_t slot;
    std::uint64_t size;
  };
  group flushing_;
  file current_;  // of `live_.back()`, or of the segment whose first group is in flight
  segment current_segment_;
  segment_header current_header_;  // as it was written last
  buffer header_;
  fs::directory names_;      // of its files
  bool leave_file_ = false;  // the next group must begin another file
  std::uint32_t epoch_ = 0;
  std::vector<slot> slots_;
  std::deque<ready_file> ready_;
  bool wanted_ = false;                 // the committer waits for a file
  bool prepare_failed_ = false;         // and is not tried again unasked
  std::optional<error> prepare_error_;  // the answer to `wanted_`

  log_report report_;  // set before it is opened
};

class state::wait_awaiter : public detail::sync_awaiter<wait_awaiter> {
  using base = detail::sync_awaiter<wait_awaiter>;

 public:
  wait_awaiter(state& s, detail::waiter_list& list, predicate done) noexcept
      : state_(s), list_(list), done_(done) {}
  ~wait_awaiter() { leave(); }
  void await_resume() noexcept { take(); }

 private:
  friend base;
  static constexpr bool returns = false;
  static constexpr const char* waits_for = "log";
  detail::sync_lock& lock() noexcept { return state_.lock_; }
  detail::waiter_list& queue() noexcept { return list_; }
  bool try_now() noexcept { return done_(state_); }
  void left() noexcept {}

  state& state_;
  detail::waiter_list& list_;
  const predicate done_;
};
struct [[nodiscard("co_await it")]] state::wait_operation {
  state& of;
  detail::waiter_list& list;
  predicate done;
  wait_awaiter operator co_await()&& noexcept { return {of, list, done}; }
};
inline state::wait_operation state::when(detail::waiter_list& list, predicate done) noexcept {
  return {*this, list, done};
}

/// Directories that logs of this process have open, by kernel and path (directories.cpp). A log has
/// its own from `claim` until its last task has ended; where that was destroyed with its runtime,
/// until that has seen the end of its requests. False when another one has it, which is `other`; or
/// none, if that has ended, and not its requests.
[[nodiscard]] bool claim(const std::shared_ptr<state>& s, std::shared_ptr<state>& other);
void release_claim(const state& s) noexcept;

struct log_access {
  static task<log> open(std::filesystem::path directory, log_options options, flaws f);
};

}  // namespace parkring::fs::wal
