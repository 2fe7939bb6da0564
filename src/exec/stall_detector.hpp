// A thread that looks at what a runtime's thread is inside of, and says so on standard error when
// that lasts too long. It looks four times in the threshold, so it may miss a stall that ends soon
// after; the runtime's thread itself counts them all (exec/watch.hpp).
//
// Thread: made and ended by the runtime's thread. The two share nothing but `running_task`.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "exec/running_task.hpp"

namespace parkring::exec {

class stall_detector {
 public:
  stall_detector(std::shared_ptr<const running_task> of, std::chrono::milliseconds threshold);
  stall_detector(const stall_detector&) = delete;
  stall_detector& operator=(const stall_detector&) = delete;
  ~stall_detector();

 private:
  void look_on();

  const std::shared_ptr<const running_task> running_;
  const std::chrono::milliseconds threshold_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool ending_ = false;  // under mutex_
  std::thread thread_;
};

/// "the task spawned at main.cpp:12 (main), which was resumed in work(int), for 120 ms"
[[nodiscard]] std::string describe(const running_task::glance& g, double ticks_per_ns);

}  // namespace parkring::exec
