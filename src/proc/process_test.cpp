#include <parkring/proc/process.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

#include "proc/child.hpp"
#include "support/child_process.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

command shell(std::string text) { return command("/bin/sh", "-c", std::move(text)); }

// Whether this process has a child with that number, running or a zombie.
bool has_child(pid_t pid) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool gone_soon(pid_t pid) {
  for (int i = 0; i < 5000 && has_child(pid); ++i) std::this_thread::sleep_for(1ms);
  return !has_child(pid);
}

TEST(Process, tells_how_it_ended) {
  auto body = []() -> task<> {
    process good = co_await command("true").spawn();
    EXPECT_TRUE((co_await good.wait()).success());
    process bad = co_await shell("exit 7").spawn();
    const exit_status seven = co_await bad.wait();
    EXPECT_TRUE(seven.exited());
    EXPECT_EQ(seven.code(), 7);
    EXPECT_EQ(seven.text(), "exited with 7");
    process killed = co_await shell("kill -USR1 $$").spawn();
    const exit_status usr1 = co_await killed.wait();
    EXPECT_TRUE(usr1.signalled());
    EXPECT_EQ(usr1.signal(), SIGUSR1);
    EXPECT_EQ(usr1.text(), "ended by SIGUSR1");
    EXPECT_FALSE(has_child(good.pid()));
  };
  run(body());
}

TEST(Process, any_number_may_wait_and_late_ones_are_told_too) {
  auto body = []() -> task<> {
    process p = co_await shell("read x; exit 3").stdin_from(stdio::pipe).spawn();
    auto wait = [](process& of) -> task<int> { co_return (co_await of.wait()).code(); };
    auto first = spawn(wait, std::ref(p));
    auto second = spawn(wait, std::ref(p));
    EXPECT_FALSE(co_await timeout(1ms, p.wait()));
    p.close_stdin();
    EXPECT_EQ(co_await std::move(first), 3);
    EXPECT_EQ(co_await std::move(second), 3);
    EXPECT_EQ((co_await p.wait()).code(), 3);
    EXPECT_FALSE(p.kill(SIGTERM)) << "it has ended";
  };
  run(body());
}

TEST(Process, is_killed_by_number_and_ended_within_a_grace) {
  auto body = []() -> task<> {
    process p = co_await command("sleep", "1000").spawn();
    EXPECT_TRUE(p.kill(SIGINT));
    EXPECT_EQ((co_await p.wait()).signal(), SIGINT);
    process polite = co_await command("sleep", "1000").spawn();
    EXPECT_EQ((co_await polite.terminate(1h)).signal(), SIGTERM);
    process stubborn = co_await shell("trap '' TERM; echo; while :; do sleep 1000; done")
                           .stdout_to(stdio::pipe)
                           .new_process_group()
                           .spawn();
    buffer line(16);
    (void)co_await stubborn.stdout_pipe().read_at(line, 0);  // the trap is set
    EXPECT_EQ((co_await stubborn.terminate(1ms)).signal(), SIGKILL);
    EXPECT_EQ((co_await stubborn.terminate(1ms)).signal(), SIGKILL) << "again: as it was";
  };
  run(body());
}

TEST(Process, a_bad_signal_is_an_error) {
  auto body = []() -> task<> {
    process p = co_await command("sleep", "1000").kill_on_drop().spawn();
    try {
      p.kill(4711);
      ADD_FAILURE() << "there is no such signal";
    } catch (const io_error& e) {
      EXPECT_EQ(e.error().number(), EINVAL);
      EXPECT_NE(std::string(e.what()).find("sleep"), std::string::npos) << e.what();
    }
  };
  run(body());
}

TEST(Process, a_group_is_reached_as_a_whole) {
  auto body = []() -> task<> {
    process p = co_await shell("sleep 1000 & echo $!; wait")
                    .stdout_to(stdio::pipe)
                    .new_process_group()
                    .spawn();
    buffer text(64);
    const auto n = co_await p.stdout_pipe().read_at(text, 0);
    const pid_t grandchild = std::stoi(std::string(text.text(0, n)));
    EXPECT_EQ(::getpgid(grandchild), p.pid());
    EXPECT_TRUE(p.kill_group(SIGKILL));
    EXPECT_EQ((co_await p.wait()).signal(), SIGKILL);
    EXPECT_EQ(co_await p.stdout_pipe().read_at(text, 0), 0u) << "nobody has the pipe any more";
    EXPECT_FALSE(p.kill_group(SIGKILL));
  };
  run(body());
}

