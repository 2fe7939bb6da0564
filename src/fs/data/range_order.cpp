#include "fs/data/range_order.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace parkring::fs {
namespace {

constexpr unsigned digit_bits = 11;
constexpr std::size_t digits = std::size_t{1} << digit_bits;

bool before(const ranged_item& a, const ranged_item& b) noexcept {
  if (a.file != b.file) return a.file < b.file;
  return a.offset != b.offset ? a.offset < b.offset : a.index < b.index;
}

// Moves `from` to `to` in the order of one digit of `key`. False: all have the same, nothing moved.
template <class Key>
bool pass(std::span<const ranged_item> from, ranged_item* to, unsigned shift, Key key) {
  std::array<std::uint32_t, digits> starts{};
  for (const auto& i : from) ++starts[(key(i) >> shift) & (digits - 1)];
  if (starts[(key(from[0]) >> shift) & (digits - 1)] == from.size()) return false;
  std::uint32_t sum = 0;
  for (auto& s : starts) {
    const std::uint32_t n = s;
    s = sum;
    sum += n;
  }
  for (const auto& i : from) to[starts[(key(i) >> shift) & (digits - 1)]++] = i;
  return true;
}

}  // namespace

void sort_ranges(std::span<ranged_item> items, std::vector<ranged_item>& scratch) {
  constexpr std::size_t few = 512;  // for which counting digits costs more than comparing
  if (std::is_sorted(items.begin(), items.end(), before)) return;
  if (items.size() < few) return std::sort(items.begin(), items.end(), before);
  if (scratch.size() < items.size()) scratch.resize(items.size());
  std::uint64_t offsets = 0, files = 0;
  for (const auto& i : items) {
    offsets |= i.offset;
    files |= i.file;
  }
  std::span<ranged_item> from = items, to(scratch.data(), items.size());
  const auto by = [&](std::uint64_t all, auto key) {
    for (unsigned shift = 0; shift < static_cast<unsigned>(std::bit_width(all));
         shift += digit_bits)
      if (pass(from, to.data(), shift, key)) std::swap(from, to);
  };
  by(offsets, [](const ranged_item& i) { return i.offset; });
  by(files, [](const ranged_item& i) { return std::uint64_t{i.file}; });
  if (from.data() != items.data()) std::copy(from.begin(), from.end(), items.begin());
}

}  // namespace parkring::fs
