// Generators, streams, stop, deadlines, shields and task-local values, dropped at every point.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

pr::task<int> number_after(int n, std::chrono::microseconds d) {
  co_await pr::sleep_for(d);
  co_return n;
}
pr::generator<int> count(int n) {
  for (int i = 0; i < n; ++i) {
    co_await pr::nop();
    co_yield i;
  }
}
pr::generator<std::string> words() {
  std::string kept(100, 'a');
  co_yield kept;
  co_await pr::sleep_for(20us);
  co_yield std::string(100, 'b');
  co_await pr::nop();
  throw std::runtime_error("on purpose");
}

TEST(DroppedStructure, generators_leave_nothing) {
  EXPECT_GT(drop_everywhere([]() -> pr::task<> {
              auto g = count(3);
              int sum = 0;
              while (auto v = co_await g.next()) sum += *v;
              EXPECT_EQ(sum, 3);
              auto w = words();
              EXPECT_EQ((co_await w.next())->size(), 100u);
              EXPECT_EQ((co_await w.next())->size(), 100u);
              try {
                (void)co_await w.next();
                ADD_FAILURE() << "the error was lost";
              } catch (const std::runtime_error&) {
              }
              auto never_asked = words();
            }),
            20u);
}

TEST(DroppedStructure, generators_of_files_and_buffers_leave_nothing) {
  scratch dir;
  const auto path = dir.file("data", std::string(256, 'x'));
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      auto parts = [](std::filesystem::path from) -> pr::generator<pr::buffer> {
        auto f = co_await pr::fs::open(from, {.inline_first = pr::fs::inline_mode::never});
        for (std::uint64_t at = 0; at < 256; at += 128) {
          pr::buffer b(128);
          co_await f.read_exactly_at(b, at);
          co_yield std::move(b);
        }
      }(p);
      while (auto b = co_await parts.next()) EXPECT_EQ(b->text(0, 1), "x");
    }(path);
  });
}

TEST(DroppedStructure, generators_that_change_hands_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    auto g = std::make_shared<pr::generator<int>>(count(4));
    auto ask = [](std::shared_ptr<pr::generator<int>> of) -> pr::task<int> {
      co_return (co_await of->next()).value_or(-1);
    };
    EXPECT_EQ(co_await pr::spawn(ask, g), 0);
    auto dropped = pr::spawn(ask, g);
    co_await pr::yield();
    dropped.abort();
    EXPECT_EQ(co_await pr::spawn(ask, g), 1);
    (void)co_await pr::timeout(1us, g->next());
    auto last = pr::spawn(ask, std::move(g));
    (void)co_await last;
  });
}

TEST(DroppedStructure, streams_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    auto twice = [](int n) { return 2 * n; };
    auto some = [](int n) { return n != 1; };
    const auto values =
        co_await (count(4) | pr::map(twice) | pr::filter(some) | pr::take(2) | pr::collect());
    EXPECT_EQ(values.size(), 2u);
    auto late = count(2) | pr::timeout(1us);
    int sum = 0;
    while (auto v = co_await late.next()) sum += v->value_or(0);
    EXPECT_EQ(sum, 1);
  });
}

TEST(DroppedStructure, buffered_streams_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    auto work = [](int n) { return number_after(n, std::chrono::microseconds(30 - 10 * n)); };
    const auto values = co_await (count(4) | pr::map(work) | pr::buffered(2) | pr::collect());
    EXPECT_EQ(values.size(), 4u);
    auto failing = [](int n) -> pr::task<int> {
      co_await pr::nop();
      if (n == 1) throw std::runtime_error("on purpose");
      co_await pr::sleep_for(n == 0 ? 1us : std::chrono::microseconds(1h));
      co_return n;
    };
    try {
      (void)co_await (count(4) | pr::map(failing) | pr::buffered(3) | pr::collect());
      ADD_FAILURE() << "the error was lost";
    } catch (const std::runtime_error&) {
    }
  });
}

TEST(DroppedStructure, merged_streams_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    auto slow = []() -> pr::generator<int> {
      co_await pr::sleep_for(20us);
      co_yield 1;
      co_await pr::sleep_for(1h);
    };
    const auto values =
        co_await (pr::merge(count(2), slow(), count(0)) | pr::take(3) | pr::collect());
    EXPECT_EQ(values.size(), 3u);
  });
}

TEST(DroppedStructure, a_race_of_many_leaves_nothing) {
  drop_everywhere([]() -> pr::task<> {
    std::vector<pr::task<int>> many;
    for (int i = 0; i < 4; ++i) many.push_back(number_after(i, i == 2 ? 10us : 1h));
    EXPECT_EQ((co_await pr::race(std::move(many))).index, 2u);
  });
}

