// Slots for operation records, at stable addresses.
//
// Grows in chunks up to a limit, never shrinks while it lives: the kernel holds addresses of
// slots, and a late completion must find its record. Free slots form a stack, so the one used
// last, still in the cache, is used next.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <parkring/detail/record.hpp>

namespace parkring::op {

class record_slab {
 public:
  explicit record_slab(std::size_t limit) noexcept : limit_(limit) {}

  /// A free record, or null when the limit is reached or memory is out (`out_of_memory`).
  [[nodiscard]] detail::record* acquire() noexcept {
    if (free_ == nullptr && !grow()) return nullptr;
    return &acquire_free();
  }

  /// Whether `acquire_free` may be called.
  [[nodiscard]] bool has_free() const noexcept { return free_ != nullptr; }
  [[nodiscard]] detail::record& acquire_free() noexcept {
    detail::record& r = *free_;
    free_ = static_cast<detail::record*>(r.next);
    r.state = detail::record_state::prepared;
    ++live_;
    return r;
  }

  void release(detail::record& r) noexcept {
    r.state = detail::record_state::free;
    r.next = free_;
    free_ = &r;
    --live_;
  }

  /// Makes sure that `n` records are free. False as for `acquire`.
  [[nodiscard]] bool reserve(std::size_t n) noexcept {
    while (made_ - live_ < n)
      if (!grow()) return false;
    return true;
  }
  /// Why the last `acquire` or `reserve` failed: true when it was memory, not the limit.
  [[nodiscard]] bool out_of_memory() const noexcept { return out_of_memory_; }

  [[nodiscard]] std::size_t live() const noexcept { return live_; }
  /// Where `live` is counted.
  [[nodiscard]] const std::size_t& live_count() const noexcept { return live_; }
  [[nodiscard]] std::size_t limit() const noexcept { return limit_; }

  /// Calls `f(record&)` for every record that is not free.
  template <class F>
  void for_each_live(F&& f) {
    for (std::size_t k = 0; k < chunks_.size(); ++k)  // `f` may acquire, and so move the chunks
      for (std::size_t i = 0; i < chunks_[k].count; ++i)
        if (detail::record& r = chunks_[k].records[i]; r.state != detail::record_state::free) f(r);
  }

  /// Gives the memory up without freeing it: the kernel may still hold addresses in it.
  void leak() noexcept {
    for (auto& c : chunks_) (void)c.records.release();
    chunks_.clear();
    free_ = nullptr;
  }

 private:
  struct chunk {
    std::unique_ptr<detail::record[]> records;
    std::size_t count;
  };

  bool grow() noexcept;

  detail::record* free_ = nullptr;
  std::size_t live_ = 0;
  std::size_t made_ = 0;
  std::size_t limit_;
  bool out_of_memory_ = false;  // at the last attempt to grow
  std::vector<chunk> chunks_;
};

}  // namespace parkring::op
