// How spawned tasks begin and end, see <parkring/detail/root.hpp>.
#include <parkring/detail/root.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

class Root : public ::testing::Test {
 protected:
  void SetUp() override { frames_ = detail::frames_out(); }
  void TearDown() override { EXPECT_EQ(detail::frames_out(), frames_); }
  std::ptrdiff_t frames_ = 0;
};

struct counting_frame : detail::plain_frame {
  int resumed = 0, resumed_again = 0, destroyed = 0;
  counting_frame() : plain_frame(&first, &end) {}
  static counting_frame& of(void* frame) { return static_cast<counting_frame&>(at(frame)); }
  static void first(void* frame) {
    ++of(frame).resumed;
    of(frame).resumes_with([](void* f) { ++of(f).resumed_again; });
  }
  static void end(void* frame) { ++of(frame).destroyed; }
};

TEST_F(Root, a_plain_frame_is_resumed_and_destroyed_through_its_handle) {
  counting_frame f;
  f.handle().resume();
  f.handle().resume();
  f.handle().resume();
  f.handle().destroy();
  EXPECT_EQ(f.resumed, 1);
  EXPECT_EQ(f.resumed_again, 2);
  EXPECT_EQ(f.destroyed, 1);
}

TEST_F(Root, a_coroutine_can_transfer_to_a_plain_frame) {
  struct go_to {
    std::coroutine_handle<> where;
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept { return where; }
    void await_resume() const noexcept {}
  };
  counting_frame f;
  auto leaves = [](std::coroutine_handle<> to) -> task<> { co_await go_to{to}; };
  runtime rt;
  auto h = rt.spawn(leaves, f.handle());
  rt.run([]() -> task<> { co_await yield(); });
  EXPECT_EQ(f.resumed, 1);
  h.abort();
}

task<std::string> joined(const std::string& a, std::string b) {
  co_await yield();
  co_return a + b;
}
task<int> adds_to(int& sum, int n) {
  co_await yield();
  co_return sum += n;
}

TEST_F(Root, functions_may_take_their_copies_by_reference) {
  int sum = 1;
  auto body = [&]() -> task<> {
    auto first = [] {
      std::string passed(100, 'a');
      return spawn(joined, passed, "b");  // the original is gone when the task runs
    }();
    auto second = spawn(&adds_to, std::ref(sum), 2);
    const std::string text = co_await first;
    EXPECT_EQ(text, std::string(100, 'a') + "b");
    const int n = co_await second;
    EXPECT_EQ(n, 3);
    EXPECT_EQ(sum, 3);
  };
  run(body());
}

struct counter {
  int value = 5;
  task<int> more(int n) {
    co_await yield();
    co_return value += n;
  }
};

TEST_F(Root, members_and_callables_that_only_move_can_be_spawned) {
  auto body = []() -> task<> {
    counter c;
    auto by_pointer = spawn(&counter::more, &c, 2);
    auto on_copy = spawn(&counter::more, c, 4);
    auto owned = std::make_unique<int>(7);
    auto only_moves = spawn(
        [p = std::move(owned)](std::unique_ptr<int> q) -> task<int> {
          co_await yield();
          co_return *p + *q;
        },
        std::make_unique<int>(1));
    int n = co_await by_pointer;
    EXPECT_EQ(n, 7);
    n = co_await on_copy;
    EXPECT_EQ(n, 9);
    EXPECT_EQ(c.value, 7);
    n = co_await only_moves;
    EXPECT_EQ(n, 8);
  };
  run(body());
}

struct throws_on_copy {
  std::shared_ptr<int> held;
  explicit throws_on_copy(std::shared_ptr<int> h) : held(std::move(h)) {}
  throws_on_copy(const throws_on_copy&) : held() { throw std::runtime_error("copy"); }
};

