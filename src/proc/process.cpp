#include <parkring/proc/process.hpp>

#include <poll.h>
#include <sys/wait.h>

#include <cerrno>
#include <memory>
#include <new>

#include <parkring/timeout.hpp>

#include "exec/core.hpp"
#include "kernel/abi.hpp"
#include "proc/process_state.hpp"

namespace parkring {
namespace detail {

namespace abi = kernel::abi;

process_ref::process_ref(process_state& s) noexcept : state_(&s) { ++s.references; }
void process_ref::reset() noexcept { std::exchange(state_, nullptr)->release(); }

namespace {

struct watch_payload {
  process_ref process;
  siginfo_t info{};
};

void destroy_watch(record& r) noexcept {
  auto& p = r.as<watch_payload>();
  p.process->watch = nullptr;
  p.~watch_payload();
}

// A child that was killed ends soon, and is worth waiting for.
bool cancelled_at_the_end(const record& r) noexcept {
  return !r.as<watch_payload>().process->who.killed;
}

void describe_watch(const record& r, std::string& out) {
  const process_state& s = *r.as<watch_payload>().process;
  out += "wait(" + s.program + ", process " + std::to_string(s.who.pid) + ")";
}

const record_type waitid_type = {
    .name = "wait",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          auto& p = r.as<watch_payload>();
          e.opcode = abi::op_waitid;
          e.len = proc::by_pidfd;
          e.fd = p.process->who.pidfd.get();
          e.addr2 = reinterpret_cast<std::uint64_t>(&p.info);
          e.file_index = WEXITED;
        },
    .complete =
        [](record& r, op_waiter*, std::int32_t res, std::uint32_t, bool) noexcept {
          auto& p = r.as<watch_payload>();
          if (res == -EINTR && r.cancel_wanted == cancel_wish::none)
            return after_completion::resubmit;
          if (res >= 0)
            p.process->end({proc::status_of(p.info), 0});
          else if (res == -ECHILD)
            p.process->end({std::nullopt, ECHILD});
          else if (res != -ECANCELED) {  // the request has failed, not the child: ask for it
            const auto how = p.process->who.collect();
            if (how.status.has_value() || how.error != 0) p.process->end(how);
          }
          return after_completion::finish;
        },
    .destroy = &destroy_watch,
    .cancel_when_dropped = &cancelled_at_the_end,
    .describe = &describe_watch,
    .has_effect = true,
};

const record_type poll_type = {
    .name = "wait",
    .prepare =
        [](record& r, abi::sqe& e) noexcept {
          e.opcode = abi::op_poll_add;
          e.fd = r.as<watch_payload>().process->who.pidfd.get();
          e.poll32_events = POLLIN;
        },
    .complete =
        [](record& r, op_waiter*, std::int32_t res, std::uint32_t, bool) noexcept {
          process_state& s = *r.as<watch_payload>().process;
          if (res == -ECANCELED) return after_completion::finish;
          const proc::child::collected how = s.who.collect();
          if (how.status || how.error != 0) {
            s.end(how);
            return after_completion::finish;
          }
          if (res < 0 && res != -EINTR) {
            s.end({std::nullopt, -res});
            return after_completion::finish;
          }
          return r.cancel_wanted == cancel_wish::none ? after_completion::resubmit
                                                      : after_completion::finish;
        },
    .destroy = &destroy_watch,
    .cancel_when_dropped = &cancelled_at_the_end,
    .describe = &describe_watch,
    .has_effect = true,
};

}  // namespace

bool process_state::watch_in_background(proc::child& c) noexcept {
  core_base* const core = this_thread_core;
  if (core == nullptr || !core->home_of.is_here()) return false;
  if (!static_cast<exec::core*>(core)->driver.ring.real()) return false;
  auto* s = new (std::nothrow) process_state(std::move(c), core->home_of);
  if (s == nullptr) return false;
  s->handle_gone();
  return true;
}

bool process_state::watch_it() noexcept {
  if (watch != nullptr) return true;
  auto& core = exec::core_at(home_of);
  auto& ring = core.driver.ring;
  // A ring on threads would keep one of them in the call: there a poll is cheaper.
  const bool collects = !who.leads_group && ring.direct() && ring.opcodes()[abi::op_waitid];
  record* r = core.ops.acquire(collects ? waitid_type : poll_type);
  if (r == nullptr) return false;
  r->emplace<watch_payload>(process_ref(*this));
  watch = r;
  core.ops.submit(*r, nullptr);
  return true;
}

void process_state::end(const proc::child::collected& how) noexcept {
  status = how.status;
  lost = how.error;
  who.pidfd.reset();
  while (auto* w = static_cast<op_waiter*>(waiting.pop_front())) {
    w->answer = -lost;
    home_of.ready().push_back(*w);
  }
}

void process_state::handle_gone() noexcept {
  if (!ended() && who.is_ours()) {
    if (who.kill_on_drop) who.end_it();
    if (home_of.is_here() && watch == nullptr) {
      const proc::child::collected now = who.collect();
      if (now.status || now.error != 0)
        end(now);
      else
        (void)watch_it();  // else it is left over
    }
  }
  release();
}

namespace {

[[noreturn]] void not_sent(const process_state& s, int signal, int number) {
  throw io_error(
      {number, "kill",
       s.program + ", process " + std::to_string(s.who.pid) + ", signal " + std::to_string(signal),
       number == EPERM ? "the process runs as another user"
                       : (number == EINVAL ? "there is no such signal" : "")});
}

}  // namespace

bool process_state::send(int signal) {
  if (ended()) return false;
  const int number = who.send(signal);
  if (number != 0 && number != ESRCH) not_sent(*this, signal, number);
  return number == 0;
}

bool process_state::send_to_group(int signal) {
  PARKRING_CHECK(who.leads_group,
                 "the process has no group of its own: its command must ask for new_process_group");
  if (ended()) return false;
  const int number = who.send_to_group(signal);
  if (number != 0 && number != ESRCH) not_sent(*this, signal, number);
  return number == 0;
}

bool process_wait_request::ready(op_waiter& w) noexcept {
  PARKRING_CHECK(process->home_of.is_here(),
                 "wait for a process on the runtime, and the worker, that spawned it");
  pin_running_task(running_core());
  if (!process->ended()) return false;
  w.answer = -process->lost;
  return true;
}

void process_wait_request::start(op_waiter& w) noexcept {
  if (process->ended()) {  // while it had no record
    w.answer = -process->lost;
    return process->home_of.ready().push_back(w);
  }
  if (!process->watch_it()) return exec::core_at(process->home_of).ops.starve(w);
  process->waiting.push_back(w);
}

std::expected<exit_status, error> process_wait_request::value(op_waiter&) const {
  return *process->status;
}

error process_wait_request::failure(int number) const {
  return {number, "wait", process->program + ", process " + std::to_string(process->who.pid),
          number == ECHILD ? "another part of the program has collected this child: by waiting for "
                             "any child, or by ignoring SIGCHLD"
                           : ""};
}

namespace {

using wait_operation = simple_operation<process_wait_request>;

void send_everywhere(process_state& s, int signal) {
  // A leader may have left its group: it is told by its descriptor then.
  const bool group_told = s.who.leads_group && s.send_to_group(signal);
  if (!group_told || signal == SIGKILL) (void)s.send(signal);
  if (signal == SIGKILL) s.who.killed = true;  // also if it has ended, unknown to us
}

task<exit_status> terminate_within(process_ref p, std::chrono::milliseconds grace) {
  send_everywhere(*p, SIGTERM);
  process_wait_request first{process_ref(*p)};
  wait_operation for_it(std::move(first));
  const std::optional<exit_status> in_time = co_await timeout(grace, std::move(for_it));
  if (in_time) co_return *in_time;
  send_everywhere(*p, SIGKILL);
  process_wait_request last{process_ref(*p)};
  const exit_status how = co_await wait_operation(std::move(last));
  co_return how;
}

}  // namespace
}  // namespace detail

