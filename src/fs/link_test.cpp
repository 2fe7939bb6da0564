// `link` with parts behind whose failure Linux would go on: syncs and changes of names.
#include <parkring/link.hpp>

#include <gtest/gtest.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include <unistd.h>

#include <parkring/as_result.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/paths.hpp>
#include <parkring/nop.hpp>
#include <parkring/runtime.hpp>
#include <parkring/spawn.hpp>
#include <parkring/this_task.hpp>

#include "fs/test_files.hpp"
#include "support/privileges.hpp"

namespace parkring::fs {
namespace {

namespace stdfs = std::filesystem;

constexpr open_options rw{.access = access::read_write, .inline_first = inline_mode::never};

// A file that can be written and not synced.
class unsyncable {
 public:
  unsyncable() {
    PARKRING_CHECK(::pipe(ends_) == 0, "the test needs a pipe");
    pipe = adopt_descriptor(ends_[1], "pipe", {.access = access::write});
  }
  unsyncable(const unsyncable&) = delete;
  unsyncable& operator=(const unsyncable&) = delete;
  ~unsyncable() { ::close(ends_[0]); }
  file pipe;

 private:
  int ends_[2] = {-1, -1};
};

class Link : public ::testing::TestWithParam<kernel_choice> {
 protected:
  void SetUp() override {
    if (GetParam() == kernel_choice::io_uring && testing::io_uring_is_refused())
      GTEST_SKIP() << "io_uring is refused here";
  }
  void run(const std::function<task<>()>& body) {
    runtime rt({.kernel = GetParam()});
    rt.run(body());
  }
  // The error that a chain ends with, or one with number 0.
  template <class Chain>
  static task<error> error_of(Chain chain) {
    auto r = co_await as_result(std::move(chain));
    co_return r ? error(0, "", "") : r.error();
  }
  bool has(const char* name) const { return stdfs::exists(dir / name); }

