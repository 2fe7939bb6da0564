#include <parkring/proc/command.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <new>
#include <string_view>

#include <parkring/blocking.hpp>
#include <parkring/buffer.hpp>
#include <parkring/when_all.hpp>

#include "exec/core.hpp"
#include "proc/process_state.hpp"
#include "proc/start.hpp"

namespace parkring {

struct detail::shared_descriptor {
  explicit shared_descriptor(base::owned_fd f) noexcept : fd(std::move(f)) {}
  base::owned_fd fd;
};

namespace {

std::string advice_for(int number, const std::string& program, const std::string& directory,
                       bool could_name_child) {
  struct stat s;
  const bool no_directory =
      !directory.empty() && (::stat(directory.c_str(), &s) != 0 || !S_ISDIR(s.st_mode));
  if (!could_name_child) {
    return number == ESRCH ? "another part of the program collects all children, or SIGCHLD is "
                             "ignored: then children cannot be waited for"
                           : "the child was ended, since it could not be named by a descriptor";
  }
  if (no_directory) return "the working directory " + directory + " is not there";
  switch (number) {
    case ENOENT:
      return program.find('/') == std::string::npos
                 ? "there is no such program in PATH"
                 : "check the path; of a script, also that of the interpreter in its first line";
    case EACCES:
      return "the file is not executable, or the user lacks permission on it or a directory above";
    case ENOEXEC:
      return "the file is no program; a script needs #! and its interpreter in the first line";
    case E2BIG:
      return "arguments and environment are too long together; give long texts by a pipe";
    case EAGAIN:
      return "the limit of processes is reached (ulimit -u, or pids.max of the control group)";
    case ENOMEM:
      return "there is not enough memory to start a process";
    case ETXTBSY:
      return "somebody has the program open for writing";
    case EMFILE:
    case ENFILE:
      return "the limit of descriptors is reached (ulimit -n)";
    case EINVAL:
      return "neither the program, its arguments, its environment nor its directory may contain a "
             "NUL";
    default:
      return "";
  }
}

[[noreturn]] void refuse(int number, const std::string& program, std::string advice) {
  std::string shown = program;
  for (std::size_t at; (at = shown.find('\0')) != std::string::npos;) shown.replace(at, 1, "\\0");
  throw io_error({number, "spawn", std::move(shown), std::move(advice)});
}

bool has_nul(const std::string& s) noexcept { return s.find('\0') != std::string::npos; }

// Unless the program says what a write to a closed pipe shall do, it shall not end the program.
void ignore_sigpipe_by_default() noexcept {
  struct sigaction now {};
  if (::sigaction(SIGPIPE, nullptr, &now) != 0) return;
  if ((now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL) return;
  struct sigaction ignored {};
  ignored.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignored, nullptr);
}

}  // namespace

stdio::stdio(const fs::file& f) {
  const int fd = f.native_handle();
  const bool usable = fd >= 0 && fd < base::first_simulated_descriptor;
  const int copy = usable ? proc::duplicate_above_standard(fd) : -EBADF;
  if (copy < 0)
    throw io_error({-copy, "stdio", f.path().native(),
                    copy == -EBADF ? "the file is empty, closed, or of a simulated machine"
                                   : "raise the limit of descriptors (ulimit -n)"});
  base::owned_fd theirs(copy);
  file_ = std::make_shared<const detail::shared_descriptor>(std::move(theirs));
}

int stdio::descriptor() const noexcept { return file_ == nullptr ? -1 : file_->fd.get(); }

namespace detail {

struct process_access {
  static proc::start_plan plan_of(const command& c) {
    proc::start_plan plan;
    plan.program = c.program_;
    plan.arguments.push_back(c.program_);
    plan.arguments.insert(plan.arguments.end(), c.arguments_.begin(), c.arguments_.end());
    plan.directory = c.directory_.native();
    plan.leads_group = c.new_group_;
    plan.kill_on_drop = c.kill_on_drop_;
    if (c.inherits_environment_) {
      for (char** e = ::environ; e != nullptr && *e != nullptr; ++e) {
        const std::string_view entry(*e);
        if (!c.environment_.contains(std::string(entry.substr(0, entry.find('=')))))
          plan.environment.emplace_back(entry);
      }
    }
    for (const auto& [name, value] : c.environment_)
      if (value) plan.environment.push_back(name + "=" + *value);
    check(plan);
    return plan;
  }

