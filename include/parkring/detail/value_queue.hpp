// A queue of values in one block, which grows and is never given back before its end: so a steady
// flow through it allocates nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace parkring::detail {

template <class T>
class value_queue {
 public:
  value_queue() noexcept = default;
  value_queue(const value_queue&) = delete;
  value_queue& operator=(const value_queue&) = delete;
  value_queue(value_queue&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)),
        capacity_(std::exchange(other.capacity_, 0)),
        first_(std::exchange(other.first_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  ~value_queue() {
    while (size_ != 0) (void)pop_front();
    if (block_ != nullptr) std::allocator<T>().deallocate(block_, capacity_);
  }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Room for `n` values. Throws std::bad_alloc.
  void reserve(std::size_t n) {
    if (n <= capacity_) return;
    std::size_t larger = capacity_ == 0 ? 8 : capacity_;
    while (larger < n) larger *= 2;
    T* const block = std::allocator<T>().allocate(larger);
    for (std::size_t i = 0; i < size_; ++i) {
      T& from = at(i);
      ::new (static_cast<void*>(block + i)) T(std::move(from));
      from.~T();
    }
    if (block_ != nullptr) std::allocator<T>().deallocate(block_, capacity_);
    block_ = block;
    capacity_ = larger;
    first_ = 0;
  }
  void push_back(T&& value) {
    reserve(size_ + 1);
    ::new (static_cast<void*>(&at(size_))) T(std::move(value));
    ++size_;
  }
  void push_front(T&& value) {
    reserve(size_ + 1);
    first_ = (first_ + capacity_ - 1) & (capacity_ - 1);
    ::new (static_cast<void*>(&at(0))) T(std::move(value));
    ++size_;
  }
  T pop_front() noexcept {
    T& from = at(0);
    T value(std::move(from));
    from.~T();
    first_ = (first_ + 1) & (capacity_ - 1);
    --size_;
    return value;
  }

 private:
  T& at(std::size_t i) noexcept { return block_[(first_ + i) & (capacity_ - 1)]; }

  T* block_ = nullptr;
  std::size_t capacity_ = 0;  // 0 or a power of two
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace parkring::detail
