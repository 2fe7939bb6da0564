#include "exec/running_task.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace parkring::exec {
namespace {

TEST(RunningTask, is_seen_between_begin_and_end_only) {
  running_task r;
  EXPECT_FALSE(r.look());
  const int function = 0;
  r.begin(detail::spawn_site::at_code(&r), &function, 7);
  const auto seen = r.look();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->where.code(), &r);
  EXPECT_EQ(seen->function, &function);
  EXPECT_EQ(seen->since, 7u);
  r.end();
  EXPECT_FALSE(r.look());
  r.begin(detail::spawn_site(), &function, 8);
  EXPECT_NE(r.look()->turn, seen->turn);
}

TEST(RunningTask, is_seen_whole_or_not_at_all) {
  running_task r;
  std::atomic<bool> end{false};
  std::thread looker([&] {
    while (!end.load(std::memory_order_relaxed)) {
      const auto g = r.look();
      if (!g) continue;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(g->function), g->since);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(g->where.code()), g->since);
    }
  });
  for (std::uintptr_t i = 1; i < 200'000; ++i) {
    const void* p = reinterpret_cast<const void*>(i);
    r.begin(detail::spawn_site::at_code(p), p, i);
    r.end();
  }
  end = true;
  looker.join();
}

}  // namespace
}  // namespace parkring::exec
