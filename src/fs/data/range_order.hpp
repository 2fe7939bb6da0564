// Ranges in the order in which a disk likes them: by file, then by offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace parkring::fs {

/// One range of a list, with what is left of it when the list is sorted.
struct ranged_item {
  std::uint64_t offset;
  std::uint64_t length;
  std::uint32_t file;
  std::uint32_t index;  // in the list
};

/// Sorts by file, offset and index; the items come in the order of their indexes. By digits, since
/// lists are long and numbers short: a few nanoseconds an item. `scratch` is grown as needed.
/// Throws std::bad_alloc.
void sort_ranges(std::span<ranged_item> items, std::vector<ranged_item>& scratch);

}  // namespace parkring::fs
