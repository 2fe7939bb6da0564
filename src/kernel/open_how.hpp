// What openat2(2) takes, in place of the flags and the mode of openat(2).
#pragma once

#include <cstdint>

namespace parkring::kernel::abi {

/// struct open_how.
struct open_how {
  std::uint64_t flags;
  std::uint64_t mode;
  std::uint64_t resolve;
};
inline constexpr std::uint64_t resolve_no_symlinks = 0x04;
inline constexpr std::uint64_t resolve_beneath = 0x08;

}  // namespace parkring::kernel::abi
