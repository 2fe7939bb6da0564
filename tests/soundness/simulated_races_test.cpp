// Races that a real machine leaves to chance, forced in simulated worlds: both orders of cancel and
// completion, calls of enter that are refused, completion queues that overflow, requests that
// never complete. The same seed gives the same race each time.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <parkring/parkring.hpp>
#include <parkring/sim.hpp>

#include "soundness/dropped_ways.hpp"
#include "support/child_process.hpp"
#include "support/scale.hpp"
#include "support/watched_memory.hpp"

namespace pr = parkring;
namespace sim = parkring::sim;
using namespace parkring::testing;
using namespace std::chrono_literals;

namespace {

constexpr pr::fs::open_options rw{.access = pr::fs::access::read_write,
                                  .inline_first = pr::fs::inline_mode::never};

// ---- a close that fails when what it closes is done with ----

TEST(FailedClose, does_not_make_a_sync_of_a_directory_fail) {
  sim::world w(1);
  sim::faults f;
  f.callback = [](const sim::operation& op) -> std::optional<sim::injected> {
    if (op.name == "CLOSE") return sim::injected{.what = sim::fault::error, .error = EIO};
    return std::nullopt;
  };
  w.set_faults(f);
  w.run([] { return pr::fs::sync_directory("/"); });
  EXPECT_NE(w.trace().find("CLOSE"), std::string::npos) << "none was asked for";
}

// ---- case 10: both orders of cancel and completion ----

// One of the faults that decide who wins, or all by chance, which is what a world does unasked.
struct winner {
  const char* name;
  sim::fault_rule sim::faults::*rule;
};
constexpr winner winners[] = {{"cancel_wins", &sim::faults::cancel_wins},
                              {"completion_wins", &sim::faults::completion_wins},
                              {"cancel_too_late", &sim::faults::cancel_too_late},
                              {"by_chance", nullptr}};

class ForcedRace : public ::testing::TestWithParam<winner> {
 protected:
  // Runs `scenario`, a task of a world, in one world for each seed; afterwards nothing may be left.
  template <class Scenario>
  void explore(int seeds, Scenario scenario, bool cancels = true) {
    std::uint64_t races = 0;
    for (int seed = 1; seed <= seeds && !HasFailure(); ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      sim::world w(static_cast<std::uint64_t>(seed));
      if (GetParam().rule != nullptr) {
        sim::faults f;
        f.*GetParam().rule = 1.0;
        w.set_faults(f);
      }
      w.write_file("/data", std::string(8192, 'd'));
      {
        const sim::world::entered inside(w);
        constexpr unsigned sizes[] = {1, 2, 256};
        pr::runtime rt({.entries = sizes[seed % 3]});
        const auto frames = pr::detail::frames_out();
        const auto descriptors = w.open_descriptors();
        rt.run(scenario, std::ref(w));
        // What the scenario dropped ends in its own time.
        for (int i = 0; i < 1000 && rt.counters().orphans != 0; ++i) rt.run(pr::sleep_for(1ms));
        EXPECT_EQ(rt.counters().operations, 0u);
        EXPECT_EQ(rt.counters().tasks, 0u);
        EXPECT_EQ(rt.counters().buffers, 0u);
        EXPECT_EQ(pr::detail::frames_out(), frames);
        EXPECT_EQ(w.open_descriptors(), descriptors) << "a descriptor was doubled or lost";
      }
      EXPECT_EQ(w.open_descriptors(), 0u);
      EXPECT_TRUE(memory_is_in_order());
      races += count_races(w);
    }
    // Most cancels must have met a request that could still go either way.
    if (cancels) {
      EXPECT_GT(races, static_cast<std::uint64_t>(seeds) / 4) << "the race was not there";
    }
  }

