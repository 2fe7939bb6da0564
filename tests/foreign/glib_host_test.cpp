#include <parkring/hosts/glib.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "foreign/glib_activity.hpp"
#include "foreign/progress.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

TEST(GlibHost, its_timers_and_sockets_and_our_reads_progress_together) {
  glib_activity theirs;
  pr::hosted rt;
  pr::hosts::glib host(rt, theirs.context());
  side_by_side both;
  theirs.serve(both);
  rt.spawn([&] { return both.all(); }).detach();
  while (rt.has_tasks()) g_main_context_iteration(theirs.context(), TRUE);
  EXPECT_TRUE(both.made.all());
}

TEST(GlibHost, a_busy_runtime_does_not_starve_the_context) {
  glib_activity theirs;
  pr::hosted rt;
  pr::hosts::glib host(rt, theirs.context());
  side_by_side both;
  theirs.serve(both);
  rt.spawn([&]() -> pr::task<> {
      while (both.made.timers < 5 || both.made.sockets < 1) {
        if (both.made.sockets == 0) (void)!::write(both.sockets.ours(), "x", 1);
        co_await pr::yield();
      }
    }).detach();
  while (rt.has_tasks()) g_main_context_iteration(theirs.context(), TRUE);
}

TEST(GlibHost, callbacks_wake_tasks_and_posts_end_its_sleep) {
  glib_activity theirs;
  pr::hosted rt;
  pr::hosts::glib host(rt, theirs.context());
  pr::event from_callback, from_thread;
  GSource* once = theirs.attach(
      g_timeout_source_new(1),
      [](gpointer p) -> gboolean {
        static_cast<pr::event*>(p)->set();
        return G_SOURCE_REMOVE;
      },
      &from_callback);
  g_source_unref(once);
  std::thread other;
  rt.spawn([&]() -> pr::task<> {
      co_await from_callback.wait();
      other = std::thread([&] { rt.post([&] { from_thread.set(); }); });
      co_await from_thread.wait();
    }).detach();
  while (rt.has_tasks()) g_main_context_iteration(theirs.context(), TRUE);
  other.join();
}

TEST(GlibHost, context_and_runtime_may_end_in_either_order) {
  for (const bool runtime_first : {true, false}) {
    std::optional<glib_activity> theirs(std::in_place);
    std::optional<pr::hosted> rt(std::in_place);
    pr::hosts::glib host(*rt, theirs->context());
    rt->spawn([]() -> pr::task<> { co_await pr::sleep_for(1h); }).detach();
    g_main_context_iteration(theirs->context(), FALSE);
    if (runtime_first) rt.reset();
    while (g_main_context_iteration(theirs->context(), FALSE)) {
    }
    theirs.reset();
    rt.reset();
  }
}

TEST(GlibHost, a_task_may_stop_its_own_host) {
  glib_activity theirs;
  pr::hosted rt;
  pr::hosts::glib host(rt, theirs.context());
  bool ran = false;
  rt.spawn([&]() -> pr::task<> {
      host.stop();
      ran = true;
      co_await pr::sleep_for(1h);
    }).detach();
  while (!ran) g_main_context_iteration(theirs.context(), TRUE);
  EXPECT_TRUE(rt.has_tasks()) << "dropped with the runtime";
}

TEST(GlibHost, is_quiet_while_a_task_sleeps_for_ever) {
  glib_activity theirs;
  pr::hosted rt;
  pr::hosts::glib host(rt, theirs.context());
  rt.spawn([]() -> pr::task<> {
      co_await pr::sleep_for(std::chrono::nanoseconds::max());
    }).detach();
  int dispatched = 0;
  while (g_main_context_iteration(theirs.context(), FALSE))
    ASSERT_LT(++dispatched, 1000) << "it should settle";
  EXPECT_TRUE(rt.has_tasks());
}

}  // namespace
