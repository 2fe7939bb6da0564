// When turns were, roughly: so that what is dated by a turn's number can be told its age.
//
// One sample for each millisecond in which a turn began, at most `most` of them. When they are full
// the older ones are thinned out, so that an age is told to about one part in `precision`.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace parkring::exec {

class turn_times {
 public:
  void note(std::uint64_t turn, std::uint64_t now_ns);

  /// When the turn with these low bits was, the last one up to turn `now`; none when nothing was
  /// noted so early.
  [[nodiscard]] std::optional<std::uint64_t> ns_of(std::uint32_t stamp,
                                                   std::uint64_t now) const noexcept;

 private:
  struct sample {
    std::uint64_t turn;
    std::uint64_t ns;
  };
  static constexpr std::size_t most = 4096;
  static constexpr std::uint64_t apart_ns = 1'000'000, precision = 128;

  void thin_out(std::uint64_t now_ns);

  std::vector<sample> samples_;
};

}  // namespace parkring::exec
