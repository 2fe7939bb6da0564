#include "exec/watch.hpp"

#include <new>

namespace parkring::exec {

using detail::record;

void watch::count_stalls_from(std::uint64_t ns) noexcept {
  too_long_ = static_cast<std::uint64_t>(static_cast<double>(ns) * base::ticks_per_ns());
  show_ = true;
}

void watch::track_ages() {
  ages_ = true;
  note_apart_ = static_cast<std::uint64_t>(250'000.0 * (real_ ? base::ticks_per_ns() : 1.0));
  noted_ = now();
  times.note(driver_.turns, driver_.now_ns());
}

void watch::turn_begins() {
  const std::uint32_t number = current_recording.load(std::memory_order_relaxed);
  if (number != recording_) [[unlikely]]
    change_recording(number);
  if (!last_is_now_) last_ = now();
  last_is_now_ = false;
  if (ages_ && last_ - noted_ >= note_apart_) {
    noted_ = last_;
    times.note(driver_.turns, driver_.now_ns());
  }
  if (track_ == nullptr) return;
  if (resumes_ != 0) add_resumes();
  add(trace_kind::turn, static_cast<std::uint32_t>(driver_.turns), last_);
  until_clock_ = group_;
}

// Relaxed was enough to see the number: the track is taken under the recording's mutex.
void watch::change_recording(std::uint32_t number) {
  recording_ = number;
  track_.reset();
  last_is_now_ = false;
  resumes_ = 0;
  if (number == 0) return;
  const kernel::kernel& k = driver_.ring.served_by();
  track_ = join_recording(k.name(), !real_);
  slow_ = static_cast<std::uint64_t>(250.0 * (real_ ? base::ticks_per_ns() : 1.0));
  group_ = track_ != nullptr && track_->time_every_resume ? 1 : group;
  quick_ = 0;
  wakes_ = driver_.wake.wakes.load(std::memory_order_relaxed);
}

void watch::end_of_shown() noexcept {
  const std::uint64_t time = now();
  running->end();
  if (too_long_ != 0 && time - last_ >= too_long_) ++stalls;
  last_ = time;
  if (track_ == nullptr) return;
  add_resumes();
  add(trace_kind::clock, 0, time);
}

// Looks at the clock. Where resumes are slow it will do so after each: then it costs little beside
// them, and each has its own time.
void watch::end_of_group() noexcept {
  if (track_ == nullptr) {
    until_clock_ = group;
    return;
  }
  const std::uint64_t time = now();
  add_resumes();
  add(trace_kind::clock, 0, time);
  judge(time - last_, group_);
  last_ = time;
  until_clock_ = group_;
}

void watch::judge(std::uint64_t took, unsigned resumes) noexcept {
  if (track_->time_every_resume) return;
  if (took >= slow_ * resumes) {
    group_ = 1;
    quick_ = 0;
  } else if (group_ == 1 && ++quick_ == quick_enough) {
    group_ = group;
    quick_ = 0;
  }
}

// What has no time yet gets it here, where no enter follows.
void watch::run_ends() noexcept {
  last_is_now_ = false;
  if (track_ == nullptr) return;
  if (resumes_ != 0) add_resumes();
  add(trace_kind::clock, 0, now());
  track_->buffer.publish();
}

void watch::entering() noexcept {
  if (track_ == nullptr) return;
  const std::uint64_t time = now();
  if (resumes_ != 0) {
    judge(time - last_, group_ - until_clock_ + 1);
    add_resumes();
  }
  add(trace_kind::enter, driver_.ring.unsubmitted(), time);
}

void watch::entered(int answer) noexcept {
  if (track_ == nullptr) return;
  last_ = now();
  last_is_now_ = true;  // the next turn begins with what came of this
  add(trace_kind::entered, static_cast<std::uint32_t>(answer), last_);
  const std::uint64_t wakes = driver_.wake.wakes.load(std::memory_order_relaxed);
  if (wakes != wakes_) add(trace_kind::wakes, wakes - wakes_, 0);
  wakes_ = wakes;
}

// Before they are read: their records still have what they own.
void watch::completions_waiting() noexcept {
  if (track_ == nullptr) return;
  // Equal ones without details are counted together.
  unsigned count = 0;
  std::uint64_t name = 0, answer = 0;
  const auto flush = [&] {
    if (count != 0) add_counted(trace_kind::completion, count, name, answer);
    count = 0;
  };
  driver_.ring.peek([&](const kernel::abi::cqe& c) {
    const record* const r = op::operations::record_of(c);
    if (r == nullptr || driver_.wake.is_watch(*r)) return;
    const detail::record_type& type = *r->type;
    const std::uint64_t this_name = address(type.name);
    const std::uint64_t this_answer =
        static_cast<std::uint64_t>(r->born) << 32 | static_cast<std::uint32_t>(c.res);
    const bool details = type.facts != nullptr || type.describe != nullptr;
    if (this_name != name || this_answer != answer || details || count == trace_most_counted) {
      flush();
      name = this_name;
      answer = this_answer;
    }
    ++count;
    if (details) [[unlikely]] {
      flush();
      add_details(*r);
    }
  });
  flush();
  track_->buffer.publish();
}

void watch::add_details(const record& r) noexcept try {
  if (r.type->facts != nullptr) {
    detail::request_facts f;
    r.type->facts(r, f);
    const std::uint64_t path = track_->texts.number_of(f.path);
    const std::uint64_t length = f.length < UINT32_MAX ? f.length : UINT32_MAX;
    add(trace_kind::facts, length | path << 32, f.offset);
  } else {
    words_.clear();
    r.type->describe(r, words_);
    add(trace_kind::text, 0, track_->texts.number_of(words_));
  }
} catch (const std::bad_alloc&) {  // then it has only a name
}

}  // namespace parkring::exec
