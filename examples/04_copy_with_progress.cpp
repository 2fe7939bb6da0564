// test-args: {source} {work}/copy
// Copies a file with 8 pieces of 256 KiB in flight, whatever its size, and shows how far it is.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>

#include <parkring/parkring.hpp>

namespace pr = parkring;
using namespace pr::literals;
using namespace std::chrono_literals;

constexpr std::uint64_t piece = 256_KiB;
constexpr int lanes = 8;

struct copy_job {
  pr::fs::file from, to;
  std::uint64_t size = 0, next = 0, done = 0;
};

// Each lane takes the next piece there is. One thread runs them all, so nothing is locked.
pr::task<> lane(copy_job& job) {
  while (job.next < job.size) {
    const std::uint64_t at = std::exchange(job.next, job.next + piece);
    pr::buffer buf(std::min(piece, job.size - at));  // recycled by the pool
    co_await job.from.read_exactly_at(buf, at);
    co_await job.to.write_all_at(buf, at);
    job.done += buf.size();
  }
}

pr::task<> copy_all(copy_job& job) {
  pr::task_group group;
  for (int i = 0; i < lanes; ++i) group.spawn(lane, std::ref(job));
  co_await group.join();  // the first error wins, the other lanes are aborted
}

void draw(const copy_job& job) {
  const auto percent = job.size == 0 ? 100 : job.done * 100 / job.size;
  std::string bar(50, ' ');
  std::fill_n(bar.begin(), percent / 2, '#');
  std::cerr << "\r[" << bar << "] " << percent << " % of " << job.size / 1_KiB << " KiB";
}

pr::task<> show_progress(const copy_job& job) {
  for (pr::interval every(100ms);; co_await every.tick()) draw(job);
}

pr::task<> copy(std::filesystem::path source, std::filesystem::path target) {
  // A call that may block goes to another thread; what it uses goes with it, by value.
  auto is_same = [source, target] { return exists(target) && equivalent(source, target); };
  if (co_await pr::blocking(is_same)) throw std::invalid_argument("both names are of one file");

  copy_job job;
  job.from = co_await pr::fs::open(source);
  job.to = co_await pr::fs::open(target, {.access = pr::fs::access::write,
                                          .creation = pr::fs::creation::if_missing,
                                          .truncate = true});
  job.size = co_await job.from.size();
  co_await pr::race(copy_all(job), show_progress(job));  // the bar never ends, so it is dropped
  co_await job.to.datasync();
  co_await std::move(job.to).close();
  draw(job);
}

int main(int argc, char** argv) try {
  if (argc != 3) throw std::invalid_argument("usage: copy_with_progress SOURCE TARGET");
  pr::run(copy(argv[1], argv[2]));
  std::cerr << '\n';
} catch (const std::exception& e) {
  std::cerr << '\n' << e.what() << '\n';
  return 1;
}
