#include <parkring/async_fd.hpp>

#include <poll.h>

#include <bit>
#include <cerrno>
#include <memory>
#include <string>

#include "base/descriptor.hpp"
#include "exec/core.hpp"

namespace parkring {

static_assert(static_cast<unsigned>(fd_events::readable) == POLLIN &&
              static_cast<unsigned>(fd_events::priority) == POLLPRI &&
              static_cast<unsigned>(fd_events::writable) == POLLOUT &&
              static_cast<unsigned>(fd_events::error) == POLLERR &&
              static_cast<unsigned>(fd_events::hang_up) == POLLHUP &&
              static_cast<unsigned>(fd_events::read_hang_up) == POLLRDHUP);

namespace detail {
namespace {

struct poll_payload {
  fd_ref of;
  fd_events wanted;
};

std::uint32_t in_entry(fd_events events) noexcept {
  const auto mask = static_cast<std::uint32_t>(events);
  if constexpr (std::endian::native == std::endian::big) return mask << 16 | mask >> 16;
  return mask;
}

const record_type poll_type = {
    .name = "poll",
    .prepare =
        [](record& r, kernel::abi::sqe& e) noexcept {
          const auto& p = r.as<poll_payload>();
          e.opcode = kernel::abi::op_poll_add;
          e.fd = p.of->descriptor;
          e.poll32_events = in_entry(p.wanted);
        },
    .complete = [](record&, op_waiter*, std::int32_t, std::uint32_t,
                   bool) noexcept { return after_completion::finish; },
    .destroy =
        [](record& r) noexcept {
          auto& p = r.as<poll_payload>();
          fd_state& s = *p.of;
          if (--s.polls == 0 && !s.releasing.empty()) {
            waiter_list& ready = s.home_of.ready();
            while (waiter* w = s.releasing.pop_front()) ready.push_back(*w);
          }
          std::destroy_at(&p);
        },
    .cancel_when_dropped = nullptr,
    .describe =
        [](const record& r, std::string& out) {
          out += "poll(descriptor " + std::to_string(r.as<poll_payload>().of->descriptor) + ")";
        },
};

// It belongs to a runtime from its first wait on, or to a later one once that has gone.
void bind(fd_state& s, core_base& core) noexcept {
  pin_running_task(core);
  if (s.home_of == core.home_of) return;
  PARKRING_CHECK(!s.home_of.is_open() && s.polls == 0,
                 "an async_fd belongs to the runtime, and there to the worker, in which it was "
                 "first awaited; make one for each");
  s.home_of = core.home_of;
}

void drop_reference(fd_state& s) noexcept {
  if (--s.references == 0) end_fd(s);
}

}  // namespace

void end_fd(fd_state& s) noexcept {
  if (s.owns && s.descriptor >= 0) base::close_descriptor(s.descriptor);
  delete &s;
}

record* poll_request::make(op_waiter& base) noexcept {
  auto& core = exec::this_core();
  bind(*of, core);
  auto& w = static_cast<fd_waiter&>(base);
  if (!w.among.linked()) {
    w.among.of = &w;
    of->waits.push_back(w.among);
  }
  record* r = core.ops.acquire(poll_type);
  if (r == nullptr) return nullptr;
  r->emplace<poll_payload>(poll_payload{fd_ref(*of), wanted});
  ++of->polls;
  return r;
}

void poll_request::start(op_waiter& w) noexcept {
  auto& ops = exec::this_core().ops;
  if (record* r = make(w)) return ops.submit(*r, &w);
  ops.starve(w);
}

bool poll_request::ready(op_waiter& w) noexcept {
  if (!of->released) return false;
  w.answer = -ECANCELED;
  return true;
}

error poll_request::failure(int number) const {
  const char* advice = "";
  if (number == ECANCELED) advice = "release() was called: this descriptor is waited for no more";
  if (number == EBADF) advice = "it is not open; release() it before its library closes it";
  return {number, "ready", "descriptor " + std::to_string(of->descriptor), advice};
}

}  // namespace detail

async_fd::async_fd(int fd, bool owned) : state_(new detail::fd_state(fd, owned)) {}

void async_fd::drop() noexcept {
  if (state_ == nullptr) return;
  detail::fd_state& s = *std::exchange(state_, nullptr);
  if (s.home_of.where == nullptr || s.home_of.is_here()) return detail::drop_reference(s);
  s.run = [](detail::message& m) noexcept {
    detail::drop_reference(static_cast<detail::fd_state&>(m));
  };
  if (s.home_of.post(s)) return;
  detail::drop_reference(s);  // the runtime is gone, and with it all but what it leaked
}

void async_fd::release_awaiter::begin() noexcept {
  detail::fd_state& s = *of_;
  detail::bind(s, detail::running_core());
  s.released = true;
  while (auto* link = s.waits.pop_front()) {
    detail::fd_waiter& w = *link->of;
    if (w.answer != detail::op_waiter::no_answer) continue;  // it was ready before
    if (w.chain != nullptr) {  // its turn to end is the chain's; what has not begun is waited for
      if (w.rec != nullptr && w.rec->state == detail::record_state::in_flight)
        exec::this_core().ops.cancel(*w.rec);
      continue;
    }
    if (w.rec != nullptr) w.abandon();
    w.unlink();  // from those who wait for a record
    w.answer = -ECANCELED;
    s.home_of.ready().push_back(w);
  }
}

}  // namespace parkring
