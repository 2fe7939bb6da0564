// The limits of the rows that stay in user space: the least code that does the same job.
#include <time.h>

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <new>
#include <queue>
#include <vector>

#include "../contender.hpp"
#include "many_timers.hpp"

namespace lab {
namespace {

// --- A coroutine whose frames are recycled through one free list
// -----------------------------------

class frame_list {
 public:
  void* take(std::size_t size) {
    if (size > frame_bytes) fail("a coroutine frame of %zu bytes is more than expected", size);
    if (first_ == nullptr) return ::operator new(frame_bytes);
    node* const frame = first_;
    first_ = frame->next;
    return frame;
  }
  void give(void* frame) noexcept { first_ = new (frame) node{first_}; }

 private:
  static constexpr std::size_t frame_bytes = 256;
  struct node {
    node* next;
  };
  node* first_ = nullptr;
};

constinit frame_list frames;

struct coroutine {
  struct promise_type {
    static void* operator new(std::size_t size) { return frames.take(size); }
    static void operator delete(void* frame) noexcept { frames.give(frame); }
    coroutine get_return_object() noexcept {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

coroutine add_one(std::uint64_t& sum) {
  ++sum;
  co_return;
}

void spawn(session& run) {
  constexpr unsigned batch = 64;
  std::uint64_t sum = 0;
  std::array<std::coroutine_handle<coroutine::promise_type>, batch> handles;
  while (load* stream = run.next_phase()) {
    while (stream->batch(batch)) {
      for (auto& handle : handles) handle = add_one(sum).handle;
      for (auto& handle : handles) {
        handle.resume();
        handle.destroy();
      }
    }
    run.add_syscalls(0);
  }
  if (sum == 0) fail("no coroutine ran");
}

coroutine yield_forever(std::uint64_t& turns) {
  for (;;) {
    ++turns;
    co_await std::suspend_always{};
  }
}

void yield(session& run) {
  constexpr unsigned rounds = 64;
  std::vector<std::coroutine_handle<>> tasks;
  std::vector<std::uint64_t> turns(run.what().depth);
  for (unsigned i = 0; i < run.what().depth; ++i) tasks.push_back(yield_forever(turns[i]).handle);
  while (load* stream = run.next_phase()) {
    while (stream->batch(rounds * run.what().depth)) {
      for (unsigned round = 0; round < rounds; ++round)
        for (auto task : tasks) task.resume();
    }
    run.add_syscalls(0);
  }
  for (auto task : tasks) task.destroy();
}

// --- Timers: a wheel of intrusive lists
// -----------------------------------------------------------

struct timer {
  timer* next = this;
  timer* previous = this;
};

class wheel {
 public:
  void arm(timer& which, std::uint64_t tick) noexcept {
    timer& slot = slots_[tick % slots_.size()];
    which.next = &slot;
    which.previous = slot.previous;
    slot.previous->next = &which;
    slot.previous = &which;
  }
  static void cancel(timer& which) noexcept {
    which.previous->next = which.next;
    which.next->previous = which.previous;
  }

 private:
  std::array<timer, 4096> slots_;
};

void arm_and_cancel(session& run) {
  constexpr unsigned batch = 64;
  wheel clock;
  std::vector<timer> pending(run.what().depth);
  std::uint64_t tick = 0;
  for (timer& one : pending) clock.arm(one, tick += 7);
  std::array<timer, batch> timers;
  while (load* stream = run.next_phase()) {
    while (stream->batch(batch)) {
      for (timer& one : timers) {
        clock.arm(one, tick += 7);
        asm volatile("" : : "r"(&one) : "memory");  // the timer is visible to others meanwhile
        wheel::cancel(one);
      }
    }
    run.add_syscalls(0);
  }
}

void arm_and_cancel_many(session& run) {
  const unsigned n = run.what().depth;
  const auto clock = std::make_unique<wheel>();
  std::vector<timer> pending(n), some(n);
  many_timers times;
  for (timer& one : pending) clock->arm(one, times.wait_ns() >> 20);
  while (load* stream = run.next_phase()) {
    while (stream->batch(n)) {
      for (timer& one : some) clock->arm(one, times.wait_ns() >> 20);
      for (timer& one : some) wheel::cancel(one);
    }
    run.add_syscalls(0);
  }
}

// --- Sleeps: one heap, one absolute sleep until its top
// -------------------------------------------

struct sleeper {
  std::uint64_t deadline;
  unsigned slot;
  bool operator>(const sleeper& other) const noexcept { return deadline > other.deadline; }
};

void sleep(session& run) {
  std::priority_queue<sleeper, std::vector<sleeper>, std::greater<>> heap;
  while (load* stream = run.next_phase()) {
    std::uint64_t calls = 0;
    std::uint64_t now = clock_ns();
    const auto refill = [&](unsigned slot) {
      if (stream->next(slot)) heap.push({now + stream->sleep_ns(), slot});
    };
    for (unsigned slot = 0; slot < run.what().depth; ++slot) refill(slot);
    while (!heap.empty()) {
      if (heap.top().deadline > now) {
        const std::uint64_t until = heap.top().deadline;
        const timespec when{.tv_sec = static_cast<time_t>(until / 1'000'000'000U),
                            .tv_nsec = static_cast<long>(until % 1'000'000'000U)};
        ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
        ++calls;
        now = clock_ns();
      }
      while (!heap.empty() && heap.top().deadline <= now) {
        const unsigned slot = heap.top().slot;
        heap.pop();
        stream->done(slot);
        refill(slot);
      }
    }
    run.add_syscalls(calls);
  }
}

}  // namespace

void add_limit_tasks(roster& to) {
  to.present.push_back({.name = "limit", .kind = work::spawn, .run = spawn});
  to.present.push_back({.name = "limit", .kind = work::yield, .run = yield});
  to.present.push_back({.name = "limit", .kind = work::timer, .run = arm_and_cancel});
  to.present.push_back({.name = "limit", .kind = work::timers, .run = arm_and_cancel_many});
  to.present.push_back({.name = "limit", .kind = work::sleep, .run = sleep});
}

}  // namespace lab
