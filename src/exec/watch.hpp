// What the run loop tells, turn by turn, when somebody looks on: to the recording of a trace, to
// the stall detector, and to the table of ages. The loop exists twice, with a `watch` and without;
// one branch in a turn chooses, so who is not watched pays for nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <parkring/detail/record.hpp>
#include <parkring/detail/task_cell.hpp>

#include "base/ticks.hpp"
#include "exec/running_task.hpp"
#include "exec/trace_recording.hpp"
#include "exec/turn_times.hpp"
#include "park/driver.hpp"

namespace parkring::exec {

class watch {
 public:
  static constexpr bool on = true;

  explicit watch(park::driver& d) noexcept : driver_(d), real_(d.ring.real()) {}
  watch(const watch&) = delete;
  watch& operator=(const watch&) = delete;

  // ---- what is wanted; on the runtime's thread ----
  void track_ages();
  void show_running(bool yes) noexcept { show_ = yes; }
  void count_stalls_from(std::uint64_t ns) noexcept;
  /// Whether anything is wanted, beside a recording that begins.
  [[nodiscard]] bool wanted() const noexcept { return ages_ || show_ || track_ != nullptr; }

  // ---- from the run loop ----
  void turn_begins();
  void resuming(const detail::waiter& w) noexcept {
    const void* const what = *static_cast<const void* const*>(w.frame);
    const detail::spawn_site where = w.task->where;
    if (track_ != nullptr) {
      // Equal ones, which is what many resumes are, are counted together.
      if (address(what) != resumed_ || where.word() != resumed_for_) [[unlikely]] {
        if (resumes_ != 0) add_resumes();
        resumed_ = address(what);
        resumed_for_ = where.word();
      }
      ++resumes_;
    }
    if (show_) running->begin(where, what, last_);
  }
  void resumed() noexcept {
    if (show_)
      end_of_shown();
    else if (--until_clock_ == 0)
      end_of_group();
  }
  void run_ends() noexcept;

  // ---- from the driver ----
  void entering() noexcept;
  void entered(int answer) noexcept;
  void completions_waiting() noexcept;
  void timers_fired(std::size_t n) noexcept {
    if (track_ != nullptr && n != 0) add(trace_kind::timers, n, 0);
  }

  turn_times times;
  std::uint64_t stalls = 0;
  const std::shared_ptr<running_task> running = std::make_shared<running_task>();

 private:
  static std::uint64_t address(const void* p) noexcept {
    return reinterpret_cast<std::uintptr_t>(p);
  }
  [[gnu::always_inline]] void add(trace_kind kind, std::uint64_t value,
                                  std::uint64_t second) noexcept {
    track_->buffer.add(
        static_cast<std::uint64_t>(kind) << trace_kind_shift | (value & trace_value_mask), second);
  }
  void add_resumes() noexcept {
    add_counted(trace_kind::resume, resumes_, resumed_, resumed_for_);
    resumes_ = 0;
  }
  [[gnu::always_inline]] void add_counted(trace_kind kind, unsigned count, std::uint64_t pointer,
                                          std::uint64_t second) noexcept {
    add(kind, pointer | static_cast<std::uint64_t>(count) << trace_count_shift, second);
  }
  [[nodiscard]] std::uint64_t now() noexcept { return real_ ? base::ticks() : driver_.now_ns(); }
  [[gnu::noinline]] void change_recording(std::uint32_t number);
  void end_of_shown() noexcept;
  void end_of_group() noexcept;
  void judge(std::uint64_t took, unsigned resumes) noexcept;
  [[gnu::noinline]] void add_details(const detail::record& r) noexcept;

  static constexpr unsigned group = 64;  // resumes between two looks at the clock, as long as quick
  static constexpr unsigned quick_enough = 16;

  park::driver& driver_;
  const bool real_;
  bool ages_ = false;
  bool show_ = false;
  std::uint32_t recording_ = 0;  // that `track_` is part of
  std::shared_ptr<trace_track> track_;
  std::uint64_t last_ = 0;  // the clock, when it was last looked at
  unsigned until_clock_ = group;
  unsigned group_ = group;
  unsigned quick_ = 0;  // groups of one that were quick
  bool last_is_now_ = false;
  std::uint64_t slow_ = 0;      // ticks from which a resume counts as slow
  std::uint64_t too_long_ = 0;  // ticks from which a resume is a stall; 0: never
  std::uint64_t wakes_ = 0;     // as of the last turn
  std::uint64_t noted_ = 0;     // when `times` was told last
  std::uint64_t note_apart_ = 0;
  // Resumes since the last event, all of this function and spawn_site.
  unsigned resumes_ = 0;
  std::uint64_t resumed_ = 0;
  std::uint64_t resumed_for_ = 0;
  std::string words_;
};

}  // namespace parkring::exec
