// Signals and processes, dropped at every point.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <thread>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/machine.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

void send(int number) { EXPECT_EQ(::kill(::getpid(), number), 0); }

// The event that signals wake by is made once for the process and stays: before any inventory.
void warm_up() { const pr::signals first({SIGUSR1}); }

// No child is left, neither running nor as a zombie.
void expect_no_child() {
  pid_t found = 0;
  for (int i = 0; i < 5000 && (found = ::waitpid(-1, nullptr, WNOHANG)) == 0; ++i)
    std::this_thread::sleep_for(1ms);
  EXPECT_LT(found, 0) << "child " << found << " was not collected";
  EXPECT_EQ(errno, ECHILD);
}

TEST(DroppedProcesses, waiting_for_a_signal_leaves_nothing) {
  PARKRING_NEEDS_REAL("signals");
  warm_up();
  EXPECT_GT(drop_everywhere([]() -> pr::task<> {
              pr::signals s({SIGUSR1, SIGUSR2});
              auto next = [&s]() -> pr::task<int> { co_return (co_await s.next()).number; };
              auto first = pr::spawn(next);
              auto second = pr::spawn(next);
              co_await pr::yield();
              send(SIGUSR1);
              EXPECT_EQ(co_await std::move(first), SIGUSR1);
              EXPECT_FALSE(co_await pr::timeout(100us, s.next()));
              send(SIGUSR2);
              EXPECT_EQ(co_await std::move(second), SIGUSR2);
              (void)co_await pr::race(s.next(), pr::nop());
              send(SIGUSR2);
              EXPECT_EQ((co_await s.next()).number, SIGUSR2);
            }),
            40u);
}

// The queue lives outside of what is dropped: whoever asks next gets what the dropped one had.
TEST(DroppedProcesses, a_signal_is_taken_once_or_still_there) {
  PARKRING_NEEDS_REAL("signals");
  warm_up();
  pr::signals s({SIGUSR1});
  int sent = 0, taken = 0;
  const auto rest = [&] {
    while (const auto got = s.try_next()) taken += static_cast<int>(got->count);
  };
  const auto scenario = [&]() -> pr::task<> {
    rest();
    EXPECT_EQ(taken, sent) << "after the drop before this run";
    auto waiting = pr::spawn([&]() -> pr::task<> {
      const auto got = co_await s.next();
      taken += static_cast<int>(got.count);
    });
    co_await pr::yield();
    send(SIGUSR1);
    ++sent;
    co_await std::move(waiting);
  };
  EXPECT_GT(drop_everywhere(scenario), 20u);
  rest();
  EXPECT_EQ(taken, sent);
}

TEST(DroppedProcesses, spawning_and_waiting_leaves_nothing) {
  PARKRING_NEEDS_REAL("processes");
  EXPECT_GT(drop_everywhere([]() -> pr::task<> {
              pr::command cat("cat");
              cat.stdin_from(pr::stdio::pipe).stdout_to(pr::stdio::pipe).kill_on_drop();
              pr::process p = co_await cat.spawn();
              EXPECT_FALSE(co_await pr::timeout(100us, p.wait()));
              (void)co_await p.stdin_pipe().write_at(std::string("text"), 0);
              pr::buffer b(16);
              (void)co_await p.stdout_pipe().read_at(b, 0);
              p.close_stdin();
              EXPECT_TRUE((co_await p.wait()).success());
              EXPECT_TRUE((co_await p.wait()).success());
            }),
            20u);
  expect_no_child();
}

TEST(DroppedProcesses, ending_one_leaves_nothing) {
  PARKRING_NEEDS_REAL("processes");
  drop_everywhere([]() -> pr::task<> {
    pr::command sleep("sleep", "1000");
    sleep.kill_on_drop();
    pr::process p = co_await sleep.spawn();
    EXPECT_EQ((co_await p.terminate(1h)).signal(), SIGTERM);
    sleep.new_process_group();
    pr::process group = co_await sleep.spawn();
    EXPECT_TRUE((co_await group.terminate(0ms)).signalled());
  });
  expect_no_child();
}

TEST(DroppedProcesses, collecting_an_output_leaves_nothing) {
  PARKRING_NEEDS_REAL("processes");
  drop_everywhere([]() -> pr::task<> {
    const pr::command_output o = co_await pr::command("echo", "text").output();
    EXPECT_EQ(o.out, "text\n");
    const auto none = co_await pr::as_result(pr::command("/no/such/program").spawn());
    EXPECT_FALSE(none);
  });
  expect_no_child();
}

}  // namespace
