#include <parkring/guests/glib.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <thread>

#include "foreign/glib_activity.hpp"
#include "foreign/progress.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

TEST(GlibGuest, its_timers_and_sockets_and_our_reads_progress_together) {
  glib_activity theirs;
  pr::runtime rt;
  pr::guest g = pr::guests::glib(theirs.context());
  rt.park_on(g);
  side_by_side both;
  theirs.serve(both);
  rt.run(both.all());
  EXPECT_TRUE(both.made.all());
}

TEST(GlibGuest, a_runtime_that_is_never_idle_does_not_starve_it) {
  glib_activity theirs;
  pr::runtime rt;
  pr::guest g = pr::guests::glib(theirs.context());
  rt.park_on(g);
  side_by_side both;
  auto body = [&]() -> pr::task<> {
    co_await pr::yield();
    theirs.serve(both);
    while (both.made.timers < 5) co_await pr::yield();
  };
  rt.run(body());
}

TEST(GlibGuest, a_context_that_is_never_idle_does_not_starve_us) {
  glib_activity theirs;
  pr::runtime rt;
  pr::guest g = pr::guests::glib(theirs.context());
  rt.park_on(g);
  side_by_side both;
  theirs.serve(both);
  GSource* idle = theirs.attach(
      g_idle_source_new(), [](gpointer) -> gboolean { return G_SOURCE_CONTINUE; }, nullptr);
  g_source_set_priority(idle, G_PRIORITY_DEFAULT);
  rt.run(both.all());
  g_source_destroy(idle);
  g_source_unref(idle);
}

TEST(GlibGuest, a_source_that_another_thread_attaches_ends_our_sleep) {
  glib_activity theirs;
  pr::runtime rt;
  pr::guest g = pr::guests::glib(theirs.context());
  rt.park_on(g);
  pr::event woken;
  std::thread other([&] {
    GSource* s = theirs.attach(
        g_idle_source_new(),
        [](gpointer p) -> gboolean {
          static_cast<pr::event*>(p)->set();
          return G_SOURCE_REMOVE;
        },
        &woken);
    g_source_unref(s);
  });
  rt.run(woken.wait());
  other.join();
}

// A number that is closed and opened again means another file, though the array of descriptors
// looks the same.
TEST(GlibGuest, a_descriptor_number_may_get_a_new_file) {
  glib_activity theirs;
  pr::runtime rt;
  pr::guest g = pr::guests::glib(theirs.context());
  rt.park_on(g);
  side_by_side first;
  theirs.serve(first);
  rt.run(pr::sleep_for(1ms));
  theirs.stop();
  side_by_side second;
  const int fd = first.sockets.theirs();
  ASSERT_EQ(::dup3(second.sockets.theirs(), fd, O_CLOEXEC), fd);
  second.sockets.ends[0] = fd;
  first.sockets.ends[0] = -1;
  theirs.serve(second);
  rt.run(second.all());
}

TEST(GlibGuest, a_context_of_another_thread_is_refused) {
  glib_activity theirs;
  ASSERT_TRUE(g_main_context_acquire(theirs.context()));
  std::thread([&] {
    EXPECT_THROW((void)pr::guests::glib(theirs.context()), std::system_error);
  }).join();
  g_main_context_release(theirs.context());
}

TEST(GlibGuest, context_and_runtime_may_end_in_either_order) {
  for (const bool context_first : {true, false}) {
    std::optional<glib_activity> theirs(std::in_place);
    std::optional<pr::runtime> rt(std::in_place);
    auto held = std::make_unique<pr::guest>(pr::guests::glib(theirs->context()));
    rt->park_on(*held);
    auto pending = rt->spawn([]() -> pr::task<> { co_await pr::sleep_for(1h); });
    rt->run(pr::sleep_for(1ms));
    if (context_first) {
      held.reset();
      theirs.reset();
      rt->run(pr::sleep_for(1ms));
    }
    rt.reset();
  }
}

}  // namespace
