#include "fs/log/state.hpp"

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "base/crc32c.hpp"
#include "exec/core.hpp"

namespace parkring {
namespace detail {

sync_lock& log_lock(fs::wal::state& s) noexcept { return s.lock_; }

// ---- one who appends ----

void log_append_awaiter::set_record(std::span<const std::byte> bytes) {
  bytes_ = bytes;
  if (bytes.size() <= state_->longest()) {
    checksum_ = parkring::base::crc32c(bytes);
    return;
  }
  failed_ = std::make_shared<const error>(state_->error_of(
      EMSGSIZE, "append",
      "a record of " + std::to_string(bytes.size()) + " bytes is longer than the " +
          std::to_string(state_->longest()) + " that fit into a file; raise log_options::segment"));
}

waiter_list& log_append_awaiter::queue() noexcept {
  return placed_ ? state_->appends_ : state_->crowd_;
}

bool log_append_awaiter::try_now() noexcept {
  auto& s = *state_;
  if (failed_ != nullptr) return true;
  failed_ = s.refusal();
  if (failed_ != nullptr) return true;
  // Who finds the group empty tells the committer; the others find it told.
  if (s.gathering_.used == 0) s.wake(s.committer_);
  if (!s.crowd_.empty() || !s.place_record(*this)) return false;
  return wish_ == log_wish::placed;
}

error log_append_awaiter::failure() const { return *failed_; }

// ---- one who waits ----

waiter_list& log_durable_awaiter::queue() noexcept { return state_->durables_; }

bool log_durable_awaiter::try_now() noexcept {
  auto& s = *state_;
  if (target_ == so_far) {
    target_ = s.gathering_.end();
    all_ = true;
    if (std::exchange(s.untold_refusal_, false)) failed_ = s.last_refusal_;
  } else if (!follows_ && s.was_refused(target_ - 1)) {
    failed_ = s.last_refusal_;
  }
  if (failed_ != nullptr || target_ <= s.durable_end_) return true;
  if (s.failure_ != nullptr)
    failed_ = s.failure_;
  else if (s.abandoned_ || s.tasks_ == 0)
    failed_ = s.closed_;
  else
    invalid_ = !follows_ && target_ > s.gathering_.end();
  return failed_ != nullptr || invalid_;
}

error log_durable_awaiter::failure() const {
  if (failed_ != nullptr) return *failed_;
  return state_->error_of(EINVAL, "durable",
                          "position " + std::to_string(target_ - 1) +
                              " is behind the end of the log; pass one that append gave");
}

}  // namespace detail

namespace fs::wal {

using detail::log_append_awaiter;
using detail::log_durable_awaiter;
using guard = std::lock_guard<detail::sync_lock>;

namespace {

template <class Awaiter>
Awaiter& as(detail::waiter& w) noexcept {
  return static_cast<Awaiter&>(static_cast<detail::sync_waiter&>(w));
}

}  // namespace

void group::give_memory(std::size_t size) {
  memory = buffer(size);
  data = memory.bytes().data();
  capacity = size;
}

state::state(std::filesystem::path directory, const log_options& options, const flaws& f)
    : directory_(std::move(directory)),
      options_(options),
      flaws_(f),
      closed_(std::make_shared<const error>(error_of(
          ECANCELED, "log",
          "it was closed, its object destroyed, or the runtime ended that opened it, before this "
          "was durable: that may be in the log or not; use it before that only"))) {}

// ---- what the handle asks ----

void state::close() {
  const guard held(lock_);
  closing_ = true;
  wake(committer_);
}

void state::abandon() noexcept {
  const guard held(lock_);
  abandoned_ = true;
  tell_all(closed_);
  wake(committer_);
  wake(preparer_);
}

std::uint64_t state::first() noexcept {
  const guard held(lock_);
  return first_;
}
std::uint64_t state::end() noexcept {
  const guard held(lock_);
  return gathering_.end();
}
std::uint64_t state::durable_end() noexcept {
  const guard held(lock_);
  return durable_end_;
}
log_counters state::counters() noexcept {
  const guard held(lock_);
  return counters_;
}
detail::log_failure state::failure() noexcept {
  const guard held(lock_);
  return failure_;
}
detail::log_failure state::shortcoming() noexcept {
  const guard held(lock_);
  if (failure_ != nullptr) return failure_;
  return durable_end_ != gathering_.end() ? closed_ : nullptr;
}
bool state::is_ending() noexcept {
  const guard held(lock_);
  return closing_ || abandoned_ || failure_ != nullptr;
}

bool state::opening_is_over() noexcept {
  const guard held(lock_);
  return has_opened(*this);
}
bool state::is_over() noexcept {
  const guard held(lock_);
  return has_ended(*this);
}
bool state::stops() noexcept {
  const guard held(lock_);
  return tasks_stop();
}

std::filesystem::path state::path_of(std::size_t number) const {
  return directory_ / slot_name(number);
}

std::size_t state::longest() const noexcept {
  return std::min(longest_record, options_.segment - header_size - record_header) / 8 * 8;
}

error state::error_of(int number, const char* operation, std::string advice) const {
  return {number, operation, directory_.native(), std::move(advice)};
}

bool state::runs_beside_caller() const noexcept {
  return home_.is_here() || (team_ != 0 && team_ == detail::running_core().team);
}

state::place state::locate(std::uint64_t position) noexcept {
  const guard held(lock_);
  place p;
  p.truncated = position < first_;
  p.at_end = position >= durable_end_;
  p.ended = failure_ != nullptr || abandoned_ || tasks_ == 0;
  if (p.truncated || p.at_end) return p;
  p.begin = durable_end_;
  for (const segment& s : live_) {
    if (position >= s.end) continue;
    p.begin = s.base;
    p.in = s;
    break;
  }
  return p;
}

bool state::has_segment(std::uint64_t number) noexcept {
  const guard held(lock_);
  return !live_.empty() && number >= live_.front().number && number <= live_.back().number;
}

// ---- under the lock ----

bool state::was_refused(std::uint64_t position) const noexcept {
  return std::ranges::any_of(
      refused_, [position](const auto& r) { return r.first <= position && position < r.second; });
}

bool state::place_record(log_append_awaiter& w) noexcept {
  group& g = gathering_;
  const std::size_t room = room_for(w.bytes_.size());
  if (room > g.capacity - g.used) return false;
  w.at_ = g.end();
  w.placed_ = true;
  encode_record({.position = tag(w.at_),
                 .epoch = epoch_,
                 .first_of_group = g.used == 0,
                 .control = w.control_},
                w.bytes_, w.checksum_, g.data + g.used);
  g.used += room;
  if (w.control_) {
    g.truncate_before = std::max(g.truncate_before, load_u64(w.bytes_.data()));
  } else {
    ++g.records;
    if (w.wish_ == detail::log_wish::placed) ++g.unwaited;
  }
  return true;
}

void state::place_crowd() noexcept {
  while (detail::waiter* const w = crowd_.front()) {
    auto& one = as<log_append_awaiter>(*w);
    if (!place_record(one)) return;
    one.unlink();
    if (one.wish_ == detail::log_wish::placed)
      static_cast<void>(one.grant());
    else
      appends_.push_back(one);
  }
}

void state::wake(detail::waiter_list& list) noexcept {
  while (detail::waiter* const w = list.pop_front())
    static_cast<void>(static_cast<detail::sync_waiter*>(w)->grant());
}

void state::tell_all(const detail::log_failure& why) noexcept {
  for (auto* list : {&appends_, &crowd_})
    while (detail::waiter* const w = list->pop_front()) {
      auto& one = as<log_append_awaiter>(*w);
      one.failed_ = why;
      static_cast<void>(one.grant());
    }
  while (detail::waiter* const w = durables_.pop_front()) {
    auto& one = as<log_durable_awaiter>(*w);
    one.failed_ = why;
    static_cast<void>(one.grant());
  }
}

void state::wake_durable() noexcept {
  while (detail::waiter* const w = appends_.front()) {
    auto& one = as<log_append_awaiter>(*w);
    if (one.at_ >= durable_end_) break;
    one.unlink();
    static_cast<void>(one.grant());
  }
  durables_.for_each([this](detail::waiter& w) {
    auto& one = as<log_durable_awaiter>(w);
    if (one.target_ > durable_end_) return;
    one.unlink();
    static_cast<void>(one.grant());
  });
}

}  // namespace fs::wal
}  // namespace parkring