detail::process_state& process::state() const {
  PARKRING_CHECK(state_ != nullptr, "this process was moved from; use the one it moved to");
  PARKRING_CHECK(
      state_->home_of.is_here(),
      "use a process on the thread of its runtime; with several workers, on the one that "
      "spawned it");
  if (detail::this_thread_core != nullptr) detail::pin_running_task(*detail::this_thread_core);
  return *state_;
}

pid_t process::pid() const noexcept { return state_ == nullptr ? 0 : state_->who.pid; }

bool process::kill(int signal) { return state().send(signal); }
bool process::kill_group(int signal) { return state().send_to_group(signal); }

task<exit_status> process::terminate(std::chrono::milliseconds grace) {
  return detail::terminate_within(detail::process_ref(state()), grace);
}

fs::file& process::piped(fs::file& f, const char* by) {
  if (f.native_handle() >= 0) return f;
  throw io_error({EBADF, "process", "a pipe that is not there",
                  std::string("the command must ask for it, by ") + by + "(stdio::pipe)"});
}

void process::drop() noexcept {
  if (state_ == nullptr) return;
  detail::process_state& s = *std::exchange(state_, nullptr);
  if (!s.home_of.is_here()) {
    s.run = [](detail::message& m) noexcept {
      static_cast<detail::process_state&>(m).handle_gone();
    };
    if (s.home_of.post(s)) return;
  }
  s.handle_gone();
}

}  // namespace parkring
