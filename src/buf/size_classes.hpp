// The sizes in which buffer memory is handed out: powers of two from 512 B to 1 MiB, and the steps
// half-way between them where such a step keeps the alignment that direct I/O wants (768 and 6144
// would not).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace parkring::buf {

inline constexpr std::size_t smallest_block = 512;
inline constexpr std::size_t largest_block = std::size_t{1} << 20;
/// No class is aligned to more than this; every block of this size or above is aligned to it.
inline constexpr std::size_t largest_block_alignment = 4096;

inline constexpr std::array<std::size_t, 21> class_sizes = {
    512,    1024,   1536,   2048,    3072,    4096,    8192,    12'288,  16'384,  24'576,   32'768,
    49'152, 65'536, 98'304, 131'072, 196'608, 262'144, 393'216, 524'288, 786'432, 1'048'576};
inline constexpr std::size_t class_count = class_sizes.size();

/// The largest power of two that divides the size, at most `largest_block_alignment`.
[[nodiscard]] constexpr std::size_t alignment_of_class(std::size_t size_class) noexcept {
  const std::size_t size = class_sizes[size_class];
  return std::min(size & (~size + 1), largest_block_alignment);
}

/// The smallest class of at least `size` bytes, or `class_count` if there is none.
[[nodiscard]] constexpr std::size_t class_of(std::size_t size) noexcept {
  if (size > largest_block) return class_count;
  if (size <= 512) return 0;
  if (size <= 2048) return (size + 511) / 512 - 1;
  if (size <= 4096) return size <= 3072 ? 4 : 5;
  if (size <= 8192) return 6;
  // From here on two classes for each power of two: index 8 is 2^14, 10 is 2^15, and so on.
  const auto power = static_cast<std::size_t>(std::bit_width(size - 1));
  const std::size_t index = 8 + 2 * (power - 14);
  return size <= class_sizes[index - 1] ? index - 1 : index;
}

/// As above, for blocks aligned to `alignment`, a power of two.
[[nodiscard]] constexpr std::size_t class_of(std::size_t size, std::size_t alignment) noexcept {
  if (alignment > largest_block_alignment) return class_count;
  std::size_t index = class_of(size);
  while (index < class_count && alignment_of_class(index) < alignment) ++index;
  return index;
}

/// How much is cut from a chunk at a time for a class: whole blocks, and a multiple of 4096 bytes,
/// so that blocks of all classes can follow each other without gaps.
[[nodiscard]] constexpr std::size_t run_of_class(std::size_t size_class) noexcept {
  const std::size_t size = class_sizes[size_class];
  if (size % largest_block_alignment == 0) return size;
  return std::has_single_bit(size) ? largest_block_alignment : 3 * largest_block_alignment;
}

}  // namespace parkring::buf
