// Finds requests by their user_data, so that cancelling does not walk all that are active.
//
// A table of chains, the newest first; it doubles when there are more requests than chains. Without
// memory for that it stays as it is, only slower.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "kernel/emulated/request.hpp"

namespace parkring::kernel::emulated {

class request_index {
 public:
  void add(request& r) noexcept {
    if (++size_ > chains_) grow();
    push(r);
  }
  void remove(request& r) noexcept {
    --size_;
    request** at = &chain_of(r.entry.user_data);
    while (*at != &r) at = &(*at)->same_chain;
    *at = r.same_chain;
  }
  /// The oldest request with this user_data for which `is_meant` holds, or null.
  template <class F>
  [[nodiscard]] request* find(std::uint64_t user_data, F&& is_meant) const noexcept {
    request* found = nullptr;
    for (request* r = chain_of(user_data); r != nullptr; r = r->same_chain) {
      if (r->entry.user_data == user_data && is_meant(*r) &&
          (found == nullptr || r->number < found->number))
        found = r;
    }
    return found;
  }

 private:
  [[nodiscard]] request*& chain_of(std::uint64_t user_data) const noexcept {
    const std::uint64_t mixed = user_data * 0x9e37'79b9'7f4a'7c15;
    return (table_ != nullptr ? table_.get() : &first_)[mixed >> 32 & (chains_ - 1)];
  }
  void push(request& r) noexcept { r.same_chain = std::exchange(chain_of(r.entry.user_data), &r); }
  void grow() noexcept {
    const std::size_t before = chains_, wanted = std::max<std::size_t>(64, 2 * chains_);
    std::unique_ptr<request*[]> larger(new (std::nothrow) request*[wanted]());
    if (larger == nullptr) return;
    const std::unique_ptr<request*[]> old = std::exchange(table_, std::move(larger));
    chains_ = wanted;
    for (std::size_t i = 0; i < before; ++i) {
      for (request* r = old != nullptr ? old[i] : first_; r != nullptr;) {
        request* const following = r->same_chain;
        push(*r);
        r = following;
      }
    }
  }

  mutable request* first_ = nullptr;  // the only chain, until there is a table
  std::unique_ptr<request*[]> table_;
  std::size_t chains_ = 1;
  std::size_t size_ = 0;
};

}  // namespace parkring::kernel::emulated
