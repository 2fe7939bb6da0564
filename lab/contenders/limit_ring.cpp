// The limit of every row that goes through the ring: a loop without coroutines, tasks or ownership.
#include <unistd.h>

#include <bit>

#include "../contender.hpp"
#include "buffers.hpp"
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

void read(session& run) {
  const int fd = run.open_file();
  const unsigned depth = run.what().depth;
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

}  // namespace

void add_limit_ring(roster& to) {
  to.present.push_back({.name = "limit", .kind = work::nop, .run = nop});
  to.present.push_back({.name = "limit", .kind = work::read, .run = read});
}

}  // namespace lab
