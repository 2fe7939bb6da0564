// The limit of every row that goes through the ring: a loop without coroutines, tasks or ownership.
#include <unistd.h>

#include <bit>
#include <cerrno>

#include "../contender.hpp"
#include "buffers.hpp"
#include "pipes.hpp"
#include "raw_ring.hpp"

namespace lab {
namespace {

void nop(session& run) {
  const unsigned depth = run.what().depth;
  raw_ring ring(std::bit_ceil(depth));  // no larger than needed: it stays in the first cache
  io_uring_sqe pattern{};
  pattern.opcode = IORING_OP_NOP;
  ring.prepare_entries(pattern);
  while (load* stream = run.next_phase()) {
    const std::uint64_t before = ring.enters();
    unsigned in_flight = 0;
    const auto refill = [&](unsigned slot) {
      if (!stream->next(slot)) return;
      ring.take().user_data = slot;
      ++in_flight;
    };
    for (unsigned slot = 0; slot < depth; ++slot) refill(slot);
    while (in_flight != 0) {
      ring.submit_and_wait();
      ring.reap([&](const io_uring_cqe& cqe) {
        const auto slot = static_cast<unsigned>(cqe.user_data);
        --in_flight;
        stream->done(slot);
        refill(slot);
      });
    }
    run.add_syscalls(ring.enters() - before);
  }
}

void read_with(session& run, unsigned depth) {
  const int fd = run.open_file();
  const std::size_t size = run.what().block;
  buffers memory(depth, size);
  raw_ring ring(std::bit_ceil(depth));
  ring.register_file(fd);
  ring.register_memory(memory[0], depth * size);
  io_uring_sqe pattern{};
  pattern.opcode = IORING_OP_READ_FIXED;
  pattern.flags = IOSQE_FIXED_FILE;
  pattern.fd = 0;
  pattern.len = static_cast<unsigned>(size);
  ring.prepare_entries(pattern);
  while (load* stream = run.next_phase()) {
    const std::uint64_t before = ring.enters();
    unsigned in_flight = 0;
    const auto refill = [&](unsigned slot) {
      std::uint64_t offset = 0;
      if (!stream->next(slot, offset)) return;
      io_uring_sqe& entry = ring.take();
      entry.off = offset;
      entry.addr = reinterpret_cast<std::uint64_t>(memory[slot]);
      entry.user_data = slot;
      ++in_flight;
    };
    for (unsigned slot = 0; slot < depth; ++slot) refill(slot);
    while (in_flight != 0) {
      ring.submit_and_wait();
      ring.reap([&](const io_uring_cqe& cqe) {
        const auto slot = static_cast<unsigned>(cqe.user_data);
        --in_flight;
        stream->done(slot, memory[slot], static_cast<std::size_t>(cqe.res));
        refill(slot);
      });
    }
    run.add_syscalls(ring.enters() - before);
  }
  ::close(fd);
}

void read(session& run) { read_with(run, run.what().depth); }

// A list of ranges has no depth: one that a ring is quick with.
void read_many(session& run) { read_with(run, 64); }

// Reads of empty pipes, submitted, and cancelled in the next batch. The cancels post no
// completions of their own. An empty request in each batch ends the wait for it.
void drop(session& run) {
  const unsigned depth = run.what().depth;
  const pipes empty(depth);
  buffers memory(depth, run.what().block);
  raw_ring ring(std::bit_ceil(depth + 1));
  ring.register_files(empty.readers().data(), depth);
  ring.register_memory(memory[0], depth * run.what().block);
  constexpr std::uint64_t mark = ~0ULL;
  while (load* stream = run.next_phase()) {
    const std::uint64_t before = ring.enters();
    unsigned left = 0;
    const auto submit_until = [&](unsigned remaining) {
      io_uring_sqe& last = ring.take();
      last = {};
      last.opcode = IORING_OP_NOP;
      last.user_data = mark;
      for (bool marked = false; !marked || left > remaining;) {
        ring.submit_and_wait();
        ring.reap([&](const io_uring_cqe& cqe) {
          if (cqe.user_data == mark)
            marked = true;
          else if (cqe.res == -ECANCELED)
            --left;
          else
            fail("the read of an empty pipe answered %d", cqe.res);
        });
      }
    };
    while (stream->batch(depth)) {
      for (unsigned slot = 0; slot < depth; ++slot) {
        io_uring_sqe& entry = ring.take();
        entry = {};
        entry.opcode = IORING_OP_READ_FIXED;
        entry.flags = IOSQE_FIXED_FILE;
        entry.fd = static_cast<int>(slot);
        entry.addr = reinterpret_cast<std::uint64_t>(memory[slot]);
        entry.len = static_cast<unsigned>(run.what().block);
        entry.user_data = slot + 1;
      }
      left = depth;
      submit_until(depth);
      for (unsigned slot = 0; slot < depth; ++slot) {
        io_uring_sqe& entry = ring.take();
        entry = {};
        entry.opcode = IORING_OP_ASYNC_CANCEL;
        entry.flags = IOSQE_CQE_SKIP_SUCCESS;
        entry.fd = -1;
        entry.addr = slot + 1;
        entry.user_data = mark - 1;
      }
      submit_until(0);
    }
    run.add_syscalls(ring.enters() - before);
  }
}

}  // namespace

void add_limit_ring(roster& to) {
  to.present.push_back({.name = "limit", .kind = work::nop, .run = nop});
  to.present.push_back({.name = "limit", .kind = work::read, .run = read});
  to.present.push_back(
      {.name = "limit", .kind = work::cq_reader, .run = read, .fits = [](const row& what) {
         return !what.traffic;
       }});
  to.present.push_back({.name = "limit", .kind = work::read_many, .run = read_many});
  to.present.push_back({.name = "limit", .kind = work::read_sequential, .run = read});
  to.present.push_back({.name = "limit", .kind = work::drop, .run = drop});
}

}  // namespace lab
