#include <parkring/runtime.hpp>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <iterator>
#include <mutex>
#include <vector>

#include "exec/core.hpp"
#include "exec/dump.hpp"
#include "exec/worker_team.hpp"

namespace parkring {
namespace {

struct posted final : detail::message {
  std::move_only_function<void()> fn;
  detail::home_ref home;
  posted(std::move_only_function<void()> f, const detail::home_ref& to)
      : fn(std::move(f)), home(to) {
    run = [](detail::message& m) noexcept {
      const std::unique_ptr<posted> self(&static_cast<posted&>(m));
      if (self->home.is_here()) self->fn();  // else the runtime is ending, and too far gone
    };
  }
};

}  // namespace

bool remote::post(std::move_only_function<void()> fn) const {
  auto m = std::make_unique<posted>(std::move(fn), home_);
  if (!home_.post(*m)) return false;
  (void)m.release();  // the runtime's thread runs and frees it
  return true;
}

namespace {

// What is asked for from elsewhere is handed over by this. Both sides hold it: the asker may have
// gone when the answer comes.
template <class T>
struct request_for {
  std::mutex mutex;
  std::condition_variable answered;
  std::optional<T> answer;  // under mutex
  bool over = false;        // under mutex: answered, or will never be
};

// Also tells of the end when the runtime goes without answering.
template <class T>
struct answer_to {
  std::shared_ptr<request_for<T>> to;
  explicit answer_to(std::shared_ptr<request_for<T>> r) noexcept : to(std::move(r)) {}
  answer_to(answer_to&&) noexcept = default;
  ~answer_to() {
    if (to != nullptr) give(std::nullopt);
  }
  void give(std::optional<T> value) noexcept {
    {
      const std::lock_guard lock(to->mutex);
      if (to->over) return;
      to->over = true;
      to->answer = std::move(value);
    }
    to->answered.notify_all();
  }
};

// What `of` says of the core at `home`, on its thread between two tasks.
template <class T>
std::optional<T> ask(const detail::home_ref& home, std::chrono::milliseconds patience,
                     std::move_only_function<T(exec::core&)> of) {
  const auto request = std::make_shared<request_for<T>>();
  auto m = std::make_unique<posted>(
      [of = std::move(of), answer = answer_to<T>(request)]() mutable {
        try {
          answer.give(of(exec::this_core()));
        } catch (const std::bad_alloc&) {
          answer.give(std::nullopt);
        }
      },
      home);
  if (!home.post(*m)) return std::nullopt;
  (void)m.release();
  std::unique_lock lock(request->mutex);
  request->answered.wait_for(lock, patience, [&] { return request->over; });
  return std::move(request->answer);
}

// The other workers, one after the other.
constexpr std::chrono::milliseconds patience_with_each{1'000};

}  // namespace

std::optional<runtime_dump> remote::dump(std::chrono::milliseconds patience) const {
  if (home_.is_here()) return exec::take_dump(exec::core_at(home_));
  return ask<runtime_dump>(home_, patience, [](exec::core& c) { return exec::take_dump(c); });
}

runtime::runtime(const runtime_options& options) : runtime(exec::core::make(options)) {
  unsigned workers = options.workers;
  if (workers == 0) workers = std::max(1U, exec::usable_processors());
  if (workers == 1 || !core_->driver.ring.real()) return;
  team_ = std::make_unique<exec::worker_team>(*core_, options,
                                              std::min(workers, exec::sleepers::most_workers));
}

runtime::runtime(std::unique_ptr<exec::core> core)
    : core_(std::move(core)), home_(core_->home_of) {}

runtime::~runtime() {
  if (core_->owns_ring()) {
    if (team_ == nullptr) return;
    team_->stop();
    core_->end_team();
    return;
  }
  PARKRING_CHECK(home_.where->generation() != home_.generation,
                 "destroy a runtime on the thread that made it");
  (void)core_.release();  // a forked child: the ring is the parent's, let it be
  (void)team_.release();
}

detail::core_base& runtime::core() const {
  PARKRING_CHECK(home_.is_here(), "use a runtime on the thread that made it; from others, post()");
  return *core_;
}

void runtime::run_until_ended(detail::task_cell& cell) { core_->run_until_ended(cell); }

void runtime::launch(detail::roaming_task& t) noexcept {
  detail::launch_anywhere(home_, team_.get(), t);
}

unsigned runtime::workers() const noexcept { return team_ == nullptr ? 1 : team_->size(); }

runtime_counters runtime::counters() const {
  runtime_counters all = static_cast<exec::core&>(core()).counters();
  if (team_ == nullptr) return all;
  for (unsigned i = 1; i < team_->size(); ++i)
    if (const auto c = ask<runtime_counters>(team_->at(i).home, patience_with_each,
                                             [](exec::core& k) { return k.counters(); }))
      all += *c;
  return all;
}

runtime_dump runtime::dump() const {
  runtime_dump all = exec::take_dump(static_cast<exec::core&>(core()));
  if (team_ == nullptr) return all;
  for (unsigned i = 1; i < team_->size(); ++i) {
    auto d =
        ask<runtime_dump>(team_->at(i).home, patience_with_each,
                          [n = all.tasks.size()](exec::core& k) { return exec::take_dump(k, n); });
    if (!d) continue;
    all.counters += d->counters;
    std::ranges::move(d->tasks, std::back_inserter(all.tasks));
    std::ranges::move(d->orphans, std::back_inserter(all.orphans));
  }
  return all;
}

std::string_view runtime::kernel() const noexcept { return core_->driver.ring.served_by().name(); }
std::string_view runtime::kernel_reason() const noexcept { return core_->why_this_kernel; }
completion_reader runtime::reader() const noexcept { return core_->reader; }

}  // namespace parkring
