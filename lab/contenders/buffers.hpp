// Memory that the contenders without a buffer type of their own read into: aligned for direct I/O,
// touched, and in huge pages when there are any, for all of them alike.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstring>

#include "../load.hpp"

namespace lab {

class buffers {
 public:
  buffers(unsigned number, std::size_t size) : size_(size) {
    constexpr std::size_t huge = 2U << 20;
    mapped_ = (number * size + huge - 1) / huge * huge + huge;
    void* memory =
        ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap of %zu bytes of buffers failed", mapped_);
    base_ = static_cast<std::byte*>(memory);
    const auto address = reinterpret_cast<std::size_t>(base_);
    first_ = base_ + (huge - address % huge) % huge;
    ::madvise(first_, mapped_ - huge, MADV_HUGEPAGE);
    std::memset(first_, 0, number * size);
  }
  buffers(const buffers&) = delete;
  buffers& operator=(const buffers&) = delete;
  ~buffers() { ::munmap(base_, mapped_); }

  [[nodiscard]] std::byte* operator[](unsigned slot) const noexcept {
    return first_ + slot * size_;
  }

 private:
  std::byte* base_ = nullptr;
  std::byte* first_ = nullptr;
  std::size_t size_;
  std::size_t mapped_ = 0;
};

}  // namespace lab
