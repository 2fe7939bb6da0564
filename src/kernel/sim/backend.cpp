#include "kernel/sim/backend.hpp"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "kernel/sim/worlds.hpp"

namespace parkring::kernel::sim {

using emulated::cancel_answer;
using emulated::request;
using parkring::sim::fault;
using parkring::sim::operation_kind;

void operation::timer::act(event& e) noexcept {
  operation& op = static_cast<timer&>(e).of;
  op.home->due(op);
}

void operation::readiness::act(watcher& w) noexcept {
  operation& op = static_cast<readiness&>(w).of;
  op.home->changed(op);
}

namespace {

// How a request is carried out.
enum class manner : std::uint8_t { none, file, path, stream, socket };

manner manner_of(unsigned opcode) noexcept {
  switch (opcode) {
    case abi::op_read:
    case abi::op_write:
    case abi::op_readv:
    case abi::op_writev:
    case abi::op_read_fixed:
    case abi::op_write_fixed:
    case abi::op_fsync:
    case abi::op_sync_file_range:
    case abi::op_fallocate:
    case abi::op_ftruncate:
    case abi::op_fadvise:
      return manner::file;
    case abi::op_openat:
    case abi::op_close:
    case abi::op_statx:
    case abi::op_renameat:
    case abi::op_unlinkat:
    case abi::op_mkdirat:
    case abi::op_symlinkat:
    case abi::op_linkat:
    case abi::op_madvise:
      return manner::path;
    case abi::op_poll_add:
    case abi::op_send:
    case abi::op_recv:
    case abi::op_sendmsg:
    case abi::op_recvmsg:
    case abi::op_send_zc:
    case abi::op_sendmsg_zc:
    case abi::op_accept:
    case abi::op_connect:
    case abi::op_read_multishot:
      return manner::stream;
    case abi::op_socket:
    case abi::op_bind:
    case abi::op_listen:
    case abi::op_shutdown:
    case abi::op_pipe:
    case abi::op_msg_ring:
      return manner::socket;
    default:
      return manner::none;
  }
}

// Of most other opcodes the field is an address, which no trace may show.
std::uint64_t offset_of(const request& r) noexcept {
  return manner_of(r.entry.opcode) == manner::file ? r.entry.off : 0;
}

operation_kind kind_of(unsigned opcode, bool of_stream) noexcept {
  switch (opcode) {
    case abi::op_read:
    case abi::op_readv:
    case abi::op_read_fixed:
      return of_stream ? operation_kind::receive : operation_kind::read;
    case abi::op_write:
    case abi::op_writev:
    case abi::op_write_fixed:
      return of_stream ? operation_kind::send : operation_kind::write;
    case abi::op_fsync:
      return operation_kind::sync;
    case abi::op_ftruncate:
    case abi::op_fallocate:
      return operation_kind::resize;
    case abi::op_openat:
    case abi::op_close:
      return operation_kind::open;
    case abi::op_statx:
    case abi::op_renameat:
    case abi::op_unlinkat:
    case abi::op_mkdirat:
    case abi::op_symlinkat:
    case abi::op_linkat:
      return operation_kind::metadata;
    case abi::op_recv:
    case abi::op_recvmsg:
    case abi::op_read_multishot:
      return operation_kind::receive;
    case abi::op_send:
    case abi::op_sendmsg:
    case abi::op_send_zc:
    case abi::op_sendmsg_zc:
      return operation_kind::send;
    case abi::op_accept:
    case abi::op_connect:
      return operation_kind::connect;
    default:
      return operation_kind::other;
  }
}

}  // namespace

// Draws what goes wrong with it.
void backend::decide(operation& op) noexcept {
  const request& r = *op.what;
  const auto struck =
      m_.strike(kind_of(r.entry.opcode, static_cast<bool>(op.object.stream)),
                abi::op_name(r.entry.opcode), op.object.subject, offset_of(r), r.length);
  if (!struck) return;
  m_.log(trace_entry::kind::fault, parkring::sim::name_of(struck->what).data(), r.number,
         op.object.subject, offset_of(r), r.length, 0);
  fate& f = op.decided;
  f.error = struck->error;
  switch (struck->what) {
    case fault::short_read:
    case fault::short_write:
      f.limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(struck->length, ~0u));
      break;
    case fault::bad_sector:
      if (op.object.file) m_.files.mark_bad(*op.object.file, r.entry.off, 1);
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

std::uint64_t backend::latency(const operation& op) noexcept {
  const auto drawn =
      m_.faults.latency_of(kind_of(op.what->entry.opcode, static_cast<bool>(op.object.stream)));
  // Never in the same instant: that order would be the order of submission.
  return static_cast<std::uint64_t>(drawn.count()) + m_.draw_ns(1, 500);
}

backend::~backend() {
  // Whoever still waits is gone with the ring; events and watchers must not find it.
  while (operation* op = live_.front()) release(*op);
}

bool backend::supports(unsigned opcode) const noexcept {
  const auto own = [opcode] {
    switch (opcode) {  // the ring's
      case abi::op_close:
        return true;
      default:
        return false;
    }
  };
  return manner_of(opcode) != manner::none || own();
}

operation& backend::acquire(request& r) {
  if (free_.empty()) free_.push_back(all_.emplace_back());
  operation& op = *free_.pop_front();
  op.home = this;
  op.what = &r;
  op.decided = {};
  op.moved = 0;
  op.begun = op.asked_to_end = false;
  op.host = m_.current_host;
  live_.push_back(op);
  r.make_scratch<operation*>() = &op;
  return op;
}

void backend::release(operation& op) noexcept {
  op.when.unschedule();
  op.ready.unlink();
  op.unlink();
  free_.push_front(op);
  // Last: the end of an endpoint may tell others, who schedule themselves.
  const open_object last = std::exchange(op.object, {});
}

void backend::start(request& r) noexcept {
  ++m_.operations;
  operation& op = acquire(r);
  const abi::sqe& e = r.entry;
  if (r.file >= 0 && manner_of(e.opcode) != manner::path) {
    if (const open_object* const found = m_.table.find(r.file)) op.object = *found;
  }
  describe(op);
  if (!m_.step()) return;  // the machine stops with it
  if (e.opcode == abi::op_readv && r.selects_buffer()) {
    // The one part only tells how much of the buffer may be used.
    if (e.len != 1 || e.addr == 0) return finish(op, e.len != 1 ? -EINVAL : -EFAULT);
    const std::size_t most = reinterpret_cast<const iovec*>(e.addr)->iov_len;
    r.entry.len = static_cast<std::uint32_t>(std::min<std::size_t>(most, 0x7ffff000));
  }
  const manner how = manner_of(e.opcode);
  if (r.file >= 0 && how != manner::path && !op.object) return finish(op, -EBADF);
  if (r.file < 0 && how == manner::file) return finish(op, -EBADF);
  decide(op);
  if (op.decided.hangs) return;
  m_.time.schedule(op.when, latency(op) + op.decided.stall_ns);
}

void backend::due(operation& op) noexcept {
  if (!m_.step()) return;
  const auto opcode = op.what->entry.opcode;
  if (op.decided.error != 0) {
    // Linux releases the number whatever close says.
    if (opcode == abi::op_close) (void)do_path(op);
    return finish(op, -op.decided.error);
  }
  switch (manner_of(opcode)) {
    case manner::file:
      if (op.object.stream) return try_stream(op);
      return finish(op, do_file(op));
    case manner::path:
      if (const std::int64_t result = do_path(op); result != must_wait) return finish(op, result);
      return wait_for_change(op);
    case manner::stream:
      return try_stream(op);
    case manner::socket:
      return finish(op, do_socket(op));
    case manner::none:
      return finish(op, -EINVAL);
  }
}

void backend::changed(operation& op) noexcept {
  if (op.when.scheduled()) return;
  // The thread that waits is woken a moment later.
  m_.time.schedule(op.when, m_.draw_ns(300, 3'000));
}

void backend::wait_for_change(operation& op) noexcept {
  if (op.asked_to_end)
    return finish(op, op.moved != 0 ? static_cast<std::int64_t>(op.moved) : -ECANCELED);
  if (!op.ready.linked()) op.object.stream->watch(op.ready);
}

void backend::finish(operation& op, std::int64_t result, std::uint32_t flags) noexcept {
  request& r = *op.what;
  // Of a new descriptor the index: its number depends on which other worlds there are.
  m_.log(trace_entry::kind::effect, abi::op_name(r.entry.opcode), r.number, op.object.subject,
         offset_of(r), r.length,
         result < first_descriptor ? result : m_.table.index_of(static_cast<int>(result)));
  release(op);
  ++completed_;
  r.home->complete(r, static_cast<std::int32_t>(result), flags);
}

cancel_answer backend::cancel(request& r) noexcept {
  operation& op = *r.scratch_as<operation*>();
  if (m_.stopped() != machine::stop_reason::none) return cancel_answer::too_late;
  if (op.decided.hangs) return cancel_answer::too_late;
  const auto cancelled = [&] {
    m_.log(trace_entry::kind::cancelled, abi::op_name(r.entry.opcode), r.number, op.object.subject,
           offset_of(r), r.length, -ECANCELED);
    // What was transferred already is told, nothing is lost.
    const std::int64_t moved = static_cast<std::int64_t>(op.moved);
    release(op);
    ++completed_;
    r.home->complete(r, moved != 0 ? static_cast<std::int32_t>(moved) : -ECANCELED);
    return cancel_answer::cancelled;
  };
  if (!op.when.scheduled()) return cancelled();  // it waits for its endpoint
  switch (m_.race_of_cancel()) {
    case fault::cancel_wins:
      return cancelled();
    case fault::cancel_too_late:
      op.asked_to_end = true;
      return cancel_answer::too_late;
    default:
      break;
  }
  op.when.unschedule();
  const auto before = completed_;
  due(op);
  if (completed_ != before) return cancel_answer::not_found;
  if (m_.stopped() != machine::stop_reason::none) return cancel_answer::too_late;
  return cancelled();  // it would have waited
}

int backend::update_poll(request& r, std::uint32_t events, std::uint32_t) noexcept {
  operation& op = *r.scratch_as<operation*>();
  r.entry.poll32_events = events;
  changed(op);
  return 0;
}

int backend::hold(int fd) noexcept { return m_.table.duplicate(fd); }
void backend::let_go(int held) noexcept { m_.table.close(held); }
bool backend::acts_on(const request& r, int fd) noexcept {
  const open_object& its = (*r.scratch_as<operation*>()).object;
  const open_object* const now = m_.table.find(fd);
  return now != nullptr && its.stream.get() == now->stream.get() &&
         its.file.get() == now->file.get();
}
int backend::install(int held, bool) noexcept { return m_.table.duplicate(held); }

std::uint64_t backend::now_ns(emulated::clock which) noexcept {
  return which == emulated::clock::realtime ? m_.realtime_ns() : m_.now_ns();
}

int backend::give_descriptor(open_object object) noexcept {
  return m_.table.add(std::move(object));
}

void backend::harvest() noexcept {
  while (m_.stopped() == machine::stop_reason::none && m_.time.next_ns() <= m_.now_ns())
    m_.time.run_next();
}

int backend::wait(std::uint64_t deadline_ns) noexcept {
  const auto before = completed_;
  while (completed_ == before) {
    if (m_.stopped() != machine::stop_reason::none) return -ESHUTDOWN;
    if (m_.time.empty() && deadline_ns == emulated::never) {
      m_.stop(machine::stop_reason::nothing_can_happen);
      return -ESHUTDOWN;
    }
    if (m_.time.next_ns() > deadline_ns) {
      m_.time.pass(deadline_ns);
      return 0;
    }
    m_.time.run_next();
  }
  return 0;
}

int backend::reg(unsigned, const void*, unsigned) noexcept { return -EINVAL; }

void backend::cut() noexcept {
  // Requests that were on their way may have been done before the power went, in any order.
  std::vector<operation*> under_way;
  live_.for_each([&](operation& op) {
    if (op.when.scheduled() && op.object.file && op.decided.error == 0) under_way.push_back(&op);
  });
  for (std::size_t i = under_way.size(); i > 1; --i)
    std::swap(under_way[i - 1], under_way[m_.choices.below(i)]);
  for (operation* const op : under_way) {
    op->when.unschedule();
    if (!m_.choices.chance(0.5)) continue;
    const std::int64_t result = do_file(*op);
    m_.log(trace_entry::kind::effect, abi::op_name(op->what->entry.opcode), op->what->number,
           op->object.subject, offset_of(*op->what), op->what->length, result);
  }
  while (operation* op = live_.front()) release(*op);
}

}  // namespace parkring::kernel::sim
