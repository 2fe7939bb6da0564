#include <parkring/detail/home.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <parkring/detail/core.hpp>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace parkring::detail {
namespace {

// Stands for a runtime: the home only keeps its address.
struct owner {
  core_base core;
  std::atomic<int> wakes{0};
  home* at;
  home_ref ref;
  owner() {
    at = &home::open(
        core, core.ready, [](void* self) noexcept { ++static_cast<owner*>(self)->wakes; }, this);
    ref = {at, at->generation()};
  }
  ~owner() {
    if (at != nullptr) close();
  }
  std::vector<const message*> close() {
    message_list rest;
    std::exchange(at, nullptr)->close(rest);
    return emptied(rest);
  }
  std::vector<const message*> take() const {
    message_list taken;
    at->take(taken);
    return emptied(taken);
  }
  static std::vector<const message*> emptied(message_list& list) {
    std::vector<const message*> out;
    while (const message* m = list.pop_front()) out.push_back(m);
    return out;
  }
};

TEST(Home, is_here_only_on_its_thread_and_while_it_is_open) {
  home_ref kept;
  {
    owner o;
    kept = o.ref;
    EXPECT_TRUE(kept.is_here());
    EXPECT_EQ(kept.core(), &o.core);
    EXPECT_EQ(&kept.ready(), &o.core.ready);
    std::thread([&] { EXPECT_FALSE(kept.is_here()); }).join();
  }
  EXPECT_FALSE(kept.is_here());
  EXPECT_FALSE(home_ref().is_here());
}

TEST(Home, every_thread_can_ask_whether_it_is_open) {
  home_ref kept;
  {
    owner o;
    kept = o.ref;
    EXPECT_TRUE(kept.is_open());
    std::thread([&] { EXPECT_TRUE(kept.is_open()); }).join();
  }
  EXPECT_FALSE(kept.is_open());
  const owner reuses_it;
  EXPECT_FALSE(kept.is_open());
  EXPECT_FALSE(home_ref().is_open());
}

TEST(Home, messages_come_in_the_order_they_were_posted_and_wake_the_owner) {
  owner o;
  message a, b, c;
  EXPECT_FALSE(o.at->has_messages());
  EXPECT_TRUE(o.ref.post(a));
  EXPECT_TRUE(o.ref.post(b));
  EXPECT_EQ(o.wakes, 1);  // it takes all at once
  EXPECT_TRUE(o.at->has_messages());
  EXPECT_EQ(o.take(), (std::vector<const message*>{&a, &b}));
  EXPECT_FALSE(o.at->has_messages());
  EXPECT_TRUE(o.take().empty());
  EXPECT_TRUE(o.ref.post(c));
  EXPECT_EQ(o.wakes, 2);
  EXPECT_EQ(o.take(), (std::vector<const message*>{&c}));
}

TEST(Home, what_was_delivered_is_handed_out_when_it_closes_and_later_posts_are_refused) {
  owner o;
  message a, b;
  EXPECT_TRUE(o.ref.post(a));
  EXPECT_EQ(o.close(), (std::vector<const message*>{&a}));
  EXPECT_FALSE(o.ref.post(b));
  EXPECT_FALSE(home_ref().post(b));
}

TEST(Home, closes_when_it_is_empty_or_not_at_all) {
  owner o;
  message a;
  EXPECT_TRUE(o.ref.post(a));
  EXPECT_FALSE(o.at->close_if_empty());
  EXPECT_TRUE(o.ref.is_here());
  EXPECT_EQ(o.take().size(), 1u);
  EXPECT_TRUE(o.at->close_if_empty());
  EXPECT_FALSE(o.ref.is_here());
  EXPECT_FALSE(o.ref.post(a));
  o.at = nullptr;  // closed already
}

TEST(Home, what_is_withdrawn_does_not_come_whether_it_was_taken_or_not) {
  owner o;
  message a, b, c;
  EXPECT_TRUE(o.ref.post(a));
  EXPECT_TRUE(o.ref.post(b));
  EXPECT_TRUE(o.ref.post(c));
  EXPECT_TRUE(o.at->withdraw(b));
  message_list taken;
  o.at->take(taken);
  EXPECT_TRUE(o.at->withdraw(a));
  EXPECT_FALSE(o.at->withdraw(b)) << "it is on no list";
  EXPECT_EQ(owner::emptied(taken), (std::vector<const message*>{&c}));
  EXPECT_TRUE(o.ref.post(b));  // and may be posted again
  EXPECT_EQ(o.take(), (std::vector<const message*>{&b}));
}

TEST(Home, a_reused_home_does_not_answer_to_its_former_name) {
  auto first = std::make_unique<owner>();
  const home_ref stale = first->ref;
  first.reset();
  owner second;
  ASSERT_EQ(second.ref.where, stale.where) << "homes are reused";
  EXPECT_FALSE(stale == second.ref);
  EXPECT_FALSE(stale.is_here());
  message m;
  EXPECT_FALSE(stale.post(m));
  EXPECT_EQ(second.wakes, 0);
  EXPECT_TRUE(second.take().empty());
}

TEST(Home, two_homes_of_one_thread_are_told_apart) {
  owner a, b;
  EXPECT_NE(a.ref.where, b.ref.where);
  EXPECT_TRUE(a.ref.is_here());
  EXPECT_TRUE(b.ref.is_here());
  message m;
  EXPECT_TRUE(a.ref.post(m));
  EXPECT_TRUE(b.take().empty());
  EXPECT_EQ(a.take(), (std::vector<const message*>{&m}));
}

TEST(Home, every_post_is_either_delivered_or_refused_while_it_closes) {
  for (int round = 0; round < 20; ++round) {
    constexpr int posters = 3, each = 200;
    std::vector<message> messages(posters * each);
    auto o = std::make_unique<owner>();
    const home_ref ref = o->ref;
    std::atomic<int> delivered{0}, started{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < posters; ++t) {
      threads.emplace_back([&, t] {
        ++started;
        for (int i = 0; i < each; ++i)
          if (ref.post(messages[static_cast<std::size_t>(t * each + i)])) ++delivered;
      });
    }
    while (started != posters) std::this_thread::yield();
    std::size_t taken = 0;
    for (int i = 0; i < round; ++i) taken += o->take().size();
    taken += o->close().size();
    for (auto& t : threads) t.join();
    EXPECT_EQ(taken, static_cast<std::size_t>(delivered));
    EXPECT_FALSE(ref.post(messages[0]));
  }
}

TEST(Home, a_forked_child_finds_every_runtime_gone) {
  owner o;
  const pid_t child = ::fork();
  if (child == 0) {
    message m;
    const bool gone = !o.ref.is_here() && !o.ref.post(m);
    ::_exit(gone ? 0 : 1);
  }
  ASSERT_GT(child, 0);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(o.ref.is_here());  // the parent notices nothing
}

}  // namespace
}  // namespace parkring::detail
