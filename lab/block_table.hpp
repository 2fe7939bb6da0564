// What every 4 KiB block of the data file must contain, as one 64-bit sum a block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace lab {

inline constexpr std::size_t unit_bytes = 4096;

/// A sum of one 4 KiB unit: Fletcher's, over 64-bit words in four lanes, so that it depends on the
/// order of the words and still runs at memory speed.
inline std::uint64_t sum_of_unit(const std::byte* data) noexcept {
  using lanes = std::uint64_t __attribute__((vector_size(32)));
  lanes plain = {1, 2, 3, 4};
  lanes weighted = {};
  for (std::size_t at = 0; at < unit_bytes; at += sizeof(lanes)) {
    lanes words;
    std::memcpy(&words, data + at, sizeof(words));
    plain += words;
    weighted += plain;
  }
  std::uint64_t sum = 0;
  for (int i = 0; i < 4; ++i) sum = sum * 0x9E37'79B9'7F4A'7C15U + (plain[i] ^ weighted[i]);
  return sum;
}

/// Ties a unit's sum to its place, so that sums may be added in any order.
inline std::uint64_t placed(std::uint64_t unit, std::uint64_t sum) noexcept {
  return (sum ^ (unit * 0xD6E8'FEB8'6659'FD93U)) * 0xA24B'AED4'963E'E407U;
}

/// The words of the file that the lab makes by itself.
inline std::uint64_t word_of(std::uint64_t unit, std::uint64_t word) noexcept {
  std::uint64_t x = 0x7061'726B'7269'6E67U + unit * 0x9E37'79B9'7F4A'7C15U;
  x = (x ^ (x >> 29)) + word * 0xBF58'476D'1CE4'E5B9U;
  return x ^ (x >> 32);
}

/// Fills one unit of the lab's own file.
inline void fill_unit(std::uint64_t unit, std::byte* data) noexcept {
  for (std::size_t word = 0; word < unit_bytes / 8; ++word) {
    const std::uint64_t value = word_of(unit, word);
    std::memcpy(data + word * 8, &value, 8);
  }
}

class block_table {
 public:
  block_table() = default;
  explicit block_table(std::span<const std::byte> file) { append(file); }

  /// Adds the units that follow those of the table in the file.
  void append(std::span<const std::byte> part) {
    for (std::size_t at = 0; at + unit_bytes <= part.size(); at += unit_bytes)
      sums_.push_back(sum_of_unit(part.data() + at));
  }

  [[nodiscard]] std::uint64_t units() const noexcept { return sums_.size(); }
  [[nodiscard]] std::uint64_t sum(std::uint64_t unit) const noexcept { return sums_[unit]; }

  /// The whole-file sum of the first `units` units.
  [[nodiscard]] std::uint64_t total(std::uint64_t units) const noexcept {
    std::uint64_t result = 0;
    for (std::uint64_t unit = 0; unit < units; ++unit) result += placed(unit, sums_[unit]);
    return result;
  }

  friend bool operator==(const block_table&, const block_table&) = default;

 private:
  std::vector<std::uint64_t> sums_;
};

}  // namespace lab
