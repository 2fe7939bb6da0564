// Memory runs out in the middle of an operation: it fails, and leaves nothing behind. Each
// operation runs again and again, and with each run one allocation more succeeds.

#include <gtest/gtest.h>

#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <parkring/parkring.hpp>

#include "count.hpp"
#include "fs/test_files.hpp"
#include "support/scratch.hpp"

namespace parkring {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t page = 4096;

// What an operation works on; made with memory at hand.
struct place {
  std::filesystem::path path;
  fs::file file;
  buffer memory = buffer(page);
  std::vector<char> bytes = std::vector<char>(page, 'n');
};
using operation = task<> (*)(place&);

struct scenario {
  const char* name;
  operation run;
  bool records_used_up = false;  // so that the operation needs more of them
};

task<> opens(place& p) { auto f = co_await fs::open(p.path); }
task<> opens_direct(place& p) { auto f = co_await fs::open(p.path, {.direct = true}); }
task<> opens_a_stream(place&) {
  testing::pipe_pair pipe;
  auto f = co_await fs::open(pipe.read_path());
}
task<> makes_a_buffer(place& p) {
  buffer b(3 * page);
  co_await p.file.read_at(b, 0);
}
task<> reads(place& p) { co_await p.file.read_at(p.memory, 0); }
task<> reads_a_copy(place& p) { co_await p.file.read_at(copying(p.bytes), 0); }
task<> reads_an_object(place& p) { (void)co_await p.file.read_at(std::string(page, ' '), 0); }
task<> writes_a_copy(place& p) { co_await p.file.write_at(copying(p.bytes), 0); }
task<> reads_exactly(place& p) { co_await p.file.read_exactly_at(p.memory, 0); }
task<> reads_all(place& p) { (void)co_await fs::read_file(p.path); }
task<> asks_size(place& p) { (void)co_await p.file.size(); }
task<> syncs(place& p) { co_await p.file.sync(); }
task<> does_nothing(place&) { co_await nop(); }
task<> links(place& p) { co_await link(p.file.write_at(p.memory, 0), p.file.datasync(), nop()); }
task<> links_copies(place& p) {
  co_await link(p.file.write_at(copying(p.bytes), 0), p.file.write_at(copying(p.bytes), page),
                p.file.datasync());
}
task<> reads_in_time(place& p) { co_await timeout(1h, p.file.read_exactly_at(p.memory, 0)); }
task<> reads_two(place& p) {
  buffer b(page);
  co_await when_all(p.file.read_at(b, 0), p.file.read_exactly_at(p.memory, page));
}
task<> races(place& p) { co_await race(p.file.read_exactly_at(p.memory, page), sleep_for(1h)); }
task<> spawns(place& p) {
  auto h = spawn(reads_a_copy, std::ref(p));
  task_group group;
  group.spawn(asks_size, std::ref(p));
  co_await h;
  co_await group.join();
}
task<> gives_the_error(place& p) {
  auto r = co_await as_result(fs::open(p.path));
  if (!r && r.error().number() == ENOMEM) throw std::bad_alloc();
}

constexpr scenario scenarios[] = {
    {"opens", &opens},
    {"opens_direct", &opens_direct},
    {"opens_a_stream", &opens_a_stream},
    {"makes_a_buffer", &makes_a_buffer},
    {"reads", &reads},
    {"reads_a_copy", &reads_a_copy},
    {"reads_an_object", &reads_an_object},
    {"writes_a_copy", &writes_a_copy},
    {"reads_exactly", &reads_exactly},
    {"reads_all", &reads_all},
    {"asks_size", &asks_size},
    {"links", &links},
    {"links_copies", &links_copies},
    {"reads_in_time", &reads_in_time},
    {"reads_two", &reads_two},
    {"races", &races},
    {"spawns", &spawns},
    {"gives_the_error", &gives_the_error},
    {"opens_without_records", &opens, true},
    {"reads_without_records", &reads, true},
    {"reads_an_object_without_records", &reads_an_object, true},
    {"copies_without_records", &writes_a_copy, true},
    {"asks_size_without_records", &asks_size, true},
    {"syncs_without_records", &syncs, true},
    {"does_nothing_without_records", &does_nothing, true},
    {"links_without_records", &links, true},
    {"links_copies_without_records", &links_copies, true},
};

enum class ending { succeeded, out_of_memory };

task<ending> attempt(const scenario& what, place& p, std::uint64_t n, bool lasting,
                     std::uint64_t& failed) {
  // With the runtime's own, these make up the first lot of records.
  task_group others;
  if (what.records_used_up)
    for (int i = 0; i < 63; ++i) others.spawn(nop());
  co_await yield();
  auto end = ending::succeeded;
  allocation::fail_at(n, lasting);
  try {
    co_await what.run(p);
    failed = allocation::stop_failing();
  } catch (const std::bad_alloc&) {
    failed = allocation::stop_failing();
    end = ending::out_of_memory;
  } catch (const io_error& e) {
    failed = allocation::stop_failing();
    if (e.error().number() != ENOMEM) throw;
    end = ending::out_of_memory;
  }
  co_await others.join();
  co_return end;
}

class OutOfMemory : public ::testing::TestWithParam<scenario> {
 protected:
  // Whether all `n` allocations were had.
  static bool one_run(std::uint64_t n, bool lasting) {
    fs::test_directory dir;
    const auto content = fs::test_pattern(4 * page);
    const auto path = dir.make("a_file_whose_name_is_too_long_for_a_short_string", content);
    const int descriptors = testing::open_descriptors();
    const auto frames = detail::frames_out();
    bool all_had = false;
    {
      runtime rt;
      rt.run(nop());
      place p{.path = path, .file = {}};
      p.file = rt.run(fs::open(
          path, {.access = fs::access::read_write, .inline_first = fs::inline_mode::never}));
      std::uint64_t failed = 0;
      const ending end = rt.run(attempt(GetParam(), p, n, lasting, failed));
      all_had = failed == 0;
      if (all_had) {
        EXPECT_EQ(end, ending::succeeded) << "nothing was refused";
      }
      // What failed once works now, and everything is where it belongs.
      std::uint64_t none = 0;
      EXPECT_EQ(rt.run(attempt(GetParam(), p, 0, false, none)), ending::succeeded);
      for (int i = 0; i < 10; ++i) rt.run(nop());
      EXPECT_FALSE(p.memory.locked());
      EXPECT_EQ(rt.counters().operations, 0U);
      EXPECT_EQ(rt.counters().tasks, 0U);
      p.memory = {};
      EXPECT_EQ(rt.counters().buffers, 0U);
    }
    EXPECT_EQ(testing::open_descriptors(), descriptors);
    EXPECT_EQ(detail::frames_out(), frames);
    return all_had;
  }
};

INSTANTIATE_TEST_SUITE_P(Operation, OutOfMemory, ::testing::ValuesIn(scenarios),
                         [](const auto& i) { return std::string(i.param.name); });

TEST_P(OutOfMemory, fails_the_operation_and_leaves_nothing_behind) {
  if (!allocation::countable) GTEST_SKIP() << "a sanitizer has malloc in this build";
  for (const bool lasting : {false, true}) {
    std::uint64_t n = 1;
    bool all_had = false;
    for (; n < 200 && !all_had && !HasFailure(); ++n) {
      SCOPED_TRACE("allocation " + std::to_string(n) + (lasting ? " and all after it" : ""));
      // On a thread of its own, whose frames all have to be allocated.
      std::thread([&] { all_had = one_run(n, lasting); }).join();
    }
    EXPECT_TRUE(all_had) << "it never had enough";
  }
}

}  // namespace
}  // namespace parkring