 private:
  static std::uint64_t count_races(const sim::world& w) {
    if (GetParam().rule == nullptr) return 1;  // drawn, not injected
    std::uint64_t n = 0;
    for (const auto& i : w.injected()) n += i.what == GetParam().name;
    return n;
  }
};
INSTANTIATE_TEST_SUITE_P(Faults, ForcedRace, ::testing::ValuesIn(winners),
                         [](const auto& chosen) { return std::string(chosen.param.name); });

pr::task<> pause(sim::world& w) {  // about as long as requests on pipes take
  co_await pr::sleep_for(std::chrono::nanoseconds(w.random(4'000)));
}

pr::task<> read_some(pr::fs::file& f, std::string& got) {
  auto [text, n] = co_await f.read_at(std::string(7, ' '), 0);
  got.append(text, 0, n);
}

pr::task<pr::fs::file> reader_of(int read_end) {
  co_return co_await pr::fs::open("/proc/self/fd/" + std::to_string(read_end));
}

// The bytes come while the read is dropped: all of them reach later readers, once and in order.
pr::task<> drop_reads_of_a_pipe(sim::world& w) {
  const auto pipe = w.make_pipe();
  {
    auto f = co_await reader_of(pipe.read_end);
    std::string sent, got;
    for (int round = 0; round < 12; ++round) {
      auto reader = pr::spawn(read_some, std::ref(f), std::ref(got));
      co_await pr::yield();
      if (w.chance(0.5)) co_await pause(w);
      const std::string part(1 + w.random(5), static_cast<char>('a' + round));
      sent += part;
      w.put(pipe.write_end, part);
      if (w.chance(0.8)) co_await pause(w);
      reader.abort();
    }
    while (got.size() < sent.size()) co_await read_some(f, got);
    EXPECT_EQ(got, sent);
  }
  w.close(pipe.read_end);
  w.close(pipe.write_end);
}
TEST_P(ForcedRace, of_a_read_of_a_pipe_and_its_drop_loses_no_byte) {
  explore(scaled(1000), drop_reads_of_a_pipe);
}

pr::task<> time_out_reads_of_a_pipe(sim::world& w) {
  const auto pipe = w.make_pipe();
  {
    auto f = co_await reader_of(pipe.read_end);
    std::string sent, got;
    for (int round = 0; round < 12; ++round) {
      const std::string part(1 + w.random(5), static_cast<char>('a' + round));
      auto writer = [](sim::world& world, int to, std::string what) -> pr::task<> {
        co_await pause(world);
        world.put(to, what);
      };
      auto later = pr::spawn(writer, std::ref(w), pipe.write_end, part);
      sent += part;
      const std::chrono::nanoseconds most(w.random(6'000));
      if (auto in_time = co_await pr::timeout(most, f.read_at(std::string(7, ' '), 0)))
        got.append(in_time->memory, 0, in_time->count);
      co_await std::move(later);
    }
    while (got.size() < sent.size()) co_await read_some(f, got);
    EXPECT_EQ(got, sent);
  }
  w.close(pipe.read_end);
  w.close(pipe.write_end);
}
TEST_P(ForcedRace, of_a_read_of_a_pipe_and_its_timeout_loses_no_byte) {
  explore(scaled(1000), time_out_reads_of_a_pipe);
}

pr::task<> write_one(pr::fs::file& f, std::string text, int& written) {
  auto [memory, n] = co_await f.write_at(std::move(text), 0);
  written += static_cast<int>(n);
}

// A dropped write is done once or not at all; one whose end was seen is done.
pr::task<> drop_writes_to_a_pipe(sim::world& w) {
  const auto pipe = w.make_pipe();
  {
    auto f = co_await pr::fs::open("/proc/self/fd/" + std::to_string(pipe.write_end),
                                   {.access = pr::fs::access::write});
    std::vector<int> told(26, 0);
    for (std::size_t round = 0; round < told.size(); ++round) {
      auto writer =
          pr::spawn(write_one, std::ref(f), std::string(100, static_cast<char>('a' + round)),
                    std::ref(told[round]));
      co_await pr::yield();
      if (w.chance(0.7)) co_await pause(w);
      writer.abort();
    }
    co_await pr::sleep_for(1ms);
    std::map<char, int> arrived;
    for (const char c : w.take(pipe.read_end, 10'000)) ++arrived[c];
    for (std::size_t round = 0; round < told.size(); ++round) {
      const int n = arrived[static_cast<char>('a' + round)];
      EXPECT_TRUE(n == 0 || n == 100) << n << " bytes of write " << round;
      if (told[round] != 0) {
        EXPECT_EQ(n, told[round]);
      }
    }
  }
  w.close(pipe.read_end);
  w.close(pipe.write_end);
}
TEST_P(ForcedRace, of_a_write_to_a_pipe_and_its_drop_writes_once_or_not_at_all) {
  explore(scaled(1000), drop_writes_to_a_pipe);
}

pr::task<> open_and_use(int& opened) {
  auto f = co_await pr::fs::open("/data", rw);
  ++opened;
  pr::buffer b(64);
  (void)co_await f.read_at(b, 0);
}

pr::task<> drop_opens(sim::world& w) {
  int opened = 0;
  for (int round = 0; round < 12; ++round) {
    auto opener = pr::spawn(open_and_use, std::ref(opened));
    co_await pr::yield();
    co_await pr::sleep_for(std::chrono::nanoseconds(w.random(30'000)));
    opener.abort();
  }
  EXPECT_LE(opened, 12);
}
// That no descriptor is doubled or lost is what `explore` looks at.
TEST_P(ForcedRace, of_an_open_and_its_drop_keeps_the_number_of_descriptors) {
  explore(scaled(1000), drop_opens);
}

// A read of a file is left to finish when it is dropped; nothing may show of it but its memory.
pr::task<> drop_reads_of_a_file(sim::world& w) {
  auto f = co_await pr::fs::open("/data", rw);
  auto p = co_await pr::fs::open("/data", rw);
  for (int round = 0; round < 12; ++round) {
    (void)co_await pr::timeout(std::chrono::nanoseconds(w.random(150'000)),
                               f.read_at(watched_bytes(512), 0));
    // A chain is cancelled as a whole; into a queue of one entry it does not fit.
    (void)co_await pr::timeout(std::chrono::nanoseconds(w.random(150'000)),
                               pr::as_result(pr::link(p.read_at(watched_bytes(512), 0),
                                                      p.read_at(watched_bytes(512), 512))));
    auto [text, n] = co_await f.read_at(std::string(512, ' '), 0);
    EXPECT_EQ(n, 512u);
    EXPECT_EQ(text, std::string(512, 'd'));
    auto asking = pr::spawn(pr::fs::file_size("/data"));
    co_await pr::sleep_for(std::chrono::nanoseconds(w.random(30'000)));
    asking.abort();
  }
}
TEST_P(ForcedRace, of_reads_of_a_file_and_their_timeouts_leaves_nothing) {
  explore(scaled(1000), drop_reads_of_a_file, false);
}

// ---- case 37: enter is refused ----

pr::task<> count_nops(int n, int& done) {
  while (n-- > 0) co_await pr::nop();
  ++done;
}
pr::task<> copy_block(unsigned i) {
  auto from = co_await pr::fs::open("/data", rw);
  auto to = co_await pr::fs::open("/copy", rw);
  pr::buffer b(512);
  co_await from.read_exactly_at(b, i * 512);
  co_await to.write_all_at(b, i * 512);
}
pr::task<> copy_it_all(int& done) {
  pr::task_group group;
  for (unsigned i = 0; i < 16; ++i) {
    group.spawn(copy_block(i));
    group.spawn(count_nops(5, done));
  }
  co_await group.join();
}

struct refusal {
  int error;
  std::uint64_t first;  // the call of enter that is refused
  std::uint64_t every;  // and each so many after it; 0: no other
};

void copy_with(const refusal& r, unsigned entries) {
  SCOPED_TRACE("errno " + std::to_string(r.error) + " from enter " + std::to_string(r.first) +
               ", every " + std::to_string(r.every) + ", entries " + std::to_string(entries));
  sim::world w(r.first + entries);
  std::string data(16 * 512, ' ');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>('a' + i / 512);
  w.write_file("/data", data);
  w.write_file("/copy", "");
  std::uint64_t enters = 0, refused = 0;
  sim::faults f;
  f.callback = [&](const sim::operation& op) -> std::optional<sim::injected> {
    if (op.kind != sim::operation_kind::enter) return std::nullopt;
    ++enters;
    const bool hit =
        r.every != 0 ? enters >= r.first && (enters - r.first) % r.every == 0 : enters == r.first;
    if (!hit) return std::nullopt;
    ++refused;
    return sim::injected{.what = sim::fault::error, .error = r.error};
  };
  w.set_faults(f);
  const sim::world::entered inside(w);
  {
    pr::runtime rt({.entries = entries});
    int done = 0;
    rt.run(copy_it_all, std::ref(done));
    EXPECT_EQ(done, 16) << "an end was lost or doubled";
    EXPECT_EQ(rt.counters().tasks, 0u);
    EXPECT_EQ(rt.counters().buffers, 0u);
  }
  EXPECT_EQ(w.read_file("/copy"), data);
  EXPECT_EQ(w.open_descriptors(), 0u);
  EXPECT_TRUE(refused != 0 || enters < r.first) << "nothing was refused";
}

// The refused call comes at each place in turn, in the run and in the teardown behind it.
TEST(RefusedEnter, at_any_one_call_loses_and_doubles_nothing) {
  for (const int error : {EINTR, EAGAIN, EBUSY})
    for (const unsigned entries : {1u, 2u, 256u})
      for (std::uint64_t at = 1; at <= 60 && !::testing::Test::HasFailure(); ++at)
        copy_with({error, at, 0}, entries);
}

TEST(RefusedEnter, at_every_nth_call_loses_and_doubles_nothing) {
  for (const int error : {EINTR, EAGAIN, EBUSY})
    for (const unsigned entries : {1u, 2u, 256u})
      for (std::uint64_t every = 2; every <= 12 && !::testing::Test::HasFailure(); ++every)
        for (std::uint64_t first = 1; first <= every; ++first)
          copy_with({error, first, every}, entries);
}

// ---- case 38: completions overflow ----

pr::task<> read_byte(pr::fs::file& f, std::uint64_t at, std::vector<std::uint8_t>& ends) {
  auto [text, n] = co_await f.read_at(std::string(1, ' '), at % 8192);
  EXPECT_EQ(text.substr(0, n), "d");
  ++ends[at];
}
pr::task<> read_bytes(std::vector<std::uint8_t>& ends) {
  auto f = co_await pr::fs::open("/data", rw);
  pr::task_group group;
  for (std::uint64_t i = 0; i < ends.size(); ++i) group.spawn(read_byte(f, i, ends));
  co_await group.join();
}

// The queue has as many places as its smallest size allows, and all requests are out at once.
TEST(OverflowInAWorld, a_hundred_thousand_reads_each_end_once) {
  sim::world_options o;
  o.faults.completion_queue = 1;
  sim::world w(38, o);
  w.write_file("/data", std::string(8192, 'd'));
  const sim::world::entered inside(w);
  pr::runtime rt({.entries = 1, .max_operations = 200'000});
  std::vector<std::uint8_t> ends(static_cast<std::size_t>(scaled(100'000)), 0);
  rt.run(read_bytes, std::ref(ends));
  EXPECT_TRUE(std::ranges::all_of(ends, [](std::uint8_t n) { return n == 1; }));
  rt.run(pr::sleep_for(1ms));  // closing the file is nobody's to wait for
  EXPECT_EQ(rt.counters().operations, 0u);
}

// ---- cases 29 and 35: what never completes ----

pr::task<> read_idle(int read_end) {
  auto f = co_await reader_of(read_end);
  (void)co_await f.read_at(watched_bytes(4096), 0);
}

// In a child, since what is left over is leaked on purpose.
TEST(NeverCompletes, a_teardown_ends_in_virtual_time_and_reports_what_it_leaves) {
  const auto r = in_child([] {
    sim::world w(29);
    const sim::world::entered inside(w);
    const auto pipe = w.make_pipe();
    std::chrono::nanoseconds begun{};
    {
      pr::runtime rt({.shutdown_patience = 1h});
      auto stuck = rt.spawn(read_idle, pipe.read_end);
      sim::faults f;
      f.never_completes = {.probability = 1, .path = "pipe"};
      rt.run(pr::nop());  // it is open by then, or soon
      w.set_faults(f);
      rt.run(pr::sleep_for(1ms));
      if (graveyard::instance().alive != 1) return 2;
      begun = w.now();
    }
    const auto took = w.now() - begun;
    if (took < 30min || took > 2h) return 3;
    // The memory was not freed, for the machine may still write to it.
    return graveyard::instance().alive == 1 ? 0 : 4;
  });
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_NE(r.output.find("did not give back"), std::string::npos) << r;
  EXPECT_NE(r.output.find("1 read_at"), std::string::npos) << r;
}

TEST(NeverCompletes, handles_do_not_free_what_a_leaked_request_uses) {
  const auto r = in_child([] {
    sim::world w(35);
    const sim::world::entered inside(w);
    const auto pipe = w.make_pipe();
    pr::fs::file file;
    pr::buffer buffer;
    std::byte* memory = nullptr;
    {
      pr::runtime rt({.shutdown_patience = 1h});
      file = rt.run(reader_of(pipe.read_end));
      buffer = pr::buffer(4096);
      memory = buffer.bytes().data();
      sim::faults f;
      f.never_completes = {.probability = 1, .path = "pipe"};
      w.set_faults(f);
      auto stuck = rt.spawn(file.read_at(buffer, 0));
      rt.run(pr::sleep_for(1ms));
    }
    if (!buffer.locked()) return 2;
    const auto before = w.open_descriptors();
    file = {};
    buffer = {};
    if (w.open_descriptors() != before) return 3;  // its number would be free for others
    memory[0] = std::byte{1};                      // a fault, were it unmapped
    return 0;
  });
  EXPECT_EQ(r.status, 0) << r;
  EXPECT_NE(r.output.find("did not give back"), std::string::npos) << r;
}

// ---- short transfers and interruptions ----

pr::task<> store_and_load(const std::string& content) {
  auto f = co_await pr::fs::open("/out", rw);
  pr::buffer b(content.size());
  std::ranges::copy(std::as_bytes(std::span(content)), b.bytes().begin());
  co_await f.write_all_at(b, 100);
  pr::buffer back(content.size());
  co_await f.read_exactly_at(back, 100);
  EXPECT_TRUE(back.text() == content);
}

TEST(ShortTransfers, composites_do_all_of_it_whatever_the_parts) {
  for (int seed = 1; seed <= scaled(1000) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    sim::world w(static_cast<std::uint64_t>(seed));
    sim::faults f;
    f.short_read = f.short_write = 0.5;
    f.interrupted = 0.2;
    w.set_faults(f);
    w.write_file("/out", "");
    std::string content(1 + w.random(20'000), ' ');
    for (char& c : content) c = static_cast<char>('a' + w.random(26));
    const auto program = [&content] { return store_and_load(content); };
    w.run(program);
    EXPECT_TRUE(w.read_file("/out").substr(100) == content);
    EXPECT_EQ(w.open_descriptors(), 0u);
  }
}

// EAGAIN is the caller's to deal with, who is told how far it came.
pr::task<> store_patiently(const std::string& content) {
  auto f = co_await pr::fs::open("/out", rw);
  std::size_t done = 0;
  while (done < content.size()) {
    pr::buffer b(content.size() - done);
    std::ranges::copy(std::as_bytes(std::span(content).subspan(done)), b.bytes().begin());
    const auto all = co_await pr::as_result(f.write_all_at(b, done));
    if (!all) {
      EXPECT_EQ(all.error().number(), EAGAIN);
    }
    done += all ? b.size() : all.error().transferred();
  }
}

TEST(ShortTransfers, a_composite_that_fails_can_be_continued_where_it_says) {
  for (int seed = 1; seed <= scaled(1000) && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    sim::world w(static_cast<std::uint64_t>(seed));
    sim::faults f;
    f.short_write = 0.5;
    f.again = 0.2;
    w.set_faults(f);
    w.write_file("/out", "");
    const std::string content(1 + w.random(20'000), 'c');
    const auto program = [&content] { return store_patiently(content); };
    w.run(program);
    EXPECT_TRUE(w.read_file("/out") == content);
  }
}

}  // namespace
