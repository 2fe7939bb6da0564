// Work on a tree that changes it: things to do, in a list that several jobs take from.
//
//   pending   under the mutex, the last first: so the list stays about as long as the tree is deep.
//   a share   takes one after the other, its own finds first, until it has done its part or others
//             have nothing to do and it has more than one thing left; then gives back the rest.
//   errors    kept until the one who waits takes them, on the thread of the runtime. He says
//             whether the work goes on.
//
// When nobody wants it any more, the next job or one that is sent for that destroys what is
// pending: that closes and removes, which may block.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <parkring/error.hpp>

#include "fs/tree/crew.hpp"

namespace parkring::fs {

template <class Item>
class tree_work : public shared_work {
 public:
  void do_share() final {
    share s;
    const in_share here(*this, s);
    while (wanted() && s.spent < enough) {
      std::optional<Item> next = take(s);
      if (!next) break;
      run(s, std::move(*next));
    }
  }

  void clean_up() noexcept final {
    std::vector<Item> left;
    {
      const std::lock_guard lock(mutex_);
      left.swap(pending_);
    }
  }

  [[nodiscard]] bool left_over() const noexcept final {
    const std::lock_guard lock(mutex_);
    return !pending_.empty();
  }

  // ---- for the one who waits, on his thread ----

  [[nodiscard]] bool wants_job(std::size_t out, unsigned most) const {
    const std::lock_guard lock(mutex_);
    // Those that are out and have not begun will each take one, too.
    return out < most && pending_.size() > out - std::min<std::size_t>(out, busy_);
  }
  [[nodiscard]] std::vector<error> take_errors() {
    const std::lock_guard lock(mutex_);
    return std::exchange(errors_, {});
  }

 protected:
  static constexpr std::size_t enough = 8U << 20;  // of what a share spends, in bytes

  struct share {
    std::vector<Item> mine;
    std::size_t spent = 0;  // bytes copied, and for each name about what it costs
    std::unique_ptr<std::byte[]> listing, memory;
  };
  static constexpr std::size_t memory_size = 256 * 1024;

  /// Memory of the share, to read into.
  [[nodiscard]] static std::span<std::byte> memory_of(share& s) {
    if (!s.memory) s.memory = std::make_unique_for_overwrite<std::byte[]>(memory_size);
    return {s.memory.get(), memory_size};
  }

  /// Does one thing, and may add to `s.mine`.
  virtual void run(share& s, Item&& item) = 0;

  void fail(error e) {
    const std::lock_guard lock(mutex_);
    errors_.push_back(std::move(e));
  }
  void add(Item item) {
    const std::lock_guard lock(mutex_);
    pending_.push_back(std::move(item));
  }

 private:
  static constexpr std::size_t early = enough / 16;

  // Counts a job as busy, and gives back what it did not get to, however it ends.
  struct in_share {
    tree_work& of;
    share& s;
    in_share(tree_work& w, share& its) : of(w), s(its) {
      const std::lock_guard lock(of.mutex_);
      ++of.busy_;
      if (of.spare_.empty()) return;
      s.memory = std::move(of.spare_.back());
      of.spare_.pop_back();
    }
    ~in_share() {
      const std::lock_guard lock(of.mutex_);
      --of.busy_;
      of.pending_.insert(of.pending_.end(), std::make_move_iterator(s.mine.begin()),
                         std::make_move_iterator(s.mine.end()));
      if (s.memory) of.spare_.push_back(std::move(s.memory));
    }
    in_share(const in_share&) = delete;
    in_share& operator=(const in_share&) = delete;
  };

  [[nodiscard]] std::optional<Item> take(share& s) {
    std::vector<Item>* from = &s.mine;
    const std::lock_guard lock(mutex_);
    if (s.mine.empty()) {
      if (pending_.empty()) return std::nullopt;
      from = &pending_;
    } else if (busy_ < most_busy_ && pending_.empty() && s.mine.size() > 1 && s.spent >= early) {
      return std::nullopt;
    }
    std::optional<Item> next(std::move(from->back()));
    from->pop_back();
    return next;
  }

  mutable std::mutex mutex_;
  std::vector<Item> pending_;
  std::vector<error> errors_;
  std::vector<std::unique_ptr<std::byte[]>> spare_;  // memory of shares that have ended
  unsigned busy_ = 0;

 protected:
  unsigned most_busy_ = 1;
};

}  // namespace parkring::fs
