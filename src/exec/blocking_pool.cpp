#include "exec/blocking_pool.hpp"

#include <cstdio>
#include <system_error>

#include "exec/core.hpp"

namespace parkring::exec {
namespace {

// On the home thread: the function has run.
void came_home(detail::message& m) noexcept {
  auto& job = static_cast<detail::blocking_job&>(m);
  const std::shared_ptr<detail::blocking_job> self = std::move(job.self);
  detail::waiter* const w = std::exchange(job.wait, nullptr);
  // One who waits for the first of several is ready already when the second comes.
  if (w != nullptr && job.home_of.is_here() && !w->linked()) job.home_of.ready().push_back(*w);
}

// On the home thread, where no thread may be started.
void run_at_home(detail::message& m) noexcept {
  auto& job = static_cast<detail::blocking_job&>(m);
  if (job.self.use_count() > 1) job.execute();  // else nobody wants it any more, see `serve`
  // The power went while it ran: nobody is resumed any more.
  if (job.home_of.is_here() && this_core().driver.ring.served_by().halted()) job.wait = nullptr;
  came_home(m);
}

// In a simulated machine one thread is all there is, and what it does is the same each time: so the
// function is run by the run loop itself, before a later turn, in the order of the awaits.
void submit_at_home(std::shared_ptr<detail::blocking_job> job) noexcept {
  detail::blocking_job& posted = *job;
  posted.run = &run_at_home;
  posted.self = std::move(job);
  if (!posted.home_of.post(posted)) {  // the runtime is ending: nobody will wait for it
    const auto last = std::move(posted.self);
  }
}

}  // namespace

void blocking_pool::submit(std::shared_ptr<detail::blocking_job> job) {
  auto& s = *shared_;
  std::unique_lock lock(s.mutex);
  if (s.jobs.size() >= s.idle && threads_.size() < limit_) {
    try {
      threads_.emplace_back(&serve, shared_);
      ++s.running;
    } catch (const std::system_error&) {
      // With other threads there the job just waits its turn.
      if (threads_.empty()) throw;
    }
  }
  s.jobs.push_back(std::move(job));
  s.work.notify_one();
}

void blocking_pool::serve(std::shared_ptr<shared> s) noexcept {
  std::unique_lock lock(s->mutex);
  for (;;) {
    ++s->idle;
    s->work.wait(lock, [&] { return s->stopping || !s->jobs.empty(); });
    --s->idle;
    if (s->jobs.empty()) break;
    std::shared_ptr<detail::blocking_job> job = std::move(s->jobs.front());
    s->jobs.pop_front();
    // The only other reference is the waiter's: without it, nobody wants the call any more.
    const bool wanted = job.use_count() > 1;
    if (!wanted) ++s->parting;
    lock.unlock();
    if (wanted) {
      job->execute();
      job->run = &came_home;
      detail::blocking_job& posted = *job;
      posted.self = std::move(job);
      // If the runtime is gone the result ends here.
      if (!posted.home_of.post(posted)) {
        const auto last = std::move(posted.self);
      }
    }
    job.reset();
    lock.lock();
    if (!wanted && --s->parting == 0) s->stopped.notify_all();
  }
  if (--s->running == 0) s->stopped.notify_all();
}

void blocking_pool::stop(std::chrono::milliseconds patience) noexcept {
  auto& s = *shared_;
  std::deque<std::shared_ptr<detail::blocking_job>> unwanted;
  bool all_ended;
  {
    std::unique_lock lock(s.mutex);
    if (threads_.empty()) return;
    s.stopping = true;
    unwanted.swap(s.jobs);
    s.work.notify_all();
    s.stopped.wait_for(lock, patience, [&] { return s.running == 0; });
    s.stopped.wait(lock, [&] { return s.parting == 0; });
    all_ended = s.running == 0;
    if (!all_ended)
      std::fprintf(stderr,
                   "parkring: %u blocking call(s) did not return in time; their threads go on "
                   "without the runtime\n",
                   s.running);
  }
  for (auto& t : threads_) {
    if (all_ended)
      t.join();
    else
      t.detach();
  }
  threads_.clear();
}

}  // namespace parkring::exec

namespace parkring::detail {

void submit_blocking(core_base& base, std::shared_ptr<blocking_job> job) {
  auto& core = static_cast<exec::core&>(base);
  if (core.driver.ring.real()) [[likely]]
    return core.blocking.submit(std::move(job));
  exec::submit_at_home(std::move(job));
}

}  // namespace parkring::detail
