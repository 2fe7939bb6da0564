// Calls of shards, dropped at every point by who called: the shard ends them, and nothing is left
// on either side.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"
#include "support/machine.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

// The shards let go of what they were given a moment after the caller has gone.
void expect_alone(const std::shared_ptr<int>& value) {
  for (int i = 0; i < 5'000 && value.use_count() != 1; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(value.use_count(), 1);
}

TEST(DroppedShards, calls_leave_nothing) {
  PARKRING_NEEDS_REAL("threads");
  pr::shards sh({.shards = 2, .pin = false});
  auto value = std::make_shared<int>(1);
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](pr::shards& of, std::shared_ptr<int> v) -> pr::task<> {
                const auto same = [](std::shared_ptr<int> x) { return x; };
                EXPECT_EQ(co_await of.on(0, same, v), v);
                const auto later = [](std::shared_ptr<int> x) -> pr::task<std::shared_ptr<int>> {
                  co_await pr::sleep_for(20us);
                  co_return x;
                };
                EXPECT_EQ(co_await of.on(1, later, v), v);
                const auto across = [](pr::shards* all, std::shared_ptr<int> x) -> pr::task<int> {
                  const auto read = [](std::shared_ptr<int> y) { return *y; };
                  co_return co_await all->on(1, read, x);
                };
                EXPECT_EQ(co_await of.on(0, across, &of, v), 1);
              }(sh, value);
            }),
            20u);
  expect_alone(value);
}

TEST(DroppedShards, calls_that_are_given_up_or_fail_leave_nothing) {
  PARKRING_NEEDS_REAL("threads");
  pr::shards sh({.shards = 2, .pin = false});
  auto value = std::make_shared<int>(1);
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](pr::shards& of, std::shared_ptr<int> v) -> pr::task<> {
                const auto never = [](std::shared_ptr<int>) -> pr::task<> {
                  co_await pr::sleep_for(1h);
                };
                EXPECT_FALSE(co_await pr::timeout(100us, of.on(0, never, v)));
                (void)co_await pr::race(of.on(0, never, v), of.on(1, never, v), pr::nop());
                const auto fails = [](std::shared_ptr<int>) -> pr::task<int> {
                  co_await pr::yield();
                  throw std::runtime_error("on purpose");
                };
                try {
                  (void)co_await of.on(1, fails, v);
                  ADD_FAILURE() << "the error was lost";
                } catch (const std::runtime_error&) {
                }
              }(sh, value);
            }),
            20u);
  expect_alone(value);
}

}  // namespace
