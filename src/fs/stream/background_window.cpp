#include "fs/stream/background_window.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace parkring::fs {
namespace {

using namespace std::chrono_literals;

constexpr double least_piece = 16 << 10;
constexpr double usual_piece = 128 << 10;
constexpr double longest_pause = 15;
constexpr double least_window = least_piece / (1 + longest_pause);
constexpr double first_window = 64 << 10;

constexpr double growth = 1.0 / 500, fast_growth = 1.0 / 50, cut = 0.81;
constexpr unsigned in_time_for_fast = 1'000;

constexpr double room = 1.9;  // target to what is usual
constexpr std::size_t enough = 64, enough_looks = 3;
constexpr background_window::nanoseconds shortest_look = 20ms, longest_look = 100ms;
constexpr background_window::nanoseconds between_looks = 4s, between_first_looks = 250ms;

constexpr double steps_in_octave = 8;

}  // namespace

void percentile::add(double value) noexcept {
  const double step = std::log2(std::max(value, 1.0)) * steps_in_octave;
  ++steps_[std::min(static_cast<std::size_t>(step), steps_.size() - 1)];
  ++count_;
}

double percentile::p99() const noexcept {
  std::size_t longer = 0, step = steps_.size();
  while (step != 0 && longer * 100 <= count_) longer += steps_[--step];
  return std::exp2((static_cast<double>(step) + 0.5) / steps_in_octave);
}

background_window::background_window(nanoseconds target, std::size_t depth) noexcept
    : given_target_(static_cast<double>(target.count())),
      most_(static_cast<double>(depth) * usual_piece),
      bytes_(first_window),
      in_time_(in_time_for_fast) {}

double background_window::target() const noexcept {
  return given_target_ > 0 ? given_target_ : room * usual_;
}

void background_window::foreground_began(time_point t) noexcept {
  if (given_target_ > 0 || t < next_look_) return;
  looks_ = true;
  look_enough_ = t + shortest_look;
  look_end_ = t + longest_look;
  // After one that saw nothing the next would see nothing either: the foreground comes too seldom
  // or takes too long.
  const bool in_vain = looks_count_ == looks_count_before_ && seen_.count() == seen_before_;
  looks_count_before_ = looks_count_;
  seen_before_ = seen_.count();
  const bool first = looks_count_ < looks_told_.size() && !in_vain;
  next_look_ = t + (first ? between_first_looks : between_looks);
}

std::optional<background_window::time_point> background_window::looks_until(
    time_point t) const noexcept {
  if (!looks_ || t >= look_end_) return std::nullopt;
  return look_end_;
}

void background_window::saw_alone(nanoseconds took, time_point t) noexcept {
  seen_.add(static_cast<double>(took.count()));
  if (seen_.count() < enough || t < look_enough_) return;
  looks_ = false;
  looks_told_[looks_count_++ % looks_told_.size()] = seen_.p99();
  seen_ = percentile();
  auto sorted = looks_told_;
  const std::size_t there = std::min(looks_count_, sorted.size());
  std::sort(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(there));
  if (there >= enough_looks) usual_ = sorted[(there - 1) / 2];
}

void background_window::foreground_ended(time_point since, time_point t, bool met,
                                         bool used) noexcept {
  const nanoseconds took = t - since;
  // A background that is held makes no use of the window, though it waits.
  if (!met && looks_until(t)) return saw_alone(took, t);
  const double late = target();
  if (late == 0) return;
  if (static_cast<double>(took.count()) <= late) {
    if (!used) return;
    const bool fast = in_time_ >= in_time_for_fast;
    if (!fast) ++in_time_;
    bytes_ = std::min(bytes_ * (1 + (fast ? fast_growth : growth)), most_);
  } else if (met) {
    in_time_ = 0;
    bytes_ = std::max(bytes_ * cut, least_window);
  }
}

std::size_t background_window::piece(std::size_t bytes, std::size_t grain) const noexcept {
  const double fits =
      bytes_ <= usual_piece ? std::max(bytes_, least_piece) : std::max(usual_piece, bytes_ / 2);
  const std::size_t most = std::max(static_cast<std::size_t>(fits) / grain * grain, grain);
  if (bytes <= most) return bytes;
  // Pieces of about one size: a small rest would cost as much as any.
  const std::size_t pieces = (bytes + most - 1) / most;
  return ((bytes + pieces - 1) / pieces + grain - 1) / grain * grain;
}

background_window::nanoseconds background_window::pause(std::size_t bytes,
                                                        nanoseconds took) const noexcept {
  const double times = std::min(static_cast<double>(bytes) / bytes_ - 1, longest_pause);
  if (times <= 0) return nanoseconds(0);
  return nanoseconds(static_cast<std::int64_t>(static_cast<double>(took.count()) * times));
}

}  // namespace parkring::fs
