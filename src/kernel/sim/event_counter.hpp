// A counter that can be waited for, as eventfd(2).
#pragma once

#include "kernel/sim/endpoint.hpp"

namespace parkring::kernel::sim {

class event_counter final : public endpoint {
 public:
  /// With `one_by_one` a read takes 1 (EFD_SEMAPHORE), else all there is.
  event_counter(census& all, std::uint64_t start, bool one_by_one) noexcept
      : endpoint(all), count_(start), one_by_one_(one_by_one) {}

  using endpoint::read;
  using endpoint::write;
  [[nodiscard]] long read(const iovec* parts, std::size_t count) noexcept override;
  [[nodiscard]] long write(const iovec* parts, std::size_t count) noexcept override;
  [[nodiscard]] unsigned poll_events() const noexcept override;

  /// The kernel's own addition; stops at the greatest value.
  void signal(std::uint64_t n = 1) noexcept;
  [[nodiscard]] std::uint64_t value() const noexcept { return count_; }

 private:
  static constexpr std::uint64_t overflown = ~std::uint64_t{0};  // by `signal` only
  std::uint64_t count_;
  const bool one_by_one_;
};

[[nodiscard]] inline ref<event_counter> make_event_counter(census& all, std::uint64_t start = 0,
                                                           bool one_by_one = false) {
  return ref<event_counter>(new event_counter(all, start, one_by_one));
}

}  // namespace parkring::kernel::sim
