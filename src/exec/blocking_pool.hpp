// The bounded pool of threads behind `blocking`.
//
// Threads start when there is work and no idle one, up to the limit, and stay. The state is shared
// with them, so a thread that is stuck in a call outlives the pool without harm: `stop` waits for
// the others and lets that one go.
//
// A job that nobody wants any more is only destroyed. That may be work too, which was promised to
// be done before the runtime has ended (fs/path/parting_job.hpp): `stop` waits for it to the end.
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

  /// Drops what has not begun and waits for the calls that have, at most `patience` long; and for
  /// what is being destroyed as long as that takes. Idempotent.
  void stop(std::chrono::milliseconds patience) noexcept;

 private:
  struct shared {
    std::mutex mutex;
    std::condition_variable work;     // jobs_ or stopping changed
    std::condition_variable stopped;  // running or parting went to zero
    std::deque<std::shared_ptr<detail::blocking_job>> jobs;
    unsigned idle = 0;
    unsigned running = 0;  // threads that have not ended
    unsigned parting = 0;  // threads that destroy a job which nobody wanted
    bool stopping = false;
  };
  static void serve(std::shared_ptr<shared> s) noexcept;

  unsigned limit_;
  std::shared_ptr<shared> shared_ = std::make_shared<shared>();
  std::vector<std::thread> threads_;
};

}  // namespace parkring::exec
