#include <parkring/guests/sd_event.hpp>

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <time.h>

#include <memory>
#include <optional>

#include "foreign/progress.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

class sd_activity {
 public:
  sd_activity() { EXPECT_GE(sd_event_new(&loop_), 0); }
  sd_activity(const sd_activity&) = delete;
  sd_activity& operator=(const sd_activity&) = delete;
  ~sd_activity() {
    sd_event_source_disable_unref(timer_);
    sd_event_source_disable_unref(socket_);
    sd_event_unref(loop_);
  }
  sd_event* loop() { return loop_; }

  void serve(side_by_side& s) {
    EXPECT_GE(sd_event_add_time_relative(
                  loop_, &timer_, CLOCK_MONOTONIC, 1000, 1,
                  [](sd_event_source* t, std::uint64_t, void* p) {
                    ++static_cast<side_by_side*>(p)->made.timers;
                    sd_event_source_set_time_relative(t, 1000);
                    return sd_event_source_set_enabled(t, SD_EVENT_ONESHOT);
                  },
                  &s),
              0);
    EXPECT_GE(sd_event_add_io(
                  loop_, &socket_, s.sockets.theirs(), EPOLLIN,
                  [](sd_event_source*, int, std::uint32_t, void* p) {
                    auto& both = *static_cast<side_by_side*>(p);
                    both.sockets.answer(both.made);
                    return 0;
                  },
                  &s),
              0);
  }

 private:
  sd_event* loop_ = nullptr;
  sd_event_source* timer_ = nullptr;
  sd_event_source* socket_ = nullptr;
};

TEST(SdEventGuest, its_timers_and_sockets_and_our_reads_progress_together) {
  sd_activity theirs;
  pr::runtime rt;
  pr::guest g = pr::guests::sd_event(theirs.loop());
  rt.park_on(g);
  side_by_side both;
  theirs.serve(both);
  rt.run(both.all());
  EXPECT_TRUE(both.made.all());
}

TEST(SdEventGuest, a_runtime_that_is_never_idle_does_not_starve_it) {
  sd_activity theirs;
  pr::runtime rt;
  pr::guest g = pr::guests::sd_event(theirs.loop());
  rt.park_on(g);
  side_by_side both;
  auto body = [&]() -> pr::task<> {
    co_await pr::yield();
    theirs.serve(both);
    while (both.made.timers < 5) co_await pr::yield();
  };
  rt.run(body());
}

TEST(SdEventGuest, a_loop_that_is_never_idle_does_not_starve_us) {
  sd_activity theirs;
  sd_event_source* always = nullptr;
  int calls = 0;
  ASSERT_GE(sd_event_add_defer(
                theirs.loop(), &always,
                [](sd_event_source*, void* n) {
                  ++*static_cast<int*>(n);
                  return 0;
                },
                &calls),
            0);
  ASSERT_GE(sd_event_source_set_enabled(always, SD_EVENT_ON), 0);
  ASSERT_GE(sd_event_source_set_priority(always, SD_EVENT_PRIORITY_IDLE), 0);
  pr::runtime rt;
  pr::guest g = pr::guests::sd_event(theirs.loop());
  rt.park_on(g);
  side_by_side both;
  theirs.serve(both);
  rt.run(both.all());
  EXPECT_GT(calls, 0);
  sd_event_source_disable_unref(always);
}

TEST(SdEventGuest, its_exit_ends_the_guest_and_not_the_runtime) {
  sd_activity theirs;
  pr::runtime rt;
  pr::guest g = pr::guests::sd_event(theirs.loop());
  rt.park_on(g);
  rt.run(pr::sleep_for(1ms));
  ASSERT_GE(sd_event_exit(theirs.loop(), 3), 0);
  rt.run(pr::sleep_for(1ms));
  EXPECT_EQ(sd_event_get_state(theirs.loop()), SD_EVENT_FINISHED);
  const auto turns = g.turns();
  rt.run(pr::sleep_for(1ms));
  EXPECT_EQ(g.turns(), turns);
  EXPECT_EQ(rt.counters().operations, 0u) << "it is not watched any more";
}

TEST(SdEventGuest, loop_and_runtime_may_end_in_either_order) {
  for (const bool loop_first : {true, false}) {
    std::optional<sd_activity> theirs(std::in_place);
    std::optional<pr::runtime> rt(std::in_place);
    auto held = std::make_unique<pr::guest>(pr::guests::sd_event(theirs->loop()));
    rt->park_on(*held);
    auto pending = rt->spawn([]() -> pr::task<> { co_await pr::sleep_for(1h); });
    rt->run(pr::sleep_for(1ms));
    if (loop_first) {
      held.reset();
      theirs.reset();
      rt->run(pr::sleep_for(1ms));
    }
    rt.reset();
  }
}

}  // namespace
