#include "fs/log/state.hpp"

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <new>

#include "base/crc32c.hpp"
#include "base/fork_held_mutex.hpp"
#include "exec/core.hpp"

namespace parkring {
namespace detail {

namespace {

using guard = std::lock_guard<sync_lock>;

// What those are told whose log was dropped before they asked.
const log_failure& log_is_gone() {
  static const auto* const told = new log_failure(std::make_shared<const error>(
      ECANCELED, "log", "", "its object was destroyed before this was awaited"));
  return *told;
}

// Gates of no log. They are never freed.
struct gate_stock {
  base::fork_held_mutex mutex;
  std::vector<log_gate*> unused;
};
gate_stock& gates() {
  static auto* const all = new gate_stock;  // logs may end after static objects do
  return *all;
}

log_gate& take_gate() {
  static_cast<void>(log_is_gone());  // so that it is there for those who must not fail
  gate_stock& s = gates();
  {
    const std::lock_guard held(s.mutex);
    if (!s.unused.empty()) {
      log_gate& g = *s.unused.back();
      s.unused.pop_back();
      return g;
    }
  }
  return *new log_gate;
}

void give_gate_back(log_gate& g) noexcept {
  gate_stock& s = gates();
  const std::lock_guard held(s.mutex);
  try {
    s.unused.push_back(&g);
  } catch (const std::bad_alloc&) {  // it is not used again, which costs its few bytes
  }
}

}  // namespace

// ---- one who appends ----

void log_append_awaiter::set_record(std::span<const std::byte> bytes) noexcept {
  bytes_ = bytes;
  if (bytes.size() <= fs::wal::longest_record) checksum_ = parkring::base::crc32c(bytes);
}

waiter_list& log_append_awaiter::queue() noexcept {
  auto& s = *log_.gate->of;
  return placed_ ? s.appends_ : s.crowd_;
}

bool log_append_awaiter::try_now() noexcept {
  auto* const s = log_.get();
  if (s == nullptr) [[unlikely]] {
    failed_ = log_is_gone();
    return true;
  }
  if (bytes_.size() > s->longest_) [[unlikely]]
    failed_ = s->too_long(bytes_.size());
  else if (s->refuses()) [[unlikely]]
    failed_ = s->refusal();
  if (failed_ != nullptr) return true;
  // Who finds the group empty tells the committer; the others find it told.
  if (s->gathering_.used == 0) s->wake(s->committer_);
  if (!s->crowd_.empty() || !s->place_record(*this)) return false;
  return wish_ == log_wish::placed;
}

// ---- one who waits ----

waiter_list& log_durable_awaiter::queue() noexcept { return log_.gate->of->durables_; }

bool log_durable_awaiter::try_now() noexcept {
  auto* const s = log_.get();
  if (s == nullptr) {
    failed_ = log_is_gone();
    return true;
  }
  if (target_ == so_far) {
    target_ = s->gathering_.end();
    all_ = true;
    if (std::exchange(s->untold_refusal_, false)) failed_ = s->last_refusal_;
  } else if (!follows_ && s->was_refused(target_ - 1)) {
    failed_ = s->last_refusal_;
  }
  if (failed_ != nullptr || target_ <= s->durable_end_) return true;
  if (s->failure_ != nullptr)
    failed_ = s->failure_;
  else if (s->abandoned_ || s->tasks_ == 0)
    failed_ = s->closed_;
  else if (!follows_ && target_ > s->gathering_.end())
    failed_ = s->never_appended(target_ - 1);
  return failed_ != nullptr;
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
    : gate_(detail::take_gate()),
      generation_(gate_.generation),
      directory_(std::move(directory)),
      options_(options),
      flaws_(f),
      longest_(std::min(longest_record, options_.segment - header_size - record_header) / 8 * 8),
      lock_(gate_.lock),
      closed_(std::make_shared<const error>(error_of(
          ECANCELED, "log",
          "it was closed, its object destroyed, or the runtime ended that opened it, before this "
          "was durable: that may be in the log or not; use it before that only"))) {
  gate_.of = this;
}

state::~state() {
  {
    const guard held(lock_);
    if (!abandoned_) ++gate_.generation;
  }
  detail::give_gate_back(gate_);
}

// ---- what the handle asks ----

void state::close() {
  const guard held(lock_);
  closing_ = true;
  wake(committer_);
}

void state::abandon() noexcept {
  const guard held(lock_);
  abandoned_ = true;
  ++gate_.generation;  // nobody finds it any more
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
  if (untold_refusal_) return last_refusal_;
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

error state::error_of(int number, const char* operation, std::string advice) const {
  return {number, operation, directory_.native(), std::move(advice)};
}

detail::log_failure state::too_long(std::size_t size) const noexcept try {
  return std::make_shared<const error>(
      error_of(EMSGSIZE, "append",
               "a record of " + std::to_string(size) + " bytes is longer than the " +
                   std::to_string(longest_) + " that fit into a file; raise log_options::segment"));
} catch (const std::bad_alloc&) {
  return closed_;
}

detail::log_failure state::never_appended(std::uint64_t position) const noexcept try {
  return std::make_shared<const error>(
      error_of(EINVAL, "durable",
               "position " + std::to_string(position) +
                   " is behind the end of the log; pass one that append gave"));
} catch (const std::bad_alloc&) {
  return closed_;
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
