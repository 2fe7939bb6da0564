#include "kernel/threads/workers.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <latch>
#include <thread>
#include <vector>

#include "kernel/abi.hpp"
#include "kernel/threads/channel.hpp"

namespace parkring::kernel::threads {
namespace {

std::shared_ptr<channel> make_channel(std::uint32_t& flags) {
  auto c = std::make_shared<channel>(base::owned_fd(::eventfd(0, EFD_CLOEXEC)));
  c->open(&flags);
  return c;
}

// Runs what it is given.
struct test_job final : job {
  explicit test_job(std::shared_ptr<channel> to) { home = std::move(to); }
  void run() override {
    if (work) work();
    result = answer;
  }
  bool arrive(backend&) noexcept override { return true; }
  void discard() noexcept override {
    if (discarded != nullptr) discarded->fetch_add(1);
  }
  std::function<void()> work;
  std::int64_t answer = 7;
  std::atomic<int>* discarded = nullptr;
};

// Waits for parcels as a ring's thread does.
std::vector<std::unique_ptr<parcel>> take(channel& c, std::size_t n) {
  std::vector<std::unique_ptr<parcel>> all;
  while (all.size() < n) {
    if (c.begin_sleep()) {
      pollfd p{c.event(), POLLIN, 0};
      ::poll(&p, 1, -1);
      std::uint64_t count;
      EXPECT_EQ(::read(c.event(), &count, sizeof count), 8);
      c.end_sleep();
    }
    for (parcel* p = c.take(); p != nullptr;) {
      all.emplace_back(p);
      p = p->next_parcel;
    }
  }
  return all;
}

TEST(Workers, a_job_runs_on_another_thread_and_comes_home_with_its_result) {
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  std::thread::id where;
  auto* j = new test_job(home);
  j->work = [&] { where = std::this_thread::get_id(); };
  workers& pool = workers::shared();
  ASSERT_TRUE(pool.submit(*j));
  const auto back = take(*home, 1);
  EXPECT_EQ(back[0].get(), j);
  EXPECT_EQ(j->result, 7);
  EXPECT_NE(where, std::this_thread::get_id());
  EXPECT_NE(flags & abi::sq_taskrun, 0u);
}

TEST(Workers, a_job_that_waits_for_a_thread_can_be_withdrawn_and_one_that_runs_cannot) {
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  workers& pool = workers::shared();
  const auto before = pool.limit({0, 1});
  std::latch begun{1}, go{1};
  auto* first = new test_job(home);
  first->by = worker_class::unbounded;
  first->work = [&] {
    begun.count_down();
    go.wait();
  };
  ASSERT_TRUE(pool.submit(*first));
  begun.wait();
  std::unique_ptr<test_job> second(new test_job(home));
  second->by = worker_class::unbounded;
  ASSERT_TRUE(pool.submit(*second));
  EXPECT_EQ(pool.withdraw(*first), workers::withdrawal::running);
  EXPECT_EQ(pool.withdraw(*second), workers::withdrawal::withdrawn);
  go.count_down();
  const auto back = take(*home, 1);
  EXPECT_EQ(pool.withdraw(*first), workers::withdrawal::done);
  EXPECT_EQ(second->result, 0);
  (void)pool.limit(before);
}

TEST(Workers, a_thread_that_idles_ends_and_the_next_job_finds_another) {
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  workers& pool = workers::shared();
  pid_t where = 0;
  auto* first = new test_job(home);
  first->work = [&] { where = ::gettid(); };
  ASSERT_TRUE(pool.submit(*first));
  (void)take(*home, 1);
  const auto there = [&] { return ::tgkill(::getpid(), where, 0) == 0; };
  for (int i = 0; i < 3000 && there(); ++i) ::usleep(10'000);
  EXPECT_FALSE(there());
  ASSERT_TRUE(pool.submit(*new test_job(home)));
  EXPECT_EQ(take(*home, 1).size(), 1u);
}

TEST(Workers, waiting_for_ever_keeps_no_file_from_being_served) {
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  workers& pool = workers::shared();
  const auto before = pool.limit({2, 2});
  std::latch go{1};
  for (int i = 0; i < 8; ++i) {
    auto* j = new test_job(home);
    j->by = worker_class::unbounded;
    j->work = [&] { go.wait(); };
    ASSERT_TRUE(pool.submit(*j));
  }
  EXPECT_LE(pool.running(worker_class::unbounded), 2u);
  auto* file = new test_job(home);
  ASSERT_TRUE(pool.submit(*file));
  EXPECT_EQ(take(*home, 1)[0].get(), file);
  go.count_down();
  EXPECT_EQ(take(*home, 8).size(), 8u);
  (void)pool.limit(before);
}

TEST(Workers, what_waits_for_ever_keeps_neither_its_end_nor_what_is_ready_from_being_served) {
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  workers& pool = workers::shared();
  constexpr int waiting = 100;
  std::latch end{1};
  for (int i = 0; i < waiting; ++i) {
    auto* j = new test_job(home);
    j->by = worker_class::unbounded;
    j->work = [&] { end.wait(); };
    ASSERT_TRUE(pool.submit(*j));
  }
  auto* ready = new test_job(home);
  ready->by = worker_class::ready;
  ASSERT_TRUE(pool.submit(*ready));
  EXPECT_EQ(take(*home, 1)[0].get(), ready);
  auto* ender = new test_job(home);
  ender->by = worker_class::unbounded;
  ender->work = [&] { end.count_down(); };
  ASSERT_TRUE(pool.submit(*ender));
  EXPECT_EQ(take(*home, waiting + 1).size(), std::size_t{waiting} + 1);
}

TEST(Workers, an_interrupted_job_makes_room_for_one_that_was_queued) {
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  workers& pool = workers::shared();
  const auto before = pool.limit({0, 1});
  while (pool.running(worker_class::unbounded) > 1) std::this_thread::yield();
  std::latch begun{1};
  auto* first = new test_job(home);
  first->by = worker_class::unbounded;
  first->interruptible = true;
  first->work = [&] {
    begun.count_down();
    EXPECT_EQ(::poll(nullptr, 0, -1), -1);
    first->answer = -errno;
  };
  ASSERT_TRUE(pool.submit(*first));
  begun.wait();
  auto* second = new test_job(home);
  second->by = worker_class::unbounded;
  ASSERT_TRUE(pool.submit(*second));
  EXPECT_EQ(pool.withdraw(*first), workers::withdrawal::running);
  const auto back = take(*home, 2);
  EXPECT_EQ(back[0].get(), first);
  EXPECT_EQ(first->result, -ECANCELED);
  EXPECT_EQ(second->result, 7);
  (void)pool.limit(before);
}

TEST(Workers, a_raised_limit_serves_what_is_queued) {
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  workers& pool = workers::shared();
  const auto before = pool.limit({0, 1});
  while (pool.running(worker_class::unbounded) > 1) std::this_thread::yield();
  std::latch end{1};
  auto* waits = new test_job(home);
  waits->by = worker_class::unbounded;
  waits->work = [&] { end.wait(); };
  auto* ender = new test_job(home);
  ender->by = worker_class::unbounded;
  ender->work = [&] { end.count_down(); };
  ASSERT_TRUE(pool.submit(*waits));
  ASSERT_TRUE(pool.submit(*ender));
  (void)pool.limit({0, 2});
  EXPECT_EQ(take(*home, 2).size(), 2u);
  (void)pool.limit(before);
}

TEST(Workers, no_more_threads_run_than_the_limit_says) {
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  workers& pool = workers::shared();
  const auto before = pool.limit({3, 0});
  std::atomic<int> now{0}, most{0};
  constexpr int jobs = 2000;
  for (int i = 0; i < jobs; ++i) {
    auto* j = new test_job(home);
    j->work = [&] {
      const int n = now.fetch_add(1) + 1;
      for (int seen = most.load(); seen < n && !most.compare_exchange_weak(seen, n);) {
      }
      now.fetch_sub(1);
    };
    ASSERT_TRUE(pool.submit(*j));
  }
  EXPECT_EQ(take(*home, jobs).size(), static_cast<std::size_t>(jobs));
  EXPECT_LE(most.load(), 4);  // 3, and one that a former limit allowed may have its last job
  EXPECT_EQ(pool.limit(before)[0], 3u);
}

TEST(Workers, what_comes_home_too_late_is_thrown_away) {
  std::uint32_t flags = 0;
  auto home = make_channel(flags);
  std::atomic<int> discarded{0};
  std::latch begun{1}, go{1};
  auto* j = new test_job(home);
  j->discarded = &discarded;
  j->work = [&] {
    begun.count_down();
    go.wait();
  };
  ASSERT_TRUE(workers::shared().submit(*j));
  begun.wait();
  home->close();
  const std::uint32_t left = flags;
  go.count_down();
  while (discarded.load() == 0) std::this_thread::yield();
  EXPECT_EQ(flags, left);  // the ring's memory is not touched any more
}

TEST(Workers, what_was_not_taken_is_thrown_away_with_the_channel) {
  std::uint32_t flags = 0;
  auto home = make_channel(flags);
  std::atomic<int> discarded{0};
  auto* j = new test_job(home);
  j->home.reset();
  j->discarded = &discarded;
  EXPECT_TRUE(home->send(*j));
  home.reset();
  EXPECT_EQ(discarded.load(), 1);
}

TEST(Workers, a_forked_child_has_workers_of_its_own) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "the thread sanitizer has no threads in a forked child";
#endif
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  workers& parents = workers::shared();
  std::latch begun{1}, go{1};
  auto* j = new test_job(home);
  j->work = [&] {
    begun.count_down();
    go.wait();
  };
  ASSERT_TRUE(parents.submit(*j));
  begun.wait();
  const pid_t child = ::fork();
  if (child == 0) {
    std::uint32_t child_flags = 0;
    const auto child_home = make_channel(child_flags);
    if (&workers::shared() == &parents) ::_exit(1);
    if (workers::shared().running(worker_class::bounded) != 0) ::_exit(2);
    auto* own = new test_job(child_home);
    if (!workers::shared().submit(*own)) ::_exit(3);
    ::_exit(take(*child_home, 1).size() == 1 ? 0 : 4);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  go.count_down();
  EXPECT_EQ(take(*home, 1).size(), 1u);
}

TEST(Channel, a_parcel_before_the_sleep_prevents_it) {
  std::uint32_t flags = 0;
  const auto home = make_channel(flags);
  EXPECT_TRUE(home->begin_sleep());
  home->end_sleep();
  auto* j = new test_job(home);
  j->home.reset();
  home->send(*j);
  EXPECT_FALSE(home->begin_sleep());
  EXPECT_EQ(std::unique_ptr<parcel>(home->take()).get(), j);
  EXPECT_EQ(home->take(), nullptr);
  EXPECT_TRUE(home->begin_sleep());
}

}  // namespace
}  // namespace parkring::kernel::threads
