// What fs::io_scheduler is for: requests that somebody waits for, beside a scan of the whole disk.
//
//   io-scheduler/front   random reads of 4 KiB past the page cache, one after the other with a
//   pause
//                        of about a millisecond between two: alone, beside a scan, and beside a
//                        scan that goes through the scheduler as they do. To be compared is p99
//   io-scheduler/beside  the scan of that row: what is left of it, in blocks
//   io-scheduler/scan    the scan with nobody beside it: as it is, and through the scheduler
//
// The scan reads in order, 256 KiB at a time, eight at once. First nothing is counted, for twice
// the time that is and 2 seconds at least: the scheduler has to see what is usual.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <parkring/parkring.hpp>

#include "../clock.hpp"
#include "../contender.hpp"

namespace lab {
namespace {

namespace pr = parkring;
using pr::fs::io_class;
using pr::fs::io_lane;

constexpr std::size_t scan_block = 256U << 10;

struct scan_counts {
  std::uint64_t bytes = 0;
};

pr::task<pr::fs::file> open_data(const session& run) {
  co_return co_await pr::fs::open(run.path(), {.direct = true, .noatime = run.noatime()});
}

pr::task<> scan(const session& run, io_lane lane, scan_counts& counts) {
  auto file = co_await open_data(run);
  for (;;) {
    pr::fs::reader r(file, {.buffer_size = scan_block, .read_ahead = 8 * scan_block, .lane = lane});
    while (auto part = co_await r.next()) counts.bytes += part->size();
  }
}

// Gives the latencies of those that began after `count_from`.
pr::task<std::vector<double>> read_now_and_then(const session& run, std::optional<io_lane> lane,
                                                std::uint64_t count_from, std::uint64_t end,
                                                std::function<void()> begin_to_count) {
  auto file = co_await open_data(run);
  const std::uint64_t blocks = co_await file.size() / 4096;
  pr::buffer b(4096, pr::aligned(file));
  std::vector<double> took;
  std::uint64_t random = 0x2545'F491'4F6C'DD1DU;
  for (;;) {
    random = random * 0x5851'F42D'4C95'7F2DU + 0x1405'7B7E'F767'814FU;
    co_await pr::sleep_for(std::chrono::microseconds(500 + (random >> 40) % 1000));
    const std::uint64_t offset = (random >> 20) % blocks * 4096;
    const std::uint64_t start = clock_ns();
    if (start >= end) co_return took;
    if (start >= count_from && took.empty()) begin_to_count();
    if (lane) {
      auto read = file.read_at(b, offset);
      (void)co_await lane->run(std::move(read));
    } else {
      (void)co_await file.read_at(b, offset);
    }
    if (start >= count_from) took.push_back(static_cast<double>(clock_ns() - start));
  }
}

struct times {
  std::uint64_t count_from, end;
  explicit times(const session& run) {
    const std::uint64_t start = clock_ns();
    count_from = start + std::max<std::uint64_t>(2 * run.plan().nanoseconds, 2'000'000'000);
    end = count_from + run.plan().nanoseconds;
  }
  [[nodiscard]] double seconds() const { return static_cast<double>(end - count_from) * 1e-9; }
};

pr::task<> front(session& run, bool beside_scan, bool scheduled, bool count_scan = false) {
  const times t(run);
  pr::fs::io_scheduler scheduler;
  scan_counts counts;
  std::optional<pr::join_handle<void>> scanner;
  const io_lane back = scheduled ? scheduler.lane(io_class::background) : io_lane();
  if (beside_scan) scanner.emplace(pr::spawn(scan, std::cref(run), back, std::ref(counts)));
  std::optional<io_lane> lane;
  if (scheduled) lane = scheduler.lane(io_class::foreground);
  std::uint64_t before = 0;
  const auto begin_to_count = [&] { before = counts.bytes; };
  std::vector<double> took =
      co_await read_now_and_then(run, lane, t.count_from, t.end, begin_to_count);
  if (count_scan) {
    measurement left;
    left.ops_per_s = static_cast<double>(counts.bytes - before) / scan_block / t.seconds();
    run.hand_in(left);
    co_return;
  }
  if (took.empty()) fail("no read was in time; give it more --seconds");
  std::sort(took.begin(), took.end());
  measurement result;
  result.ops_per_s = static_cast<double>(took.size()) / t.seconds();
  result.p50_ns = took[took.size() / 2];
  result.p99_ns = took[took.size() * 99 / 100];
  run.hand_in(result);
}

pr::task<> scan_alone(session& run, bool scheduled) {
  const times t(run);
  pr::fs::io_scheduler scheduler;
  scan_counts counts;
  const io_lane back = scheduled ? scheduler.lane(io_class::background) : io_lane();
  const auto scanner = pr::spawn(scan, std::cref(run), back, std::ref(counts));
  const auto until = [](std::uint64_t ns) {
    return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(ns));
  };
  co_await pr::sleep_until(until(t.count_from));
  const std::uint64_t before = counts.bytes, start = clock_ns();
  co_await pr::sleep_until(until(t.end));
  measurement result;
  result.ops_per_s = static_cast<double>(counts.bytes - before) / scan_block * 1e9 /
                     static_cast<double>(clock_ns() - start);
  run.hand_in(result);
}

void front_alone(session& run) { pr::run(front(run, false, false)); }
void front_unscheduled(session& run) { pr::run(front(run, true, false)); }
void front_scheduled(session& run) { pr::run(front(run, true, true)); }
void beside_unscheduled(session& run) { pr::run(front(run, true, false, true)); }
void beside_scheduled(session& run) { pr::run(front(run, true, true, true)); }
void scan_unscheduled(session& run) { pr::run(scan_alone(run, false)); }
void scan_scheduled(session& run) { pr::run(scan_alone(run, true)); }

}  // namespace

void add_parkring_scheduler(roster& to) {
  const auto add = [&to](const char* name, work kind, void (*run)(session&)) {
    to.present.push_back(
        {.name = name, .kind = kind, .run = run, .quick = false, .external = true});
  };
  add("parkring", work::io_front, front_scheduled);
  add("alone", work::io_front, front_alone);
  add("unscheduled", work::io_front, front_unscheduled);
  add("parkring", work::io_beside, beside_scheduled);
  add("unscheduled", work::io_beside, beside_unscheduled);
  add("parkring", work::io_scan, scan_scheduled);
  add("unscheduled", work::io_scan, scan_unscheduled);
}

}  // namespace lab
