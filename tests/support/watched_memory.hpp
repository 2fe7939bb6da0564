// Memory that notices being written to after its end: the allocator fills what is freed with a
// pattern and keeps it, so a late write of the kernel shows.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace parkring::testing {

class graveyard {
 public:
  static graveyard& instance() {
    static auto* g = new graveyard;
    return *g;
  }

  void bury(void* memory, std::size_t size) {
    std::memset(memory, pattern, size);
    std::lock_guard lock(mutex_);
    graves_.emplace_back(static_cast<unsigned char*>(memory), size);
  }
  /// Allocations that changed after they were freed.
  [[nodiscard]] std::size_t disturbed() {
    std::lock_guard lock(mutex_);
    std::size_t n = 0;
    for (const auto& [at, size] : graves_)
      n += size != 0 && (*at != pattern || std::memcmp(at, at + 1, size - 1) != 0);
    return n;
  }
  [[nodiscard]] std::size_t buried() {
    std::lock_guard lock(mutex_);
    return graves_.size();
  }
  /// Really frees what was kept.
  void clear() {
    std::lock_guard lock(mutex_);
    for (const auto& grave : graves_) ::operator delete(grave.first);
    graves_.clear();
  }

  std::atomic<std::size_t> alive{0};

 private:
  static constexpr unsigned char pattern = 0xDD;
  std::mutex mutex_;
  std::vector<std::pair<unsigned char*, std::size_t>> graves_;
};

template <class T>
struct watched_allocator {
  using value_type = T;
  watched_allocator() = default;
  template <class U>
  watched_allocator(const watched_allocator<U>&) noexcept {}
  T* allocate(std::size_t n) {
    ++graveyard::instance().alive;
    return static_cast<T*>(::operator new(n * sizeof(T)));
  }
  void deallocate(T* p, std::size_t n) noexcept {
    --graveyard::instance().alive;
    graveyard::instance().bury(p, n * sizeof(T));
  }
  template <class U>
  bool operator==(const watched_allocator<U>&) const noexcept {
    return true;
  }
};

using watched_bytes = std::vector<char, watched_allocator<char>>;

}  // namespace parkring::testing
