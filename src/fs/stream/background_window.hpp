// How many bytes of the background may be with the device while there is a foreground.
//
// What a request of the foreground waits for is the bytes that are before it at the device, however
// they are divided. So the window is in bytes, and requests of the background that may be cut are
// cut to fit: one piece as large as the window, up to 128 KiB; of a larger window, its half.
//
// The law. A request of the foreground that met the background is late when it took longer than the
// target. Each that is in time multiplies the window by 1 + 1/500, as long as the background makes
// use of it; each that is late multiplies it by 0.81. It stands still where the logarithms balance,
// at 0.9 late ones in a hundred: it is the 99th percentile that is held. Before the first late one,
// and after 1,000 in time in a row, growth is 1/50: there is more room than the steps are made for.
//   It is the window of TCP (Chiu and Jain, 1989), for a disk as in Facade (Lumb et al., FAST 2003)
// and PARDA (Gulati et al., FAST 2009), with a ratio of steps that tracks a percentile instead of a
// mean, as a stochastic approximation does (Robbins and Monro, 1951).
//
// Below the least piece, which is 16 KiB, the window is a part of the time: a request of n bytes is
// followed by a pause of n / window - 1 times as long as it took, at most 15 times, so that the
// background goes on whatever the foreground does. So it is for requests that cannot be cut and do
// not fit.
//
// The target. Where none is given it is 1.9 times the 99th percentile of those that met no
// background. With a background there are none of these, so there are looks at the foreground
// alone, as BBR looks for the shortest round trip (Cardwell et al., 2016): every 4 seconds, at
// first every quarter of one, the background is held for 20 ms and until 64 requests met none of
// it, but not longer than 100 ms; what is too few goes to the next look. After one in which no
// request did, the next is in 4 seconds. The percentile is the median of those of the last 5 looks,
// for in any of them may be a stall of the machine. Until there were 3, the window stays as it is.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace parkring::fs {

/// The 99th percentile of some values, at a step of 1/8 octave.
class percentile {
 public:
  void add(double value) noexcept;
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] double p99() const noexcept;

 private:
  std::array<std::uint32_t, 512> steps_{};
  std::size_t count_ = 0;
};

class background_window {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using nanoseconds = std::chrono::nanoseconds;

  /// A `target` of 0 is found by itself. At most `depth` pieces of 128 KiB.
  background_window(nanoseconds target, std::size_t depth) noexcept;

  /// A request of the foreground goes to the device.
  void foreground_began(time_point t) noexcept;
  /// It has ended. `met`: there was some background in between. `used`: as much of it as the window
  /// has room for, or nearly.
  void foreground_ended(time_point since, time_point t, bool met, bool used) noexcept;

  /// Until when the background is held for a look at the foreground alone.
  [[nodiscard]] std::optional<time_point> looks_until(time_point t) const noexcept;
  [[nodiscard]] double bytes() const noexcept { return bytes_; }
  /// The first piece of `bytes`, in multiples of `grain`.
  [[nodiscard]] std::size_t piece(std::size_t bytes, std::size_t grain) const noexcept;
  /// How long the background waits after a request of `bytes` that took `took`.
  [[nodiscard]] nanoseconds pause(std::size_t bytes, nanoseconds took) const noexcept;
  /// What is late, in nanoseconds; 0: not known yet.
  [[nodiscard]] double target() const noexcept;

 private:
  void saw_alone(nanoseconds took, time_point t) noexcept;

  double given_target_;
  double most_;
  double bytes_;
  unsigned in_time_;  // in a row

  bool looks_ = false;
  time_point look_enough_;  // when it may end
  time_point look_end_;     // when it does
  time_point next_look_;
  percentile seen_;
  std::array<double, 5> looks_told_{};
  std::size_t looks_count_ = 0;
  std::size_t looks_count_before_ = ~std::size_t{0}, seen_before_ = 0;  // when the last look began
  double usual_ = 0;  // their median; 0: not known
};

}  // namespace parkring::fs
