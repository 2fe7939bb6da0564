// pread on a pool of two threads, with as many reads outstanding as the row's depth. The thread
// that asks for the reads is a third one, as it would be in a server.
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "../contender.hpp"
#include "buffers.hpp"

namespace lab {
namespace {

struct request {
  unsigned slot;
  std::uint64_t offset;
  ssize_t result;
};

class pool {
 public:
  pool(int fd, const buffers& memory, std::size_t size) : fd_(fd), memory_(memory), size_(size) {
    for (int i = 0; i < 2; ++i) threads_.emplace_back([this] { serve(); });
  }
  ~pool() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wanted_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  void submit(const std::vector<request>& batch) {
    {
      std::lock_guard lock(mutex_);
      todo_.insert(todo_.end(), batch.begin(), batch.end());
    }
    if (batch.size() == 1)
      wanted_.notify_one();
    else
      wanted_.notify_all();
  }

  /// Waits for at least one finished request and takes all of them.
  void take(std::vector<request>& finished) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !finished_.empty(); });
    finished.swap(finished_);
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wanted_.wait(lock, [this] { return stopping_ || !todo_.empty(); });
      if (todo_.empty()) return;
      request next = todo_.front();
      todo_.pop_front();
      lock.unlock();
      next.result = ::pread(fd_, memory_[next.slot], size_, static_cast<off_t>(next.offset));
      lock.lock();
      finished_.push_back(next);
      if (finished_.size() == 1) arrived_.notify_one();
    }
  }

  int fd_;
  const buffers& memory_;
  std::size_t size_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  std::condition_variable arrived_;
  std::deque<request> todo_;
  std::vector<request> finished_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

void read(session& run) {
  const int fd = run.open_file();
  const unsigned depth = run.what().depth;
  buffers memory(depth, run.what().block);
  {
    pool workers(fd, memory, run.what().block);
    std::vector<request> batch;
    std::vector<request> finished;
    while (load* stream = run.next_phase()) {
      unsigned in_flight = 0;
      const auto refill = [&](unsigned slot) {
        std::uint64_t offset = 0;
        if (!stream->next(slot, offset)) return;
        batch.push_back({.slot = slot, .offset = offset, .result = 0});
        ++in_flight;
      };
      for (unsigned slot = 0; slot < depth; ++slot) refill(slot);
      while (in_flight != 0) {
        if (!batch.empty()) workers.submit(batch);
        batch.clear();
        finished.clear();
        workers.take(finished);
        for (const request& one : finished) {
          --in_flight;
          stream->done(one.slot, memory[one.slot], static_cast<std::size_t>(one.result));
          refill(one.slot);
        }
      }
    }
  }
  ::close(fd);
}

}  // namespace

void add_thread_pool(roster& to) {
  to.present.push_back({.name = "thread-pool", .kind = work::read, .run = read, .all_cpus = true});
}

}  // namespace lab
