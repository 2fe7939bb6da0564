// Sizes in binary units.
#pragma once

#include <cstddef>

namespace parkring::literals {

/// 4_KiB is 4,096.
constexpr std::size_t operator""_KiB(unsigned long long n) noexcept { return n << 10; }
/// 2_MiB is 2,097,152.
constexpr std::size_t operator""_MiB(unsigned long long n) noexcept { return n << 20; }
/// 1_GiB is 1,073,741,824.
constexpr std::size_t operator""_GiB(unsigned long long n) noexcept { return n << 30; }

}  // namespace parkring::literals
