#include "kernel/sim/backend.hpp"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "kernel/sim/request_kinds.hpp"
#include "kernel/sim/worlds.hpp"

namespace parkring::kernel::sim {

using emulated::cancel_answer;
using emulated::request;
using parkring::sim::fault;

void operation::timer::act(event& e) noexcept {
  operation& op = static_cast<timer&>(e).of;
  op.home->due(op);
}

void operation::readiness::act(watcher& w) noexcept {
  operation& op = static_cast<readiness&>(w).of;
  op.home->changed(op);
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
  op.effect.reset();
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
  if (!m_.step()) return;  // the machine stops with it
  describe(op);
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
  // A sync writes what is dirty when it begins, and may or may not get at what becomes dirty while
  // it is under way.
  const bool is_sync = e.opcode == abi::op_fsync && op.object.file && op.decided.error == 0;
  if (is_sync && m_.choices.chance(0.5)) op.effect = do_file(op);
  m_.time.schedule(op.when, latency(op) + op.decided.stall_ns);
}

void backend::due(operation& op) noexcept {
  if (!m_.step()) {
    m_.time.schedule(op.when, 0);  // it is under way still, for `cut`
    return;
  }
  if (op.effect) return finish(op, *op.effect);
  if (op.decided.error != 0) return fail(op);
  switch (manner_of(op.what->entry.opcode)) {
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
  m_.log(m_.this_step(), trace_entry::kind::effect, abi::op_name(r.entry.opcode), r.number,
         op.object.subject, offset_of(op), r.length,
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
    m_.log(m_.steps(), trace_entry::kind::cancelled, abi::op_name(r.entry.opcode), r.number,
           op.object.subject, offset_of(op), r.length, -ECANCELED);
    // What was transferred already is told, nothing is lost.
    const std::int64_t moved = static_cast<std::int64_t>(op.moved);
    release(op);
    ++completed_;
    r.home->complete(r, moved != 0 ? static_cast<std::int32_t>(moved) : -ECANCELED);
    return cancel_answer::cancelled;
  };
  if (!op.when.scheduled()) return cancelled();                     // it waits for its endpoint
  if (op.effect && *op.effect < 0) return cancel_answer::too_late;  // the error is told but once
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

// Whether the power may go in the middle of it and leave what it does.
bool backend::may_be_half_way(const operation& op) const noexcept {
  if (!op.when.scheduled() || op.decided.error != 0 || op.effect) return false;
  const abi::sqe& e = op.what->entry;
  switch (e.opcode) {
    case abi::op_renameat:
    case abi::op_unlinkat:
    case abi::op_mkdirat:
    case abi::op_symlinkat:
    case abi::op_linkat:
      return true;
    case abi::op_openat:
    case abi::op_openat2:
      return (opening_of(e).flags & (O_CREAT | O_TRUNC)) != 0;
    default:
      return op.object.file && manner_of(e.opcode) == manner::file;
  }
}

void backend::cut() noexcept {
  // Requests that were on their way may have been done before the power went, in any order.
  std::vector<operation*> under_way;
  if (m_.stopped() == machine::stop_reason::power_cut) {
    live_.for_each([&](operation& op) {
      if (may_be_half_way(op)) under_way.push_back(&op);
    });
  }
  for (std::size_t i = under_way.size(); i > 1; --i)
    std::swap(under_way[i - 1], under_way[m_.choices.below(i)]);
  for (operation* const op : under_way) {
    op->when.unschedule();
    if (!m_.choices.chance(0.5)) continue;
    const request& r = *op->what;
    std::int64_t result = manner_of(r.entry.opcode) == manner::path ? do_path(*op) : do_file(*op);
    if (result == must_wait) continue;
    // Nobody gets the descriptor.
    if ((r.entry.opcode == abi::op_openat || r.entry.opcode == abi::op_openat2) && result >= 0)
      result = m_.table.close(static_cast<int>(result));
    m_.log(m_.steps(), trace_entry::kind::effect, abi::op_name(r.entry.opcode), r.number,
           op->object.subject, offset_of(*op), r.length, result);
  }
  while (operation* op = live_.front()) release(*op);
}

}  // namespace parkring::kernel::sim
