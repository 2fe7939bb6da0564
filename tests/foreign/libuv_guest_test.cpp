#include <parkring/guests/libuv.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>

#include "foreign/progress.hpp"
#include "foreign/uv_loop.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

TEST(LibuvGuest, its_timers_and_sockets_and_our_reads_progress_together) {
  uv_activity theirs;
  pr::runtime rt;
  pr::guest uv = pr::guests::libuv(theirs.loop());
  rt.park_on(uv);
  side_by_side both;
  theirs.serve(both);
  rt.run(both.all());
  EXPECT_TRUE(both.made.all());
}

TEST(LibuvGuest, a_runtime_that_is_never_idle_does_not_starve_it) {
  uv_activity theirs;
  pr::runtime rt;
  pr::guest uv = pr::guests::libuv(theirs.loop());
  rt.park_on(uv);
  side_by_side both;
  auto body = [&]() -> pr::task<> {
    co_await pr::yield();
    theirs.serve(both);  // from a task: libuv learns of it in its next turn
    while (both.made.timers < 5) co_await pr::yield();
  };
  rt.run(body());
}

TEST(LibuvGuest, a_loop_that_is_never_idle_does_not_starve_us) {
  uv_activity theirs;
  uv_idle_t idle;
  uv_idle_init(theirs.loop(), &idle);
  uv_idle_start(&idle, [](uv_idle_t*) {});
  pr::runtime rt;
  pr::guest uv = pr::guests::libuv(theirs.loop());
  rt.park_on(uv);
  side_by_side both;
  theirs.serve(both);
  rt.run(both.all());
  uv_close(reinterpret_cast<uv_handle_t*>(&idle), nullptr);
}

TEST(LibuvGuest, its_wakes_from_other_threads_end_our_sleep) {
  uv_activity theirs;
  pr::runtime rt;
  pr::guest uv = pr::guests::libuv(theirs.loop());
  rt.park_on(uv);
  pr::event woken;
  uv_async_t async;
  async.data = &woken;
  uv_async_init(theirs.loop(), &async,
                [](uv_async_t* a) { static_cast<pr::event*>(a->data)->set(); });
  std::thread other([&] { uv_async_send(&async); });
  rt.run(woken.wait());
  other.join();
  uv_close(reinterpret_cast<uv_handle_t*>(&async), nullptr);
}

TEST(LibuvGuest, a_timer_that_a_task_starts_ends_the_sleep) {
  uv_activity theirs;
  pr::runtime rt;
  pr::guest uv = pr::guests::libuv(theirs.loop());
  rt.park_on(uv);
  auto body = [&]() -> pr::task<> {
    pr::event fired;
    uv_timer_t timer;
    timer.data = &fired;
    uv_timer_init(theirs.loop(), &timer);
    uv_timer_start(
        &timer, [](uv_timer_t* t) { static_cast<pr::event*>(t->data)->set(); }, 1, 0);
    co_await fired.wait();
    pr::event closed;
    timer.data = &closed;
    uv_close(reinterpret_cast<uv_handle_t*>(&timer),
             [](uv_handle_t* h) { static_cast<pr::event*>(h->data)->set(); });
    co_await closed.wait();
  };
  rt.run(body());
}

TEST(LibuvGuest, loop_and_runtime_may_end_in_either_order) {
  for (const bool loop_first : {true, false}) {
    std::optional<uv_activity> theirs(std::in_place);
    std::optional<pr::runtime> rt(std::in_place);
    auto held = std::make_unique<pr::guest>(pr::guests::libuv(theirs->loop()));
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

TEST(LibuvGuest, a_loop_with_nothing_alive_lets_us_sleep) {
  uv_activity theirs;
  pr::runtime rt;
  pr::guest uv = pr::guests::libuv(theirs.loop());
  rt.park_on(uv);
  rt.run(pr::sleep_for(10ms));
  EXPECT_LT(uv.turns(), 20u);

  uv_async_t async;
  uv_async_init(theirs.loop(), &async, [](uv_async_t*) {});
  rt.run(pr::sleep_for(1ms));
  EXPECT_EQ(rt.counters().operations, 1u) << "its descriptor is watched";
  // Nobody takes the signal of a handle that does not keep the loop.
  uv_unref(reinterpret_cast<uv_handle_t*>(&async));
  uv_async_send(&async);
  const auto before = uv.turns();
  rt.run(pr::sleep_for(10ms));
  EXPECT_LT(uv.turns() - before, 20u);
  uv_close(reinterpret_cast<uv_handle_t*>(&async), nullptr);
}

TEST(LibuvGuest, a_loop_that_comes_alive_is_served_again) {
  uv_activity theirs;
  pr::runtime rt;
  pr::guest uv = pr::guests::libuv(theirs.loop());
  rt.park_on(uv);
  for (int i = 0; i < 2; ++i) {
    rt.run(pr::sleep_for(1ms));
    side_by_side both;
    theirs.serve(both);
    rt.run(both.all());
    theirs.stop();
  }
}

}  // namespace
