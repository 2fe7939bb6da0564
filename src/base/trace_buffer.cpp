#include "base/trace_buffer.hpp"

#include <algorithm>

namespace parkring::base {

std::vector<trace_buffer::slot> trace_buffer::read(std::uint64_t& lost) const {
  // Acquire: pairs with the release in `publish`.
  const std::uint64_t end = published_.load(std::memory_order_acquire);
  std::uint64_t begin = end > capacity_ ? end - capacity_ : 0;
  std::vector<slot> copy;
  copy.reserve(end - begin);
  for (std::uint64_t n = begin; n < end; ++n) {
    slot& s = slots_[n & (capacity_ - 1)];
    // Acquire: pairs with the release in `add`.
    const std::uint64_t first = word(s.first).load(std::memory_order_acquire);
    copy.push_back({first, word(s.second).load(std::memory_order_acquire)});
  }
  const std::uint64_t touched = reserved_.load(std::memory_order_acquire);
  const std::uint64_t safe = std::min(end, touched > capacity_ ? touched - capacity_ : 0);
  if (safe > begin) {
    copy.erase(copy.begin(), copy.begin() + static_cast<std::ptrdiff_t>(safe - begin));
    begin = safe;
  }
  lost = begin;
  return copy;
}

}  // namespace parkring::base
