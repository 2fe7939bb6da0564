#include "exec/worker_team.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <future>
#include <string>
#include <string_view>
#include <utility>

#include "exec/core.hpp"

namespace parkring::exec {

using detail::roaming_task;

unsigned usable_processors() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  return static_cast<unsigned>(CPU_COUNT(&set));
}

bool injection_queue::push(roaming_task& t) noexcept {
  t.next = nullptr;
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  *std::exchange(last_, &t.next) = &t;
  count_.fetch_add(1, std::memory_order_release);  // pairs with `empty`
  return true;
}

roaming_task* injection_queue::pop() noexcept {
  if (empty()) return nullptr;
  const std::lock_guard lock(mutex_);
  roaming_task* t = first_;
  if (t == nullptr) return nullptr;
  first_ = t->next;
  if (first_ == nullptr) last_ = &first_;
  count_.fetch_sub(1, std::memory_order_release);
  return t;
}

void injection_queue::close() noexcept {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

void worker::add(roaming_task& t) noexcept {
  // Who starts one may go on for long before it waits for it.
  if (others_idle()) {
    leave_next_up();
    return share(t);
  }
  if (roaming_task* before = std::exchange(next_up_, &t)) share(*before);
}

void worker::leave_next_up() noexcept {
  if (next_up_ != nullptr) share(*std::exchange(next_up_, nullptr));
}

void worker::share(roaming_task& t) noexcept {
  push(t);
  team_.wake_one();
}

void worker::push(roaming_task& t) noexcept {
  while (!queue_.push(&t)) {
    std::array<roaming_task*, 128> half;
    const unsigned n = queue_.take_half(half);
    // A closed injection queue is that of a team that ends: they end here then.
    for (unsigned i = 0; i < n; ++i)
      if (!team_.injection_.push(*half[i])) this_core().make_ready_here(*half[i]);
  }
}

roaming_task* worker::take() noexcept {
  if (++takes_ % between_injected == 0) {
    if (roaming_task* t = team_.injection_.pop()) {
      ++injected;
      return t;
    }
  }
  if (next_up_ != nullptr && in_a_row_ < most_in_a_row) {
    ++in_a_row_;
    return std::exchange(next_up_, nullptr);
  }
  in_a_row_ = 0;
  if (roaming_task* t = queue_.pop()) return t;
  if (next_up_ != nullptr) return std::exchange(next_up_, nullptr);
  roaming_task* const t = team_.injection_.pop();
  injected += t != nullptr ? 1 : 0;
  return t;
}

roaming_task* worker::take_last() noexcept {
  if (roaming_task* t = take()) return t;
  return team_.injection_.pop();
}

roaming_task* worker::look_around() noexcept {
  if (roaming_task* t = team_.injection_.pop()) {
    ++injected;
    // Some more, for the queue: the mutex is one for all.
    const std::size_t share = 256 / 2 / team_.workers_.size();
    for (std::size_t i = 0; i < share; ++i) {
      roaming_task* more = team_.injection_.pop();
      if (more == nullptr) break;
      ++injected;
      push(*more);
    }
    return t;
  }
  const auto n = static_cast<unsigned>(team_.workers_.size());
  for (unsigned i = 0; i < n; ++i) {
    const unsigned v = (victim_ + i) % n;
    if (v == number) continue;
    if (roaming_task* t = team_.workers_[v]->queue_.steal_into(queue_)) {
      ++steals;
      victim_ = v;  // where there was some, there may be more
      return t;
    }
  }
  victim_ = (victim_ + 1) % n;
  return nullptr;
}

// It is not placed yet, so that it runs in its turn: before what else the queue has.
void worker::found(roaming_task& t) noexcept {
  if (next_up_ != nullptr) push(*next_up_);
  next_up_ = &t;
  in_a_row_ = 0;
}

// Who was told that somebody searches relies on it: if that was the last one, the next is woken for
// what is left.
void worker::searched() noexcept {
  if (!std::exchange(searches_, false)) return;
  if (team_.sleepers_.end_search() && (!queue_.empty() || team_.work_anywhere(*this)))
    team_.wake_one();
}

bool worker::find_work(core& c) noexcept {
  // A message, most of the time: what was handed over is answered soon.
  for (unsigned i = 0; i < first_looks && spins_ >= first_looks; ++i) {
    if (c.something_happened()) return true;
    detail::pause();
  }
  // With many searchers all would look at the same queues.
  const unsigned most_searchers = std::max(1U, team_.size() / 2);
  if (!searches_) searches_ = team_.sleepers_.begin_search(most_searchers);
  unsigned round = 0;
  do {
    if (searches_ && round % 8 == 0) {
      if (roaming_task* t = look_around()) {
        found(*t);
        searched();
        spins_ = std::min(most_spins, spins_ + spins_ / 2 + 8);
        return true;
      }
    }
    if (c.something_happened() || team_.stopping()) {
      searched();
      if (round != 0) spins_ = std::min(most_spins, spins_ + spins_ / 2 + 8);
      return true;
    }
    detail::pause();
  } while (round++ < spins_);
  spins_ -= spins_ / 4;
  team_.sleepers_.sleep(number, std::exchange(searches_, false));
  sleeps_ = true;
  // After that: who made work before it has not seen that we sleep.
  if (!team_.work_anywhere(*this) && !team_.stopping()) return false;
  end_sleep();
  return true;
}

void worker::end_sleep() noexcept {
  if (!std::exchange(sleeps_, false)) return;
  if (!team_.sleepers_.awake(number)) return;
  // Woken for work. It is looked for at once: other things may keep this worker busy for long.
  spins_ = std::min(most_spins, spins_ + spins_ / 2 + 32);
  searches_ = true;
  if (roaming_task* t = look_around()) found(*t);
  searched();
}

void worker::leave_all() noexcept {
  if (next_up_ != nullptr) push(*std::exchange(next_up_, nullptr));
  // Into the queue of all: this one is looked at by idle workers only.
  while (roaming_task* t = queue_.pop())
    if (!team_.injection_.push(*t)) this_core().make_ready_here(*t);
  if (!team_.injection_.empty()) team_.wake_one();
}

bool worker::others_idle() const noexcept { return team_.sleepers_.any_idle(); }

void worker_team::wake_one() noexcept {
  const unsigned who = sleepers_.work_made();
  if (who != sleepers::nobody) workers_[who]->home.wake();
}

bool worker_team::work_anywhere(const worker& but) const noexcept {
  if (!injection_.empty()) return true;
  for (const auto& w : workers_)
    if (w.get() != &but && !w->queue_.empty()) return true;
  return false;
}

bool worker_team::inject(roaming_task& t) noexcept {
  if (!injection_.push(t)) return false;
  wake_one();
  return true;
}

// Returns when all have a core, or fails when one has none, after the others have ended. A home is
// read by others when they wake its worker, which has said then that it sleeps.
worker_team::worker_team(core& first, const runtime_options& options, unsigned workers)
    : first_(first), id_([] {
        static std::atomic<std::uint64_t> last{0};
        return last.fetch_add(1, std::memory_order_relaxed) + 1;
      }()) {
  for (unsigned i = 0; i < workers; ++i) workers_.push_back(std::make_unique<worker>(*this, i));
  first.join_team(*this, *workers_[0]);
  runtime_options of_others = options;
  of_others.kernel = std::string_view(first.driver.ring.served_by().name()) == "threads"
                         ? kernel_choice::threads
                         : kernel_choice::io_uring;
  std::vector<std::future<void>> made;
  std::exception_ptr failure;
  try {
    for (unsigned i = 1; i < workers; ++i) {
      std::promise<void> told;
      made.push_back(told.get_future());
      threads_.emplace_back(
          [this, i, of_others, t = std::move(told)]() mutable { serve(i, of_others, t); });
    }
  } catch (...) {
    failure = std::current_exception();
    made.resize(threads_.size());
  }
  for (auto& m : made) {
    try {
      m.get();
    } catch (...) {
      failure = std::current_exception();
    }
  }
  if (failure == nullptr) return;
  stop();
  first.leave_team();
  std::rethrow_exception(failure);
}

void worker_team::serve(unsigned number, const runtime_options& options,
                        std::promise<void>& told) noexcept {
  const std::string name = "worker-" + std::to_string(number);
  (void)::pthread_setname_np(::pthread_self(), name.c_str());
  std::unique_ptr<core> mine;
  try {
    mine = core::make(options, {.blocking = &first_.blocking});
  } catch (...) {
    return told.set_exception(std::current_exception());
  }
  mine->join_team(*this, *workers_[number]);
  told.set_value();
  mine->work_until_stopped();
}

void worker_team::stop() noexcept {
  if (threads_.empty()) return;
  stopping_.store(true, std::memory_order_release);  // pairs with `stopping`
  injection_.close();
  for (auto& w : workers_) w->home.wake();  // of one that could not begin it is none
  for (auto& t : threads_) t.join();
  threads_.clear();
}

}  // namespace parkring::exec
