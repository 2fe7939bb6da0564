// The bounded pool of threads behind `blocking`.
//
// Threads start when there is work and no idle one, up to the limit, and stay. The state is shared
// with them, so a thread that is stuck in a call outlives the pool without harm: `stop` waits for
// the others and lets that one go.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <parkring/detail/blocking_job.hpp>

namespace parkring::exec {

class blocking_pool {
 public:
  explicit blocking_pool(unsigned limit) : limit_(limit == 0 ? 1 : limit) {}
  blocking_pool(const blocking_pool&) = delete;
  blocking_pool& operator=(const blocking_pool&) = delete;
  ~blocking_pool() { stop(std::chrono::milliseconds(0)); }

  /// *Errors*: `std::system_error` when not even one thread can be started.
  void submit(std::shared_ptr<detail::blocking_job> job);

  /// Drops what has not begun and waits for what has, at most `patience` long. Idempotent.
  void stop(std::chrono::milliseconds patience) noexcept;

 private:
  struct shared {
    std::mutex mutex;
    std::condition_variable work;     // jobs_ or stopping changed
    std::condition_variable stopped;  // running went to zero
    std::deque<std::shared_ptr<detail::blocking_job>> jobs;
    unsigned idle = 0;
    unsigned running = 0;  // threads that have not ended
    bool stopping = false;
  };
  static void serve(std::shared_ptr<shared> s) noexcept;

  unsigned limit_;
  std::shared_ptr<shared> shared_ = std::make_shared<shared>();
  std::vector<std::thread> threads_;
};

}  // namespace parkring::exec
