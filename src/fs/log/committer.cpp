// The committer: recovers, then writes group after group. Its protocol is in state.hpp.
#include <array>
#include <cerrno>
#include <mutex>
#include <new>

#include <parkring/as_result.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>

#include "base/crc32c.hpp"
#include "exec/core.hpp"
#include "fs/log/state.hpp"

namespace parkring::fs::wal {

using detail::log_append_awaiter;
using guard = std::lock_guard<detail::sync_lock>;

namespace {

// What a full disk or table of descriptors says. Nothing was written to the log then.
bool is_lack_of_room(int number) noexcept {
  return number == ENOSPC || number == EDQUOT || number == EMFILE || number == ENFILE ||
         number == ENOMEM;
}

}  // namespace

void state::start(const std::shared_ptr<state>& s) {
  detail::core_base& core = detail::running_core();
  s->home_ = core.home_of;
  s->team_ = core.team;
  // They are the log's, and inherit no deadline, stop request or value of the task that opens it.
  struct apart {
    detail::core_base& core;
    detail::task_cell* const caller = std::exchange(core.current, nullptr);
    ~apart() { core.current = caller; }
  } const no_parent{core};
  s->tasks_ = 2;
  running one(s), other(s);
  auto committer = spawn(&state::run, std::move(one));
  auto preparer = spawn(&state::run_preparer, std::move(other));
  committer.detach();
  preparer.detach();
}

task<> state::run(running mine) {
  state* const s = mine.of.get();
  try {
    co_await s->recover();
    s->begin_epoch();
  } catch (const io_error& e) {
    s->fail_opening(e.error());
  } catch (const std::bad_alloc&) {
    s->fail_opening(s->error_of(ENOMEM, "log::open", "there is no memory for its buffers"));
  }
  if (s->failure_ != nullptr) co_return;
  try {
    co_await s->commit_all();
  } catch (const io_error& e) {
    s->fail(e.error());
  } catch (const std::bad_alloc&) {
    s->fail(s->error_of(ENOMEM, "log", "there was no memory to go on"));
  }
}

// The record that raises the epoch: in the first group, and alone in it, since nobody else has the
// log yet.
void state::begin_epoch() {
  const guard held(lock_);
  std::array<std::byte, 8> first;
  store_u64(first_, first.data());
  group& g = gathering_;
  encode_record(
      {.position = tag(g.end()), .epoch = epoch_, .first_of_group = true, .control = true}, first,
      base::crc32c(first), g.data + g.used);
  g.used += room_for(first.size());
  recovered_ = true;
  wake(preparer_);
}

bool state::has_to_commit(const state& s) noexcept {
  return s.gathering_.used != 0 || !s.crowd_.empty() || s.closing_ || s.tasks_stop();
}

task<> state::commit_all() {
  for (;;) {
    co_await when(committer_, &state::has_to_commit);
    if (stops()) co_return;
    if (!take_group()) {
      if (is_done()) co_return;
      continue;
    }
    bool new_file = leave_file_ || !current_ ||
                    current_segment_.offset_of(flushing_.end()) > current_segment_.size;
    if (new_file && !co_await next_file()) {
      if (stops()) co_return;
      continue;
    }
    co_await write_group(new_file);
    if (stops()) co_return;
    // Those who were woken append again first: then that goes together.
    co_await yield();
  }
}

// Whether it was closed, and nothing is left that was awaited before.
bool state::is_done() noexcept {
  const guard held(lock_);
  return closing_ && gathering_.used == 0 && crowd_.empty();
}

// Makes what has gathered the group to write; false when there is nothing.
bool state::take_group() {
  make_room_for_longest();
  const guard held(lock_);
  if (gathering_.used == 0) return false;
  std::swap(gathering_, flushing_);
  gathering_.base = flushing_.end();
  gathering_.used = 0;
  gathering_.records = gathering_.unwaited = gathering_.truncate_before = 0;
  place_crowd();
  return true;
}

// A record that is longer than the buffer gets one of its own, which goes again with its group.
void state::make_room_for_longest() {
  if (flushing_.capacity != usual_group()) flushing_.give_memory(usual_group());
  std::size_t wanted = 0;
  {
    const guard held(lock_);
    if (gathering_.used != 0 || crowd_.empty()) return;
    wanted = room_for(
        static_cast<log_append_awaiter&>(static_cast<detail::sync_waiter&>(*crowd_.front()))
            .bytes_.size());
  }
  if (wanted > gathering_.capacity) {
    buffer larger(wanted);
    std::byte* const data = larger.bytes().data();
    const guard held(lock_);
    if (gathering_.used != 0) return;  // who was first has left meanwhile, and others came
    gathering_.memory = std::move(larger);
    gathering_.data = data;
    gathering_.capacity = wanted;
  }
  const guard held(lock_);
  place_crowd();
}

// Waits until the preparer has a file ready, or says why it has none.
task<> state::await_file() {
  {
    const guard held(lock_);
    wanted_ = true;
    prepare_error_.reset();
    wake(preparer_);
  }
  for (bool answered = false; !answered;) {
    co_await when(committer_, &state::has_answer);
    const guard held(lock_);
    answered = has_answer(*this);  // it may have been woken for something else
  }
}

// The next group begins a file; false when there is none for it, and the group was refused.
task<bool> state::next_file() {
  while (ready_.empty()) {
    co_await await_file();
    if (stops()) co_return false;
    if (!ready_.empty()) break;
    if (!is_lack_of_room(prepare_error_->number()) || !opened_) {
      fail(*prepare_error_);
      co_return false;
    }
    const bool has_freed = co_await truncate_in_place();
    if (stops()) co_return false;
    if (has_freed) continue;
    refuse_group(*prepare_error_);
    co_return false;
  }
  ready_file next = std::move(ready_.front());
  ready_.pop_front();
  const segment before = current_segment_;
  current_ = std::move(next.handle);
  current_segment_ = {.number = before.number + 1,
                      .base = flushing_.base,
                      .end = flushing_.base,
                      .size = next.size,
                      .slot = next.slot};
  slots_[next.slot].what = slot_state::live;
  leave_file_ = false;
  current_header_ = {.epoch = epoch_,
                     .number = current_segment_.number,
                     .base = current_segment_.base,
                     .previous_end = before.end,
                     .first = first_,
                     .size = current_segment_.size};
  encode_header(current_header_, header_.bytes());
  const guard held(lock_);
  wake(preparer_);  // for the one after it
  co_return true;
}

// There is no file for the group, and a truncation is in it. So that is told where there is room:
// in the header of the last file, which recovery reads as well. Then files that it frees are used
// for the group. True when there are such.
task<bool> state::truncate_in_place() {
  const std::uint64_t to = flushing_.truncate_before;
  if (to <= first_) co_return false;
  current_header_.tell_later(to);
  encode_header(current_header_, header_.bytes());
  if (!flaws_.free_before_truncating) {
    auto writing = current_.write_all_at(header_, 0);
    const auto done = co_await as_result(std::move(writing));
    if (!done) {
      fail(done.error());
      co_return false;
    }
  }
  const guard held(lock_);
  const std::size_t before = live_.size();
  first_ = to;
  free_segments();
  co_return live_.size() < before;
}

// What is written to `current_` is durable when the write has ended.
task<> state::write_parts(bool new_file) {
  if (new_file) co_await current_.write_all_at(header_, 0);
  const group& g = flushing_;
  const std::uint64_t at = current_segment_.offset_of(g.base);
  const std::size_t n = co_await current_.write_at(g.memory, at, g.used);
  // Short: nothing has failed, and all of it goes once more.
  if (n < g.used) co_await current_.write_all_at(g.memory, at, g.used);
}

task<> state::write_group(bool new_file) {
  auto writing = write_parts(new_file);
  const auto done = co_await as_result(std::move(writing));
  if (!done) {
    fail(done.error());
    co_return;
  }
  complete(new_file);
  if (flaws_.acknowledge_before_sync) co_await current_.datasync();
}

// The group is durable.
void state::complete(bool new_file) noexcept {
  const guard held(lock_);
  group& g = flushing_;
  durable_end_ = current_segment_.end = g.end();
  if (new_file)
    live_.push_back(current_segment_);
  else
    live_.back().end = durable_end_;
  counters_.records += g.records;
  ++counters_.groups;
  if (g.truncate_before > first_) {
    first_ = g.truncate_before;
    free_segments();
  }
  if (!opened_) {
    opened_ = true;
    wake(openers_);
  }
  wake_durable();
}

// Of the live ones those that hold nothing that is needed; not the last one.
void state::free_segments() noexcept {
  while (live_.size() > 1 && live_.front().end <= first_) {
    slots_[live_.front().slot] = {slot_state::free, live_.front().size};
    live_.pop_front();
  }
  prepare_failed_ = false;
  wake(preparer_);
}

// Nothing of it was written, so the log goes on: with a gap in its positions, and in another file.
void state::refuse_group(const error& why) {
  auto reason = std::make_shared<const error>(error(
      why.number(), "append", directory_.native(),
      why.message() + ": there is no further file for the log. The record is not in it, nothing is "
                      "lost, and the log goes on: free space and append again"));
  const guard held(lock_);
  group& g = flushing_;
  if (!refused_.empty() && refused_.back().second == g.base)
    refused_.back().second = g.end();
  else
    refused_.emplace_back(g.base, g.end());
  counters_.refused += g.records;
  last_refusal_ = reason;
  leave_file_ = true;
  bool told = false;
  while (detail::waiter* const w = appends_.front()) {
    auto& one = static_cast<log_append_awaiter&>(static_cast<detail::sync_waiter&>(*w));
    if (one.at_ >= g.end()) break;
    const bool is_done = one.control_ && load_u64(one.bytes_.data()) <= first_;  // in the header
    if (!is_done) one.failed_ = reason;
    one.unlink();
    static_cast<void>(one.grant());
  }
  durables_.for_each([&](detail::waiter& w) {
    auto& one = static_cast<detail::log_durable_awaiter&>(static_cast<detail::sync_waiter&>(w));
    if (one.target_ <= g.base || (!one.all_ && one.target_ > g.end())) return;
    if (one.follows_) return;  // it will see that there is nothing
    one.failed_ = reason;
    told = told || one.all_;
    one.unlink();
    static_cast<void>(one.grant());
  });
  if (g.unwaited != 0 && !told) untold_refusal_ = true;
  durable_end_ = g.end();
}

void state::fail_opening(const error& why) noexcept {
  detail::log_failure reason = closed_;
  try {
    reason = std::make_shared<const error>(why);
  } catch (const std::bad_alloc&) {
  }
  const guard held(lock_);
  if (failure_ == nullptr) failure_ = std::move(reason);
  tell_all(failure_);
  wake(openers_);
  wake(preparer_);
}

void state::fail(const error& why) noexcept {
  if (!opened_) return fail_opening(why);
  try {
    fail_opening(error(
        why.number(), "log", directory_.native(),
        why.message() +
            ": what was to be made durable may be lost, and no second try would tell. The log "
            "takes no more records; open it again: all that was acknowledged is there"));
  } catch (const std::bad_alloc&) {
    fail_opening(why);
  }
}

void state::task_ended() noexcept {
  {
    const guard held(lock_);
    committed_all_ = true;
    wake(preparer_);
    if (tasks_ == 2) {
      tasks_ = 1;
      return;
    }
  }
  // Destroyed with the runtime: its requests end later. See `claim`.
  if (!detail::running_core().closing) release_claim(*this);
  const guard held(lock_);
  tasks_ = 0;
  tell_all(failure_ != nullptr ? failure_ : closed_);
  if (!opened_ && failure_ == nullptr) failure_ = closed_;
  wake(openers_);
  wake(closers_);
}

}  // namespace parkring::fs::wal
