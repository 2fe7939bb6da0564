// Descriptor numbers reused, lengths at both ends of the scale, stacks that do not grow.
#include <gtest/gtest.h>

#include <pthread.h>
#include <sys/mman.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/machine.hpp"
#include "support/scale.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace parkring::literals;
using namespace std::chrono_literals;

namespace {

// ---- case 40: close during a read, and the number reused ----

TEST(Reuse, a_read_never_gets_the_bytes_of_a_file_that_reuses_its_number) {
  scratch dir;
  const auto old_path = dir.file("old", std::string(4096, 'o'));
  const auto new_path = dir.file("new", std::string(4096, 'n'));
  pr::run([](std::filesystem::path o, std::filesystem::path n) -> pr::task<> {
    for (int round = 0; round < 200; ++round) {
      const bool ring = round % 2 == 0;
      auto file = co_await pr::fs::open(
          o, {.inline_first = ring ? pr::fs::inline_mode::never : pr::fs::inline_mode::automatic,
              .registered = round % 4 < 2});
      std::vector<pr::join_handle<pr::owned_result<std::string>>> reads;
      for (int i = 0; i < 8; ++i)
        reads.push_back(pr::spawn(file.read_at(std::string(512, ' '), 0)));
      if (round % 3 == 0) co_await pr::yield();  // pushed or only described
      if (round % 5 == 0)
        file = {};
      else
        pr::spawn(std::move(file).close()).detach();
      auto other = co_await pr::fs::open(n);
      auto [fresh, m] = co_await other.read_at(std::string(512, ' '), 0);
      EXPECT_EQ(fresh, std::string(512, 'n'));
      for (auto& read : reads) {
        auto [text, count] = co_await read;
        EXPECT_EQ(text, std::string(count, 'o'));
        EXPECT_EQ(count, 512u);
      }
    }
  }(old_path, new_path));
}

TEST(Reuse, a_dropped_read_of_a_pipe_takes_nothing_from_the_next_one) {
  const int before = open_descriptors();
  pr::run([]() -> pr::task<> {
    for (int round = 0; round < 50; ++round) {
      pipe_pair first, second;
      auto a = co_await pr::fs::open(first.read_path());
      auto dropped = pr::spawn(a.read_at(std::string(16, ' '), 0));
      co_await pr::nop();
      a = {};
      dropped.abort();
      auto b = co_await pr::fs::open(second.read_path());
      second.put("mine");
      auto [text, n] = co_await b.read_at(std::string(16, ' '), 0);
      EXPECT_EQ(text.substr(0, n), "mine");
    }
  }());
  EXPECT_LE(open_descriptors_once_below(before), before);
}

// ---- case 42: lengths ----

// Much address space over little memory: the same pages again and again.
class folded_memory {
 public:
  explicit folded_memory(std::size_t size) : size_(size) {
    const int fd = ::memfd_create("folded", MFD_CLOEXEC);
    if (::ftruncate(fd, fold) != 0) std::abort();
    base_ = static_cast<std::byte*>(
        ::mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    for (std::size_t at = 0; at < size_; at += fold)
      if (::mmap(base_ + at, fold, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
          MAP_FAILED)
        std::abort();
    ::close(fd);
  }
  folded_memory(const folded_memory&) = delete;
  folded_memory& operator=(const folded_memory&) = delete;
  ~folded_memory() { ::munmap(base_, size_); }
  [[nodiscard]] std::span<std::byte> bytes() const { return {base_, size_}; }

 private:
  static constexpr std::size_t fold = 8 << 20;
  std::byte* base_;
  std::size_t size_;
};

constexpr std::size_t most_at_once = 0x7ffff000;  // MAX_RW_COUNT, read(2)

TEST(Lengths, over_two_gib_is_a_short_transfer_and_never_a_wrapped_one) {
  PARKRING_NEEDS_REAL("devices");
  const folded_memory memory(std::size_t{5} << 30);  // 5 GiB modulo 4 GiB would be 1 GiB
  pr::run([](std::span<std::byte> all) -> pr::task<> {
    auto null = co_await pr::fs::open("/dev/null", {.access = pr::fs::access::write});
    EXPECT_EQ(co_await null.write_at(pr::borrowed(all), 0), most_at_once);
    EXPECT_EQ(co_await null.write_at(pr::borrowed(all.first(std::size_t{1} << 31)), 0),
              most_at_once);
    auto zero = co_await pr::fs::open("/dev/zero");
    EXPECT_LE(co_await zero.read_at(pr::borrowed(all), 0), most_at_once);
  }(memory.bytes()));
}

TEST(Lengths, a_long_read_near_the_end_of_a_sparse_file_beyond_four_gib) {
  const folded_memory memory(std::size_t{3} << 30);
  scratch dir{std::filesystem::current_path()};
  const auto path = dir.file("sparse", "");
  static constexpr std::uint64_t size = (std::uint64_t{5} << 30) + 100;
  const bool grown = pr::run([](std::filesystem::path p) -> pr::task<bool> {
    auto f = co_await pr::fs::open(p, {.access = pr::fs::access::read_write});
    co_return (co_await pr::as_result(f.truncate(size))).has_value();
  }(path));
  if (!grown) GTEST_SKIP() << "the file system has no sparse files of 5 GiB";
  pr::run([](std::filesystem::path p, std::span<std::byte> all) -> pr::task<> {
    for (const auto mode : {pr::fs::inline_mode::never, pr::fs::inline_mode::always}) {
      auto f =
          co_await pr::fs::open(p, {.access = pr::fs::access::read_write, .inline_first = mode});
      EXPECT_EQ(co_await f.size(), size);
      EXPECT_EQ(co_await f.read_at(pr::borrowed(all), size - 4196), 4196u);
      EXPECT_EQ(co_await f.read_at(pr::borrowed(all), size), 0u);
      auto [text, n] = co_await f.write_at(std::string("far"), size - 3);
      EXPECT_EQ(n, 3u);
      auto [back, m] = co_await f.read_at(std::string(10, ' '), size - 3);
      EXPECT_EQ(back.substr(0, m), "far");
    }
  }(path, memory.bytes()));
}

TEST(Lengths, nothing_is_read_and_written_as_nothing) {
  scratch dir;
  const auto path = dir.file("f", "hello");
  pr::run([](std::filesystem::path p) -> pr::task<> {
    for (const auto mode : {pr::fs::inline_mode::never, pr::fs::inline_mode::always}) {
      auto f =
          co_await pr::fs::open(p, {.access = pr::fs::access::read_write, .inline_first = mode});
      pr::buffer none, empty(0);
      EXPECT_EQ(co_await f.read_at(none, 0), 0u);
      EXPECT_EQ(co_await f.write_at(none, 0), 0u);
      EXPECT_EQ(co_await f.read_at(empty, 3), 0u);
      EXPECT_EQ((co_await f.read_at(std::string(), 0)).count, 0u);
      EXPECT_EQ((co_await f.write_at(std::vector<char>(), 0)).count, 0u);
      EXPECT_EQ(co_await f.read_at(pr::copying(std::span<char>()), 0), 0u);
      EXPECT_EQ(co_await f.write_at(pr::borrowed(std::span<const char>()), 9), 0u);
      co_await f.read_exactly_at(none, 99);
      co_await f.write_all_at(none, 99);
      EXPECT_EQ(co_await f.size(), 5u);
    }
  }(path));
}

TEST(Lengths, composites_finish_what_pipes_transfer_in_parts) {
  pipe_pair pipe;
  pr::run([](pipe_pair& p) -> pr::task<> {
    auto out = co_await pr::fs::open(p.write_path(), {.access = pr::fs::access::write});
    auto in = co_await pr::fs::open(p.read_path());
    constexpr std::size_t size = 1_MiB;  // a pipe takes 64 KiB at once
    pr::buffer from(size), into(size);
    for (std::size_t i = 0; i < size; ++i) from.bytes()[i] = static_cast<std::byte>(i * 7 / 3);
    co_await pr::when_all(out.write_all_at(from, 0), in.read_exactly_at(into, 0));
    EXPECT_EQ(from.text(), into.text());
  }(pipe));
}

// ---- case 44: constant stack ----

// On a thread of its own, and, if the test is in a world, in another one: a world has one thread.
void on_a_small_stack(std::function<void()> work) {
  constexpr std::size_t size = under_asan || under_tsan ? 512_KiB : 128_KiB;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, size);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* f) -> void* {
                  std::optional<pr::sim::world> world;
                  std::optional<pr::sim::world::entered> inside;
                  if (runs_simulated()) inside.emplace(world.emplace(seed()));
                  (*static_cast<std::function<void()>*>(f))();
                  return nullptr;
                },
                &work),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

pr::task<int> ready(int i) { co_return i; }

pr::task<int> depth(int left) {
  if (left == 0) co_return 0;
  co_return 1 + co_await depth(left - 1);
}

TEST(Stack, a_million_awaits_of_tasks_that_are_ready_at_once) {
  on_a_small_stack([] {
    const long sum = pr::run([]() -> pr::task<long> {
      long total = 0;
      for (int i = 0; i < 1'000'000; ++i) total += co_await ready(1);
      co_return total;
    }());
    EXPECT_EQ(sum, 1'000'000);
  });
}

TEST(Stack, a_million_awaits_of_results_that_are_there) {
  scratch dir;
  const std::filesystem::path path = runs_simulated() ? "/f" : dir / "f";
  on_a_small_stack([&] {
    pr::run([](std::filesystem::path p) -> pr::task<> {
      co_await pr::fs::write_file(p, std::string("x"));
      auto f = co_await pr::fs::open(p, {.inline_first = pr::fs::inline_mode::always});
      pr::buffer one(1);
      for (int i = 0; i < scaled(400'000); ++i) (void)co_await f.read_at(one, 0);
      for (int i = 0; i < scaled(600'000); ++i) co_await pr::yield();
      pr::task_group empty;
      for (int i = 0; i < scaled(500'000); ++i) co_await empty.join();
      auto done = pr::spawn(ready(1));
      (void)co_await done;
    }(path));
  });
}

TEST(Stack, combinators_of_what_is_ready) {
  on_a_small_stack([] {
    pr::run([]() -> pr::task<> {
      for (int i = 0; i < scaled(200'000); ++i) {
        auto [a, b] = co_await pr::when_all(ready(1), ready(2));
        if (a + b != 3) ADD_FAILURE();
        if (!co_await pr::timeout(1h, ready(3))) ADD_FAILURE();
        (void)co_await pr::race(ready(4), ready(5));
      }
    }());
  });
}

TEST(Stack, a_deep_chain_of_awaits) {
  on_a_small_stack([] {
    const int deep = scaled(200'000);
    EXPECT_EQ(pr::run(depth(deep)), deep);
  });
}

}  // namespace