TEST_F(Root, an_argument_that_cannot_be_copied_starts_nothing_and_leaves_nothing) {
  auto held = std::make_shared<int>(0);
  bool ran = false;
  auto body = [&]() -> task<> {
    const throws_on_copy bad(held);
    auto fn = [&ran, held](std::shared_ptr<int>, const throws_on_copy&) -> task<> {
      ran = true;
      co_return;
    };
    EXPECT_THROW(spawn(fn, held, bad).detach(), std::runtime_error);
    EXPECT_EQ(held.use_count(), 3);  // ours, that in `bad` and that in `fn`
    co_await yield();
  };
  run(body());
  EXPECT_FALSE(ran);
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(Root, what_the_call_throws_is_thrown_where_the_task_is_joined) {
  auto held = std::make_shared<int>(0);
  auto body = [&]() -> task<> {
    auto h = spawn(
        [](std::shared_ptr<int> p) -> task<int> {  // not a coroutine: throws in the call
          if (p != nullptr) throw std::runtime_error("before there is a task");
          return adds_to(*p, 1);
        },
        held);
    EXPECT_EQ(held.use_count(), 2);
    bool caught = false;
    try {
      co_await h;
    } catch (const std::runtime_error&) {
      caught = true;
    }
    EXPECT_TRUE(caught);
    EXPECT_EQ(held.use_count(), 1);
  };
  run(body());
}

struct throws_on_second_move {
  int moves = 0;
  throws_on_second_move() = default;
  throws_on_second_move(throws_on_second_move&& other) : moves(other.moves + 1) {
    if (moves == 2) throw std::runtime_error("moved twice");
  }
};

TEST_F(Root, a_result_that_cannot_be_moved_out_is_an_error_of_the_task) {
  auto body = []() -> task<> {
    auto h = spawn([]() -> task<throws_on_second_move> { co_return throws_on_second_move(); });
    co_await yield();
    EXPECT_TRUE(h.done());
    bool caught = false;
    try {
      (void)co_await h;
    } catch (const std::runtime_error& e) {
      caught = std::string(e.what()) == "moved twice";
    }
    EXPECT_TRUE(caught);
  };
  run(body());
}

struct immovable_awaitable {
  int value;
  explicit immovable_awaitable(int v) : value(v) {}
  immovable_awaitable(const immovable_awaitable&) = delete;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  int await_resume() const noexcept { return value; }
};

TEST_F(Root, a_callable_may_give_an_awaitable_that_is_no_task) {
  auto body = []() -> task<> {
    auto h = spawn([](int n) { return immovable_awaitable(n); }, 3);
    auto request = spawn([] { return nop(); });
    auto direct = spawn(sleep_for(1us));
    const int n = co_await h;
    EXPECT_EQ(n, 3);
    co_await request;
    co_await direct;
  };
  run(body());
}

TEST_F(Root, a_task_aborted_before_its_turn_is_never_called_but_its_parts_are_destroyed) {
  auto held = std::make_shared<int>(0);
  bool called = false;
  auto body = [&]() -> task<> {
    auto h = spawn(
        [&called, held](std::shared_ptr<int>) -> task<> {
          called = true;
          co_return;
        },
        held);
    EXPECT_EQ(held.use_count(), 3);
    h.abort();
    EXPECT_EQ(held.use_count(), 1);
    auto not_started = spawn([](std::shared_ptr<int>) -> task<> { co_return; }(held));
    EXPECT_EQ(held.use_count(), 2);
    not_started.abort();
    EXPECT_EQ(held.use_count(), 1);
    co_await yield();
  };
  run(body());
  EXPECT_FALSE(called);
}

// Writes its name down when it goes.
struct tells {
  std::vector<std::string>* log;
  std::string name;
  tells(std::vector<std::string>& l, std::string n) : log(&l), name(std::move(n)) {}
  tells(tells&& other) noexcept : log(std::exchange(other.log, nullptr)), name(other.name) {}
  ~tells() {
    if (log != nullptr) log->push_back(name);
  }
};

TEST_F(Root, the_coroutine_goes_before_the_callable_that_it_may_refer_to) {
  std::vector<std::string> log;
  auto body = [&]() -> task<> {
    auto fn = [&log, kept = tells(log, "callable")]() -> task<> {
      const tells local(log, "coroutine");
      co_await sleep_for(1h);
    };
    auto h = spawn(std::move(fn));
    co_await yield();
    h.abort();
    EXPECT_EQ(log, (std::vector<std::string>{"coroutine", "callable"}));
    log.clear();
    auto ends = [&log, kept = tells(log, "callable")]() -> task<> {
      const tells local(log, "coroutine");
      co_await yield();
    };
    co_await spawn(std::move(ends));
    EXPECT_EQ(log, (std::vector<std::string>{"coroutine", "callable"}));
  };
  run(body());
}

}  // namespace
}  // namespace parkring
