// What goes wrong with a request of the simulated machine, and how long it takes.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "kernel/sim/backend.hpp"
#include "kernel/sim/request_kinds.hpp"

namespace parkring::kernel::sim {

using emulated::request;
using parkring::sim::fault;
using parkring::sim::operation_kind;

namespace {

constexpr std::uint32_t rwf_synchronous = 0x2 | 0x4;  // RWF_DSYNC, RWF_SYNC of pwritev2(2)

// What beside its kind decides what can happen to it.
nature nature_of(file_system& files, const operation& op, operation_kind kind) {
  const abi::sqe& e = op.what->entry;
  nature n;
  if (op.object.file && (op.object.file->flags & O_DIRECT) != 0) n.unit = file_data::sector_size;
  if (op.object.stream) {
    // Messages are whole; and of several parts only the kernel knows how they add up.
    const socket* const s = op.object.stream->as_socket();
    const bool bytes =
        op.object.stream->as_pipe() != nullptr || (s != nullptr && s->type() == SOCK_STREAM);
    const bool one_part = e.opcode == abi::op_read || e.opcode == abi::op_read_fixed ||
                          e.opcode == abi::op_write || e.opcode == abi::op_write_fixed ||
                          e.opcode == abi::op_recv || e.opcode == abi::op_send ||
                          e.opcode == abi::op_send_zc;
    n.may_be_short = bytes && one_part;
  }
  n.syncs_too = op.object.file && kind == operation_kind::write &&
                ((op.object.file->flags & O_DSYNC) != 0 || (e.rw_flags & rwf_synchronous) != 0);
  switch (e.opcode) {
    case abi::op_openat:
    case abi::op_openat2:
      n.may_need_space = (backend::opening_of(e).flags & O_CREAT) != 0;
      break;
    case abi::op_ftruncate: {
      struct statx s {};
      n.may_need_space =
          op.object.file && files.stat(*op.object.file, s) == 0 && e.off > s.stx_size;
      break;
    }
    case abi::op_close:
    case abi::op_statx:
    case abi::op_unlinkat:
      n.may_need_space = false;
      break;
    default:
      n.may_need_space = kind != operation_kind::write || op.object.file;
      break;
  }
  return n;
}

}  // namespace

// Of most other opcodes the field is an address, which no trace may show.
std::uint64_t backend::offset_of(const operation& op) noexcept {
  const abi::sqe& e = op.what->entry;
  if (manner_of(e.opcode) != manner::file || !op.object.file) return 0;
  return e.off == ~std::uint64_t{0} ? static_cast<std::uint64_t>(op.object.file->position) : e.off;
}

parkring::sim::operation backend::told_of(const operation& op) noexcept {
  const request& r = *op.what;
  const abi::sqe& e = r.entry;
  parkring::sim::operation told{
      .kind = kind_of(e.opcode, static_cast<bool>(op.object.stream)),
      .name = abi::op_name(e.opcode),
      .path = m_.log_book.subject_text(op.object.subject),
      .offset = offset_of(op),
      .length = r.length,
      .step = m_.this_step(),
      .time = m_.age(),
  };
  // The trace has both in one.
  const auto at = [](std::uint64_t address) { return reinterpret_cast<const char*>(address); };
  if (e.addr == 0 || e.addr2 == 0) return told;
  if (e.opcode == abi::op_renameat || e.opcode == abi::op_linkat) {
    told.path = at(e.addr);
    told.target = at(e.addr2);
  } else if (e.opcode == abi::op_symlinkat) {
    told.path = at(e.addr2);
  }
  return told;
}

void backend::decide(operation& op) noexcept {
  const request& r = *op.what;
  const parkring::sim::operation told = told_of(op);
  const auto struck = m_.strike(told, nature_of(m_.files, op, told.kind));
  if (!struck) return;
  m_.log(m_.this_step(), trace_entry::kind::fault, parkring::sim::name_of(struck->what).data(),
         r.number, op.object.subject, told.offset, r.length);
  fate& f = op.decided;
  f.error = struck->error;
  f.where = struck->where;
  if (f.error == EIO && r.entry.opcode == abi::op_fsync && op.object.file) {
    // There is no other way for it to fail.
    f.error = 0;
    f.sync = sync_fate::refused;
  }
  switch (struck->what) {
    case fault::short_read:
    case fault::short_write:
      f.limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(struck->length, ~0u));
      break;
    case fault::bad_sector:
      if (op.object.file) m_.files.mark_bad(*op.object.file, told.offset, 1);
      break;
    case fault::bit_rot:
      f.read = {read_fate::rotten, struck->where};
      break;
    case fault::flipped_bit:
      f.read = {read_fate::flipped, struck->where};
      break;
    case fault::lost_write:
      f.write = {write_fate::lost, struck->where};
      break;
    case fault::misdirected_write:
      f.write = {write_fate::misdirected, struck->where};
      break;
    case fault::torn_write:
      f.write = {write_fate::torn, struck->where};
      break;
    case fault::failed_sync:
      f.sync = sync_fate::refused;
      break;
    case fault::stall:
      f.stall_ns = static_cast<std::uint64_t>(struck->delay.count());
      break;
    case fault::never_completes:
      f.hangs = true;
      break;
    default:
      break;
  }
}

// A write that fails may have been done in part, or whole.
void backend::fail(operation& op) noexcept {
  const request& r = *op.what;
  const auto opcode = r.entry.opcode;
  // Linux releases the number whatever close says.
  if (opcode == abi::op_close) (void)do_path(op);
  fate& f = op.decided;
  if (f.error == EIO && op.object.file && kind_of(opcode, false) == operation_kind::write) {
    constexpr std::uint64_t nothing = 0, some = 1;
    const std::uint64_t how_much = f.where % 3;
    if (how_much == some) {
      const std::uint64_t unit =
          (op.object.file->flags & O_DIRECT) != 0 ? file_data::sector_size : 1;
      f.limit = static_cast<std::uint32_t>(f.where / 3 % (r.length / unit + 1) * unit);
    }
    if (how_much != nothing && f.limit != 0) (void)do_file(op);
  }
  finish(op, -f.error);
}

std::uint64_t backend::latency(const operation& op) noexcept {
  const auto takes = m_.faults.latency_of(
      kind_of(op.what->entry.opcode, static_cast<bool>(op.object.stream)), m_.calm);
  // Never in the same instant: that order would be the order of submission.
  return static_cast<std::uint64_t>(takes.count()) + m_.draw_ns(1, 500);
}

}  // namespace parkring::kernel::sim
