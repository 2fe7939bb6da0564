// Parkring reading many ranges of a file at once, and a file from its beginning to its end.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <parkring/parkring.hpp>
#include <vector>

#include "../contender.hpp"

namespace lab {
namespace {

namespace pr = parkring;

struct work_on_files {
  load& stream;
  pr::fs::file& file;
  const row& what;
  bool noatime;
};

pr::fs::file open_file(const session& run, pr::runtime& rt) {
  return rt.run(pr::fs::open(
      run.path(),
      {.access = pr::fs::access::read, .direct = run.what().direct, .noatime = run.noatime()}));
}

template <class Task>
void work_off(session& run, Task task) {
  pr::runtime rt;
  pr::fs::file file = open_file(run, rt);
  while (load* stream = run.next_phase()) {
    const auto before = rt.counters();
    rt.run(task(work_on_files{*stream, file, run.what(), run.noatime()}));
    const auto after = rt.counters();
    run.add_syscalls((after.enters - before.enters) + (after.inline_hits - before.inline_hits) +
                     (after.inline_misses - before.inline_misses));
  }
}

// List after list of as many ranges as the row says.
pr::task<void> read_lists(work_on_files its, pr::fs::read_many_options how) {
  std::vector<pr::fs::range> ranges;
  ranges.reserve(its.what.depth);
  for (;;) {
    ranges.clear();
    std::uint64_t offset = 0;
    while (ranges.size() < its.what.depth &&
           its.stream.next(static_cast<unsigned>(ranges.size()), offset))
      ranges.push_back({offset, its.what.block});
    if (ranges.empty()) co_return;
    auto parts = pr::fs::read_many(its.file, ranges, how);
    while (auto part = co_await parts.next()) {
      const auto bytes = part->bytes();
      its.stream.done(static_cast<unsigned>(part->index), bytes.data(), bytes.size());
    }
  }
}

constexpr pr::fs::read_many_options merging{.merge_gap = 4096};
constexpr pr::fs::read_many_options merging_nothing{.longest_read = 0};
constexpr pr::fs::read_many_options in_order{.merge_gap = 4096,
                                             .order = pr::fs::part_order::as_requested};

template <const pr::fs::read_many_options& How>
void read_many(session& run) {
  work_off(run, [](work_on_files its) { return read_lists(its, How); });
}

pr::task<void> read_blocks(const work_on_files& its, unsigned slot) {
  pr::buffer memory(its.what.block, pr::aligned(its.file));
  std::uint64_t offset = 0;
  while (its.stream.next(slot, offset)) {
    const std::size_t n = co_await its.file.read_at(memory, offset);
    its.stream.done(slot, memory.bytes().data(), n);
  }
}

pr::task<void> read_blocks_of(load& stream, pr::fs::direct_file& file, std::size_t block,
                              unsigned slot) {
  pr::buffer memory(block, pr::aligned(file.memory_alignment()));
  std::uint64_t offset = 0;
  while (stream.next(slot, offset)) {
    const std::size_t n = co_await file.read_at(memory, offset);
    stream.done(slot, memory.bytes().data(), n);
  }
}

pr::task<void> read_through(work_on_files its) {
  pr::task_group readers;
  for (unsigned slot = 0; slot < its.what.depth; ++slot)
    readers.spawn(read_blocks, std::cref(its), slot);
  co_await readers.join();
}

pr::task<void> read_directly(work_on_files its) {
  pr::fs::direct_file file =
      co_await pr::fs::open_direct(its.file.path(), {.noatime = its.noatime});
  pr::task_group readers;
  for (unsigned slot = 0; slot < its.what.depth; ++slot)
    readers.spawn(read_blocks_of, std::ref(its.stream), std::ref(file), its.what.block, slot);
  co_await readers.join();
  if (file.counts().bounced != 0) fail("aligned reads went through a buffer in between");
}

// What fits direct I/O anyway, of an ordinary file and of one that takes any range.
void read_sequentially(session& run) {
  work_off(run, [](work_on_files its) { return read_through(its); });
}
void read_sequentially_directly(session& run) {
  work_off(run, [](work_on_files its) { return read_directly(its); });
}

}  // namespace

void add_parkring_files(roster& to) {
  const auto add = [&](const char* name, work kind, void (*run)(session&)) {
    to.present.push_back({.name = name, .kind = kind, .run = run});
  };
  add("parkring", work::read_many, read_many<merging>);
  add("parkring/unmerged", work::read_many, read_many<merging_nothing>);
  add("parkring/in-order", work::read_many, read_many<in_order>);
  add("parkring", work::read_sequential, read_sequentially);
  add("parkring/direct_file", work::read_sequential, read_sequentially_directly);
}

}  // namespace lab
