#include <parkring/runtime.hpp>

#include <condition_variable>
#include <mutex>

#include "exec/core.hpp"
#include "exec/dump.hpp"

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

// What a dump asked for from elsewhere is handed over by. Both sides hold it: the asker may have
// gone when the answer comes.
struct dump_request {
  std::mutex mutex;
  std::condition_variable answered;
  std::optional<runtime_dump> answer;  // under mutex
  bool over = false;                   // under mutex: answered, or will never be
};

// Also tells of the end when the runtime goes without answering.
struct dump_answer {
  std::shared_ptr<dump_request> to;
  explicit dump_answer(std::shared_ptr<dump_request> r) noexcept : to(std::move(r)) {}
  dump_answer(dump_answer&&) noexcept = default;
  ~dump_answer() {
    if (to != nullptr) give(std::nullopt);
  }
  void give(std::optional<runtime_dump> d) noexcept {
    {
      const std::lock_guard lock(to->mutex);
      if (to->over) return;
      to->over = true;
      to->answer = std::move(d);
    }
    to->answered.notify_all();
  }
};

}  // namespace

std::optional<runtime_dump> remote::dump(std::chrono::milliseconds patience) const {
  if (home_.is_here()) return exec::take_dump(exec::core_at(home_));
  const auto request = std::make_shared<dump_request>();
  const bool posted = post([answer = dump_answer(request)]() mutable {
    try {
      answer.give(exec::take_dump(exec::this_core()));
    } catch (const std::bad_alloc&) {
      answer.give(std::nullopt);
    }
  });
  if (!posted) return std::nullopt;
  std::unique_lock lock(request->mutex);
  request->answered.wait_for(lock, patience, [&] { return request->over; });
  return std::move(request->answer);
}

runtime::runtime(const runtime_options& options) : runtime(exec::core::make(options)) {}

runtime::runtime(std::unique_ptr<exec::core> core)
    : core_(std::move(core)), home_(core_->home_of) {}

runtime::~runtime() {
  if (core_->owns_ring()) return;
  PARKRING_CHECK(home_.where->generation() != home_.generation,
                 "destroy a runtime on the thread that made it");
  (void)core_.release();  // a forked child: the ring is the parent's, let it be
}

detail::core_base& runtime::core() const {
  PARKRING_CHECK(home_.is_here(), "use a runtime on the thread that made it; from others, post()");
  return *core_;
}

void runtime::run_until_ended(detail::task_cell& cell) { core_->run_until_ended(cell); }

runtime_counters runtime::counters() const noexcept { return core_->counters(); }

runtime_dump runtime::dump() const { return exec::take_dump(static_cast<exec::core&>(core())); }

std::string_view runtime::kernel() const noexcept { return core_->driver.ring.served_by().name(); }
std::string_view runtime::kernel_reason() const noexcept { return core_->why_this_kernel; }
completion_reader runtime::reader() const noexcept { return core_->reader; }

}  // namespace parkring
