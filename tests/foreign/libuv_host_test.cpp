#include <parkring/hosts/libuv.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "foreign/progress.hpp"
#include "foreign/uv_loop.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

TEST(LibuvHost, its_timers_and_sockets_and_our_reads_progress_together) {
  uv_activity theirs;
  pr::hosted rt;
  pr::hosts::libuv host(theirs.loop(), rt);
  side_by_side both;
  theirs.serve(both);
  rt.spawn([&]() -> pr::task<> {
      co_await both.all();
      theirs.stop();
    }).detach();
  uv_run(theirs.loop(), UV_RUN_DEFAULT);  // until our task has ended, and theirs has stopped
  EXPECT_TRUE(both.made.all());
  EXPECT_FALSE(rt.has_tasks());
}

TEST(LibuvHost, a_busy_runtime_does_not_starve_the_loop_nor_the_loop_it) {
  uv_activity theirs;
  uv_idle_t idle;
  uv_idle_init(theirs.loop(), &idle);
  uv_idle_start(&idle, [](uv_idle_t*) {});
  pr::hosted rt;
  pr::hosts::libuv host(theirs.loop(), rt);
  side_by_side both;
  theirs.serve(both);
  rt.spawn([&]() -> pr::task<> {
      while (both.made.timers < 5) co_await pr::yield();
      co_await both.all();
      theirs.stop();
      uv_close(reinterpret_cast<uv_handle_t*>(&idle), nullptr);
    }).detach();
  uv_run(theirs.loop(), UV_RUN_DEFAULT);
  EXPECT_TRUE(both.made.all());
}

TEST(LibuvHost, callbacks_wake_tasks_and_posts_end_its_sleep) {
  uv_activity theirs;
  pr::hosted rt;
  pr::hosts::libuv host(theirs.loop(), rt);
  pr::event from_callback, from_thread;
  uv_timer_t timer;
  timer.data = &from_callback;
  uv_timer_init(theirs.loop(), &timer);
  uv_timer_start(
      &timer, [](uv_timer_t* t) { static_cast<pr::event*>(t->data)->set(); }, 1, 0);
  std::thread other;
  bool done = false;
  rt.spawn([&]() -> pr::task<> {
      co_await from_callback.wait();
      other = std::thread([&] { rt.post([&] { from_thread.set(); }); });
      co_await from_thread.wait();
      done = true;
    }).detach();
  uv_run(theirs.loop(), UV_RUN_DEFAULT);
  EXPECT_TRUE(done);
  other.join();
  uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
}

TEST(LibuvHost, loop_and_runtime_may_end_in_either_order) {
  for (const bool runtime_first : {true, false}) {
    uv_activity theirs;
    std::optional<pr::hosted> rt(std::in_place);
    pr::hosts::libuv host(theirs.loop(), *rt);
    rt->spawn([]() -> pr::task<> { co_await pr::sleep_for(1h); }).detach();
    uv_run(theirs.loop(), UV_RUN_NOWAIT);
    if (runtime_first)
      rt.reset();
    else
      host.stop();
    uv_run(theirs.loop(), UV_RUN_DEFAULT);  // nothing keeps it
    rt.reset();
  }
}

TEST(LibuvHost, a_task_may_stop_its_own_host) {
  uv_activity theirs;
  pr::hosted rt;
  pr::hosts::libuv host(theirs.loop(), rt);
  rt.spawn([&]() -> pr::task<> {
      host.stop();
      co_await pr::sleep_for(1h);
    }).detach();
  uv_run(theirs.loop(), UV_RUN_DEFAULT);
  EXPECT_TRUE(rt.has_tasks()) << "dropped with the runtime";
}

TEST(LibuvHost, is_quiet_while_a_task_sleeps_for_ever) {
  uv_activity theirs;
  pr::hosted rt;
  pr::hosts::libuv host(theirs.loop(), rt);
  rt.spawn([]() -> pr::task<> {
      co_await pr::sleep_for(std::chrono::nanoseconds::max());
    }).detach();
  for (int i = 0; i < 1000; ++i) uv_run(theirs.loop(), UV_RUN_NOWAIT);
  EXPECT_NE(uv_backend_timeout(theirs.loop()), 0) << "it should settle";
  EXPECT_LT(rt.counters().turns, 100u) << "not one turn for each iteration";
}

TEST(LibuvHost, the_last_callback_of_a_loop_may_give_it_a_task) {
  uv_activity theirs;
  pr::hosted rt;
  pr::hosts::libuv host(theirs.loop(), rt);
  struct last {
    pr::hosted& rt;
    bool by_call;
    bool done = false;
    pr::task<> work() {
      co_await pr::sleep_for(1ms);
      done = true;
    }
  };
  for (const bool by_call : {false, true}) {
    last l{rt, by_call};
    uv_work_t request;
    request.data = &l;
    uv_queue_work(
        theirs.loop(), &request, [](uv_work_t*) {},
        [](uv_work_t* r, int) {
          auto& self = *static_cast<last*>(r->data);
          if (self.by_call)
            self.rt.call([&] { pr::spawn(&last::work, &self).detach(); });
          else
            self.rt.spawn(&last::work, &self).detach();
        });
    uv_run(theirs.loop(), UV_RUN_DEFAULT);
    EXPECT_TRUE(l.done);
    ASSERT_FALSE(rt.has_tasks());
  }
  rt.call([] {});
  uv_run(theirs.loop(), UV_RUN_DEFAULT);  // nothing keeps it
}

}  // namespace
