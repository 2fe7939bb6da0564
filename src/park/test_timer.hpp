// A timer for tests of the park stack.
#pragma once

#include <cstdint>

#include <parkring/detail/timer_node.hpp>

#include "park/timers.hpp"

namespace parkring::park {

/// Armed as long as it lives, unless it has fired.
struct test_timer : detail::timer_node {
  timers& on;
  test_timer(timers& t, std::uint64_t deadline_ns) : on(t) {
    ns = deadline_ns;
    on.arm(*this);
  }
  ~test_timer() {
    if (linked()) on.cancel(*this);
  }
};

}  // namespace parkring::park
