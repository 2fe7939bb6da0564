// A limit on a rate: what was taken comes back with time.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace parkring::fs {

/// May be overdrawn once: what counts is whether there is any debt, so what is larger than the
/// bucket passes. A rate of 0 is no limit.
class token_bucket {
  using nanoseconds = std::chrono::nanoseconds;

 public:
  explicit token_bucket(std::uint64_t rate) noexcept : rate_(static_cast<double>(rate)) {}
  [[nodiscard]] bool limited() const noexcept { return rate_ > 0; }
  void fill(nanoseconds passed) noexcept {
    if (limited()) tokens_ = std::min(rate_ * seconds(burst), tokens_ + rate_ * seconds(passed));
  }
  void take(double n) noexcept {
    if (limited()) tokens_ -= n;
  }
  /// How long until there is no debt.
  [[nodiscard]] nanoseconds wait() const noexcept {
    if (!limited() || tokens_ >= 0) return nanoseconds(0);
    const double s = std::min(-tokens_ / rate_, 3e8);  // ten years: in the range of nanoseconds
    return nanoseconds(static_cast<std::int64_t>(s * 1e9) + 1);
  }

 private:
  static constexpr nanoseconds burst = std::chrono::milliseconds(20);
  static double seconds(nanoseconds d) noexcept { return static_cast<double>(d.count()) * 1e-9; }
  double rate_;
  double tokens_ = 0;
};

}  // namespace parkring::fs
