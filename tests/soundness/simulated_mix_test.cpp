// Everything at once, by chance, on a machine where much goes wrong that a program can bear; ended
// at a random point by the teardown of its runtime, or by a power cut. Nothing may be left.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

#include "soundness/dropped_ways.hpp"
#include "support/drop_everywhere.hpp"
#include "support/scale.hpp"
#include "support/watched_memory.hpp"

namespace pr = parkring;
namespace sim = parkring::sim;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

constexpr pr::fs::open_options rw{.access = pr::fs::access::read_write};
constexpr std::size_t size = 8192;

char byte_at(std::size_t i) { return static_cast<char>('a' + i / 64 % 26); }

struct mix {
  sim::world& w;
  sim::world::pipe pipe;
  std::uint64_t steps_done = 0;
  std::uint64_t chains_done = 0;

  std::chrono::nanoseconds moment() const {
    return std::chrono::nanoseconds(w.random(w.chance(0.2) ? 200'000 : 5'000));
  }
};

// What the faults of the mix may do to a single request.
bool bearable(const pr::io_error& e) {
  return e.error().number() == EAGAIN || e.error().number() == EINTR;
}

pr::task<> read_a_part(mix& m, pr::fs::file& f) {
  const std::uint64_t at = m.w.random(size);
  if (m.w.chance(0.5)) {
    pr::buffer b(1 + m.w.random(600));
    const std::size_t n = co_await f.read_at(b, at);
    const auto text = b.text(0, n);
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(text[i], byte_at(at + i));
  } else {
    auto [memory, n] = co_await f.read_at(watched_bytes(1 + m.w.random(600)), at);
    for (std::size_t i = 0; i < n; ++i) EXPECT_EQ(memory[i], byte_at(at + i));
  }
}
pr::task<> write_a_part(mix& m, pr::fs::file& f) {
  const std::uint64_t at = m.w.random(size - 600);
  pr::buffer b(1 + m.w.random(600));
  std::size_t i = at;
  for (std::byte& x : b.bytes()) x = static_cast<std::byte>(byte_at(i++));  // as it was
  co_await f.write_all_at(b, at);
}
pr::task<> read_the_pipe(mix& m) {
  auto f = co_await pr::fs::open("/proc/self/fd/" + std::to_string(m.pipe.read_end));
  (void)co_await f.read_at(watched_bytes(16), 0);
}
pr::task<> write_the_pipe(mix& m) {
  auto f = co_await pr::fs::open("/proc/self/fd/" + std::to_string(m.pipe.write_end),
                                 {.access = pr::fs::access::write});
  (void)co_await f.write_at(watched_bytes(16, 'p'), 0);
}
pr::task<> open_and_close() {
  auto f = co_await pr::fs::open("/data");
  (void)co_await f.size();
  co_await std::move(f).close();
}
pr::task<> rename_and_back(mix& m) {
  const std::string a = "/t" + std::to_string(m.w.random(3)), b = a + "b";
  co_await pr::fs::write_file(a, "content");
  co_await pr::fs::rename(a, b);
  (void)co_await pr::as_result(pr::fs::remove(b));
}
pr::task<> nap(mix& m) { co_await pr::sleep_for(m.moment()); }

pr::task<> some_work(mix& m, int depth);

pr::task<> one_step(mix& m, pr::fs::file& f, int depth) {
  switch (m.w.random(depth > 0 ? 14 : 9)) {
    case 0:
    case 1:
      co_await read_a_part(m, f);
      break;
    case 2:
      co_await write_a_part(m, f);
      break;
    case 3:
      co_await open_and_close();
      break;
    case 4:
      (void)co_await pr::timeout(m.moment(), read_the_pipe(m));
      break;
    case 5:
      (void)co_await pr::timeout(m.moment(), write_the_pipe(m));
      break;
    case 6: {  // what is behind the sync is held until that has ended
      pr::buffer page(512), next(64);
      std::ranges::fill(page.bytes(), static_cast<std::byte>(byte_at(0)));
      std::ranges::fill(next.bytes(), static_cast<std::byte>(byte_at(64)));
      const std::chrono::nanoseconds time(m.w.random(1'500'000));  // a sync takes about half of it
      const auto ended = co_await pr::timeout(
          time,
          pr::as_result(pr::link(f.write_at(page, 0, 64), f.datasync(), f.write_at(next, 64))));
      if (ended && *ended) ++m.chains_done;
      co_await page.returned();
      co_await next.returned();
      break;
    }
    case 7:
      (void)co_await pr::as_result(rename_and_back(m));
      break;
    case 8:
      co_await nap(m);
      break;
    case 9: {
      auto child = pr::spawn(some_work, std::ref(m), depth - 1);
      co_await nap(m);
      child.abort();
      break;
    }
    case 10: {
      pr::task_group group;
      for (int i = 0; i < 3; ++i) group.spawn(some_work(m, depth - 1));
      co_await nap(m);
      if (m.w.chance(0.5))
        group.abort_all();
      else
        co_await group.join();
      break;
    }
    case 11:
      (void)co_await pr::race(read_the_pipe(m), nap(m), some_work(m, depth - 1));
      break;
    case 12:
      co_await pr::when_all(read_a_part(m, f), nap(m), some_work(m, depth - 1));
      break;
    case 13:
      pr::spawn(some_work, std::ref(m), depth - 1).detach();
      break;
  }
  ++m.steps_done;
}

