// Deep nests of suspended awaits are destroyed in constant stack, and in the order of the language.
#include <parkring/detail/nested_frames.hpp>

#include <gtest/gtest.h>

#include <coroutine>
#include <optional>
#include <string>
#include <vector>

#include <parkring/as_result.hpp>
#include <parkring/detail/frame_allocator.hpp>
#include <parkring/race.hpp>
#include <parkring/runtime.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>
#include <parkring/timeout.hpp>
#include <parkring/when_all.hpp>

#ifdef __clang__
// The innermost one sleeps and is dropped there, which ends the recursion.
#pragma clang diagnostic ignored "-Winfinite-recursion"
#endif

namespace parkring {
namespace {

using namespace std::chrono_literals;

constexpr int levels = 1'000'000;

// A local of a frame: refers to its parent's, as a child's locals commonly do.
struct guard {
  guard* outer;
  int* alive;
  bool whole = true;
  guard(guard* o, int& a) : outer(o), alive(&a) { ++a; }
  guard(const guard&) = delete;
  guard& operator=(const guard&) = delete;
  ~guard() {
    if (outer != nullptr) {
      EXPECT_TRUE(outer->whole) << "the parent's locals went before the child's";
    }
    whole = false;
    --*alive;
  }
};

task<> plain(int left, guard* outer, int& alive) {
  guard mine(outer, alive);
  if (left == 0) co_await sleep_for(1h);
  co_await plain(left - 1, &mine, alive);
}
task<int> with_value(int left, guard* outer, int& alive) {
  guard mine(outer, alive);
  if (left == 0) co_await sleep_for(1h);
  co_return co_await with_value(left - 1, &mine, alive) + 1;
}
task<> through_timeouts(int left, guard* outer, int& alive) {
  guard mine(outer, alive);
  if (left == 0) co_await sleep_for(1h);
  co_await timeout(1h, through_timeouts(left - 1, &mine, alive));
}
task<> through_races(int left, guard* outer, int& alive) {
  guard mine(outer, alive);
  if (left == 0) co_await sleep_for(1h);
  co_await race(through_races(left - 1, &mine, alive), sleep_for(1h));
}
task<> through_all(int left, guard* outer, int& alive) {
  guard mine(outer, alive);
  if (left == 0) co_await sleep_for(1h);
  co_await when_all(sleep_for(1h), through_all(left - 1, &mine, alive));
}
task<> through_vectors(int left, guard* outer, int& alive) {
  guard mine(outer, alive);
  if (left == 0) co_await sleep_for(1h);
  std::vector<task<>> two;
  two.push_back(plain(1, &mine, alive));
  two.push_back(through_vectors(left - 1, &mine, alive));
  co_await when_all(std::move(two));
}
task<> through_results(int left, guard* outer, int& alive) {
  guard mine(outer, alive);
  if (left == 0) co_await sleep_for(1h);
  (void)co_await as_result(through_results(left - 1, &mine, alive));
}

struct nest {
  const char* name;
  void (*spawn)(runtime&, int levels, int& alive, std::optional<join_handle<void>>& out);
};
template <auto Make>
constexpr nest nest_of(const char* name) {
  return {
      name, [](runtime& rt, int n, int& alive, std::optional<join_handle<void>>& out) {
        out.emplace(rt.spawn([](int left, int& a) -> task<> { co_await Make(left, nullptr, a); }, n,
                             std::ref(alive)));
      }};
}

class DeepNest : public ::testing::TestWithParam<nest> {
 protected:
  void SetUp() override { frames_ = detail::frames_out(); }
  void TearDown() override {
    EXPECT_EQ(alive_, 0);
    EXPECT_EQ(detail::frames_out(), frames_);
  }
  // Runs until all levels have begun.
  void begin(runtime& rt, std::optional<join_handle<void>>& nested) {
    GetParam().spawn(rt, levels, alive_, nested);
    rt.run(
        [](int& alive) -> task<> {
          while (alive <= levels) co_await yield();
        },
        std::ref(alive_));
  }
  int alive_ = 0;
  std::ptrdiff_t frames_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Kinds, DeepNest,
                         ::testing::Values(nest_of<&plain>("tasks"), nest_of<&with_value>("values"),
                                           nest_of<&through_timeouts>("timeouts"),
                                           nest_of<&through_races>("races"),
                                           nest_of<&through_all>("all"),
                                           nest_of<&through_vectors>("vectors"),
                                           nest_of<&through_results>("results")),
                         [](const auto& i) { return std::string(i.param.name); });

TEST_P(DeepNest, is_destroyed_by_dropping_its_handle) {
  runtime rt;
  std::optional<join_handle<void>> nested;
  begin(rt, nested);
  nested.reset();
  EXPECT_EQ(alive_, 0) << "an abort is over when it returns";
}

TEST_P(DeepNest, is_destroyed_by_the_end_of_the_runtime) {
  std::optional<join_handle<void>> nested;
  runtime rt;
  begin(rt, nested);
}

TEST(NestedFrames, a_nest_that_loses_a_race_is_gone_when_the_race_returns) {
  int alive = 0;
  run([](int& count) -> task<> {
    auto all_begun = [](int& a) -> task<> {
      while (a <= levels) co_await yield();
    };
    co_await race(plain(levels, nullptr, count), all_begun(count));
    EXPECT_EQ(count, 0);
    const bool in_time = co_await timeout(0s, plain(levels, nullptr, count));
    EXPECT_FALSE(in_time);
    EXPECT_EQ(count, 0);
  }(alive));
}

TEST(NestedFrames, a_nest_that_aborts_itself_is_destroyed_when_it_suspends) {
  int alive = 0;
  runtime rt;
  std::optional<join_handle<void>> nested;
  struct inner {
    static task<> go(int left, int& a, std::optional<join_handle<void>>& self) {
      guard mine(nullptr, a);
      if (left == 0) {
        self->abort();
        co_await sleep_for(1h);
      }
      co_await go(left - 1, a, self);
    }
  };
  nested.emplace(rt.spawn(&inner::go, levels, std::ref(alive), std::ref(nested)));
  rt.run([&]() -> task<> { EXPECT_THROW(co_await *nested, task_aborted); });
  EXPECT_EQ(alive, 0);
}

// ---- the order, and what must not be looked at any more ----

struct says {
  std::string& log;
  char name;
  ~says() { log += name; }
};

task<int> waits(std::string& log, char name) {
  says s{log, name};
  co_await sleep_for(1h);
  co_return 0;
}
task<int> at_once(std::string& log, char name) {
  says s{log, name};
  co_return 1;
}

TEST(NestedFrames, branches_go_before_what_the_parent_holds) {
  std::string log;
  run([](std::string& l) -> task<> {
    auto parent = [](std::string& lg) -> task<> {
      says first{lg, 'p'};
      auto both = [](std::string& g) -> task<> {
        says s{g, 'b'};
        co_await when_all(waits(g, '1'), waits(g, '2'));
      };
      says second{lg, 'q'};
      co_await both(lg);
    };
    auto h = spawn(parent, std::ref(l));
    co_await yield();
    co_await yield();
  }(log));
  EXPECT_TRUE(log == "12bqp" || log == "21bqp") << log;
}

TEST(NestedFrames, an_await_that_is_over_is_not_followed) {
  // The second and third suspend while the awaiter of the first, which is over, still exists.
  std::string log;
  run([](std::string& l) -> task<> {
    auto add = [](int, int, int) {};
    auto parent = [&](std::string& lg) -> task<> {
      co_await at_once(lg, 'x');
      add(co_await at_once(lg, 'a'), co_await waits(lg, 'b'), co_await waits(lg, 'c'));
    };
    auto h = spawn(parent, std::ref(l));
    auto fails = spawn(
        [](std::string& lg) -> task<> {
          try {
            co_await [](std::string& g) -> task<> {
              says s{g, 'e'};
              throw 1;
              co_return;
            }(lg);
          } catch (int) {
          }
          co_await sleep_for(1h);
        },
        std::ref(l));
    co_await yield();
    co_await yield();
  }(log));
  EXPECT_EQ(log.find('c') == std::string::npos, log.find('b') != std::string::npos)
      << "either order of evaluation, one of them waiting: " << log;
}

// An awaiter of a program's own around ours: it knows the type of the coroutine that awaits, and
// goes on without asking the inner one.
template <class Inner>
struct impatient {
  std::optional<Inner> inner;
  detail::waiter wake;
  template <class A>
  explicit impatient(A&& a) {
    struct from {
      A& a;
      operator Inner() const { return std::move(a).operator co_await(); }
    };
    inner.emplace(from{a});
  }
  bool await_ready() { return false; }
  template <class Promise>
  auto await_suspend(std::coroutine_handle<Promise> h) {
    detail::running_core().make_ready(wake, h);
    return inner->await_suspend(h);
  }
  void await_resume() { inner.reset(); }
};

TEST(NestedFrames, an_awaiter_that_was_dropped_without_being_resumed_is_not_followed) {
  std::string log;
  run([](std::string& l) -> task<> {
    auto parent = [](std::string& lg) -> task<> {
      using inner = decltype(std::declval<task<int>>().operator co_await());
      co_await impatient<inner>(waits(lg, 'a'));
      lg += '-';
      co_await waits(lg, 'b');
    };
    auto h =
        spawn([](auto make, std::string& lg) -> task<> { co_await make(lg); }, parent, std::ref(l));
    for (int i = 0; i < 4; ++i) co_await yield();
  }(log));
  EXPECT_EQ(log, "a-b");
}

// A coroutine type of a program's own, between two of ours.
struct foreign {
  struct promise_type {
    std::coroutine_handle<> continuation;
    foreign get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const { std::terminate(); }
  };
  std::coroutine_handle<promise_type> frame;
  struct awaiter {
    std::coroutine_handle<promise_type> frame;
    ~awaiter() { frame.destroy(); }
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) const noexcept {
      frame.promise().continuation = h;
      return frame;
    }
    void await_resume() const noexcept {}
  };
  awaiter operator co_await() && { return {frame}; }
};

TEST(NestedFrames, a_foreign_coroutine_in_between_takes_what_is_below_with_it) {
  int alive = 0;
  run([](int& count) -> task<> {
    auto top = [](int& a) -> task<> {
      guard mine(nullptr, a);
      auto middle = [](guard* outer, int& n) -> foreign {
        guard own(outer, n);
        co_await plain(levels, &own, n);
      };
      co_await middle(&mine, a);
    };
    auto h = spawn(top, std::ref(count));
    while (count < levels + 3) co_await yield();
  }(alive));
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace parkring
