// What the row of a million timers does, beside as many that are pending: arms one batch of
// timers, for times like those of idle connections, and then drops them, in the order in which they
// were armed or in another one.
#pragma once

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace lab {

class many_timers {
 public:
  /// A while between one and about five minutes: none fires.
  std::uint64_t wait_ns() noexcept { return 60'000'000'000U + (next() >> 26); }

  /// The numbers from 0 to `n`, shuffled.
  std::vector<std::uint32_t> order(std::uint32_t n) {
    std::vector<std::uint32_t> numbers(n);
    std::iota(numbers.begin(), numbers.end(), 0U);
    for (std::uint32_t i = n; i > 1; --i)
      std::swap(numbers[i - 1], numbers[((next() >> 32) * i) >> 32]);
    return numbers;
  }

 private:
  std::uint64_t next() noexcept {
    random_ = random_ * 0x5851'F42D'4C95'7F2DU + 0x1405'7B7E'F767'814FU;
    return random_;
  }
  std::uint64_t random_ = 0x2545'F491'4F6C'DD1DU;
};

}  // namespace lab
