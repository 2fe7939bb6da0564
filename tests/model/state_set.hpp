// The states that were seen: a set of numbers that are hashes already.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace parkring::model {

class state_set {
 public:
  /// False: it is there already.
  bool insert(std::uint64_t hash) {
    if (hash == 0) hash = 1;  // 0 is a free slot
    if (2 * (size_ + 1) > slots_.size()) grow();
    if (!put(hash)) return false;
    ++size_;
    return true;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  void clear() {
    slots_.clear();
    size_ = 0;
  }

 private:
  bool put(std::uint64_t hash) {
    const std::size_t last = slots_.size() - 1;
    for (std::size_t i = hash & last;; i = (i + 1) & last) {
      if (slots_[i] == hash) return false;
      if (slots_[i] == 0) {
        slots_[i] = hash;
        return true;
      }
    }
  }
  void grow() {
    std::vector<std::uint64_t> old(slots_.empty() ? 1024 : 2 * slots_.size());
    std::swap(old, slots_);
    for (const std::uint64_t hash : old)
      if (hash != 0) put(hash);
  }

  std::vector<std::uint64_t> slots_;
  std::size_t size_ = 0;
};

}  // namespace parkring::model
