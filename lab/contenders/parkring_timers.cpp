// A million of Parkring's timers, armed and dropped beside a million that are pending.
//
// A timer lives in the awaiter of a sleep, which these make and destroy by themselves: a coroutine
// for each would mostly measure its frame.
#include <chrono>
#include <coroutine>
#include <memory>
#include <new>
#include <parkring/parkring.hpp>
#include <utility>
#include <vector>

#include "../contender.hpp"
#include "many_timers.hpp"

namespace lab {
namespace {

namespace pr = parkring;
using std::chrono::nanoseconds;
using sleeping = decltype(pr::sleep_for(nanoseconds(1)).operator co_await());

struct this_frame {
  std::coroutine_handle<> frame;
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> h) noexcept {
    frame = h;
    return false;
  }
  std::coroutine_handle<> await_resume() const noexcept { return frame; }
};

// Room for awaiters, which can neither be copied nor moved.
class sleepers {
 public:
  explicit sleepers(std::size_t n) : room_(std::make_unique<place[]>(n)) {}
  void arm(std::size_t at, std::uint64_t wait_ns, std::coroutine_handle<> frame) {
    auto* one = ::new (room_[at].bytes) sleeping(
        pr::sleep_for(nanoseconds(static_cast<std::int64_t>(wait_ns))).operator co_await());
    one->await_suspend(frame);
  }
  void drop(std::size_t at) noexcept {
    std::launder(reinterpret_cast<sleeping*>(room_[at].bytes))->~sleeping();
  }

 private:
  struct place {
    alignas(sleeping) std::byte bytes[sizeof(sleeping)];
  };
  std::unique_ptr<place[]> room_;
};

// A turn of the loop lies between arming and dropping: a timer that has not seen its end is on no
// wheel.
pr::task<void> drive(load& stream, sleepers& some, unsigned n, many_timers& times,
                     const std::vector<std::uint32_t>* order) {
  const auto frame = co_await this_frame();
  while (stream.batch(n)) {
    for (unsigned i = 0; i < n; ++i) some.arm(i, times.wait_ns(), frame);
    co_await pr::sleep_for(nanoseconds(1));
    if (order == nullptr)
      for (unsigned i = 0; i < n; ++i) some.drop(i);
    else
      for (const std::uint32_t i : *order) some.drop(i);
  }
}

pr::task<void> arm_all(sleepers& pending, unsigned n, many_timers& times) {
  const auto frame = co_await this_frame();  // none of them will resume it
  for (unsigned i = 0; i < n; ++i) pending.arm(i, times.wait_ns(), frame);
  co_await pr::sleep_for(nanoseconds(1));
}

void run_timers(session& run, bool shuffled) {
  const unsigned n = run.what().depth;
  pr::runtime rt;
  std::vector<std::uint32_t> order;
  if (shuffled) order = many_timers().order(n);
  many_timers times;
  sleepers pending(n), some(n);
  rt.run(arm_all(pending, n, times));
  while (load* stream = run.next_phase()) {
    const auto before = rt.counters().enters;
    rt.run(drive(*stream, some, n, times, shuffled ? &order : nullptr));
    run.add_syscalls(rt.counters().enters - before);
  }
  for (unsigned i = 0; i < n; ++i) pending.drop(i);
}

}  // namespace

void add_parkring_timers(roster& to) {
  to.present.push_back({.name = "parkring", .kind = work::timers, .run = [](session& run) {
                          run_timers(run, false);
                        }});
  to.present.push_back({.name = "parkring/shuffled", .kind = work::timers, .run = [](session& run) {
                          run_timers(run, true);
                        }});
}

}  // namespace lab
