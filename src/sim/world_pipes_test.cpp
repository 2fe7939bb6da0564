// Pipes of a simulated world: between its programs and whoever drives it, and with names.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <system_error>

#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;

std::string path_of(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

task<std::string> read_text(fs::file& f) {
  auto [text, n] = co_await f.read_at(std::string(100, ' '), 0);
  co_return text.substr(0, n);
}

TEST(WorldPipes, bytes_put_by_the_driver_are_read_and_those_written_are_taken) {
  sim::world w(1);
  const auto in = w.make_pipe(), out = w.make_pipe();
  EXPECT_EQ(w.put(in.write_end, "hello"), 5U);
  EXPECT_EQ(w.take(out.read_end, 10), "");
  const auto program = [&]() -> task<> {
    auto from = co_await fs::open(path_of(in.read_end));
    auto to = fs::adopt_descriptor(out.write_end, "out");
    std::string text = co_await read_text(from);
    (void)co_await to.write_at(std::move(text), 0);
  };
  w.run(program);
  EXPECT_EQ(w.take(out.read_end, 10), "hello");
  EXPECT_EQ(w.open_descriptors(), 3U) << "the adopted end was the program's to close";
  EXPECT_EQ(w.take(out.read_end, 10), "") << "the end of the stream";
  w.close(in.read_end);
  EXPECT_THROW(w.put(in.write_end, "x"), std::system_error) << "nobody reads";
  w.close(in.write_end);
  EXPECT_THROW(w.close(in.write_end), std::system_error);
  w.close(out.read_end);
}

TEST(WorldPipes, a_full_pipe_takes_no_more) {
  sim::world w(1);
  const auto p = w.make_pipe();
  EXPECT_EQ(w.put(p.write_end, std::string(100'000, 'x')), 65'536U);
  EXPECT_EQ(w.put(p.write_end, "x"), 0U);
  EXPECT_EQ(w.take(p.read_end, 4096).size(), 4096U);
  EXPECT_EQ(w.put(p.write_end, "x"), 1U);
}

task<> open_and_read(std::string path, std::string& got) {
  auto f = co_await fs::open(path);
  got = co_await read_text(f);
}

TEST(WorldPipes, opening_an_end_of_a_named_pipe_waits_for_the_other) {
  sim::world w(1);
  w.make_fifo("/fifo");
  const auto program = []() -> task<> {
    std::string got;
    auto reader = spawn(open_and_read, std::string("/fifo"), std::ref(got));
    co_await sleep_for(1h);
    EXPECT_FALSE(reader.done());
    auto to = co_await fs::open("/fifo", {.access = fs::access::write});
    (void)co_await to.write_at(std::string("named"), 0);
    co_await std::move(reader);
    EXPECT_EQ(got, "named");
  };
  w.run(program);
  EXPECT_EQ(w.open_descriptors(), 0U);
}

TEST(WorldPipes, opening_that_waits_can_be_dropped) {
  sim::world w(1);
  w.make_fifo("/fifo");
  const auto program = []() -> task<> {
    EXPECT_FALSE(co_await timeout(1s, fs::open("/fifo")));
    // Both ends at once wait for nobody, and what was dropped is no end any more.
    auto both = co_await fs::open("/fifo", {.access = fs::access::read_write});
    (void)co_await both.write_at(std::string("round"), 0);
    EXPECT_EQ(co_await read_text(both), "round");
  };
  w.run(program);
  EXPECT_EQ(w.open_descriptors(), 0U);
}

TEST(WorldPipes, a_path_of_a_descriptor_that_is_no_pipe_does_not_open) {
  sim::world w(1);
  w.write_file("/f", "x");
  const auto error_of = [](std::string path) -> task<int> {
    const auto f = co_await as_result(fs::open(path));
    co_return f ? 0 : f.error().number();
  };
  EXPECT_EQ(w.run([&] { return error_of("/proc/self/fd/12345"); }), ENOENT);
  EXPECT_EQ(w.run([&] { return error_of("/proc/self/fd/x"); }), ENOENT);
}

TEST(WorldPipes, time_goes_on_for_a_task_that_spins) {
  sim::world w(1);
  const auto program = []() -> task<> {
    auto slow = spawn([]() -> task<> { co_await sleep_for(1ms); }());
    while (!slow.done()) co_await yield();
  };
  w.run(program);
  EXPECT_GE(w.now(), 1ms);
}

}  // namespace
}  // namespace parkring
