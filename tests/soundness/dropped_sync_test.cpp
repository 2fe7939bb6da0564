// How tasks wait for each other, dropped at every point: nothing leaks, and what was handed over
// comes back. Each scenario ends by looking whether it is all there.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include <parkring/parkring.hpp>

#include "support/drop_everywhere.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

// Scenarios share `of`, which outlives them, with those that were dropped before.
TEST(DroppedSync, a_semaphore_has_all_its_permits_back) {
  pr::semaphore s(2);
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](pr::semaphore& of) -> pr::task<> {
                auto both = co_await of.acquire(2);
                auto waits = pr::spawn(
                    [](pr::semaphore& o) -> pr::task<> {
                      const auto one = co_await o.acquire();
                      co_await pr::yield();
                    },
                    std::ref(of));
                auto large = pr::spawn(
                    [](pr::semaphore& o) -> pr::task<> {
                      const auto all = co_await o.acquire(2);
                      co_await pr::sleep_for(50us);
                    },
                    std::ref(of));
                co_await pr::yield();
                both.release();
                (void)co_await pr::timeout(20us, of.acquire(2));
                co_await std::move(waits);
                co_await std::move(large);
              }(s);
            }),
            20u);
  EXPECT_EQ(s.available(), 2u);
}

TEST(DroppedSync, locks_are_free_again) {
  pr::mutex m;
  pr::shared_mutex rw;
  pr::condition c;
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](pr::mutex& lock, pr::shared_mutex& shared,
                        pr::condition& changed) -> pr::task<> {
                auto waits = pr::spawn(
                    [](pr::mutex& l, pr::condition& ch) -> pr::task<> {
                      auto held = co_await l.lock();
                      co_await ch.wait(held);
                    },
                    std::ref(lock), std::ref(changed));
                auto reads = pr::spawn(
                    [](pr::shared_mutex& sh) -> pr::task<> {
                      const auto held = co_await sh.lock_shared();
                      co_await pr::yield();
                    },
                    std::ref(shared));
                co_await pr::yield();
                {
                  const auto written = co_await shared.lock();
                  const auto held = co_await lock.lock();
                  changed.notify_all();
                  co_await pr::yield();
                }
                co_await std::move(waits);
                co_await std::move(reads);
              }(m, rw, c);
            }),
            20u);
  EXPECT_TRUE(m.try_lock().has_value());
  EXPECT_TRUE(rw.try_lock().has_value());
}

TEST(DroppedSync, values_of_a_channel_are_received_or_destroyed) {
  auto value = std::make_shared<int>(1);
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](std::shared_ptr<int> v) -> pr::task<> {
                auto [tx, rx] = pr::channel<std::shared_ptr<int>>(1);
                auto sends = pr::spawn(
                    [](pr::channel_sender<std::shared_ptr<int>> to,
                       std::shared_ptr<int> what) -> pr::task<> {
                      for (int i = 0; i < 4; ++i) co_await to.send(what);
                    },
                    std::move(tx), v);
                auto receives = pr::spawn(
                    [](pr::channel_receiver<std::shared_ptr<int>> from) -> pr::task<> {
                      (void)co_await from.receive();
                      (void)co_await pr::timeout(20us, from.receive());
                    },
                    rx);
                while ((co_await rx.receive()).has_value()) co_await pr::yield();
                co_await std::move(sends);
                co_await std::move(receives);
              }(value);
            }),
            20u);
  EXPECT_EQ(value.use_count(), 1);
}

TEST(DroppedSync, values_of_an_unbounded_channel_are_received_or_destroyed) {
  auto value = std::make_shared<int>(1);
  EXPECT_GT(drop_everywhere([&]() -> pr::task<> {
              return [](std::shared_ptr<int> v) -> pr::task<> {
                auto [tx, rx] = pr::unbounded_channel<std::shared_ptr<int>>();
                auto receives = pr::spawn(
                    [](pr::channel_receiver<std::shared_ptr<int>> from) -> pr::task<> {
                      (void)co_await from.receive();
                      (void)co_await pr::timeout(20us, from.receive());
                    },
                    rx);
                co_await pr::yield();
                for (int i = 0; i < 5; ++i) tx.send(v);
                (void)co_await pr::race(rx.receive(), pr::nop());
                { const auto gone = std::move(tx); }
                co_await std::move(receives);
                while ((co_await rx.next()).has_value()) {
                }
              }(value);
            }),
            20u);
  EXPECT_EQ(value.use_count(), 1);
}

TEST(DroppedSync, a_latch_and_a_condition_that_is_looked_at_leave_nothing) {
  EXPECT_GT(drop_everywhere([]() -> pr::task<> {
              pr::latch l(3);
              pr::mutex m;
              pr::condition changed;
              int ready = 0;
              const auto part = [&]() -> pr::task<> {
                auto held = co_await m.lock();
                co_await changed.wait(held, [&] { return ready == 1; });
                held.unlock();
                co_await l.arrive_and_wait();
              };
              auto one = pr::spawn(part), two = pr::spawn(part);
              co_await pr::yield();
              {
                const auto held = co_await m.lock();
                changed.notify_all();
                co_await pr::yield();
                ready = 1;
                changed.notify_one();
                changed.notify_one();
              }
              co_await l.arrive_and_wait();
              co_await std::move(one);
              co_await std::move(two);
            }),
            20u);
}

TEST(DroppedSync, what_goes_to_everybody_leaves_nothing) {
  EXPECT_GT(drop_everywhere([]() -> pr::task<> {
              auto [tx, rx] = pr::broadcast<int>(2);
              auto [latest, seen] = pr::watch<int>(0);
              auto [once_tx, once_rx] = pr::oneshot<int>();
              pr::event e;
              pr::latch l(1);
              pr::barrier b(2);
              auto other = pr::spawn([&]() -> pr::task<> {
                co_await b.arrive_and_wait();
                (void)co_await rx.receive();
                (void)co_await seen.changed();
                (void)co_await once_rx.receive();
                co_await e.wait();
                co_await l.wait();
              });
              co_await pr::yield();
              co_await b.arrive_and_wait();
              tx.send(1);
              co_await pr::yield();
              latest.send(1);
              co_await pr::yield();
              std::move(once_tx).send(1);
              co_await pr::yield();
              e.set();
              l.count_down();
              co_await std::move(other);
            }),
            20u);
}

TEST(DroppedSync, once_is_done_by_the_next_when_it_was_dropped) {
  EXPECT_GT(drop_everywhere([]() -> pr::task<> {
              pr::once o;
              int runs = 0;
              const auto work = [&]() -> pr::task<> {
                co_await pr::yield();
                ++runs;
              };
              auto first = pr::spawn([&]() -> pr::task<> { co_await o.call(work); });
              co_await pr::yield();
              first.abort();
              co_await o.call(work);
              EXPECT_EQ(runs, 1);
            }),
            5u);
}

}  // namespace
