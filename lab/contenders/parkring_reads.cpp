// Parkring reading a file: one task for each read in flight, in each of the ways of handing memory
// over, and with the choice between ring and inline forced either way.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <parkring/parkring.hpp>
#include <span>
#include <utility>
#include <vector>

#include "../contender.hpp"
#include "buffers.hpp"

namespace lab {
namespace {

namespace pr = parkring;
using pr::fs::inline_mode;

// Vectors that direct I/O accepts.
template <class T>
struct page_allocator {
  using value_type = T;
  page_allocator() = default;
  template <class U>
  page_allocator(const page_allocator<U>&) noexcept {}
  T* allocate(std::size_t n) {
    return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(4096)));
  }
  void deallocate(T* memory, std::size_t) noexcept {
    ::operator delete(memory, std::align_val_t(4096));
  }
  friend bool operator==(page_allocator, page_allocator) noexcept { return true; }
};
using bytes = std::vector<std::byte, page_allocator<std::byte>>;

// What a reader task needs; it outlives all of them.
struct job {
  load& stream;
  pr::fs::file& file;
  std::size_t size;
  buffers& memory;              // for the ways that read into the caller's memory
  std::vector<bytes>& vectors;  // one for each slot, to be moved in and out
};

pr::task<void> locking(const job& its, unsigned slot) {
  pr::buffer memory(its.size, pr::aligned(its.file));
  std::uint64_t offset = 0;
  while (its.stream.next(slot, offset)) {
    const std::size_t n = co_await its.file.read_at(memory, offset);
    its.stream.done(slot, memory.bytes().data(), n);
  }
}

pr::task<void> owned(const job& its, unsigned slot) {
  bytes memory = std::move(its.vectors[slot]);
  std::uint64_t offset = 0;
  while (its.stream.next(slot, offset)) {
    auto [back, n] = co_await its.file.read_at(std::move(memory), offset);
    its.stream.done(slot, back.data(), n);
    memory = std::move(back);
  }
  its.vectors[slot] = std::move(memory);
}

pr::task<void> copying(const job& its, unsigned slot) {
  const std::span<std::byte> memory(its.memory[slot], its.size);
  std::uint64_t offset = 0;
  while (its.stream.next(slot, offset)) {
    const std::size_t n = co_await its.file.read_at(pr::copying(memory), offset);
    its.stream.done(slot, memory.data(), n);
  }
}

pr::task<void> borrowed(const job& its, unsigned slot) {
  const std::span<std::byte> memory(its.memory[slot], its.size);
  std::uint64_t offset = 0;
  while (its.stream.next(slot, offset)) {
    const std::size_t n = co_await its.file.read_at(pr::borrowed(memory), offset);
    its.stream.done(slot, memory.data(), n);
  }
}

using reader = pr::task<void> (*)(const job&, unsigned);

pr::task<void> all_readers(reader read, const job& its, unsigned depth,
                           std::vector<pr::join_handle<void>>& readers) {
  for (unsigned slot = 0; slot < depth; ++slot)
    readers.push_back(pr::spawn(read, std::cref(its), slot));
  for (auto& one : readers) co_await std::move(one);
  readers.clear();
}

pr::runtime on_default() { return pr::runtime(); }
pr::runtime on_threads() { return pr::runtime({.kernel = pr::kernel_choice::threads}); }

template <reader Read, inline_mode Mode = inline_mode::automatic,
          pr::runtime (*Make)() = on_default>
void run_reads(session& run) {
  pr::runtime rt = Make();
  pr::fs::file file = rt.run(pr::fs::open(run.path(), {.access = pr::fs::access::read,
                                                       .direct = run.what().direct,
                                                       .noatime = run.noatime(),
                                                       .inline_first = Mode}));
  const unsigned depth = run.what().depth;
  buffers memory(depth, run.what().block);
  std::vector<bytes> vectors(depth, bytes(run.what().block));
  std::vector<pr::join_handle<void>> readers;
  readers.reserve(depth);
  while (load* stream = run.next_phase()) {
    const auto before = rt.counters();
    const job its{*stream, file, run.what().block, memory, vectors};
    rt.run(all_readers(Read, its, depth, readers));
    const auto after = rt.counters();
    run.add_syscalls((after.enters - before.enters) + (after.inline_hits - before.inline_hits) +
                     (after.inline_misses - before.inline_misses));
  }
}

}  // namespace

void add_parkring_reads(roster& to) {
  const auto add = [&](const char* name, void (*run)(session&), bool quick) {
    to.present.push_back({.name = name, .kind = work::read, .run = run, .quick = quick});
  };
  add("parkring", run_reads<locking>, true);
  add("parkring/owned", run_reads<owned>, true);
  add("parkring/copying", run_reads<copying>, true);
  add("parkring/borrowed", run_reads<borrowed>, true);
  add("parkring/ring", run_reads<locking, inline_mode::never>, false);
  add("parkring/inline", run_reads<locking, inline_mode::always>, false);
  // Without io_uring.
  add("parkring/threads", run_reads<locking, inline_mode::automatic, on_threads>, false);
  add("parkring/threads-ring", run_reads<locking, inline_mode::never, on_threads>, false);
}

}  // namespace lab
