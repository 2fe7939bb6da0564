// What is done when an owner goes and nobody waits: a name removed, memory unmapped.
//
// The work is the job's destructor. So it is done however the job ends, and once: the pool's thread
// finds that nobody waits for it and lets it go there; the pool of a runtime that ends lets it go
// on the runtime's thread, where nothing else runs any more; and where no runtime runs, or one that
// is ending, or threads are short, it is done in place. In a simulated world it is done by the run
// loop.
#pragma once

#include <memory>
#include <utility>

#include <parkring/detail/blocking_job.hpp>
#include <parkring/detail/core.hpp>

namespace parkring::fs {

/// `Fn` must not throw, and needs nothing that belongs to a runtime.
template <class Fn>
struct parting_job final : detail::blocking_job {
  Fn fn;
  explicit parting_job(Fn f) noexcept : fn(std::move(f)) {}
  ~parting_job() override { fn(); }
  void execute() noexcept override {}
};

template <class Fn>
void in_parting(Fn fn) noexcept {
  try {
    auto job = std::make_shared<parting_job<Fn>>(std::move(fn));
    detail::core_base* const core = detail::this_thread_core;
    if (core == nullptr || core->closing) return;
    job->home_of = core->home_of;
    detail::submit_blocking(*core, std::move(job));
  } catch (...) {
    // No thread could be started: the job has ended in place. No memory: it is not done.
  }
}

}  // namespace parkring::fs