pr::task<> some_work(mix& m, int depth) {
  try {
    auto options = rw;
    if (m.w.chance(0.5)) options.registered = false;
    auto f = co_await pr::fs::open("/data", options);
    for (std::uint64_t n = 1 + m.w.random(5); n > 0; --n) co_await one_step(m, f, depth);
  } catch (const pr::io_error& e) {
    if (!bearable(e)) ADD_FAILURE() << e.what();
  }
}

pr::task<> all_work(mix& m) {
  pr::task_group group;
  for (int i = 0; i < 4; ++i) group.spawn(some_work(m, 2));
  co_await group.join();
}

pr::task<> work_for_a_while(mix& m) {
  (void)co_await pr::timeout(std::chrono::nanoseconds(m.w.random(3'000'000)), all_work(m));
}

enum class end { by_itself, torn_down, power_cut };

struct work_done {
  std::uint64_t steps = 0;
  std::uint64_t chains = 0;
};

void run_once(std::uint64_t seed, end how, work_done& done) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  sim::world w(seed);
  std::string content(size, ' ');
  for (std::size_t i = 0; i < size; ++i) content[i] = byte_at(i);
  w.write_file("/data", content);
  mix m{w, {}};
  const auto frames = pr::detail::frames_out();
  pr::runtime_options options;
  constexpr unsigned sizes[] = {1, 2, 8, 256};
  options.entries = sizes[w.random(4)];  // where a chain does not fit it is refused
  if (w.chance(0.3)) options.max_operations = 3 + w.random(4);
  w.set_faults(sim::faults::bearable(0.05));
  if (how == end::power_cut) w.cut_at_step(20 + w.random(600));
  const auto ended = w.until_power_cut([&] {
    m.pipe = w.make_pipe();
    if (how == end::torn_down) {
      stepped_runtime rt(options);
      rt.start(all_work(m));
      for (std::uint64_t k = w.random(400); k > 0 && rt.running(); --k) rt.step();
    } else {
      pr::runtime rt(options);
      rt.run(work_for_a_while(m));
    }
  });
  if (ended == sim::ending::finished) {
    EXPECT_EQ(w.open_descriptors(), 2u) << "more than the world's own two";
    w.close(m.pipe.read_end);
    w.close(m.pipe.write_end);
    EXPECT_EQ(w.read_file("/data"), content);
  }
  // The next life finds a machine that works.
  w.set_faults({});
  w.cut_at_step(std::numeric_limits<std::uint64_t>::max());  // it may not have come to the cut
  const std::string after = w.run([] { return pr::fs::read_file("/data"); });
  EXPECT_EQ(after.size(), size);
  EXPECT_EQ(w.open_descriptors(), 0u);
  EXPECT_EQ(pr::detail::frames_out(), frames);
  EXPECT_TRUE(memory_is_in_order());
  done.steps += m.steps_done;
  done.chains += m.chains_done;
}

class Mix : public ::testing::TestWithParam<end> {};
INSTANTIATE_TEST_SUITE_P(Ends, Mix,
                         ::testing::Values(end::by_itself, end::torn_down, end::power_cut),
                         [](const auto& chosen) {
                           switch (chosen.param) {
                             case end::by_itself:
                               return "by_itself";
                             case end::torn_down:
                               return "torn_down";
                             case end::power_cut:
                               break;
                           }
                           return "by_a_power_cut";
                         });

TEST_P(Mix, leaves_nothing_wherever_it_ends) {
  work_done done;
  constexpr int seeds = under_tsan ? 200 : 1500;
  for (std::uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed)
    run_once(seed, GetParam(), done);
  EXPECT_GT(done.steps, std::uint64_t{seeds}) << "hardly anything was done";
  EXPECT_GT(done.chains, std::uint64_t{seeds} / 20) << "hardly a chain came to its end";
}

}  // namespace
