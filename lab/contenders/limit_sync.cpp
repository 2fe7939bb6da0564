// The limits of channels and semaphores: coroutines, one ready queue, and the least state that
// hands a value or a permit to whoever waits first. Nothing can be dropped, and nothing is checked.
#include <array>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <vector>

#include "../contender.hpp"

namespace lab {
namespace {

constexpr unsigned rounds = 64;

// More than there are coroutines, so that it never fills.
template <std::size_t Size>
class handle_queue {
 public:
  void push(std::coroutine_handle<> h) noexcept { places_[last_++ % Size] = h; }
  std::coroutine_handle<> pop() noexcept { return places_[first_++ % Size]; }
  [[nodiscard]] bool empty() const noexcept { return first_ == last_; }

 private:
  std::array<std::coroutine_handle<>, Size> places_;
  std::size_t first_ = 0, last_ = 0;
};

handle_queue<128> ready;

void run_all() {
  while (!ready.empty()) ready.pop().resume();
}

struct coroutine {
  struct promise_type {
    coroutine get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

// --- channel: one value, one sender, one receiver
// -------------------------------------------------

struct slot {
  bool full = false;
  unsigned value = 0;
  std::coroutine_handle<> receiver, sender;

  auto send(unsigned v) noexcept {
    struct awaiter {
      slot& s;
      unsigned v;
      bool await_ready() noexcept {
        if (s.full) return false;
        s.put(v);
        return true;
      }
      void await_suspend(std::coroutine_handle<> h) noexcept { s.sender = h; }
      void await_resume() noexcept {}
    };
    return awaiter{*this, v};
  }
  auto receive() noexcept {
    struct awaiter {
      slot& s;
      bool await_ready() noexcept { return s.full; }
      void await_suspend(std::coroutine_handle<> h) noexcept { s.receiver = h; }
      unsigned await_resume() noexcept {
        s.full = false;
        return s.value;
      }
    };
    return awaiter{*this};
  }
  void put(unsigned v) noexcept {
    value = v;
    full = true;
    if (receiver != nullptr) {
      ready.push(receiver);
      receiver = nullptr;
    }
  }
};

constexpr unsigned last = ~0U;

coroutine ping(load& stream, unsigned pair, unsigned pairs, bool& more, slot& there, slot& back) {
  for (unsigned value = 0;;) {
    if (pair == 0) more = stream.batch(2 * rounds * pairs);
    if (!more) break;
    for (unsigned round = 0; round < rounds; ++round) {
      co_await there.send(value);
      if (co_await back.receive() != value + 1) fail("a value was lost on its way");
      ++value;
    }
  }
  co_await there.send(last);
}

coroutine pong(slot& there, slot& back) {
  for (;;) {
    const unsigned value = co_await there.receive();
    if (value == last) co_return;
    co_await back.send(value + 1);
  }
}

void channels(session& run) {
  std::vector<slot> slots(2 * run.what().depth);
  while (load* stream = run.next_phase()) {
    bool more = true;
    for (unsigned i = 0; i < run.what().depth; ++i) {
      pong(slots[2 * i], slots[2 * i + 1]);
      ping(*stream, i, run.what().depth, more, slots[2 * i], slots[2 * i + 1]);
    }
    run_all();
    run.add_syscalls(0);
  }
}

// --- semaphore: one permit
// ------------------------------------------------------------------------

struct one_permit {
  bool there = true;
  handle_queue<128> waiting;

  auto acquire() noexcept {
    struct awaiter {
      one_permit& s;
      bool await_ready() noexcept {
        const bool got = s.there;
        s.there = false;
        return got;
      }
      void await_suspend(std::coroutine_handle<> h) noexcept { s.waiting.push(h); }
      void await_resume() noexcept {}
    };
    return awaiter{*this};
  }
  void release() noexcept {
    if (waiting.empty())
      there = true;
    else
      ready.push(waiting.pop());
  }
};

coroutine take_turns(load& stream, unsigned task, unsigned tasks, bool& more, one_permit& one) {
  for (;;) {
    if (task == 0) more = stream.batch(rounds * tasks);
    if (!more) co_return;
    for (unsigned round = 0; round < rounds; ++round) {
      co_await one.acquire();
      one.release();
    }
  }
}

void semaphore(session& run) {
  one_permit one;
  while (load* stream = run.next_phase()) {
    bool more = true;
    // Held until all stand in the queue: else each would run to its end without waiting.
    one.there = false;
    for (unsigned i = 0; i < run.what().depth; ++i)
      take_turns(*stream, i, run.what().depth, more, one);
    one.release();
    run_all();
    run.add_syscalls(0);
  }
}

}  // namespace

void add_limit_sync(roster& to) {
  to.present.push_back({.name = "limit", .kind = work::channel, .run = channels});
  to.present.push_back({.name = "limit", .kind = work::semaphore, .run = semaphore});
}

}  // namespace lab