  /// Our ends of the pipes.
  using pipes = std::array<base::owned_fd, 3>;

  static pipes connect(const command& c, proc::start_plan& plan) {
    pipes ours;
    const std::array<const std::optional<stdio>*, 3> wanted{&c.stdin_, &c.stdout_, &c.stderr_};
    for (std::size_t i = 0; i < 3; ++i) {
      if (!*wanted[i]) continue;
      const stdio& s = **wanted[i];
      auto& theirs = plan.streams[i];
      if (s.descriptor() >= 0) {
        theirs.fd.reset(checked(proc::duplicate_above_standard(s.descriptor()), plan.program));
      } else if (s.what() == stdio::null) {
        theirs.null = true;
      } else if (s.what() == stdio::pipe) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) checked(-errno, plan.program);
        base::owned_fd reads(ends[0]), writes(ends[1]);
        base::owned_fd& child_end = i == 0 ? reads : writes;
        theirs.fd.reset(checked(proc::duplicate_above_standard(child_end.get()), plan.program));
        ours[i] = std::move(i == 0 ? writes : reads);
      }
    }
    return ours;
  }

  static process make(proc::child&& c, const std::string& program, pipes&& ours) {
    auto made = std::make_unique<process_state>(std::move(c), running_core().home_of);
    made->program = program;
    pin_running_task(running_core());
    process p(*made.release());
    constexpr std::array names{"stdin", "stdout", "stderr"};
    const std::array<fs::file*, 3> to{&p.stdin_, &p.stdout_, &p.stderr_};
    for (std::size_t i = 0; i < 3; ++i)
      if (ours[i])
        *to[i] = fs::adopt_descriptor(ours[i].release(), std::string(names[i]) + " of " + program);
    return p;
  }

  static task<process> spawn(command c) {
    if (!exec::this_core().driver.ring.real())
      refuse(ENOTSUP, c.program_,
             "a simulated machine has no processes: let the test stand in for what the program "
             "would run");
    proc::start_plan plan = plan_of(c);
    pipes ours = connect(c, plan);
    if (ours[0]) ignore_sigpipe_by_default();
    // A name of its own: GCC 12 copies a closure bytewise when it is made inside the await.
    auto call = [plan = std::move(plan)]() mutable {
      proc::start_answer answer = proc::start(plan);
      // The child's ends close here and not when the call is destroyed, which may be later.
      for (auto& s : plan.streams) s.fd.reset();
      return answer;
    };
    proc::start_answer answer = co_await blocking(std::move(call));
    if (answer.error != 0)
      refuse(answer.error, c.program_,
             advice_for(answer.error, c.program_, c.directory_.native(),
                        std::string_view(answer.what) == "spawn"));
    co_return make(std::move(answer.started), c.program_, std::move(ours));
  }

  static task<command_output> output(command c) {
    if (!c.stdin_) c.stdin_ = stdio::null;
    if (!c.stdout_) c.stdout_ = stdio::pipe;
    if (!c.stderr_) c.stderr_ = stdio::pipe;
    c.kill_on_drop_ = true;
    process p = co_await spawn(std::move(c));
    p.close_stdin();  // nobody writes: the program reads its end
    auto [out, err] = co_await when_all(all_of(p.stdout_), all_of(p.stderr_));
    const exit_status status = co_await p.wait();
    co_return command_output{status, std::move(out), std::move(err)};
  }

 private:
  static task<std::string> all_of(fs::file& f) {
    std::string text;
    if (f.native_handle() < 0) co_return text;  // it leads elsewhere
    buffer part(std::size_t{16} * 1024);
    while (const std::size_t n = co_await f.read_at(part, 0)) text += part.text(0, n);
    co_return text;
  }
  static int checked(int fd, const std::string& program) {
    if (fd < 0) refuse(-fd, program, advice_for(-fd, program, "", true));
    return fd;
  }
  static void check(const proc::start_plan& plan) {
    bool nul = has_nul(plan.directory);
    for (const auto& s : plan.arguments) nul = nul || has_nul(s);
    for (const auto& s : plan.environment) nul = nul || has_nul(s);
    if (nul) refuse(EINVAL, plan.program, advice_for(EINVAL, plan.program, "", true));
    if (plan.program.empty()) refuse(ENOENT, "", "name the program to run");
  }
};

}  // namespace detail

task<process> command::spawn() const { return detail::process_access::spawn(*this); }
task<command_output> command::output() const { return detail::process_access::output(*this); }

}  // namespace parkring
