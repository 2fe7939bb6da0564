#include "op/record_slab.hpp"

#include <algorithm>
#include <new>

namespace parkring::op {

bool record_slab::grow() noexcept {
  constexpr std::size_t smallest = 64, largest = 4096;
  const std::size_t wanted = std::clamp(made_, smallest, largest);
  const std::size_t count = std::min(wanted, limit_ - made_);
  out_of_memory_ = false;
  if (count == 0) return false;
  try {
    chunk fresh{std::make_unique<detail::record[]>(count), count};
    chunks_.push_back(std::move(fresh));
  } catch (const std::bad_alloc&) {
    out_of_memory_ = true;
    return false;
  }
  detail::record* records = chunks_.back().records.get();
  for (std::size_t i = count; i-- > 0;) {
    records[i].next = free_;
    free_ = &records[i];
  }
  made_ += count;
  return true;
}

}  // namespace parkring::op
