// A generator of random numbers that is the same everywhere: xoshiro256** seeded by splitmix64
// (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018). The standard
// library's distributions differ between implementations, so none is used.
#pragma once

#include <bit>
#include <cstdint>

namespace parkring::kernel::sim {

class random {
 public:
  explicit random(std::uint64_t seed) noexcept {
    for (std::uint64_t& word : state_) {
      std::uint64_t z = seed += 0x9e37'79b9'7f4a'7c15;
      z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
      z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
      word = z ^ (z >> 31);
    }
  }

  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  /// In [0, n); 0 for n == 0.
  std::uint64_t below(std::uint64_t n) noexcept {
    __extension__ using wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<wide>(next()) * n) >> 64);
  }
  /// In [from, to].
  std::uint64_t between(std::uint64_t from, std::uint64_t to) noexcept {
    return from + below(to - from + 1);
  }
  /// True with a probability of `p`; draws nothing when that is 0 or 1.
  bool chance(double p) noexcept {
    if (p <= 0) return false;
    if (p >= 1) return true;
    return static_cast<double>(next() >> 11) * 0x1p-53 < p;
  }
  /// A generator of its own, which this one's further use does not change.
  random split() noexcept { return random(next()); }

 private:
  std::uint64_t state_[4];
};

}  // namespace parkring::kernel::sim
