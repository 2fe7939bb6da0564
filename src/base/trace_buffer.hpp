// The last events of one thread, in a ring of fixed size that another thread may copy at any time.
//
// Protocol. One writer, its own thread; any number of readers. An event is one or more slots of two
// words. Slots are numbered from 0 on for ever, slot `n` lies at `n % capacity`.
//   next_       the next slot to write; the writer's alone
//   reserved_   no slot from here on has been touched. The writer moves it, by blocks, before it
//               writes behind it.
//   published_  every slot before this one is complete. The writer moves it when it sees fit.
// A reader takes `published_`, copies the slots before it, then takes `reserved_`: what is not a
// whole capacity older than that cannot have been overwritten meanwhile, the rest is thrown away.
// The words are stored with release, after `reserved_`, and read with acquire, before it: a reader
// that has seen a word of a newer slot also sees that its block was reserved.
//
// The memory comes zeroed by the system, page by page as it is written: a runtime takes its buffer
// in the middle of its work, and must not stand still for writing all of it.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace parkring::base {

class trace_buffer {
 public:
  struct slot {
    std::uint64_t first;
    std::uint64_t second;
  };

  explicit trace_buffer(std::size_t bytes)
      : capacity_(std::bit_ceil(bytes / sizeof(slot) < least ? least : bytes / sizeof(slot))),
        slots_(static_cast<slot*>(std::calloc(capacity_, sizeof(slot)))) {
    if (slots_ == nullptr) throw std::bad_alloc();
  }

  // ---- the writer ----
  [[gnu::always_inline]] void add(std::uint64_t first, std::uint64_t second) noexcept {
    if (next_ == reserved_by_us_) [[unlikely]]
      reserve();
    slot& s = slots_[next_++ & (capacity_ - 1)];
    word(s.first).store(first, std::memory_order_release);    // pairs with the loads in `read`
    word(s.second).store(second, std::memory_order_release);  // likewise
  }
  void publish() noexcept {
    published_.store(next_, std::memory_order_release);  // pairs with the load in `read`
  }

  // ---- any thread ----
  /// What is there, oldest first; `lost` is how many slots were there before.
  [[nodiscard]] std::vector<slot> read(std::uint64_t& lost) const;

 private:
  using word = std::atomic_ref<std::uint64_t>;
  struct freed {
    void operator()(slot* s) const noexcept { std::free(s); }
  };
  static constexpr std::size_t least = 1024, block = 64;

  void reserve() noexcept {
    reserved_by_us_ = next_ + block;
    reserved_.store(reserved_by_us_, std::memory_order_release);
  }

  const std::size_t capacity_;
  const std::unique_ptr<slot[], freed> slots_;
  std::uint64_t next_ = 0;
  std::uint64_t reserved_by_us_ = 0;
  std::atomic<std::uint64_t> reserved_{0};
  std::atomic<std::uint64_t> published_{0};
};

}  // namespace parkring::base
