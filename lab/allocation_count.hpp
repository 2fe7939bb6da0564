// Counts heap allocations of the whole process, by standing in front of malloc.
#pragma once

#include <cstdint>

namespace lab {

/// From now on allocations are counted, from zero.
void count_allocations() noexcept;

/// Ends the counting. Negative when this build cannot count (with a sanitizer's own allocator).
std::int64_t counted_allocations() noexcept;

}  // namespace lab
