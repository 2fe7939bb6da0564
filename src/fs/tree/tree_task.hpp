// The task that waits for work on a tree: sends jobs, tells how far they are, hears of errors.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <parkring/error.hpp>
#include <parkring/task.hpp>

#include "fs/tree/crew.hpp"

namespace parkring::fs {

/// Until nothing is left to do; throws the error that ends it before, once what is under way has
/// ended. `fatal`: the errors that `on_error` is not asked about.
template <class Work, class Counts>
task<Counts> finish_tree(std::shared_ptr<Work> work, const char* doing,
                         std::function<void(const Counts&)> progress,
                         std::function<bool(const error&)> on_error, bool (*fatal)(const Work&)) {
  crew jobs(work, doing);
  std::optional<error> ends_it;
  for (;;) {
    for (error& e : work->take_errors()) {
      if (ends_it || (on_error && !fatal(*work) && on_error(e))) continue;
      ends_it.emplace(std::move(e));
      work->give_up();
    }
    while (!ends_it && work->wants_job(jobs.out(), work->most_jobs())) jobs.send();
    if (jobs.out() == 0) break;
    co_await jobs.one_home();
    if (progress && !ends_it) progress(work->counts());
  }
  if (ends_it) throw io_error(std::move(*ends_it));
  co_return work->counts();
}

}  // namespace parkring::fs