TEST(Process, a_dropped_handle_leaves_the_child_running_and_no_zombie) {
  pid_t pid = 0;
  runtime rt;
  auto body = [&]() -> task<> {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    auto ours = fs::adopt_descriptor(ends[1], "pipe");
    {
      auto theirs = fs::adopt_descriptor(ends[0], "pipe");
      process p = co_await shell("read x").stdin_from(stdio(theirs)).spawn();
      pid = p.pid();
    }
    EXPECT_TRUE(has_child(pid));
    EXPECT_EQ(::kill(pid, 0), 0);
    co_await std::move(ours).close();
    const auto busy = [&] { return has_child(pid) || rt.counters().operations != 0; };
    for (int i = 0; i < 5000 && busy(); ++i) co_await sleep_for(1ms);
    EXPECT_FALSE(has_child(pid));
  };
  rt.run(body());
  EXPECT_EQ(rt.counters().operations, 0u);
}

TEST(Process, kill_on_drop_kills_also_what_no_runtime_watches) {
  std::optional<process> outlives;
  pid_t first = 0, second = 0;
  {
    runtime rt;
    auto body = [&]() -> task<> {
      outlives = co_await command("sleep", "1000").kill_on_drop().spawn();
      first = outlives->pid();
      process here = co_await command("sleep", "1000").kill_on_drop().spawn();
      second = here.pid();
    };
    rt.run(body());
  }
  EXPECT_FALSE(has_child(second)) << "the runtime collects what it killed before it ends";
  EXPECT_TRUE(has_child(first));
  outlives.reset();
  EXPECT_TRUE(gone_soon(first));
}

TEST(Process, a_handle_may_be_dropped_on_another_thread) {
  runtime rt;
  auto body = []() -> task<> {
    process p = co_await command("sleep", "1000").kill_on_drop().spawn();
    const pid_t pid = p.pid();
    std::thread([moved = std::move(p)]() mutable { process last(std::move(moved)); }).join();
    for (int i = 0; i < 5000 && has_child(pid); ++i) co_await sleep_for(1ms);
    EXPECT_FALSE(has_child(pid));
  };
  rt.run(body());
}

TEST(Process, what_is_left_at_a_runtimes_end_is_collected_with_the_next_spawn) {
  pid_t pid = 0;
  auto leave = [&]() -> task<> {
    process p = co_await shell("sleep 0.01").spawn();
    pid = p.pid();
  };
  run(leave());
  auto next = []() -> task<> { co_await output(command("true")); };
  for (int i = 0; i < 1000 && has_child(pid); ++i) run(next());
  EXPECT_FALSE(has_child(pid));
}

TEST(Process, a_child_that_others_collected_is_an_error_that_says_so) {
  auto body = []() -> task<> {
    process p = co_await shell("exit 1").spawn();
    EXPECT_EQ(::waitpid(p.pid(), nullptr, 0), p.pid());
    const auto how = co_await as_result(p.wait());
    EXPECT_FALSE(how);
    if (!how) {
      EXPECT_EQ(how.error().number(), ECHILD) << how.error().message();
    }
  };
  run(body());
}

TEST(Process, a_forked_child_does_not_touch_its_siblings) {
  auto body = []() -> task<> {
    std::optional<process> p = co_await command("sleep", "1000").kill_on_drop().spawn();
    const testing::child_result r = testing::in_child([&] {
      p.reset();
      return 0;
    });
    EXPECT_EQ(r.status, 0) << r;
    EXPECT_FALSE(co_await timeout(20ms, p->wait())) << "the forked child has killed it";
  };
  run(body());
}

TEST(Process, waits_when_records_are_few) {
  auto body = []() -> task<> {
    std::vector<process> some;
    for (int i = 0; i < 6; ++i) some.push_back(co_await shell("exit 2").spawn());
    task_group all;
    for (process& p : some)
      all.spawn(
          [](process& of) -> task<> {
            const exit_status how = co_await of.wait();
            EXPECT_EQ(how.code(), 2);
          },
          std::ref(p));
    co_await all.join();
  };
  run(body(), {.entries = 1, .max_operations = 2});
}

TEST(Process, the_pipe_that_was_not_asked_for_is_an_error) {
  auto body = []() -> task<> {
    process p = co_await command("true").spawn();
    EXPECT_THROW((void)p.stdout_pipe(), io_error);
    co_await p.wait();
  };
  run(body());
}

}  // namespace
}  // namespace parkring
