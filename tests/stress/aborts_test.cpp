// Tasks that wait for everything there is, on several runtimes, while other threads drop and abort
// them at random. What they share may not suffer: no permit, lock or value is lost, and afterwards
// nothing is in flight.
//
//   runtimes   each on a thread of its own, and some with several workers; it keeps spawning
//              victims, on any worker, and hands their handles over
//   victims    wait, one thing after the other, for what all share, until somebody drops them
//   droppers   threads without a runtime, which take a handle at random and end its task
// How long: see settings.hpp.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <ranges>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <parkring/parkring.hpp>

#include "stress/settings.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;
using wall = std::chrono::steady_clock;

namespace {

constexpr unsigned runtimes = 3;
constexpr unsigned droppers = 2;
constexpr std::size_t victims = 24;  // of each runtime, at a time
constexpr std::size_t permits = 3;

// A value that is counted as long as it lives.
class token {
 public:
  explicit token(std::atomic<std::int64_t>& alive) noexcept : alive_(&alive) { ++alive; }
  token(token&& other) noexcept : alive_(std::exchange(other.alive_, nullptr)) {}
  token& operator=(token&& other) noexcept {
    if (this != &other) {
      end();
      alive_ = std::exchange(other.alive_, nullptr);
    }
    return *this;
  }
  ~token() { end(); }

 private:
  void end() noexcept {
    if (alive_ != nullptr) --*alive_;
  }
  std::atomic<std::int64_t>* alive_;
};

template <class Count>
class counted {
 public:
  explicit counted(Count& count) noexcept : count_(count) { ++count_; }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --count_; }

 private:
  Count& count_;
};

using handle = std::variant<pr::join_handle<void>, pr::remote_handle<void>>;

struct common {
  explicit common(pr::kernel_choice k)
      : kernel(k), others({.shards = 2, .pin = false, .runtime = {.kernel = k}}) {}

  pr::kernel_choice kernel;
  std::filesystem::path data;
  wall::time_point until;
  std::atomic<std::uint64_t> steps{0}, drops{0};
  std::atomic<bool> over{false};

  pr::mutex lock;
  int inside = 0;  // of the lock
  pr::shared_mutex rw;
  int writers = 0;              // of `rw`
  std::atomic<int> readers{0};  // of `rw`
  std::atomic<int> holding{0};  // permits
  pr::semaphore some{permits};
  pr::condition changed;
  pr::event gate;
  pr::barrier pairs{2};
  pr::latch never{1};

  std::atomic<std::int64_t> alive{0};
  pr::channel_ends<pr::channel_sender<token>, pr::channel_receiver<token>> few =
      pr::channel<token>(2);
  std::atomic<std::uint64_t> few_sent{0}, few_received{0};
  pr::channel_ends<pr::unbounded_sender<token>, pr::channel_receiver<token>> many =
      pr::unbounded_channel<token>();
  std::atomic<std::uint64_t> many_sent{0}, many_received{0};
  pr::broadcast_sender<int> news = pr::broadcast<int>(4).sender;
  pr::watch_sender<int> latest = pr::watch<int>(0).sender;
  pr::shards others;

  // ---- the handles ----
  void hand_over(handle h) {
    const std::lock_guard guard(bin_lock_);
    bin_.push_back(std::move(h));
  }
  std::optional<handle> take(std::uint64_t chance) {
    const std::lock_guard guard(bin_lock_);
    if (bin_.empty()) return std::nullopt;
    std::swap(bin_[chance % bin_.size()], bin_.back());
    auto h = std::move(bin_.back());
    bin_.pop_back();
    return h;
  }

 private:
  std::mutex bin_lock_;
  std::vector<handle> bin_;
};

// What one runtime's tasks have to themselves.
struct home {
  common& all;
  std::atomic<std::uint64_t> chance;  // tasks of several workers ask for it
  int ends[2] = {-1, -1};             // of a pipe

