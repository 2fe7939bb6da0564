// Virtual time, and what happens in it. Events are ordered by their time, then by the order in
// which they were scheduled, so nothing depends on addresses or on the heap's shape.
//
// An event is a member of whatever it is about; unscheduling it is cheap, and its destructor does
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <parkring/detail/check.hpp>

namespace parkring::kernel::sim {

class event_queue;

class event {
 public:
  using action = void (*)(event&) noexcept;
  explicit event(action a) noexcept : action_(a) {}
  event(const event&) = delete;
  event& operator=(const event&) = delete;
  ~event() { unschedule(); }

  [[nodiscard]] bool scheduled() const noexcept { return queue_ != nullptr; }
  [[nodiscard]] std::uint64_t due_ns() const noexcept { return due_ns_; }
  inline void unschedule() noexcept;

 private:
  friend class event_queue;
  action action_;
  event_queue* queue_ = nullptr;
  std::uint64_t due_ns_ = 0;
  std::uint64_t order_ = 0;
  std::size_t place_ = 0;  // in the heap
};

class event_queue {
 public:
  static constexpr std::uint64_t never = ~std::uint64_t{0};

  explicit event_queue(std::uint64_t start_ns) noexcept : now_ns_(start_ns) {}
  event_queue(const event_queue&) = delete;
  event_queue& operator=(const event_queue&) = delete;
  ~event_queue() {
    for (event* e : heap_) e->queue_ = nullptr;
  }

  [[nodiscard]] std::uint64_t now_ns() const noexcept { return now_ns_; }
  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
  [[nodiscard]] std::uint64_t next_ns() const noexcept {
    return heap_.empty() ? never : heap_.front()->due_ns_;
  }

  /// `e` happens `delay_ns` from now; if it was scheduled already, then instead.
  void schedule(event& e, std::uint64_t delay_ns) { schedule_at(e, now_ns_ + delay_ns); }
  void schedule_at(event& e, std::uint64_t due_ns) {
    e.unschedule();
    e.due_ns_ = due_ns < now_ns_ ? now_ns_ : due_ns;
    e.order_ = scheduled_++;
    e.place_ = heap_.size();
    heap_.push_back(&e);
    e.queue_ = this;
    rise(e.place_);
  }

  /// Lets time pass up to `until_ns`, without what would happen meanwhile: that happens late.
  void pass(std::uint64_t until_ns) noexcept {
    if (until_ns > now_ns_) now_ns_ = until_ns;
  }
  /// Lets the next event happen, and time pass up to it. Requires one.
  void run_next() noexcept {
    PARKRING_CHECK(!heap_.empty(), "there is no event to run");
    event& e = *heap_.front();
    pass(e.due_ns_);
    e.unschedule();
    e.action_(e);
  }

 private:
  friend class event;

  static bool before(const event& a, const event& b) noexcept {
    return a.due_ns_ != b.due_ns_ ? a.due_ns_ < b.due_ns_ : a.order_ < b.order_;
  }
  void put(std::size_t at, event* e) noexcept {
    heap_[at] = e;
    e->place_ = at;
  }
  void rise(std::size_t at) noexcept {
    event* const e = heap_[at];
    while (at > 0 && before(*e, *heap_[(at - 1) / 2])) {
      put(at, heap_[(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    put(at, e);
  }
  void sink(std::size_t at) noexcept {
    event* const e = heap_[at];
    for (;;) {
      std::size_t child = 2 * at + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
      if (!before(*heap_[child], *e)) break;
      put(at, heap_[child]);
      at = child;
    }
    put(at, e);
  }
  void remove(event& e) noexcept {
    const std::size_t at = e.place_;
    event* const last = heap_.back();
    heap_.pop_back();
    e.queue_ = nullptr;
    if (last == &e) return;
    put(at, last);
    rise(at);
    sink(last->place_);
  }

  std::uint64_t now_ns_;
  std::uint64_t scheduled_ = 0;
  std::vector<event*> heap_;
};

inline void event::unschedule() noexcept {
  if (queue_ != nullptr) queue_->remove(*this);
}

}  // namespace parkring::kernel::sim
