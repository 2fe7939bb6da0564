#include <parkring/stream.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <parkring/event.hpp>
#include <parkring/generator.hpp>
#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/this_task.hpp>
#include <parkring/time.hpp>

namespace parkring {
namespace {

using namespace std::chrono_literals;
using ints = std::vector<int>;

generator<int> count(int n) {
  for (int i = 0; i < n; ++i) {
    if (i % 2 == 1) co_await nop();
    co_yield i;
  }
}
task<int> after(int n, std::chrono::microseconds d) {
  co_await sleep_for(d);
  co_return n;
}
bool even(int n) { return n % 2 == 0; }

TEST(Stream, adaptors_make_streams_of_streams) {
  auto body = []() -> task<> {
    auto text = [](int n) { return std::to_string(n); };
    const auto texts = co_await (count(3) | map(text) | collect());
    EXPECT_EQ(texts, (std::vector<std::string>{"0", "1", "2"}));
    const auto evens = co_await (count(9) | filter(even) | take(3) | collect());
    EXPECT_EQ(evens, (ints{0, 2, 4}));
    const auto first = co_await (count(2) | filter(even) | map(text) | take(10) | collect());
    EXPECT_EQ(first, (std::vector<std::string>{"0"}));
    int sum = 0;
    auto add = [&sum](int n) { sum += n; };
    co_await (count(5) | for_each(add));
    EXPECT_EQ(sum, 10);
    auto add_slowly = [&sum](int n) -> task<> {
      co_await yield();
      sum += n;
    };
    co_await (count(5) | for_each(add_slowly));
    EXPECT_EQ(sum, 20);
  };
  run(body());
}

TEST(Stream, nothing_happens_before_it_is_asked) {
  auto body = []() -> task<> {
    bool asked = false;
    auto from = [](bool& flag) -> generator<task<int>> {
      flag = true;
      co_yield after(1, 0us);
    }(asked);
    auto s = std::move(from) | buffered(2);
    co_await yield();
    EXPECT_FALSE(asked);
    EXPECT_EQ(co_await s.next(), 1);
    EXPECT_TRUE(asked);
  };
  run(body());
}

TEST(Stream, take_asks_for_no_more_than_it_gives) {
  struct counted {
    int& asked;
    auto next() {
      ++asked;
      return after_one();
    }
    static task<std::optional<int>> after_one() { co_return 1; }
  };
  auto body = []() -> task<> {
    bool begun = false;
    auto from = [](bool& flag) -> generator<int> {
      flag = true;
      co_yield 1;
    }(begun);
    auto nothing = std::move(from) | take(0);
    EXPECT_EQ(co_await nothing.next(), std::nullopt);
    EXPECT_FALSE(begun);

    int asked = 0;
    auto one = counted{asked} | take(1);
    EXPECT_EQ(co_await one.next(), 1);
    EXPECT_EQ(co_await one.next(), std::nullopt);
    EXPECT_EQ(asked, 1);
  };
  run(body());
}

TEST(Stream, one_that_has_a_name_is_used_and_left) {
  auto body = []() -> task<> {
    auto g = count(5);
    const auto two = co_await (g | take(2) | collect());
    EXPECT_EQ(two, (ints{0, 1}));
    const auto none = co_await (g | take(0) | collect());
    EXPECT_EQ(none, ints());
    const auto rest = co_await (g | collect());
    EXPECT_EQ(rest, (ints{2, 3, 4}));
  };
  run(body());
}

TEST(Stream, gives_what_can_only_be_moved) {
  auto body = []() -> task<> {
    auto box = [](int n) { return std::make_unique<int>(n); };
    auto boxes = co_await (count(3) | map(box) | take(2) | collect());
    EXPECT_EQ(*boxes.at(1), 1);
  };
  run(body());
}

TEST(Buffered, runs_so_many_at_once_and_gives_them_in_order) {
  auto body = []() -> task<> {
    int running = 0, most = 0;
    auto work = [&](int n) -> task<int> {
      most = std::max(most, ++running);
      co_await sleep_for(std::chrono::microseconds(10 * (7 - n)));  // the first is the slowest
      --running;
      co_return n;
    };
    const auto in_order = co_await (count(7) | map(work) | buffered(3) | collect());
    EXPECT_EQ(in_order, (ints{0, 1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(most, 3);
    EXPECT_EQ(running, 0);
    most = 0;
    const auto two = co_await (count(4) | map(work) | buffered(1) | take(2) | collect());
    EXPECT_EQ(two, (ints{0, 1}));
    EXPECT_EQ(most, 1);
    EXPECT_LE(running, 1);
  };
  run(body());
}

TEST(Buffered, an_error_comes_in_its_place_and_ends_it) {
  auto body = []() -> task<> {
    auto work = [](int n) -> task<int> {
      if (n == 2) throw std::runtime_error("two");
      co_return co_await after(n, 10us);
    };
    auto s = count(9) | map(work) | buffered(4);
    EXPECT_EQ(co_await s.next(), 0);
    EXPECT_EQ(co_await s.next(), 1);
    EXPECT_THROW((void)co_await s.next(), std::runtime_error);
    EXPECT_FALSE(co_await s.next());
    auto failing = []() -> generator<task<int>> {
      co_yield after(1, 10us);
      throw std::logic_error("the stream itself");
    };
    auto t = failing() | buffered(4);
    EXPECT_EQ(co_await t.next(), 1);
    EXPECT_THROW((void)co_await t.next(), std::logic_error);
  };
  run(body());
}

TEST(Buffered, a_dropped_next_loses_nothing) {
  auto body = []() -> task<> {
    event go;
    auto work = [&go](int n) -> task<int> {
      co_await go.wait();
      co_return n;
    };
    auto s = count(5) | map(work) | buffered(2);
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(co_await timeout(50us, s.next()));
    go.set();
    const auto all = co_await (s | collect());
    EXPECT_EQ(all, (ints{0, 1, 2, 3, 4}));
  };
  run(body());
}

TEST(Buffered, goes_with_all_that_runs_in_it) {
  auto held = std::make_shared<int>(1);
  auto body = [&]() -> task<> {
    auto work = [held](int n) -> task<int> {
      auto mine = held;
      co_await sleep_for(n == 0 ? std::chrono::nanoseconds(1us) : std::chrono::nanoseconds(1h));
      co_return *mine + n - 1;
    };
    const auto before = held.use_count();
    {
      auto s = count(9) | map(work) | buffered(4);
      EXPECT_EQ(co_await s.next(), 0);
      for (int i = 0; i < 9; ++i) co_await nop();
      EXPECT_EQ(held.use_count(), before + 1 + 4);
    }
    EXPECT_EQ(held.use_count(), before);
  };
  run(body());
}

TEST(Merge, gives_the_values_of_all_as_they_come) {
  auto body = []() -> task<> {
    auto never = []() -> generator<int> {
      co_await sleep_for(1h);
      co_yield 0;
    };
    auto numbers = co_await (merge(count(3), never(), count(2)) | take(5) | collect());
    std::ranges::sort(numbers);
    EXPECT_EQ(numbers, (ints{0, 0, 1, 1, 2}));
    auto g = count(4);
    const auto rest = co_await (merge(g, count(0)) | collect());
    EXPECT_EQ(rest, (ints{0, 1, 2, 3}));
  };
  run(body());
}

TEST(Merge, no_stream_keeps_another_from_its_turn) {
  auto body = []() -> task<> {
    auto endless = [](int n) -> generator<int> {
      for (;;) co_yield n;
    };
    int twos = 0;
    auto see = [&twos](int n) { twos += n == 2 ? 1 : 0; };
    co_await (merge(endless(1), endless(2)) | take(1000) | for_each(see));
    EXPECT_GT(twos, 400);
    EXPECT_LT(twos, 600);
  };
  run(body());
}

TEST(Merge, an_error_comes_after_the_values_before_it) {
  auto body = []() -> task<> {
    auto failing = []() -> generator<int> {
      co_yield 1;
      throw std::runtime_error("inside");
    };
    auto s = merge(failing());
    EXPECT_EQ(co_await s.next(), 1);
    EXPECT_THROW((void)co_await s.next(), std::runtime_error);
    EXPECT_FALSE(co_await s.next());
  };
  run(body());
}

TEST(Merge, an_error_comes_though_others_always_have_a_value) {
  auto body = []() -> task<> {
    auto failing = []() -> generator<int> {
      throw std::runtime_error("inside");
      co_yield 0;
    };
    auto endless = []() -> generator<int> {
      for (;;) co_yield 1;
    };
    auto s = merge(failing(), endless());
    auto takes_its_time = [&]() -> task<> {
      for (int n = 0; n < 100; ++n) {
        EXPECT_TRUE(co_await s.next());
        for (int i = 0; i < 3; ++i) co_await yield();
      }
    };
    EXPECT_THROW(co_await takes_its_time(), std::runtime_error);
    EXPECT_FALSE(co_await s.next());
  };
  run(body());
}

TEST(TimeoutOfStream, says_who_is_late_and_loses_nothing) {
  auto body = []() -> task<> {
    event go;
    auto from = [](event& e) -> generator<int> {
      co_yield 1;
      co_await e.wait();
      co_yield 2;
    };
    auto s = from(go) | timeout(50us);
    auto first = co_await s.next();
    EXPECT_EQ(first, std::optional(std::optional(1)));
    auto late = co_await s.next();
    EXPECT_TRUE(late.has_value() && !late->has_value());
    go.set();
    auto second = co_await (s | filter([](auto& v) { return v.has_value(); }) | collect());
    EXPECT_EQ(second, std::vector{std::optional(2)});
  };
  run(body());
}

}  // namespace
}  // namespace parkring