  test_directory dir;
  const stdfs::path a = dir.make("a", "first"), b = dir.make("b", "second");
};
INSTANTIATE_TEST_SUITE_P(OnEachKernel, Link,
                         ::testing::Values(kernel_choice::io_uring, kernel_choice::threads),
                         [](const auto& on) {
                           return on.param == kernel_choice::threads ? "threads" : "io_uring";
                         });

TEST_P(Link, a_sync_that_fails_stops_the_rename) {
  run([&]() -> task<> {
    unsyncable u;
    for (int i = 0; i < 20; ++i) {
      const error e = co_await error_of(parkring::link(u.pipe.write_at(std::string("x"), 0),
                                                       u.pipe.datasync(), fs::rename(a, b)));
      EXPECT_EQ(e.number(), EINVAL);
      EXPECT_EQ(e.operation(), "datasync");
    }
    const error e = co_await error_of(parkring::link(u.pipe.sync(), fs::rename(a, b), nop()));
    EXPECT_EQ(e.operation(), "sync");
  });
  EXPECT_TRUE(has("a"));
  EXPECT_EQ(content_of(b), "second");
}

TEST_P(Link, a_change_of_names_that_fails_stops_what_is_behind_it) {
  const auto none = dir / "none";
  const auto write = [](file& f) { return f.write_at(std::string("CHANGED"), 0); };
  run([&]() -> task<> {
    file f = co_await open(b, rw);
    EXPECT_EQ((co_await error_of(parkring::link(fs::rename(none, a), write(f)))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(parkring::link(fs::remove(none), write(f)))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(parkring::link(fs::link(none, a), write(f)))).number(), ENOENT);
    EXPECT_EQ((co_await error_of(parkring::link(fs::create_directory(a), write(f)))).number(),
              EEXIST);
    EXPECT_EQ((co_await error_of(parkring::link(fs::remove_directory(a), write(f)))).number(),
              ENOTDIR);
    // Behind a part that succeeded, and before others that would.
    const error e = co_await error_of(parkring::link(fs::create_directory(dir / "d"),
                                                     fs::rename(none, a), fs::remove(a), write(f)));
    EXPECT_EQ(e.operation(), "rename");
  });
  EXPECT_EQ(content_of(a), "first");
  EXPECT_EQ(content_of(b), "second");
  EXPECT_TRUE(has("d"));
}

TEST_P(Link, what_succeeds_goes_on_in_order) {
  run([&]() -> task<> {
    file f = co_await open(a, rw);
    const stdfs::path d = dir / "d", in_d = dir / "d/a";
    const auto done = co_await parkring::link(
        fs::create_directory(d), f.write_at(std::string("12345"), 0), f.datasync(),
        fs::rename(a, in_d), fs::link(in_d, a), f.write_at(std::string("6"), 5), f.sync(),
        fs::remove(b), fs::rename(in_d, b), fs::remove_directory(d),
        f.read_at(std::string(6, ' '), 0));
    EXPECT_EQ(std::get<1>(done).count, 5U);
    EXPECT_EQ(std::get<5>(done).count, 1U);
    EXPECT_EQ(std::get<10>(done).memory, "123456");
  });
  EXPECT_EQ(content_of(a), "123456");
  EXPECT_EQ(content_of(b), "123456");
  EXPECT_FALSE(has("d"));
}

TEST_P(Link, a_short_transfer_before_a_sync_stops_all_that_is_behind) {
  run([&]() -> task<> {
    file f = co_await open(a, rw);
    const error e = co_await error_of(
        parkring::link(f.read_at(std::string(100, ' '), 0), f.datasync(), fs::rename(a, b)));
    EXPECT_EQ(e.number(), ECANCELED);
    EXPECT_EQ(e.operation(), "datasync");
  });
  EXPECT_TRUE(has("a"));
}

TEST_P(Link, a_buffer_whose_request_was_never_submitted_is_free_again) {
  run([&]() -> task<> {
    unsyncable u;
    file f = co_await open(b, rw);
    buffer page(16);
    (void)co_await error_of(
        parkring::link(u.pipe.sync(), f.write_at(std::string("CHANGED"), 0), f.write_at(page, 0)));
    EXPECT_FALSE(page.locked());
  });
  EXPECT_EQ(content_of(b), "second");
}

// What has begun is finished: also when the task is dropped before the sync has ended, and the
// runtime right after.
TEST_P(Link, dropped_after_it_has_begun_it_is_finished) {
  {
    runtime rt({.shutdown_patience = std::chrono::seconds(60), .kernel = GetParam()});
    rt.run([&]() -> task<> {
      file f = co_await open(a, rw);
      auto both = [](file& g, stdfs::path from, stdfs::path to) -> task<> {
        co_await parkring::link(g.write_at(std::string("12345"), 0), g.datasync(),
                                fs::rename(from, to));
      };
      auto dropped = spawn(both, std::ref(f), a, b);
      co_await yield();
    });
  }
  EXPECT_FALSE(has("a"));
  EXPECT_EQ(content_of(b), "12345");
}

TEST_P(Link, many_at_once_keep_their_orders) {
  constexpr int many = 40;
  const auto name = [&](int i) { return dir / ("f" + std::to_string(i)); };
  for (int i = 0; i < many; ++i) dir.make("f" + std::to_string(i), "old");
  {
    runtime rt({.entries = 4, .max_operations = 32, .kernel = GetParam()});
    rt.run([&]() -> task<> {
      auto replace = [](stdfs::path from, stdfs::path to) -> task<> {
        file f = co_await open(from, rw);
        unsyncable u;
        (void)co_await as_result(parkring::link(u.pipe.sync(), fs::remove(from)));
        co_await parkring::link(f.write_at(std::string("new"), 0), f.datasync(),
                                fs::rename(from, to));
      };
      std::vector<join_handle<void>> all;
      for (int i = 0; i < many; ++i) all.push_back(spawn(replace, name(i), name(many + i)));
      for (auto& h : all) co_await std::move(h);
    });
  }
  for (int i = 0; i < many; ++i) {
    EXPECT_FALSE(stdfs::exists(name(i))) << i;
    EXPECT_EQ(content_of(name(many + i)), "new") << i;
  }
}

}  // namespace
}  // namespace parkring::fs
