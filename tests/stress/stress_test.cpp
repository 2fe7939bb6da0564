// Everything at once, by chance, on kernels that are real: several runtimes, each on a thread of
// its own, read, write, wait, abort, post to each other and end in the midst of it. What each may
// see is checked as it goes, and afterwards nothing may be left. How long: see settings.hpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>

#include "stress/settings.hpp"
#include "support/scratch.hpp"
#include "support/watched_memory.hpp"

#if defined(__SANITIZE_THREAD__)
// The thread sanitizer follows descriptors by system calls. Of those that rings open and close it
// sees a number that one thread uses and, once it was given anew, another one closes.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:^close$\nrace:interceptor_close$";  // its name differs between versions
}
#endif

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;
using wall = std::chrono::steady_clock;

namespace {

constexpr std::size_t size = 8192;
constexpr unsigned threads = 3;

char byte_at(std::size_t i) { return static_cast<char>('a' + i / 64 % 26); }

// Goes with a posted function: that has ended when this has.
class ending {
 public:
  explicit ending(std::atomic<std::uint64_t>& count) noexcept : count_(&count) {}
  ending(ending&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  ending& operator=(ending&&) = delete;
  ~ending() {
    if (count_ != nullptr) ++*count_;
  }

 private:
  std::atomic<std::uint64_t>* count_;
};

// What all threads of a phase share.
struct meeting {
  pr::kernel_choice kernel = pr::kernel_choice::automatic;
  std::filesystem::path data;
  wall::time_point until;
  std::atomic<std::uint64_t> steps{0};
  std::atomic<std::uint64_t> made{0}, accepted{0}, ran{0}, ended{0};  // posted functions
  // Plain: only the runtimes of thread i touch number i.
  std::array<std::uint64_t, threads> received{};

  void announce(unsigned number, pr::remote r) {
    const std::lock_guard lock(mutex_);
    remotes_[number].emplace(std::move(r));
  }
  // The way to the runtime of a thread, or to one that has ended; none before the first.
  std::optional<pr::remote> way_to(unsigned number) {
    const std::lock_guard lock(mutex_);
    return remotes_[number];
  }

 private:
  std::mutex mutex_;
  std::array<std::optional<pr::remote>, threads> remotes_;
};

// What one runtime works on.
struct mix {
  meeting& all;
  unsigned number;
  std::mt19937_64& chance;
  pipe_pair pipe{};
  pr::fs::file reader{};
  std::uint64_t put = 0, got = 0;  // bytes of the pipe, each of which tells its place
  bool over = false;

