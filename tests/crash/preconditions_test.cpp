// Programmer's errors end the process at once, with a sentence that says what to do.
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace std::chrono_literals;

namespace {

class Preconditions : public ::testing::Test {
 protected:
  // Each statement runs in a program started anew, so that no thread or ring is inherited.
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

// A coroutine whose frame is resumed by hand, outside of any runtime.
struct bare {
  struct promise_type {
    bare get_return_object() { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const { std::terminate(); }
  };
};

template <class Make>
bare await_bare(Make make) {
  co_await make();
}

TEST_F(Preconditions, an_await_outside_of_a_runtime) {
  constexpr auto advice = "await it inside a task that a parkring::runtime runs";
  EXPECT_DEATH(await_bare([] { return pr::nop(); }), advice);
  EXPECT_DEATH(await_bare([] { return pr::sleep_for(1ms); }), advice);
  EXPECT_DEATH(await_bare([] { return pr::yield(); }), advice);
  EXPECT_DEATH(await_bare([] { return pr::fs::open("/dev/null"); }), advice);
  EXPECT_DEATH((void)pr::spawn(pr::nop()), advice);
}

TEST_F(Preconditions, a_runtime_destroyed_inside_one_of_its_tasks) {
  EXPECT_DEATH(
      {
        auto rt = std::make_unique<pr::runtime>();
        rt->run([&]() -> pr::task<> {
          rt.reset();
          co_return;
        });
      },
      "a runtime cannot be destroyed from inside one of its tasks; let the task return");
}

TEST_F(Preconditions, a_runtime_destroyed_by_a_function_posted_to_it) {
  EXPECT_DEATH(
      {
        auto rt = std::make_unique<pr::runtime>();
        rt->post([&] { rt.reset(); });
        rt->run([]() -> pr::task<> { co_await pr::sleep_for(1s); });
      },
      "a runtime cannot be destroyed from inside one of its tasks");
}

TEST_F(Preconditions, a_run_inside_a_run_of_the_same_runtime) {
  EXPECT_DEATH(
      {
        pr::runtime rt;
        rt.run([&]() -> pr::task<> {
          rt.run(pr::nop());
          co_return;
        });
      },
      "this runtime is running already: inside its tasks, co_await instead");
}

TEST_F(Preconditions, a_task_awaited_after_it_was_moved_from) {
  EXPECT_DEATH(
      {
        pr::run([]() -> pr::task<> {
          auto first = []() -> pr::task<> { co_return; }();
          auto second = std::move(first);
          co_await std::move(second);
          co_await std::move(first);
        }());
      },
      "this task was moved from or awaited already; a task is awaited once");
}

TEST_F(Preconditions, a_handle_joined_after_it_was_detached) {
  EXPECT_DEATH(
      {
        pr::run([]() -> pr::task<> {
          auto h = pr::spawn(pr::nop());
          h.detach();
          co_await h;
        }());
      },
      "this handle was moved from, detached or awaited elsewhere");
}

TEST_F(Preconditions, an_empty_file) {
  pr::fs::file file;
  pr::buffer buffer(16);
  constexpr auto advice = "the file is empty, moved from or closed; open it first";
  EXPECT_DEATH((void)file.read_at(buffer, 0), advice);
  EXPECT_DEATH((void)file.write_at(buffer, 0), advice);
  EXPECT_DEATH((void)file.size(), advice);
  EXPECT_DEATH((void)file.sync(), advice);
  EXPECT_DEATH((void)std::move(file).close(), advice);
  EXPECT_DEATH((void)file.truncate(0), advice);
}

TEST_F(Preconditions, a_runtime_used_or_destroyed_on_another_thread) {
  EXPECT_DEATH(
      {
        auto rt = std::make_unique<pr::runtime>();
        std::thread([&] { rt.reset(); }).join();
      },
      "destroy a runtime on the thread that made it");
  EXPECT_DEATH(
      {
        pr::runtime rt;
        std::thread([&] { rt.run(pr::nop()); }).join();
      },
      "use a runtime on the thread that made it; from others, post");
}

TEST_F(Preconditions, a_file_used_on_another_thread_or_runtime) {
  EXPECT_DEATH(
      {
        pr::runtime rt;
        auto file = rt.run(pr::fs::open("/dev/zero"));
        pr::buffer buffer(16);
        std::thread([&] { (void)file.read_at(buffer, 0); }).join();
      },
      "use a file inside a task of its runtime, or on the thread that made it");
  EXPECT_DEATH(
      {
        pr::runtime one;
        pr::runtime two;
        auto file = one.run(pr::fs::open("/dev/zero"));
        two.run(file.read_at(std::string(16, ' '), 0));
      },
      "await a file's requests on the runtime it belongs to");
  EXPECT_DEATH(
      {
        pr::runtime one;
        pr::runtime two;
        auto file = one.run(pr::fs::open("/dev/zero"));
        (void)two.run(file.size());
      },
      "await a file's requests on the runtime it belongs to");
}

TEST_F(Preconditions, a_foreign_descriptor_awaited_in_another_runtime_while_its_own_lives) {
  constexpr auto advice = "in which it was first awaited; make one for each";
  const auto wait = [](pr::async_fd& fd) -> pr::task<> {
    co_await fd.writable();  // at once, so that nothing is left of it but where it belongs
  };
  EXPECT_DEATH(
      {
        auto fd = pr::async_fd::own(::eventfd(0, EFD_CLOEXEC));
        pr::runtime own;
        own.run(wait(fd));
        std::thread([&] { pr::run(wait(fd)); }).join();
      },
      advice);
  EXPECT_DEATH(
      {
        auto fd = pr::async_fd::own(::eventfd(0, EFD_CLOEXEC));
        pr::runtime own;
        pr::runtime other;
        own.run(wait(fd));
        other.run(wait(fd));
      },
      advice);
}

TEST_F(Preconditions, a_file_of_another_runtime_in_a_chain) {
  constexpr auto advice = "await a file's requests on the runtime it belongs to";
  const auto linked = [](auto make) {
    pr::runtime one;
    pr::runtime two;
    auto file = one.run(pr::fs::open("/dev/zero"));
    two.run(pr::link(pr::nop(), make(file)));
  };
  EXPECT_DEATH(linked([](pr::fs::file& f) { return f.write_at(std::string(16, ' '), 0); }), advice);
  EXPECT_DEATH(linked([](pr::fs::file& f) { return f.sync(); }), advice);
}

TEST_F(Preconditions, a_write_to_a_file_of_another_runtime) {
  EXPECT_DEATH(
      {
        pr::runtime one;
        pr::runtime two;
        auto file = one.run(pr::fs::open("/dev/null", {.access = pr::fs::access::write}));
        pr::buffer buffer(16);
        (void)two.run(file.write_at(buffer, 0));
      },
      "await a file's requests on the runtime it belongs to");
}

TEST_F(Preconditions, a_task_joined_on_another_thread) {
  EXPECT_DEATH(
      {
        pr::runtime rt;
        auto h = rt.spawn(pr::nop());
        std::thread([&] {
          pr::run([](pr::join_handle<void>& handle) -> pr::task<> { co_await handle; }(h));
        }).join();
      },
      "join a task on the runtime that runs it");
}

TEST_F(Preconditions, an_alignment_that_is_not_a_power_of_two) {
  EXPECT_DEATH(pr::buffer(64, pr::aligned(std::size_t{3})), "must be a power of two");
  EXPECT_DEATH(pr::buffer(64, pr::aligned(std::size_t{0})), "must be a power of two");
}

pr::task<> join(pr::task_group& group) { co_await group.join(); }
pr::task<> join_handle(pr::join_handle<void>& handle) { co_await handle; }

TEST_F(Preconditions, a_group_or_a_task_joined_twice_at_once) {
  EXPECT_DEATH(
      {
        pr::run([]() -> pr::task<> {
          pr::task_group group;
          group.spawn(pr::sleep_for(1s));
          co_await pr::when_all(join(group), join(group));
        }());
      },
      "a group is joined by one waiter at a time");
  EXPECT_DEATH(
      {
        pr::run([]() -> pr::task<> {
          auto h = pr::spawn(pr::sleep_for(1s));
          co_await pr::when_all(join_handle(h), join_handle(h));
        }());
      },
      "a task is joined by one waiter at a time");
}

TEST_F(Preconditions, an_interval_without_a_period) {
  EXPECT_DEATH(pr::interval(0ns), "the period of an interval must be positive");
  EXPECT_DEATH(pr::interval(-1s), "the period of an interval must be positive");
}

TEST_F(Preconditions, a_runtime_without_entries_or_records) {
  EXPECT_DEATH(pr::runtime({.entries = 0}), "at least one submission entry");
  EXPECT_DEATH(pr::runtime({.max_operations = 0}), "at least one operation");
}

}  // namespace
