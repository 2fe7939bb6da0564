#include <parkring/proc/command.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

#include "support/scratch.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

command shell(std::string text) { return command("/bin/sh", "-c", std::move(text)); }
std::string said_by(const command& c) { return run(output(c)).out; }

TEST(Command, gives_both_outputs_and_the_status) {
  const command_output o = run(shell("echo out; echo err >&2; exit 3").output());
  EXPECT_EQ(o.out, "out\n");
  EXPECT_EQ(o.err, "err\n");
  EXPECT_EQ(o.status.code(), 3);
}

TEST(Command, takes_arguments_as_they_are) {
  EXPECT_EQ(said_by(command("printf", "%s|", "a b", "$HOME", "*").argument("").arguments({"x"})),
            "a b|$HOME|*||x|");
}

TEST(Command, long_outputs_on_both_sides_do_not_block_each_other) {
  const command_output o =
      run(shell("head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero").output());
  EXPECT_EQ(o.out.size(), 300'000u);
  EXPECT_EQ(o.err.size(), 300'000u);
}

TEST(Command, a_text_goes_through_a_pipe_and_comes_back) {
  auto body = []() -> task<> {
    process p = co_await command("cat").stdin_from(stdio::pipe).stdout_to(stdio::pipe).spawn();
    (void)co_await p.stdin_pipe().write_at(std::string("hello"), 0);
    p.close_stdin();
    buffer b(64);
    std::string all;
    while (const auto n = co_await p.stdout_pipe().read_at(b, 0)) all += b.text(0, n);
    EXPECT_EQ(all, "hello");
    EXPECT_TRUE((co_await p.wait()).success());
  };
  run(body());
}

TEST(Command, writing_to_a_child_that_has_ended_is_an_error_and_no_end) {
  auto body = []() -> task<> {
    process p = co_await command("true").stdin_from(stdio::pipe).spawn();
    co_await p.wait();
    const auto wrote = co_await as_result(p.stdin_pipe().write_at(std::string("x"), 0));
    EXPECT_FALSE(wrote);
    if (!wrote) {
      EXPECT_EQ(wrote.error().number(), EPIPE) << wrote.error().message();
    }
  };
  run(body());
}

TEST(Command, files_serve_as_streams_and_the_null_device_too) {
  testing::scratch dir;
  const auto from = dir.file("from", "b\na\n"), to = dir / "to";
  auto body = [](std::filesystem::path in, std::filesystem::path out) -> task<> {
    auto source = co_await fs::open(in);
    auto target = co_await fs::open(
        out, {.access = fs::access::write, .creation = fs::creation::if_missing, .append = true});
    command sort("sort");
    sort.stdin_from(source).stdout_to(target);
    { const auto ends_before_the_child = std::move(source); }
    process p = co_await sort.spawn();
    EXPECT_TRUE((co_await p.wait()).success());
    EXPECT_EQ(co_await fs::read_file(out), "a\nb\n");
    const command_output silent = co_await shell("echo x; cat").stdout_to(stdio::null).output();
    EXPECT_EQ(silent.out, "");
    EXPECT_TRUE(silent.status.success()) << "its standard input is empty";
    const fs::file none;
    EXPECT_THROW(stdio{none}, io_error);
  };
  run(body(from, to));
}

TEST(Command, the_environment_is_ours_less_and_more_what_is_said) {
  ::setenv("PARKRING_TEST_A", "a", 1);
  ::setenv("PARKRING_TEST_B", "b", 1);
  command c = shell("echo $PARKRING_TEST_A,$PARKRING_TEST_B,$PARKRING_TEST_C");
  EXPECT_EQ(said_by(c), "a,b,\n");
  c.environment("PARKRING_TEST_C", "c").without_environment("PARKRING_TEST_A");
  EXPECT_EQ(said_by(c), ",b,c\n");
  EXPECT_EQ(said_by(command("/usr/bin/env").clear_environment().environment("X", "=1")), "X==1\n");
  ::unsetenv("PARKRING_TEST_A");
  ::unsetenv("PARKRING_TEST_B");
}

TEST(Command, runs_where_it_is_told_to) {
  EXPECT_EQ(said_by(command("pwd", "-P").working_directory("/usr")), "/usr\n");
}

// Of this process, those that a child inherits: three, unless whoever started the test left more.
int inherited_descriptors() {
  int n = 0;
  for (int fd = 0; fd < 1000; ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) ++n;
  }
  return n;
}

TEST(Command, a_child_inherits_no_descriptor_of_ours_and_no_blocked_signal) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  auto body = []() -> task<> {
    auto file = co_await fs::open("/dev/zero");
    const signals some({SIGUSR1});
    const std::string fds = (co_await command("ls", "/proc/self/fd").output()).out;
    EXPECT_EQ(std::ranges::count(fds, '\n'), inherited_descriptors() + 1) << "and that of ls";
    const std::string status = (co_await command("cat", "/proc/self/status").output()).out;
    EXPECT_NE(status.find("SigBlk:\t0000000000000000"), std::string::npos) << status;
    EXPECT_NE(status.find("SigCgt:\t0000000000000000"), std::string::npos) << status;
  };
  run(body());
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(Command, what_cannot_run_is_told_with_its_name) {
  testing::scratch dir;
  const auto text = dir.file("text", "not a program");
  const auto number = [](const command& c, const std::string& name) {
    const auto p = run(as_result(c.spawn()));
    if (p) return 0;
    EXPECT_NE(p.error().message().find(name), std::string::npos) << p.error().message();
    EXPECT_FALSE(p.error().advice().empty()) << p.error().message();
    return p.error().number();
  };
  EXPECT_EQ(number(command("parkring-no-such-program"), "parkring-no-such-program"), ENOENT);
  EXPECT_EQ(number(command("/no/such/program"), "/no/such/program"), ENOENT);
  EXPECT_EQ(number(command(text), "text"), EACCES);
  EXPECT_EQ(number(command(""), "spawn()"), ENOENT);
  EXPECT_EQ(number(command("true").working_directory("/no/such/directory"), "directory /no/such"),
            ENOENT);
  EXPECT_EQ(number(command("true", std::string("a\0b", 3)), "true"), EINVAL);
  EXPECT_EQ(number(command("true", std::string(300'000, 'x')), "true"), E2BIG);
}

TEST(Command, a_timeout_of_its_output_kills_it) {
  auto body = []() -> task<> {
    const auto o = co_await timeout(20ms, shell("echo $$; exec sleep 1000").output());
    EXPECT_FALSE(o);
    // Nothing of ours is left: no child at all.
    for (int i = 0; i < 5000 && ::waitpid(-1, nullptr, WNOHANG) == 0; ++i) co_await sleep_for(1ms);
    EXPECT_LT(::waitpid(-1, nullptr, WNOHANG), 0);
  };
  run(body());
}

TEST(Command, the_standard_descriptors_may_be_closed_in_the_parent) {
  const int kept = ::dup(STDIN_FILENO);
  ::close(STDIN_FILENO);
  auto body = []() -> task<> {
    process p = co_await command("cat").stdin_from(stdio::pipe).stdout_to(stdio::pipe).spawn();
    (void)co_await p.stdin_pipe().write_at(std::string("x"), 0);
    p.close_stdin();
    buffer b(8);
    EXPECT_EQ(co_await p.stdout_pipe().read_at(b, 0), 1u);
    co_await p.wait();
  };
  run(body());
  ::dup2(kept, STDIN_FILENO);
  ::close(kept);
}

TEST(Command, a_simulated_machine_says_that_it_has_no_processes) {
  sim::world w(1);
  w.run([]() -> task<> {
    const auto p = co_await as_result(command("true").spawn());
    EXPECT_FALSE(p);
    if (!p) {
      EXPECT_EQ(p.error().number(), ENOTSUP) << p.error().message();
    }
  });
}

TEST(Command, output_of_what_reads_a_pipe_comes_to_its_end) {
  EXPECT_EQ(run(command("cat").stdin_from(stdio::pipe).output()).out, "");
}

}  // namespace
}  // namespace parkring
