// What the simulated machine knows of a request that is under way.
//
//   scheduled   `when` will do it, at a time drawn for it
//   waiting     `ready` will be told when its endpoint changes; then it is scheduled again
//   hanging     neither: it was made never to complete
// It ends with its request, or when the machine stops.
#pragma once

#include <cstdint>
#include <optional>

#include <parkring/detail/list.hpp>

#include "kernel/emulated/request.hpp"
#include "kernel/sim/descriptors.hpp"
#include "kernel/sim/event_queue.hpp"
#include "kernel/sim/fault_plan.hpp"
#include "kernel/sim/socket.hpp"

namespace parkring::kernel::sim {

class backend;

/// What goes wrong with a request; by default nothing.
struct fate {
  int error = 0;               // it answers this, positive, and does nothing
  bool hangs = false;          // it is never answered
  std::uint32_t limit = ~0u;   // it transfers no more
  std::uint64_t stall_ns = 0;  // it takes longer
  std::uint64_t where = 0;     // a random number for the rest
  read_fate read;
  write_fate write;
  sync_fate sync = sync_fate::normal;
};

struct operation : detail::list_node {  // on its backend's list of live ones, or free
  struct timer : event {
    operation& of;
    explicit timer(operation& o) noexcept : event(&act), of(o) {}
    static void act(event& e) noexcept;
  };
  struct readiness : watcher {
    operation& of;
    explicit readiness(operation& o) noexcept : watcher(&act), of(o) {}
    static void act(watcher& w) noexcept;
  };

  backend* home = nullptr;
  emulated::request* what = nullptr;
  open_object object;                  // what it acts on, if anything
  fate decided;                        // what goes wrong with it
  std::uint64_t moved = 0;             // bytes so far, of one that waits for all
  std::optional<std::int64_t> effect;  // of what was done at its beginning: the answer
  bool asked_to_end = false;           // by a cancel that came too late: it will not wait any more
  bool begun = false;                  // a connect was tried once
  host_id host = localhost;            // where a socket is made
  timer when{*this};
  readiness ready{*this};

  operation() noexcept {}
};

}  // namespace parkring::kernel::sim