TEST(DroppedStructure, stop_requests_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    auto waits = [](auto self, int depth) -> pr::task<int> {
      if (depth == 0) {
        co_await pr::stopped();
        co_return 1;
      }
      auto a = pr::spawn(self, self, depth - 1);
      EXPECT_FALSE(co_await pr::sleep_for(1h, pr::stoppable));
      co_return co_await std::move(a);
    };
    auto asked = pr::spawn(waits, waits, 2);
    auto dropped = pr::spawn(waits, waits, 2);
    for (int i = 0; i < 4; ++i) co_await pr::yield();
    pr::task_group group;
    group.spawn(waits, waits, 1);
    co_await pr::yield();
    asked.request_stop();
    dropped.request_stop();
    dropped.abort();
    EXPECT_EQ(co_await asked, 1);
    group.request_stop();
    co_await group.join();
  });
}

TEST(DroppedStructure, stops_from_outside_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    std::stop_source source;
    auto asks = [](std::stop_source& s) -> pr::task<> {
      co_await pr::yield();
      s.request_stop();
    };
    auto other = pr::spawn(asks, std::ref(source));
    co_await pr::with_stop_token(source.get_token(), pr::stopped());
    co_await pr::with_stop_token(source.get_token(), pr::stopped());
    co_await std::move(other);
  });
}

TEST(DroppedStructure, deadlines_leave_nothing) {
  drop_everywhere([]() -> pr::task<> {
    EXPECT_EQ(co_await pr::with_timeout(10s, number_after(1, 10us)), std::optional(1));
    auto parent = []() -> pr::task<> {
      pr::spawn(number_after, 1, 1h).detach();
      auto child = pr::spawn(number_after, 2, 1h);
      co_await pr::with_timeout(1h, std::move(child));
    };
    EXPECT_FALSE(co_await pr::with_timeout(100us, parent()));
    auto leaves_a_child = []() -> pr::task<> {
      pr::spawn(number_after, 1, 1h).detach();
      co_return;
    };
    EXPECT_TRUE(co_await pr::with_timeout(300us, leaves_a_child()));
    co_await pr::nop();
  });
}

TEST(DroppedStructure, shields_leave_nothing) {
  scratch dir;
  const auto path = dir.file("data", "x");
  drop_everywhere([&]() -> pr::task<> {
    return [](std::filesystem::path p) -> pr::task<> {
      auto f = co_await pr::shield(pr::fs::open(p));  // dropped: opened, and closed again
      EXPECT_EQ(co_await pr::shield(number_after(2, 10us)), 2);
      EXPECT_FALSE(co_await pr::timeout(1us, pr::shield(number_after(3, 50us))));
      (void)co_await pr::with_timeout(1us, pr::shield(number_after(4, 50us)));
    }(path);
  });
}

TEST(DroppedStructure, task_local_values_leave_nothing) {
  static const pr::task_local<std::shared_ptr<std::string>> name;
  auto value = std::make_shared<std::string>("a");
  drop_everywhere([&]() -> pr::task<> {
    return [](std::shared_ptr<std::string> v) -> pr::task<> {
      auto inside = []() -> pr::task<> {
        auto child = []() -> pr::task<> {
          co_await pr::nop();
          EXPECT_EQ(**name.get(), "a");
        };
        pr::spawn(child).detach();
        co_await pr::spawn(child);
        co_await pr::with_timeout(1h, child());
      };
      co_await name.with(v, inside());
      co_await pr::nop();
    }(value);
  });
  EXPECT_EQ(value.use_count(), 1);
}

// Requests from a thread that knows nothing of where the task is.
TEST(DroppedStructure, a_handle_on_another_thread_asks_and_goes_at_any_time) {
  PARKRING_NEEDS_REAL("threads");
  for (int i = 0; i < 200; ++i) {
    std::optional<pr::join_handle<bool>> handle;
    std::thread other;
    {
      pr::runtime rt;
      handle =
          rt.spawn([]() -> pr::task<bool> { co_return co_await pr::sleep_for(1h, pr::stoppable); });
      std::stop_source source;
      auto scope = rt.spawn(
          [](std::stop_token t) -> pr::task<> {
            co_await pr::with_stop_token(std::move(t), pr::stopped());
          },
          source.get_token());
      rt.run(pr::yield());
      other = std::thread([h = std::move(*handle), s = std::move(source)]() mutable {
        h.request_stop();
        s.request_stop();
        h.request_stop();
      });
      if (i % 2 == 0) rt.run([](auto h) -> pr::task<> { co_await std::move(h); }, std::move(scope));
    }  // the runtime goes, perhaps meanwhile
    other.join();
  }
}

}  // namespace
