#include <parkring/sync/channel.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/sync/broadcast.hpp>
#include <parkring/sync/oneshot.hpp>
#include <parkring/sync/watch.hpp>
#include <parkring/task_group.hpp>
#include <parkring/this_task.hpp>

namespace parkring {
namespace {

using number = std::unique_ptr<int>;  // cannot be copied, and leaks are found
number make(int n) { return std::make_unique<int>(n); }

TEST(Channel, values_arrive_in_order_and_the_end_is_nothing) {
  run([]() -> task<> {
    auto [tx, rx] = channel<number>(3);
    auto sends = spawn(
        [](channel_sender<number> to) -> task<> {
          for (int i = 0; i < 1'000; ++i) co_await to.send(make(i));
        },
        std::move(tx));
    int next = 0;
    while (auto value = co_await rx.receive()) {
      EXPECT_EQ(**value, next++);
      EXPECT_LE(rx.size(), 3u);
    }
    EXPECT_EQ(next, 1'000);
    EXPECT_FALSE((co_await rx.receive()).has_value());
    co_await std::move(sends);
  }());
}

TEST(Channel, many_senders_and_receivers_share_it_and_each_value_goes_to_one) {
  run([]() -> task<> {
    auto [tx, rx] = channel<int>(2);
    std::vector<int> got(300);
    task_group g;
    for (int s = 0; s < 3; ++s)
      g.spawn(
          [](channel_sender<int> to, int from) -> task<> {
            for (int i = from; i < from + 100; ++i) co_await to.send(i);
          },
          tx, s * 100);
    for (int r = 0; r < 4; ++r)
      g.spawn(
          [&got](channel_receiver<int> from) -> task<> {
            while (auto v = co_await from.receive()) ++got[static_cast<std::size_t>(*v)];
          },
          rx);
    tx = {};
    co_await g.join();
    EXPECT_EQ(got, std::vector<int>(300, 1));
  }());
}

TEST(Channel, trying_never_waits) {
  run([]() -> task<> {
    auto [tx, rx] = channel<number>(1);
    EXPECT_FALSE(rx.try_receive().has_value());
    EXPECT_EQ(tx.try_send(make(1)), try_send_result::sent);
    number two = make(2);
    EXPECT_EQ(tx.try_send(std::move(two)), try_send_result::full);
    EXPECT_NE(two, nullptr) << "moved from only when it was sent";
    EXPECT_EQ(**rx.try_receive(), 1);
    rx.close();
    EXPECT_TRUE(tx.closed());
    EXPECT_EQ(tx.try_send(std::move(two)), try_send_result::closed);
    co_return;
  }());
}

TEST(Channel, a_closed_one_gives_what_was_sent_and_refuses_more) {
  run([]() -> task<> {
    auto [tx, rx] = channel<int>(1);
    co_await tx.send(1);
    auto waits = spawn([&tx]() -> task<bool> {
      try {
        co_await tx.send(2);
      } catch (const channel_closed&) {
        co_return true;
      }
      co_return false;
    });
    co_await yield();
    rx.close();
    EXPECT_TRUE(co_await std::move(waits));
    EXPECT_EQ(co_await rx.receive(), 1);
    EXPECT_EQ(co_await rx.receive(), std::nullopt);
    bool refused = false;
    try {
      co_await tx.send(3);
    } catch (const channel_closed& e) {
      refused = true;
      EXPECT_STRNE(e.what(), "");
    }
    EXPECT_TRUE(refused);
  }());
}

TEST(Channel, values_that_nobody_receives_are_destroyed) {
  auto alive = std::make_shared<int>(0);
  run([&]() -> task<> {
    auto [tx, rx] = channel<std::shared_ptr<int>>(4);
    co_await tx.send(alive);
    co_await tx.send(alive);
    EXPECT_EQ(alive.use_count(), 3);
    rx = {};
    EXPECT_EQ(alive.use_count(), 1);
    EXPECT_TRUE(tx.closed());
  }());
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(Channel, a_value_handed_to_a_dropped_receiver_comes_first_to_the_next) {
  run([]() -> task<> {
    auto [tx, rx] = channel<number>(2);
    const auto receive = [](channel_receiver<number> from) -> task<number> {
      co_return std::move(*co_await from.receive());
    };
    auto first = spawn(receive, rx), second = spawn(receive, rx);
    co_await yield();
    co_await tx.send(make(1));  // the first one's
    first.abort();
    EXPECT_EQ(*co_await std::move(second), 1);

    auto third = spawn(receive, rx);
    co_await yield();
    co_await tx.send(make(2));
    co_await tx.send(make(3));
    third.abort();
    EXPECT_EQ(**co_await rx.receive(), 2);
    EXPECT_EQ(**co_await rx.receive(), 3);
  }());
}

TEST(Channel, a_dropped_sender_has_not_sent) {
  run([]() -> task<> {
    auto [tx, rx] = channel<number>(1);
    const auto send = [](channel_sender<number> to, int n) -> task<> { co_await to.send(make(n)); };
    co_await tx.send(make(0));
    auto dropped = spawn(send, tx, 1), goes_on = spawn(send, tx, 2);
    co_await yield();
    dropped.abort();
    EXPECT_EQ(**co_await rx.receive(), 0);
    EXPECT_EQ(**co_await rx.receive(), 2);
    co_await std::move(goes_on);
  }());
}

TEST(UnboundedChannel, never_waits_and_keeps_the_order) {
  run([]() -> task<> {
    auto [tx, rx] = unbounded_channel<std::string>();
    for (int i = 0; i < 10'000; ++i) tx.send(std::to_string(i));
    EXPECT_EQ(rx.size(), 10'000u);
    for (int i = 0; i < 10'000; ++i) EXPECT_EQ(co_await rx.next(), std::to_string(i));
    rx.close();
    EXPECT_THROW(tx.send("late"), channel_closed);
  }());
}

TEST(Oneshot, brings_one_value_or_word_that_there_is_none) {
  run([]() -> task<> {
    auto [tx, rx] = oneshot<number>();
    auto waits = spawn([&rx]() -> task<int> { co_return **co_await rx.receive(); });
    co_await yield();
    EXPECT_FALSE(tx.closed());
    EXPECT_TRUE(std::move(tx).send(make(7)));
    EXPECT_EQ(co_await std::move(waits), 7);
    EXPECT_FALSE((co_await rx.receive()).has_value());

    auto [unsent, waiting] = oneshot<number>();
    unsent = {};
    EXPECT_FALSE((co_await waiting.receive()).has_value());

    auto [unwanted, gone] = oneshot<number>();
    gone = {};
    EXPECT_TRUE(unwanted.closed());
    EXPECT_FALSE(std::move(unwanted).send(make(1)));
  }());
}

TEST(Broadcast, everybody_gets_every_value) {
  run([]() -> task<> {
    auto [tx, first] = broadcast<std::string>(8);
    tx.send("a");
    auto second = tx.subscribe();
    auto copy = first;
    tx.send("b");
    EXPECT_EQ(co_await first.receive(), "a");
    EXPECT_EQ(co_await first.receive(), "b");
    EXPECT_EQ(co_await second.receive(), "b");
    EXPECT_EQ(co_await copy.next(), "a");
    auto waits = spawn(
        [&first]() -> task<std::optional<std::string>> { co_return co_await first.receive(); });
    co_await yield();
    tx = {};
    EXPECT_EQ(co_await std::move(waits), std::nullopt);
    EXPECT_EQ(co_await copy.receive(), "b") << "what was sent before the end still comes";
    EXPECT_EQ(co_await copy.receive(), std::nullopt);
  }());
}

TEST(Broadcast, who_is_too_slow_is_told_how_much_it_missed) {
  run([]() -> task<> {
    auto [tx, rx] = broadcast<int>(3);
    for (int i = 0; i < 10; ++i) tx.send(i);
    EXPECT_EQ(co_await rx.receive(), 7);
    EXPECT_EQ(rx.missed(), 7u);
    EXPECT_EQ(co_await rx.receive(), 8);
    EXPECT_EQ(rx.missed(), 0u);
  }());
}

TEST(Watch, shows_the_latest_value_and_says_when_it_changed) {
  run([]() -> task<> {
    auto [tx, rx] = watch<std::string>("first");
    EXPECT_EQ(rx.get(), "first");
    tx.send("second");
    tx.send("third");
    EXPECT_TRUE(co_await rx.changed());
    EXPECT_EQ(rx.get(), "third");
    auto late = tx.subscribe();
    auto waits = spawn([&rx]() -> task<bool> { co_return co_await rx.changed(); });
    co_await yield();
    tx.send("fourth");
    EXPECT_TRUE(co_await std::move(waits));
    EXPECT_TRUE(co_await late.changed());
    tx = {};
    EXPECT_FALSE(co_await rx.changed());
    EXPECT_EQ(*rx.get_shared(), "fourth");
  }());
}

TEST(Watch, a_change_that_was_seen_meanwhile_is_not_the_end) {
  run([]() -> task<> {
    auto [tx, rx] = watch<int>(0);
    auto waits = spawn([&rx]() -> task<bool> { co_return co_await rx.changed(); });
    co_await yield();
    tx.send(1);
    EXPECT_EQ(rx.get(), 1);
    EXPECT_TRUE(co_await std::move(waits)) << "the sender lives";
  }());
}

}  // namespace
}  // namespace parkring
