// Things that end at moments when little else is expected to: a description before its await is
// over, a chain between two of its parts, a reader from inside the disposal of another request.
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>

#include "support/machine.hpp"
#include "support/scratch.hpp"

namespace pr = parkring;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

// Memory whose owner holds a task as well: the end of one ends the other.
struct memory_with_task {
  std::unique_ptr<std::byte[]> bytes;
  std::unique_ptr<pr::join_handle<void>> task;
};

}  // namespace

template <>
struct parkring::owned_memory<memory_with_task> {
  static std::byte* data(memory_with_task& m) noexcept { return m.bytes.get(); }
  static std::size_t size(const memory_with_task&) noexcept { return 64; }
};

namespace {

constexpr pr::fs::open_options through_ring{.access = pr::fs::access::read_write,
                                            .inline_first = pr::fs::inline_mode::never};

// The description of a request may die once the request has been served, before the whole
// expression is over.
pr::task<> descriptions_that_end_early(std::filesystem::path path) {
  auto f = co_await pr::fs::open(path);
  pr::buffer b(64);
  using read = decltype(f.read_at(b, 0));
  for (int i = 0; i < 1000; ++i) {  // with and without suspension: the budget ends now and then
    std::size_t n = 0;
    auto one = std::make_unique<read>(f.read_at(b, 0));
    n += (co_await std::move(*one), one.reset(), 1U);
    std::vector<read> some;
    some.push_back(f.read_at(b, 0));
    n += (co_await std::move(some.back()), some.pop_back(), 1U);
    std::optional<read> maybe(f.read_at(b, 0));
    n += (co_await std::move(*maybe), maybe.reset(), 1U);
    EXPECT_EQ(n, 3U);
  }
  EXPECT_EQ(co_await f.read_at(b, 0), 64U) << "the file is still open";
}

TEST(DroppedMidway, a_description_may_end_before_its_expression) {
  scratch dir;
  pr::runtime rt;
  rt.run(descriptions_that_end_early(dir.file("data", std::string(4096, 'x'))));
}

pr::task<> sync_then_write(pr::fs::file& f, pr::fs::file& pipe, pr::buffer& b) {
  co_await pr::link(f.datasync(), pipe.write_at(b, 0));
}

// case 36: dropped when the first part has ended and the kernel may not have begun the second
pr::task<> drop_between_two_parts(pr::runtime& rt, std::filesystem::path path, int full_pipe) {
  auto f = co_await pr::fs::open(path, through_ring);
  auto pipe = pr::fs::adopt_descriptor(full_pipe, "pipe", {.access = pr::fs::access::write});
  pr::buffer b(64);
  auto chain = pr::spawn(sync_then_write, std::ref(f), std::ref(pipe), std::ref(b));
  co_await pr::yield();
  const auto before = rt.counters().completions;
  while (rt.counters().completions == before) co_await pr::yield();
  chain.abort();
  for (int waited = 0; waited < 2000 && rt.counters().orphans != 0; ++waited)
    co_await pr::sleep_for(1ms);
  EXPECT_EQ(rt.counters().orphans, 0U) << "the write to the full pipe was never cancelled";
  EXPECT_FALSE(b.locked());
}

TEST(DroppedMidway, a_chain_between_two_of_its_parts_is_cancelled) {
  scratch dir;
  const auto path = dir.file("data", std::string(4096, 'x'));
  for (int round = 0; round < 10; ++round) {
    pipe_pair full;
    full.fill();
    {
      pr::runtime rt;
      rt.run(drop_between_two_parts(rt, path, full.release_write_end()));
    }
    if (HasFailure()) return;
  }
}

pr::task<> read_borrowed(pr::fs::file& pipe, std::span<std::byte> memory) {
  co_await pr::yield();
  (void)co_await pipe.read_at(pr::borrowed(memory), 0);
}
pr::task<> write_owned(pr::fs::file& f, memory_with_task m) {
  (void)co_await f.write_at(std::move(m), 0);
}

// case 38: the disposal of one completion waits for another one, and so reaps within a reap
pr::task<> dispose_of_a_reader(pr::runtime& rt, std::filesystem::path path, int empty_pipe) {
  auto f = co_await pr::fs::open(path, through_ring);
  auto pipe = pr::fs::adopt_descriptor(empty_pipe, "pipe", {});
  std::byte area[64];
  auto reader = pr::spawn(read_borrowed, std::ref(pipe), std::span(area));
  memory_with_task m{std::make_unique<std::byte[]>(64),
                     std::make_unique<pr::join_handle<void>>(std::move(reader))};
  auto writer = pr::spawn(write_owned, std::ref(f), std::move(m));
  co_await pr::yield();
  writer.abort();  // the write is finished in the background, then its memory ends, and the reader
  for (int waited = 0; waited < 2000 && rt.counters().operations != 0; ++waited)
    co_await pr::sleep_for(1ms);
  EXPECT_EQ(rt.counters().operations, 0U);
  EXPECT_EQ(rt.counters().tasks, 1U);
}

TEST(DroppedMidway, the_disposal_of_a_request_may_wait_for_another) {
  scratch dir;
  const auto path = dir.file("data", std::string(4096, 'x'));
  for (int round = 0; round < 20; ++round) {
    pipe_pair empty;
    {
      pr::runtime rt;
      rt.run(dispose_of_a_reader(rt, path, empty.release_read_end()));
    }
  }
}

pr::task<> write_once(pr::fs::file& f, pr::buffer& b) { (void)co_await f.write_at(b, 0); }
pr::task<> wait_in_a_thread() {
  co_await pr::blocking([] { std::this_thread::sleep_for(350ms); });
}
pr::task<> leave_a_write_behind(std::filesystem::path path) {
  auto f = co_await pr::fs::open(path, through_ring);
  pr::buffer b(64);
  auto waiting = pr::spawn(wait_in_a_thread);
  co_await pr::sleep_for(1ms);
  waiting.detach();
  auto writing = pr::spawn(write_once, std::ref(f), std::ref(b));
  co_await pr::yield();
  writing.abort();
}

TEST(DroppedMidway, a_write_that_has_finished_is_not_reported_at_the_end) {
  PARKRING_NEEDS_REAL("threads");
  scratch dir;
  const auto path = dir.file("data", std::string(4096, 'x'));
  ::testing::internal::CaptureStderr();
  {
    pr::runtime rt({.shutdown_patience = 400ms});
    rt.run(leave_a_write_behind(path));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

}  // namespace
