// A crew: jobs on the pool of blocking threads that do one piece of work together.
//
//   work   what there is to do and what came of it, under a mutex of its own. Shared by the crew
//          and every job, so that it lives as long as anybody may touch it.
//   job    sent -> `do_share` on a thread of the pool -> `finished` is set -> its message comes
//          home. Each does a bounded share and returns, so that whoever waits hears of it, and
//          sends another if there is more.
//   crew   of one thread, in a task's frame or what a task owns: knows the jobs that are out.
//
// One waits for a crew, with a single waiter in all jobs that are out; the first that comes home
// makes it ready, those that follow see that it is (exec/blocking_pool.cpp). `finished` is set
// before the message is posted, so one who sees none finished and then waits, on the home thread,
// misses no message. When the crew goes the work is unwanted: jobs that have not begun never
// begin, the others look at `wanted` between two calls and leave what they do in the state that the
// work documents. What was still to be done is destroyed by them, or by a last job that is sent for
// nothing else: that may close and remove files, which is nothing for the runtime's thread.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <parkring/detail/blocking_job.hpp>
#include <parkring/detail/core.hpp>
#include <parkring/detail/wait_note.hpp>

namespace parkring::fs {

class shared_work {
 public:
  virtual ~shared_work() = default;

  /// Does a bounded part; on a thread of the pool, beside others that do the same. What it throws
  /// ends the work, and is thrown to the one who waits for the crew.
  virtual void do_share() = 0;

  /// Destroys what is left to do, once it is unwanted; on a thread of the pool, or where none can
  /// be had.
  virtual void clean_up() noexcept = 0;
  /// Whether there is anything to destroy.
  [[nodiscard]] virtual bool left_over() const noexcept = 0;

  [[nodiscard]] bool wanted() const noexcept { return !unwanted_.load(std::memory_order_relaxed); }
  void give_up() noexcept { unwanted_.store(true, std::memory_order_relaxed); }

 private:
  std::atomic<bool> unwanted_{false};
};

class crew {
  struct job final : detail::blocking_job {
    std::shared_ptr<shared_work> work;
    std::exception_ptr failure;  // written before `finished`, read after
    std::atomic<bool> finished{false};
    void execute() noexcept override {
      try {
        if (work->wanted()) work->do_share();
      } catch (...) {
        failure = std::current_exception();
        work->give_up();  // what this one had taken is lost
      }
      if (!work->wanted()) work->clean_up();
      finished.store(true, std::memory_order_release);  // pairs with the acquire in `any_finished`
    }
  };

 public:
  /// `doing` is what a dump says that the waiter waits for.
  crew(std::shared_ptr<shared_work> work, const char* doing) noexcept
      : work_(std::move(work)), doing_(doing) {}
  crew(const crew&) = delete;
  crew& operator=(const crew&) = delete;
  ~crew() {
    work_->give_up();
    send_last();
  }

  /// How many jobs were sent and not yet seen finished.
  [[nodiscard]] std::size_t out() const noexcept { return jobs_.size(); }

  /// Sends one more job. *Errors*: `std::system_error` when no thread can be started.
  void send() {
    auto& core = detail::running_core();
    PARKRING_CHECK(jobs_.empty() || jobs_.front()->home_of == core.home_of,
                   "go on with a walk, a copy or a removal on the runtime and the worker where it "
                   "was begun");
    auto j = std::make_shared<job>();
    j->work = work_;
    j->home_of = core.home_of;
    jobs_.reserve(jobs_.size() + 1);
    detail::submit_blocking(core, j);
    jobs_.push_back(std::move(j));
  }

  class [[nodiscard("co_await it")]] awaiter : detail::waiter {
   public:
    explicit awaiter(crew & of) noexcept : of_(of) {}
    awaiter(const awaiter&) = delete;
    awaiter& operator=(const awaiter&) = delete;
    ~awaiter() {
      if (waits_) leave();
    }
    bool await_ready() const noexcept { return of_.any_finished(); }
    void await_suspend(std::coroutine_handle<> h) noexcept {
      auto& core = detail::running_core();
      PARKRING_CHECK(of_.jobs_.front()->home_of == core.home_of,
                     "go on with a walk, a copy or a removal on the runtime and the worker where "
                     "it was begun");
      frame = h.address();
      task = core.current;
      for (const auto& j : of_.jobs_) j->wait = this;
      waits_ = true;
      note_.begin(core.notes, *this, of_.doing_);
    }
    void await_resume() {
      if (std::exchange(waits_, false)) leave();
      of_.forget_finished();
    }

   private:
    void leave() noexcept {
      for (const auto& j : of_.jobs_) j->wait = nullptr;
    }
    crew& of_;
    bool waits_ = false;
    detail::wait_note note_;
  };

  /// Waits until at least one of the jobs that are out has finished, and forgets those that have.
  /// At least one must be out. Throws what one of them threw.
  [[nodiscard]] awaiter one_home() noexcept { return awaiter(*this); }

 private:
  // Nobody keeps this job, so it does not begin: the work ends with it, or with those under way.
  void send_last() noexcept {
    if (!work_->left_over()) return;
    detail::core_base* const core = detail::this_thread_core;
    if (core == nullptr) return;
    try {
      auto j = std::make_shared<job>();
      j->home_of = core->home_of;
      j->work = std::move(work_);
      detail::submit_blocking(*core, std::move(j));
    } catch (...) {  // no memory or no thread: then here
    }
  }
  [[nodiscard]] bool any_finished() const noexcept {
    for (const auto& j : jobs_)
      if (j->finished.load(std::memory_order_acquire)) return true;
    return false;
  }
  void forget_finished() {
    std::exception_ptr failure;
    std::erase_if(jobs_, [&](const std::shared_ptr<job>& j) {
      if (!j->finished.load(std::memory_order_acquire)) return false;
      if (j->failure) failure = j->failure;
      return true;
    });
    if (failure) std::rethrow_exception(failure);
  }

  std::shared_ptr<shared_work> work_;
  const char* doing_;
  std::vector<std::shared_ptr<job>> jobs_;
};

}  // namespace parkring::fs
