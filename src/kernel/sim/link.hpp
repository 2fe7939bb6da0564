// One way from a host to a host: how long what is sent now travels, and whether it arrives.
#pragma once

#include <cstddef>
#include <cstdint>

#include <parkring/sim/network.hpp>

#include "kernel/sim/random.hpp"

namespace parkring::kernel::sim {

class link {
 public:
  explicit link(const parkring::sim::link_options& options) noexcept { set(options); }
  void set(const parkring::sim::link_options& options) noexcept;

  [[nodiscard]] const parkring::sim::link_options& options() const noexcept { return options_; }
  /// What `bytes` that are sent at `now_ns` take to arrive, after what was sent before them.
  /// `calm`: the least that they may.
  [[nodiscard]] std::uint64_t delay_ns(std::uint64_t now_ns, std::size_t bytes, random& r,
                                       bool calm = false) noexcept;

  bool cut = false;                    // nothing passes
  std::uint64_t last_datagram_ns = 0;  // when the last one that kept its place arrives

 private:
  parkring::sim::link_options options_;
  std::uint64_t least_ns_ = 0;
  std::uint64_t width_ns_ = 0;
  std::uint64_t free_ns_ = 0;  // when all that was sent so far has left
};

}  // namespace parkring::kernel::sim
