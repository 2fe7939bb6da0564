// The limit of the log row: a group commit by hand. What all slots want to append is copied into
// one buffer, written and synced by one linked submission, and then all of them go on. It does not
// checksum, and could not find its records again.
#include <cstring>
#include <vector>

#include "../contender.hpp"
#include "buffers.hpp"
#include "log_file.hpp"
#include "raw_ring.hpp"

namespace lab {
namespace {

constexpr std::size_t room = log_record_bytes + 16;

void group_commit(session& run) {
  const log_folder folder;
  log_file file(folder);
  const unsigned depth = run.what().depth;
  buffers memory(1, depth * room);
  const std::vector<std::byte> record(log_record_bytes, std::byte{'r'});
  raw_ring ring(8);
  ring.register_file(file.descriptor());
  ring.register_memory(memory[0], depth * room);
  std::uint64_t number = 0;
  while (load* stream = run.next_phase()) {
    const std::uint64_t before = ring.enters();
    for (;;) {
      unsigned wanted = 0;
      for (unsigned slot = 0; slot < depth; ++slot) {
        if (!stream->next(slot)) break;
        std::byte* const to = memory[0] + wanted++ * room;
        std::memcpy(to, &++number, sizeof(number));
        std::memcpy(to + 16, record.data(), record.size());
      }
      if (wanted == 0) break;
      io_uring_sqe& write = ring.take();
      write = {};
      write.opcode = IORING_OP_WRITE_FIXED;
      write.flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK;
      write.off = file.place(wanted * room);
      write.addr = reinterpret_cast<std::uint64_t>(memory[0]);
      write.len = static_cast<unsigned>(wanted * room);
      io_uring_sqe& sync = ring.take();
      sync = {};
      sync.opcode = IORING_OP_FSYNC;
      sync.flags = IOSQE_FIXED_FILE;
      sync.fsync_flags = IORING_FSYNC_DATASYNC;
      sync.user_data = 1;
      for (unsigned left = 2; left != 0;) {
        ring.submit(left);
        ring.reap([&](const io_uring_cqe& cqe) {
          if (cqe.res != (cqe.user_data == 0 ? static_cast<int>(wanted * room) : 0))
            fail("a request of the log answered %d", cqe.res);
          --left;
        });
      }
      for (unsigned slot = 0; slot < wanted; ++slot) stream->done(slot);
    }
    run.add_syscalls(ring.enters() - before);
  }
}

}  // namespace

void add_limit_log(roster& to) {
  to.present.push_back({.name = "limit", .kind = work::log, .run = group_commit, .quick = false});
}

}  // namespace lab
