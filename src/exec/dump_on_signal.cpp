// The handler of a signal may do next to nothing, so it writes the signal's number into a pipe. One
// thread for the process reads it and asks the runtimes.
//
// Ownership: `listener` is made with the first registration and lives for ever, with its thread: a
// handler may run at any time. The list of targets and the actions of signals change under its
// mutex. A target is shared, so that it may go while the thread asks it.
#include <parkring/dump.hpp>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include <parkring/runtime.hpp>

#include "base/ticks.hpp"
#include "exec/core.hpp"

namespace parkring {

struct dump_on_signal::target {
  int signal;
  parkring::remote remote;
  std::shared_ptr<const exec::running_task> running;
  exec::core* core;  // the runtime's thread only
  detail::home_ref home;
};

namespace {

std::atomic<int> pipe_to_thread{-1};

void on_signal(int number) {
  const int before = errno;
  const auto byte = static_cast<unsigned char>(number);
  const int fd = pipe_to_thread.load(std::memory_order_relaxed);
  if (fd >= 0) (void)!::write(fd, &byte, 1);  // full: a dump is due anyway
  errno = before;
}

void write_all(const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(STDERR_FILENO, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    done += static_cast<std::size_t>(n);
  }
}

std::string report(const parkring::remote& remote, const exec::running_task& running) {
  if (const auto d = remote.dump()) return to_string(*d);
  if (const auto inside = running.look())
    return "parkring: the runtime's thread does not answer, it is inside " +
           exec::describe(*inside, base::ticks_per_ns()) + "\n";
  return "parkring: the runtime's thread does not answer; it is inside no task: it is gone, or "
         "nobody runs it\n";
}

class listener {
 public:
  struct entry {
    const void* id;
    int signal;
    parkring::remote remote;
    std::shared_ptr<const exec::running_task> running;
  };

  static listener& get() {
    static listener& one = *new listener;
    return one;
  }

  void add(entry e) {
    const std::lock_guard lock(mutex_);
    if (!actions_.contains(e.signal)) {
      struct sigaction ours {
      }, before{};
      ours.sa_handler = &on_signal;
      ours.sa_flags = SA_RESTART;
      ::sigemptyset(&ours.sa_mask);
      if (::sigaction(e.signal, &ours, &before) != 0)
        throw std::system_error(errno, std::generic_category(),
                                "dump_on_signal(" + std::to_string(e.signal) + ")");
      actions_.emplace(e.signal, before);
    }
    entries_.push_back(std::move(e));
  }

  void remove(const void* id, int signal) noexcept {
    const std::lock_guard lock(mutex_);
    std::erase_if(entries_, [id](const entry& e) { return e.id == id; });
    for (const entry& e : entries_)
      if (e.signal == signal) return;
    if (const auto before = actions_.find(signal); before != actions_.end()) {
      ::sigaction(signal, &before->second, nullptr);
      actions_.erase(before);
    }
  }

 private:
  listener() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw std::system_error(errno, std::generic_category(), "dump_on_signal: pipe2");
    ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    struct restore {
      sigset_t& mask;
      ~restore() { ::pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
    } const at_end{before};
    std::thread([this, fd = ends[0]] { serve(fd); }).detach();
    pipe_to_thread.store(ends[1], std::memory_order_relaxed);
  }

  void serve(int fd) noexcept {
    for (unsigned char number; true;) {
      const ssize_t n = ::read(fd, &number, 1);
      if (n < 0 && errno == EINTR) continue;
      if (n != 1) return;
      try {
        std::vector<entry> asked;
        {
          const std::lock_guard lock(mutex_);
          std::ranges::copy_if(entries_, std::back_inserter(asked),
                               [number](const entry& e) { return e.signal == number; });
        }
        for (const entry& e : asked) write_all(report(e.remote, *e.running));
      } catch (const std::exception& e) {
        write_all(std::string("parkring: no dump: ") + e.what() + "\n");
      }
    }
  }

  std::mutex mutex_;
  std::vector<entry> entries_;
  std::map<int, struct sigaction> actions_;  // of the signals that are ours, as they were before
};

}  // namespace

dump_on_signal::dump_on_signal(runtime& rt, int signal) {
  auto& core = static_cast<exec::core&>(rt.core());
  target_ = std::make_shared<target>(signal, rt.remote(), core.watch.running, &core, core.home_of);
  listener::get().add({target_.get(), signal, target_->remote, target_->running});
  core.show_running(true);
}

dump_on_signal::~dump_on_signal() {
  listener::get().remove(target_.get(), target_->signal);
  if (target_->home.is_here()) target_->core->show_running(false);
}

}  // namespace parkring
