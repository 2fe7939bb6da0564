// One measurement of one contender, as the contender sees it.
//
// It sets itself up and then works off phases:
//
//   while (load* stream = session.next_phase()) { ...until stream->next() says false... }
//
// The first phase warms up and verifies, the second is timed. Between phases nothing may be in
// flight. Clocks and counters run from the call that returns the timed phase to the next call.
#pragma once

#include <cstdint>
#include <memory>

#include "block_table.hpp"
#include "load.hpp"
#include "measurement.hpp"
#include "row.hpp"

namespace lab {

struct session_plan {
  const row* what = nullptr;
  const block_table* table = nullptr;
  const char* path = nullptr;
  std::uint64_t nanoseconds = 0;  // the timed phase starts no operation after these; 0: no limit
  std::uint64_t operations = 0;   // nor more than these; 0: no limit
  bool noatime = false;
  bool traced = false;  // mark the timed phase for a tracer
};

class session {
 public:
  explicit session(const session_plan& plan) : plan_(plan) {}

  [[nodiscard]] const session_plan& plan() const noexcept { return plan_; }
  [[nodiscard]] const row& what() const noexcept { return *plan_.what; }
  [[nodiscard]] const char* path() const noexcept { return plan_.path; }
  [[nodiscard]] bool noatime() const noexcept { return plan_.noatime; }
  /// Opens the data file as every contender of the row must; the caller closes it.
  [[nodiscard]] int open_file() const;

  /// The stream of the next phase; null when there is none left.
  load* next_phase();

  /// A contender that knows its system calls adds them here before it asks for the next phase.
  void add_syscalls(std::uint64_t number) noexcept {
    syscalls_ += number;
    syscalls_known_ = true;
  }

  /// For a contender whose work another program does and measures: instead of all phases.
  void hand_in(const measurement& figures) noexcept { result_ = figures; }

  [[nodiscard]] const measurement& result() const noexcept { return result_; }

 private:
  enum class phase { none, warm_up, timed, over };

  void finish();

  session_plan plan_;
  phase phase_ = phase::none;
  std::unique_ptr<load> load_;
  std::uint64_t syscalls_ = 0;
  bool syscalls_known_ = false;
  std::uint64_t wall_start_ = 0;
  std::uint64_t cpu_start_ = 0;
  std::uint64_t user_start_ = 0;
  std::uint64_t switches_start_ = 0;
  measurement result_;
};

}  // namespace lab