  std::uint64_t below(std::uint64_t n) { return chance() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  std::chrono::microseconds moment() {
    return std::chrono::microseconds(below(one_in(5) ? 2'000 : 50));
  }
};

char byte_of_pipe(std::uint64_t place) { return static_cast<char>(place % 251); }

pr::task<> read_a_part(mix& m, pr::fs::file& f) {
  const std::uint64_t at = m.below(size);
  std::string expected;
  for (std::size_t i = at; i < std::min(at + 600, size); ++i) expected += byte_at(i);
  if (m.one_in(2)) {
    pr::buffer b(1 + m.below(600));
    const std::size_t n = co_await f.read_at(b, at);
    EXPECT_EQ(b.text(0, n), expected.substr(0, n));
  } else {
    auto [memory, n] = co_await f.read_at(watched_bytes(1 + m.below(600)), at);
    EXPECT_EQ(std::string(memory.data(), n), expected.substr(0, n));
  }
}

pr::buffer part_as_it_is(std::uint64_t at, std::size_t length) {
  pr::buffer b(length);
  for (std::byte& x : b.bytes()) x = static_cast<std::byte>(byte_at(at++));
  return b;
}

pr::task<> write_a_part(mix& m, pr::fs::file& f) {
  const std::uint64_t at = m.below(size - 600);
  const pr::buffer b = part_as_it_is(at, 1 + m.below(600));
  co_await f.write_all_at(b, at);
}

// Until the read has resumed nothing is taken: dropped anywhere, the bytes are the next reader's.
pr::task<> read_the_pipe(mix& m) {
  auto [text, n] = co_await m.reader.read_at(std::string(1 + m.below(64), ' '), 0);
  std::string expected;
  while (expected.size() < n) expected += byte_of_pipe(m.got++);
  EXPECT_EQ(text.substr(0, n), expected) << "a byte of the pipe was lost or doubled";
}

void put_into_the_pipe(mix& m) {
  if (m.put - m.got > 2000) return;  // it must not be full: `put` would wait
  std::string bytes;
  for (std::uint64_t n = 1 + m.below(64); n > 0; --n) bytes += byte_of_pipe(m.put++);
  m.pipe.put(bytes);
}

pr::task<> rest_of_the_pipe(mix& m) {
  while (m.got != m.put) co_await read_the_pipe(m);
}

// A function that touches what belongs to the other side, and what it takes along.
void post_to_another(mix& m) {
  const unsigned to = (m.number + 1 + static_cast<unsigned>(m.below(threads - 1))) % threads;
  const std::optional<pr::remote> way = m.all.way_to(to);
  if (!way) return;
  ++m.all.made;
  const std::uint64_t at = m.below(size - 64);
  bool accepted;
  if (m.one_in(2)) {
    accepted = way->post(
        [&all = m.all, to, at, e = ending(m.all.ended), b = part_as_it_is(at, 64)]() mutable {
          EXPECT_EQ(b.text()[0], byte_at(at));
          b = {};
          ++all.received[to];
          ++all.ran;
        });
  } else {
    accepted = way->post([&all = m.all, to, e = ending(m.all.ended),
                          asleep = pr::spawn(pr::sleep_for(1h))]() mutable {
      asleep.abort();
      ++all.received[to];
      ++all.ran;
    });
  }
  if (accepted) ++m.all.accepted;
}

pr::task<> nap(mix& m) { co_await pr::sleep_for(m.moment()); }

pr::task<> some_work(mix& m, int depth);

pr::task<> one_step(mix& m, pr::fs::file& f, int depth) {
  switch (m.below(depth > 0 ? 15 : 11)) {
    case 0:
    case 1:
      co_await read_a_part(m, f);
      break;
    case 2:
      co_await write_a_part(m, f);
      break;
    case 3: {
      auto other = co_await pr::fs::open(m.all.data);
      EXPECT_EQ(co_await other.size(), size);
      if (m.one_in(2)) co_await std::move(other).close();
      break;
    }
    case 4:
    case 5:
      put_into_the_pipe(m);
      (void)co_await pr::timeout(m.moment(), read_the_pipe(m));
      break;
    case 6: {
      const std::uint64_t at = m.below(size - 600);
      const pr::buffer first = part_as_it_is(at, 100), second = part_as_it_is(at + 100, 100);
      (void)co_await pr::timeout(m.moment(),
                                 pr::as_result(pr::link(f.write_at(first, at), f.datasync(),
                                                        f.write_at(second, at + 100))));
      break;
    }
    case 7:
      post_to_another(m);
      break;
    case 8:
      co_await nap(m);
      break;
    case 9: {
      const auto text = std::make_shared<std::string>("x");
      auto work = [text] { return text->size(); };
      (void)co_await pr::timeout(m.moment(), pr::blocking(work));
      break;
    }
    case 10:
      for (std::uint64_t n = m.below(8); n > 0; --n) co_await pr::yield();
      break;
    case 11: {
      auto child = pr::spawn(some_work, std::ref(m), depth - 1);
      co_await nap(m);
      child.abort();
      break;
    }
    case 12: {
      pr::task_group group;
      for (int i = 0; i < 3; ++i) group.spawn(some_work(m, depth - 1));
      co_await nap(m);
      if (m.one_in(2))
        group.abort_all();
      else
        co_await group.join();
      break;
    }
    case 13:
      (void)co_await pr::race(read_the_pipe(m), nap(m), some_work(m, depth - 1));
      break;
    case 14:
      co_await pr::when_all(read_a_part(m, f), nap(m), some_work(m, depth - 1));
      break;
  }
  m.all.steps.fetch_add(1, std::memory_order_relaxed);
}

pr::task<> some_work(mix& m, int depth) {
  pr::fs::open_options options{.access = pr::fs::access::read_write};
  options.registered = m.one_in(2);
  if (m.one_in(2)) options.inline_first = pr::fs::inline_mode::never;
  auto f = co_await pr::fs::open(m.all.data, options);
  for (std::uint64_t n = 1 + m.below(6); n > 0; --n) co_await one_step(m, f, depth);
}

pr::task<> lane(mix& m) {
  while (!m.over) co_await some_work(m, 2);
}

// One runtime, from its beginning to its end.
void live(mix& m) {
  pr::runtime_options options;
  options.kernel = m.all.kernel;
  options.blocking_threads = 1;
  constexpr unsigned sizes[] = {1, 2, 8, 256};
  options.entries = sizes[m.below(4)];
  if (m.one_in(3)) options.max_operations = 4 + m.below(4);
  pr::runtime rt(options);
  m.all.announce(m.number, rt.remote());
  m.reader = rt.run(pr::fs::open(m.pipe.read_path()));
  std::vector<pr::join_handle<void>> lanes;
  for (int i = 0; i < 3; ++i) lanes.push_back(rt.spawn(lane, std::ref(m)));
  rt.run(pr::sleep_for(std::chrono::milliseconds(m.below(40))));
  if (m.one_in(2)) return;  // the runtime ends in the midst of it
  m.over = true;
  for (auto& l : lanes) rt.run(std::move(l));
  rt.run(rest_of_the_pipe(m));
}

void live_again_and_again(meeting& all, unsigned number, std::uint64_t seed) {
  std::mt19937_64 chance(seed);
  try {
    do {
      mix m{.all = all, .number = number, .chance = chance};
      live(m);
    } while (wall::now() < all.until);
  } catch (const std::exception& e) {
    ADD_FAILURE() << "thread " << number << ": " << e.what();
  }
}

class Stress : public ::testing::TestWithParam<pr::kernel_choice> {};
INSTANTIATE_TEST_SUITE_P(On, Stress,
                         ::testing::Values(pr::kernel_choice::io_uring, pr::kernel_choice::threads),
                         [](const auto& chosen) {
                           return chosen.param == pr::kernel_choice::threads ? "threads" : "linux";
                         });

TEST_P(Stress, of_everything_at_once_leaves_nothing) {
  try {
    const pr::runtime probe({.kernel = GetParam()});
  } catch (const std::system_error& e) {
    GTEST_SKIP() << e.what();
  }
  std::string content(size, ' ');
  for (std::size_t i = 0; i < size; ++i) content[i] = byte_at(i);
  const scratch dir;
  const auto data = dir.file("data", content);
  const auto until = wall::now() + time_for_each_kernel();
  std::uint64_t seed = first_seed();
  do {  // in phases, between which nothing may be there
    SCOPED_TRACE("PARKRING_STRESS_SEED=" + std::to_string(seed));
    const int descriptors = open_descriptors();
    meeting all;
    all.kernel = GetParam();
    all.data = data;
    all.until = std::min(until, wall::now() + std::chrono::milliseconds(1000));
    std::vector<std::thread> lives;
    for (unsigned i = 0; i < threads; ++i)
      lives.emplace_back([&all, i, seed] { live_again_and_again(all, i, seed * threads + i); });
    for (std::thread& t : lives) t.join();
    EXPECT_GT(all.steps, 0u);
    EXPECT_EQ(all.ran, all.accepted) << "a function was lost, or run although it was refused";
    EXPECT_EQ(all.ended, all.made) << "a function was not destroyed";
    EXPECT_EQ(all.received[0] + all.received[1] + all.received[2], all.ran);
    EXPECT_EQ(content_of(data), content);
    EXPECT_LE(open_descriptors_once_below(descriptors), descriptors);
    graveyard& graves = graveyard::instance();
    EXPECT_EQ(graves.disturbed(), 0u) << "memory was written to after its end";
    EXPECT_EQ(graves.alive, 0u);
    graves.clear();
    ++seed;
  } while (wall::now() < until && !HasFailure());
}

}  // namespace