  home(common& c, std::uint64_t seed) : all(c), chance(seed) {
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
  }
  home(const home&) = delete;
  home& operator=(const home&) = delete;
  ~home() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::uint64_t below(std::uint64_t n) {  // splitmix64
    std::uint64_t x = chance.fetch_add(0x9e37'79b9'7f4a'7c15u, std::memory_order_relaxed);
    x = (x ^ (x >> 30)) * 0xbf58'476d'1ce4'e5b9u;
    x = (x ^ (x >> 27)) * 0x94d0'49bb'1331'11ebu;
    return (x ^ (x >> 31)) % n;
  }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  std::chrono::microseconds moment() {
    return std::chrono::microseconds(below(one_in(8) ? 1'000 : 60));
  }
};

pr::task<> nap(home& h) { co_await pr::sleep_for(h.moment()); }

// ---- one thing to wait for ----

pr::task<> lock_it(home& h) {
  auto held = co_await h.all.lock.lock();
  {
    EXPECT_EQ(h.all.inside, 0);
    const counted inside(h.all.inside);
    if (h.one_in(2)) co_await pr::yield();
  }
  if (h.one_in(3)) (void)co_await pr::timeout(h.moment(), h.all.changed.wait(held));
  if (h.one_in(4)) h.all.changed.notify_one();
}

pr::task<> lock_shared(home& h) {
  if (h.one_in(3)) {
    const auto held = co_await h.all.rw.lock();
    EXPECT_EQ(h.all.writers, 0);
    EXPECT_EQ(h.all.readers, 0);
    const counted writing(h.all.writers);
    co_await nap(h);
  } else {
    const auto held = co_await h.all.rw.lock_shared();
    EXPECT_EQ(h.all.writers, 0);
    const counted reading(h.all.readers);
    co_await nap(h);
  }
}

pr::task<> take_permits(home& h) {
  const auto n = 1 + h.below(permits);
  const auto held = co_await h.all.some.acquire(n);
  struct holding {
    std::atomic<int>& of;
    int n;
    ~holding() { of -= n; }
  } const now{h.all.holding, static_cast<int>(n)};
  EXPECT_LE(h.all.holding += now.n, static_cast<int>(permits));
  co_await nap(h);
}

pr::task<> meet_others(home& h) {
  switch (h.below(4)) {
    case 0:
      (void)co_await pr::timeout(h.moment(), h.all.gate.wait());
      break;
    case 1:
      (void)co_await pr::timeout(h.moment(), h.all.pairs.arrive_and_wait());
      break;
    case 2:
      (void)co_await pr::timeout(h.moment(), h.all.never.wait());
      break;
    default:
      (void)co_await pr::race(pr::stopped(), pr::sleep_for(h.moment()));
  }
}

pr::task<> send_few(home& h) {
  co_await h.all.few.sender.send(token(h.all.alive));
  ++h.all.few_sent;
}
pr::task<> receive_few(home& h) {
  const auto got = co_await pr::timeout(h.moment(), h.all.few.receiver.receive());
  if (got.has_value() && got->has_value()) ++h.all.few_received;
}
void send_many(home& h) {
  if (h.all.many_sent - h.all.many_received > 200) return;
  ++h.all.many_sent;
  h.all.many.sender.send(token(h.all.alive));
}
// From where it has resumed on, what it got is counted: dropped before, it got nothing.
pr::task<> receive_many(home& h) {
  if (h.one_in(2)) {
    (void)co_await h.all.many.receiver.receive();
    ++h.all.many_received;
  } else {
    const auto first = co_await pr::race(pr::sleep_for(h.moment()), h.all.many.receiver.receive());
    if (first.index() == 1) ++h.all.many_received;
  }
}

pr::task<> hear_news(home& h) {
  auto news = h.all.news.subscribe();
  auto latest = h.all.latest.subscribe();
  (void)co_await pr::timeout(h.moment(), news.receive());
  (void)co_await pr::timeout(h.moment(), latest.changed());
}

pr::task<> answer_once(home& h) {
  auto [tx, rx] = pr::oneshot<token>();
  const auto answer = [](home& of, pr::oneshot_sender<token> to) -> pr::task<> {
    co_await nap(of);
    std::move(to).send(token(of.all.alive));
  };
  const auto answering = pr::spawn(answer, std::ref(h), std::move(tx));
  (void)co_await pr::timeout(h.moment(), rx.receive());
}

pr::task<> call_a_shard(home& h) {
  const auto shard = static_cast<unsigned>(h.below(2));
  if (h.one_in(2)) {
    const auto back = [](token t) { return t; };
    (void)co_await h.all.others.on(shard, back, token(h.all.alive));
  } else {
    const auto later = [](token t, std::chrono::microseconds d) -> pr::task<token> {
      co_await pr::sleep_for(d);
      co_return t;
    };
    (void)co_await pr::timeout(h.moment(),
                               h.all.others.on(shard, later, token(h.all.alive), h.moment()));
  }
}

pr::task<> watch_a_descriptor(home& h) {
  if (h.one_in(2)) (void)!::write(h.ends[1], "x", 1);
  const auto pipe = pr::async_fd::borrow(h.ends[0]);
  if (co_await pr::timeout(h.moment(), pipe.readable())) {
    char byte;
    (void)!::read(h.ends[0], &byte, 1);
  }
}

pr::task<> use_a_file(home& h) {
  pr::fs::open_options options{.access = pr::fs::access::read_write};
  if (h.one_in(2)) options.inline_first = pr::fs::inline_mode::never;
  auto f = co_await pr::fs::open(h.all.data, options);
  pr::buffer b(512);
  (void)co_await f.read_at(b, 0);
  if (h.one_in(2)) co_await f.write_all_at(b, 512);
  if (h.one_in(4)) co_await f.datasync();
}

pr::task<> work_elsewhere(home& h) {
  const auto text = std::make_shared<token>(h.all.alive);
  const auto work = [text] { std::this_thread::yield(); };
  co_await pr::blocking(work);
}

pr::task<> one_step(home& h, int depth);

pr::task<> several(home& h, int depth) {
  switch (h.below(4)) {
    case 0:
      co_await pr::when_all(one_step(h, depth), one_step(h, depth));
      break;
    case 1: {
      const auto make = [&](int) { return one_step(h, depth); };
      auto steps = std::views::iota(0, 3) | std::views::transform(make);
      (void)co_await pr::race(steps);
      break;
    }
    case 2: {
      pr::task_group group;
      for (int i = 0; i < 2; ++i) group.spawn(one_step(h, depth));
      (void)co_await pr::timeout(h.moment(), group.join());
      break;
    }
    default: {  // what goes on by itself, so it must be something that ends
      auto shielded = h.one_in(2) ? lock_it(h) : take_permits(h);
      co_await pr::shield(std::move(shielded));
    }
  }
}

pr::task<> one_step(home& h, int depth) {
  h.all.steps.fetch_add(1, std::memory_order_relaxed);
  switch (h.below(depth > 0 ? 15 : 13)) {
    case 0:
      return lock_it(h);
    case 1:
      return lock_shared(h);
    case 2:
      return take_permits(h);
    case 3:
      return meet_others(h);
    case 4:
      return send_few(h);
    case 5:
      return receive_few(h);
    case 6:
      send_many(h);
      return nap(h);
    case 7:
      return receive_many(h);
    case 8:
      return hear_news(h);
    case 9:
      return answer_once(h);
    case 10:
      return call_a_shard(h);
    case 11:
      return watch_a_descriptor(h);
    case 12:
      return h.one_in(2) ? use_a_file(h) : work_elsewhere(h);
    default:
      return several(h, depth - 1);
  }
}

pr::task<> victim(home& h) {
  for (;;) {
    co_await one_step(h, 2);
    if (h.one_in(4)) co_await pr::yield_anywhere();
  }
}

// ---- who lets them live, and who ends them ----

pr::task<> keep_spawning(home& h, std::atomic<int>& alive, wall::time_point until) {
  const auto body = [](home& of, std::atomic<int>& n) -> pr::task<> {
    const counted living(n);
    co_await victim(of);
  };
  while (wall::now() < until) {
    while (alive < static_cast<int>(victims)) {
      if (h.one_in(2))
        h.all.hand_over(pr::spawn(body, std::ref(h), std::ref(alive)));
      else
        h.all.hand_over(pr::spawn_anywhere(body, std::ref(h), std::ref(alive)));
      co_await pr::yield();
    }
    co_await nap(h);
  }
}

void live(common& all, std::uint64_t seed) {
  home h(all, seed);
  std::atomic<int> alive{0};
  pr::runtime rt({.blocking_threads = 1,
                  .workers = h.one_in(2) ? 1 : 1 + static_cast<unsigned>(h.below(3)),
                  .kernel = all.kernel});
  const auto life = std::chrono::milliseconds(50 + h.below(200));
  rt.run(keep_spawning(h, alive, std::min(all.until, wall::now() + life)));
  if (h.one_in(3)) return;  // the runtime ends before its victims
  // The droppers end them all, and then nothing is left.
  pr::runtime_counters c = rt.counters();
  const auto patience = wall::now() + 20s;
  const auto busy = [&] { return c.tasks + c.operations + c.orphans + c.buffers != 0; };
  while (busy() && wall::now() < patience) {
    rt.run(pr::sleep_for(1ms));
    c = rt.counters();
  }
  EXPECT_FALSE(busy()) << c.tasks << " tasks, " << c.operations << " operations, " << c.orphans
                       << " orphans, " << c.buffers << " buffers are left";
}

void live_again_and_again(common& all, std::uint64_t seed) {
  try {
    do live(all, seed++);
    while (wall::now() < all.until);
  } catch (const std::exception& e) {
    ADD_FAILURE() << e.what();
  }
}

void drop_again_and_again(common& all, std::uint64_t seed) {
  std::mt19937_64 chance(seed);
  for (;;) {
    const bool last = all.over;
    auto h = all.take(chance());
    if (!h && last) return;
    if (h) {
      ++all.drops;
      switch (chance() % 4) {
        case 0:
          std::visit([](auto& one) { one.abort(); }, *h);
          break;
        case 1:
          std::visit([](auto& one) { one.request_stop(); }, *h);
          break;
        default:
          break;
      }
    }
    h.reset();
    const auto number = static_cast<int>(chance() % 64);
    if (number < 2) all.news.send(number);
    if (number == 2) all.latest.send(number);
    if (number == 3) all.gate.set();
    if (number == 4) all.gate.reset();
    if (number == 5) all.changed.notify_all();
    std::this_thread::sleep_for(std::chrono::microseconds(chance() % 60));
  }
}

std::uint64_t left_in(pr::channel_receiver<token>& from) {
  std::uint64_t n = 0;
  while (from.try_receive().has_value()) ++n;
  return n;
}

class Aborts : public ::testing::TestWithParam<pr::kernel_choice> {};
INSTANTIATE_TEST_SUITE_P(On, Aborts,
                         ::testing::Values(pr::kernel_choice::io_uring, pr::kernel_choice::threads),
                         [](const auto& chosen) {
                           return chosen.param == pr::kernel_choice::threads ? "threads" : "linux";
                         });

TEST_P(Aborts, from_other_threads_lose_nothing) {
  try {
    const pr::runtime probe({.kernel = GetParam()});
  } catch (const std::system_error& e) {
    GTEST_SKIP() << e.what();
  }
  const scratch dir;
  const auto data = dir.file("data", std::string(4096, 'x'));
  const auto until = wall::now() + time_for_each_kernel();
  std::uint64_t seed = first_seed();
  do {  // in phases, between which nothing may be there
    SCOPED_TRACE("PARKRING_STRESS_SEED=" + std::to_string(seed));
    const int descriptors = open_descriptors();
    auto all = std::make_unique<common>(GetParam());
    all->data = data;
    all->until = std::min(until, wall::now() + std::chrono::milliseconds(1000));
    std::vector<std::thread> living, dropping;
    for (unsigned i = 0; i < runtimes; ++i)
      living.emplace_back([&, i] { live_again_and_again(*all, seed * 1'000 + i * 100); });
    for (unsigned i = 0; i < droppers; ++i)
      dropping.emplace_back([&, i] { drop_again_and_again(*all, seed * 1'000 + 999 - i); });
    for (std::thread& t : living) t.join();
    all->over = true;
    for (std::thread& t : dropping) t.join();
    EXPECT_GT(all->steps, 0u);
    EXPECT_GT(all->drops, 0u);
    RecordProperty("steps", std::to_string(all->steps));
    RecordProperty("drops", std::to_string(all->drops));

    EXPECT_TRUE(all->lock.try_lock().has_value());
    EXPECT_TRUE(all->rw.try_lock().has_value());
    EXPECT_EQ(all->some.available(), permits);
    EXPECT_EQ(all->inside, 0);
    EXPECT_EQ(all->writers, 0);
    EXPECT_EQ(all->readers, 0);
    EXPECT_EQ(all->holding, 0);
    EXPECT_EQ(all->many_received + left_in(all->many.receiver), all->many_sent)
        << "a value was lost or doubled";
    // Who was dropped while it sent cannot say whether it had.
    EXPECT_GE(all->few_received + left_in(all->few.receiver), all->few_sent) << "a value was lost";
    for (int i = 0; i < 5'000 && all->alive != 0; ++i)  // a shard may not have looked yet
      std::this_thread::sleep_for(1ms);
    EXPECT_EQ(all->alive, 0) << "a value was not destroyed, or twice";
    all.reset();
    EXPECT_LE(open_descriptors_once_below(descriptors), descriptors);
    ++seed;
  } while (wall::now() < until && !HasFailure());
}

}  // namespace
