// Bytes in a ring that grows to what is asked of it.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <memory>

namespace parkring::kernel::sim {

class byte_queue {
 public:
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

  void push(const void* data, std::size_t n) {
    if (n == 0) return;
    if (size_ + n > room_) grow(size_ + n);
    const std::size_t at = (first_ + size_) & (room_ - 1);
    const std::size_t to_end = std::min(n, room_ - at);
    std::memcpy(&bytes_[at], data, to_end);
    if (n > to_end)
      std::memcpy(&bytes_[0], static_cast<const std::byte*>(data) + to_end, n - to_end);
    size_ += n;
  }
  /// At most `n` bytes from the front of `parts`.
  void push(const iovec* parts, std::size_t count, std::size_t n) {
    for (std::size_t i = 0; i < count && n > 0; ++i) {
      const std::size_t now = std::min(n, parts[i].iov_len);
      push(parts[i].iov_base, now);
      n -= now;
    }
  }
  /// Copies the first `n` bytes, which there are, into `parts`, which have room for them.
  void peek(const iovec* parts, std::size_t count, std::size_t n) const noexcept {
    std::size_t from = 0;
    for (std::size_t i = 0; i < count && from < n; ++i) {
      const std::size_t now = std::min(n - from, parts[i].iov_len);
      if (now == 0) continue;
      const std::size_t at = (first_ + from) & (room_ - 1);
      const std::size_t to_end = std::min(now, room_ - at);
      auto* to = static_cast<std::byte*>(parts[i].iov_base);
      std::memcpy(to, &bytes_[at], to_end);
      if (now > to_end) std::memcpy(to + to_end, &bytes_[0], now - to_end);
      from += now;
    }
  }
  void drop_front(std::size_t n) noexcept {
    size_ -= n;
    first_ = size_ == 0 ? 0 : (first_ + n) & (room_ - 1);
  }
  void drop_back(std::size_t n) noexcept { size_ -= n; }

 private:
  void grow(std::size_t least) {
    const std::size_t room = std::bit_ceil(std::max<std::size_t>(least, 256));
    auto bytes = std::make_unique_for_overwrite<std::byte[]>(room);
    if (size_ > 0) {
      const iovec whole{&bytes[0], size_};
      peek(&whole, 1, size_);
    }
    bytes_ = std::move(bytes);
    room_ = room;
    first_ = 0;
  }

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t room_ = 0;  // a power of two, or none yet
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

/// Values in a ring that grows; the first come out first.
template <class T>
class ring_queue {
 public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T& front() noexcept { return at_[first_]; }
  [[nodiscard]] T& back() noexcept { return at_[(first_ + size_ - 1) & (room_ - 1)]; }

  void push(T value) {
    if (size_ == room_) grow();
    at_[(first_ + size_++) & (room_ - 1)] = std::move(value);
  }
  void pop() noexcept {
    at_[first_] = T{};
    first_ = (first_ + 1) & (room_ - 1);
    --size_;
  }
  void clear() noexcept {
    while (!empty()) pop();
  }

 private:
  void grow() {
    const std::size_t room = room_ == 0 ? 4 : 2 * room_;
    auto at = std::make_unique<T[]>(room);
    for (std::size_t i = 0; i < size_; ++i) at[i] = std::move(at_[(first_ + i) & (room_ - 1)]);
    at_ = std::move(at);
    room_ = room;
    first_ = 0;
  }

  std::unique_ptr<T[]> at_;
  std::size_t room_ = 0;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace parkring::kernel::sim
