#include "exec/stall_detector.hpp"

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <exception>

#include "base/ticks.hpp"
#include "exec/code_place.hpp"

namespace parkring::exec {

std::string describe(const running_task::glance& g, double ticks_per_ns) {
  code_places places;
  const std::uint64_t now = base::ticks();
  const double ms = now > g.since ? static_cast<double>(now - g.since) / ticks_per_ns / 1e6 : 0.0;
  std::string text = "the task";
  if (const std::string site = places.site(g.where); !site.empty()) text += " spawned at " + site;
  if (const std::string f = places.name_of(g.function); !f.empty())
    text += ", which was resumed in " + f + ",";
  char time[48];
  std::snprintf(time, sizeof time, " for %.0f ms", ms);
  return text + time;
}

stall_detector::stall_detector(std::shared_ptr<const running_task> of,
                               std::chrono::milliseconds threshold)
    : running_(std::move(of)), threshold_(threshold) {
  // The program's signals are not for this thread.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  struct restore {
    sigset_t& mask;
    ~restore() { ::pthread_sigmask(SIG_SETMASK, &mask, nullptr); }
  } const at_end{before};
  thread_ = std::thread([this] { look_on(); });
}

stall_detector::~stall_detector() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  ended_.notify_one();
  thread_.join();
}

void stall_detector::look_on() {
  const double per_ns = base::ticks_per_ns();
  const auto too_long =
      static_cast<std::uint64_t>(static_cast<double>(threshold_.count()) * 1e6 * per_ns);
  const auto pause =
      std::max(std::chrono::microseconds(threshold_) / 4, std::chrono::microseconds(500));
  std::uint64_t told = 0;  // the last one
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, pause, [this] { return ending_; })) {
    const auto seen = running_->look();
    if (!seen || seen->turn == told) continue;
    const std::uint64_t now = base::ticks();
    if (now < seen->since || now - seen->since < too_long) continue;
    told = seen->turn;
    try {
      std::fprintf(stderr,
                   "parkring: the runtime's thread is held by %s; let it co_await yield(), or "
                   "move the work to blocking()\n",
                   describe(*seen, per_ns).c_str());
    } catch (const std::exception&) {  // out of memory: the counter has it
    }
  }
}

}  // namespace parkring::exec
