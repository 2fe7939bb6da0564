// The context that a deadline makes. Its timer belongs to it, not to the awaiter, for it bounds
// also tasks that live longer than that: it runs as long as there is a task in the context.
//
// When it fires, the run loop resumes the context as it would a coroutine: what was awaited is
// aborted, then whatever else lives in the context.
#pragma once

#include <chrono>
#include <cstdint>

#include <parkring/detail/task_context.hpp>
#include <parkring/time.hpp>

namespace parkring::detail {

/// A context for a deadline: the nearer one of `t` and what the current task has inherited.
[[nodiscard]] context_ref new_deadline(steady_time t);

/// `d` from now; what lies beyond the clock is its end.
template <class Rep, class Period>
[[nodiscard]] steady_time time_in(std::chrono::duration<Rep, Period> d) noexcept {
  const std::uint64_t start = to_ns(now()), room = INT64_MAX - start, ns = ns_of(d);
  return steady_time(std::chrono::nanoseconds(start + (ns < room ? ns : room)));
}

}  // namespace parkring::detail
