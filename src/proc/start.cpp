#include "proc/start.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace parkring::proc {
namespace {

std::vector<char*> pointers(std::vector<std::string>& of) {
  std::vector<char*> p;
  p.reserve(of.size() + 1);
  for (std::string& s : of) p.push_back(s.data());
  p.push_back(nullptr);
  return p;
}

struct actions {
  posix_spawn_file_actions_t a;
  actions() noexcept { ::posix_spawn_file_actions_init(&a); }
  actions(const actions&) = delete;
  actions& operator=(const actions&) = delete;
  ~actions() { ::posix_spawn_file_actions_destroy(&a); }
};

struct attributes {
  posix_spawnattr_t a;
  attributes() noexcept { ::posix_spawnattr_init(&a); }
  attributes(const attributes&) = delete;
  attributes& operator=(const attributes&) = delete;
  ~attributes() { ::posix_spawnattr_destroy(&a); }
};

int describe_streams(const start_plan& plan, actions& to_do) {
  for (int number = 0; number < 3; ++number) {
    const auto& s = plan.streams[static_cast<std::size_t>(number)];
    int error = 0;
    if (s.fd)
      error = ::posix_spawn_file_actions_adddup2(&to_do.a, s.fd.get(), number);
    else if (s.null)
      error = ::posix_spawn_file_actions_addopen(&to_do.a, number, "/dev/null", O_RDWR, 0);
    if (error != 0) return error;
  }
  return plan.directory.empty()
             ? 0
             : ::posix_spawn_file_actions_addchdir_np(&to_do.a, plan.directory.c_str());
}

int describe_state(const start_plan& plan, attributes& with) {
  short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
  sigset_t none, defaults;
  ::sigemptyset(&none);
  ::sigemptyset(&defaults);
  ::sigaddset(&defaults, SIGPIPE);
  if (plan.leads_group) flags |= POSIX_SPAWN_SETPGROUP;
  int error = ::posix_spawnattr_setsigmask(&with.a, &none);
  if (error == 0) error = ::posix_spawnattr_setsigdefault(&with.a, &defaults);
  if (error == 0) error = ::posix_spawnattr_setpgroup(&with.a, 0);
  if (error == 0) error = ::posix_spawnattr_setflags(&with.a, flags);
  return error;
}

}  // namespace

int duplicate_above_standard(int fd) noexcept {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  return copy >= 0 ? copy : -errno;
}

start_answer start(start_plan& plan) {
  start_answer answer;
  leftovers::collect();
  actions to_do;
  attributes with;
  answer.error = describe_streams(plan, to_do);
  if (answer.error == 0) answer.error = describe_state(plan, with);
  if (answer.error != 0) return answer;
  const std::vector<char*> arguments = pointers(plan.arguments);
  const std::vector<char*> environment = pointers(plan.environment);
  pid_t pid = 0;
  answer.error = ::posix_spawnp(&pid, plan.program.c_str(), &to_do.a, &with.a, arguments.data(),
                                environment.data());
  if (answer.error != 0) return answer;
  // Until it is collected, by us alone, its number means this child.
  const int fd = open_pidfd(pid);
  if (fd < 0) {
    answer.error = -fd;
    answer.what = "pidfd_open";
    if (fd == -ESRCH) return answer;  // somebody else has collected it already
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return answer;
  }
  answer.started.pid = pid;
  answer.started.pidfd.reset(fd);
  answer.started.parent = ::getpid();
  answer.started.leads_group = plan.leads_group;
  answer.started.kill_on_drop = plan.kill_on_drop;
  return answer;
}

}  // namespace parkring::proc
