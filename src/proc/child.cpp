#include "proc/child.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "base/fork_held_mutex.hpp"
#include "proc/process_state.hpp"

namespace parkring::proc {
namespace {

// Numbers of system calls younger than the split between architectures.
constexpr long sys_pidfd_send_signal = 424;
constexpr long sys_pidfd_open = 434;

struct list_of_leftovers {
  base::fork_held_mutex mutex;
  std::vector<child> children;
};

// Never destroyed: processes in static storage may go while this process ends.
list_of_leftovers& all() {
  static auto* const l = new list_of_leftovers;
  return *l;
}

}  // namespace

int open_pidfd(pid_t pid) noexcept {
  const long fd = ::syscall(sys_pidfd_open, pid, 0);
  return fd >= 0 ? static_cast<int>(fd) : -errno;
}

exit_status status_of(const siginfo_t& info) noexcept {
  if (info.si_code == CLD_EXITED) return exit_status::of_exit(info.si_status);
  return exit_status::of_signal(info.si_status, info.si_code == CLD_DUMPED);
}

bool child::is_ours() const noexcept { return parent == ::getpid(); }

int child::send(int signal) const noexcept {
  return ::syscall(sys_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0 ? 0 : errno;
}

int child::send_to_group(int signal) const noexcept {
  return ::kill(-pid, signal) == 0 ? 0 : errno;
}

void child::end_it() noexcept {
  // By its descriptor in any case: a leader may have left its group.
  if (leads_group) (void)send_to_group(SIGKILL);
  killed = send(SIGKILL) == 0;
}

child::collected child::collect() const noexcept {
  siginfo_t info{};
  int answer;
  do
    answer = ::waitid(static_cast<idtype_t>(by_pidfd), static_cast<id_t>(pidfd.get()), &info,
                      WEXITED | WNOHANG);
  while (answer != 0 && errno == EINTR);
  if (answer != 0) return {std::nullopt, errno};
  if (info.si_pid == 0) return {};
  return {status_of(info), 0};
}

child::~child() {
  if (pid == 0 || !is_ours()) return;
  if (!detail::process_state::watch_in_background(*this)) let_go();
}

void child::let_go() noexcept {
  if (!is_ours()) {
    pid = 0;
    return;
  }
  if (kill_on_drop && !killed) end_it();
  if (killed) {  // that takes a moment only
    pollfd ended{pidfd.get(), POLLIN, 0};
    (void)::poll(&ended, 1, 100);
  }
  const collected c = collect();
  if (!c.status && c.error == 0) leftovers::add(std::move(*this));
  pid = 0;
}

void leftovers::add(child&& c) noexcept {
  auto& l = all();
  const std::lock_guard lock(l.mutex);
  try {
    l.children.emplace_back(std::move(c));
  } catch (const std::bad_alloc&) {
    c.pid = 0;  // it stays a zombie once it ends, until this process does
  }
}

void leftovers::collect() noexcept {
  auto& l = all();
  const std::lock_guard lock(l.mutex);
  for (std::size_t i = 0; i < l.children.size();) {
    child& c = l.children[i];
    const child::collected got = c.is_ours() ? c.collect() : child::collected{{}, ECHILD};
    if (!got.status && got.error == 0) {
      ++i;
      continue;
    }
    c.pid = 0;
    // Children are not assigned to: the last one moves into a place of its own.
    c.~child();
    if (i + 1 != l.children.size())
      std::construct_at(&c, std::move(l.children.back()));
    else
      std::construct_at(&c);
    l.children.pop_back();
  }
}

}  // namespace parkring::proc
