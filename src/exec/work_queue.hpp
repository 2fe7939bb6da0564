// The roaming tasks that one worker has and others may take.
//
// A bounded ring of pointers. One thread, its owner, pushes at `tail_`; the owner and thieves take
// at `head_`, so that what came first goes first. Both only grow, and wrap around together.
//   * The owner writes a slot, then `tail_` (release). Who reads `tail_` (acquire) sees the slot.
//   * Who takes reads slots first and then moves `head_` over them by compare-exchange. It fails
//     where somebody else was faster, and what was read is forgotten. The owner writes a slot again
//     only when `head_` has passed it, so whoever read it too late fails.
//   * A thief takes half, rounded up, at once into its own queue, which must be empty: it writes
//     the slots there, and shows them by `tail_` once the exchange has succeeded.
// When it is full the owner takes out half to make room: see `push`.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace parkring::exec {

template <class T, std::uint32_t Capacity = 256, template <class> class Atomic = std::atomic>
class basic_work_queue {
  static_assert((Capacity & (Capacity - 1)) == 0 && Capacity >= 2);

 public:
  basic_work_queue() noexcept = default;
  basic_work_queue(const basic_work_queue&) = delete;
  basic_work_queue& operator=(const basic_work_queue&) = delete;

  /// May lag behind what other threads do.
  [[nodiscard]] bool empty() const noexcept {
    const std::uint32_t head = head_.load(std::memory_order_acquire);
    return tail_.load(std::memory_order_acquire) == head;
  }

  /// Likewise.
  [[nodiscard]] std::uint32_t size() const noexcept {
    const std::uint32_t head = head_.load(std::memory_order_relaxed);
    return tail_.load(std::memory_order_relaxed) - head;
  }

  /// Owner. False: it is full.
  [[nodiscard]] bool push(T* item) noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    // Acquire: what thieves have read of the slot they have read before.
    if (tail - head_.load(std::memory_order_acquire) == Capacity) return false;
    slot(tail).store(item, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);  // pairs with the loads of who takes
    return true;
  }

  /// Owner. Null: it is empty.
  [[nodiscard]] T* pop() noexcept {
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    std::uint32_t head = head_.load(std::memory_order_relaxed);
    while (head != tail) {
      T* item = slot(head).load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel,
                                      std::memory_order_relaxed))
        return item;
    }
    return nullptr;
  }

  /// Owner: takes half of a full queue, in order, into `out`; how many. 0: it is not full any more.
  template <std::size_t N>
  [[nodiscard]] std::uint32_t take_half(std::array<T*, N>& out) noexcept {
    static_assert(N >= Capacity / 2);
    const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
    std::uint32_t head = head_.load(std::memory_order_relaxed);
    if (tail - head != Capacity) return 0;
    for (std::uint32_t i = 0; i < Capacity / 2; ++i)
      out[i] = slot(head + i).load(std::memory_order_relaxed);
    if (!head_.compare_exchange_strong(head, head + Capacity / 2, std::memory_order_acq_rel,
                                       std::memory_order_relaxed))
      return 0;
    return Capacity / 2;
  }

  /// The owner of `to`, which is empty, takes half of what is here; gives the first of it, and the
  /// rest is in `to`. Null: there was nothing.
  [[nodiscard]] T* steal_into(basic_work_queue& to) noexcept {
    const std::uint32_t at = to.tail_.load(std::memory_order_relaxed);
    std::uint32_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      const std::uint32_t tail = tail_.load(std::memory_order_acquire);  // pairs with `push`
      const std::uint32_t there = tail - head;
      if (there == 0) return nullptr;
      if (there > Capacity) {  // `head` is older than `tail`
        head = head_.load(std::memory_order_acquire);
        continue;
      }
      const std::uint32_t n = there - there / 2;
      T* first = slot(head).load(std::memory_order_relaxed);
      for (std::uint32_t i = 1; i < n; ++i)
        to.slot(at + i - 1)
            .store(slot(head + i).load(std::memory_order_relaxed), std::memory_order_relaxed);
      if (head_.compare_exchange_strong(head, head + n, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
        if (n > 1) to.tail_.store(at + n - 1, std::memory_order_release);  // others may steal it
        return first;
      }
    }
  }

 private:
  [[nodiscard]] Atomic<T*>& slot(std::uint32_t i) noexcept { return slots_[i & (Capacity - 1)]; }

  alignas(64) Atomic<std::uint32_t> head_{0};
  alignas(64) Atomic<std::uint32_t> tail_{0};
  alignas(64) std::array<Atomic<T*>, Capacity> slots_{};
};

}  // namespace parkring::exec
