// Reads and writes of every kind, dropped at every point.
#include <gtest/gtest.h>

#include <string>

#include "soundness/dropped_ways.hpp"
#include "support/drop_everywhere.hpp"
#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using pr::fs::inline_mode;

namespace {

constexpr inline_mode modes[] = {inline_mode::never, inline_mode::automatic, inline_mode::always};

const char* name_of(inline_mode m) {
  switch (m) {
    case inline_mode::never:
      return "never inline";
    case inline_mode::automatic:
      return "inline by itself";
    case inline_mode::always:
      return "always inline";
  }
  return "";
}

using one_request = pr::task<> (*)(pr::fs::file&);

// Twice, so that the second meets what the first has left.
pr::task<> opened_and_used(std::filesystem::path path, pr::fs::open_options options,
                           one_request request) {
  auto f = co_await pr::fs::open(path, options);
  co_await request(f);
  co_await request(f);
}

// The request waits for the pipe first; then bytes come from beside it.
pr::task<> waits_for_a_pipe(std::filesystem::path path, pr::fs::open_options options,
                            one_request request) {
  options.access = pr::fs::access::read_write;
  auto f = co_await pr::fs::open(path, options);
  pr::task_group group;
  group.spawn(
      [](pr::fs::file& file) -> pr::task<> {
        co_await pr::yield();
        co_await pr::nop();
        (void)co_await file.write_at(std::string(64, 'x'), 0);
      },
      std::ref(f));
  co_await request(f);
  co_await group.join();
}

class DroppedRequests : public ::testing::Test {
 protected:
  void drop_all(const std::filesystem::path& path, pr::fs::access access, bool reads) {
    std::size_t drops = 0;
    for (const way& w : ways) {
      for (const inline_mode mode : modes) {
        SCOPED_TRACE(std::string(w.name) + ", " + name_of(mode));
        const pr::fs::open_options options{.access = access, .inline_first = mode};
        drops += drop_everywhere(
            [&] { return opened_and_used(path, options, reads ? w.read : w.write); });
        EXPECT_TRUE(memory_is_in_order());
        if (HasFailure()) return;
      }
    }
    EXPECT_GT(drops, 500u);
  }

  scratch dir;
};

// case 1, 2, 3, 4, 5: before the push, pushed, in flight, completed, never awaited again
TEST_F(DroppedRequests, a_read_of_a_regular_file_leaves_nothing) {
  drop_all(dir.file("data", std::string(8192, 'd')), pr::fs::access::read, true);
}

// case 1, 2, 3, 4, 5
TEST_F(DroppedRequests, a_write_to_a_regular_file_leaves_nothing) {
  drop_all(dir.file("data", std::string(8192, 'd')), pr::fs::access::read_write, false);
}

// case 1, 2, 3, 4, 5
TEST_F(DroppedRequests, a_read_of_a_device_leaves_nothing) {
  PARKRING_NEEDS_REAL("devices");
  drop_all("/dev/zero", pr::fs::access::read, true);
}

// case 1, 2, 3, 4, 5
TEST_F(DroppedRequests, a_write_to_a_device_leaves_nothing) {
  PARKRING_NEEDS_REAL("devices");
  drop_all("/dev/null", pr::fs::access::write, false);
}

// case 1, 2, 3, 4, 5
TEST_F(DroppedRequests, a_read_of_a_proc_file_leaves_nothing) {
  PARKRING_NEEDS_REAL("/proc");
  drop_all("/proc/self/stat", pr::fs::access::read, true);
}

// case 1, 2, 3, 4, 5
TEST_F(DroppedRequests, a_write_to_a_pipe_leaves_nothing) {
  drop_all(dir.fifo("pipe"), pr::fs::access::read_write, false);
}

// case 1, 2, 3, 4, 5
TEST_F(DroppedRequests, a_read_that_waits_for_a_pipe_leaves_nothing) {
  const auto path = dir.fifo("pipe");
  for (const way& w : ways) {
    SCOPED_TRACE(w.name);
    EXPECT_GT(drop_everywhere([&] { return waits_for_a_pipe(path, {}, w.read); }), 30u);
    EXPECT_TRUE(memory_is_in_order());
    if (HasFailure()) return;
  }
}

}  // namespace
