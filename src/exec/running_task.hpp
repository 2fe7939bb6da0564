// Which task a runtime's thread is inside of, for threads that look on.
//
// Protocol. The runtime's thread writes, others read. `turn_` is odd while a task runs. The writer
// makes it odd, then stores the words; the words are stored with release and read with acquire, so
// a reader that saw a word of a newer task finds `turn_` changed, and takes nothing.
// The words are plain data: an address of a frame would be gone by the time it is looked at.
#pragma once

#include <parkring/detail/spawn_site.hpp>

#include <atomic>
#include <cstdint>
#include <optional>

namespace parkring::exec {

class running_task {
 public:
  struct glance {
    std::uint64_t turn;   // differs from resume to resume
    std::uint64_t since;  // in ticks
    detail::spawn_site where;
    const void* function;  // what was resumed
  };

  void begin(detail::spawn_site where, const void* function, std::uint64_t since) noexcept {
    turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    where_.store(where.word(), std::memory_order_release);
    function_.store(function, std::memory_order_release);
    since_.store(since, std::memory_order_release);
    complete_.store(turn_.load(std::memory_order_relaxed), std::memory_order_release);
  }
  void end() noexcept {
    turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  /// The task that runs; none between two, or when it changed just now.
  [[nodiscard]] std::optional<glance> look() const noexcept {
    glance g;
    g.turn = complete_.load(std::memory_order_acquire);
    g.where = detail::spawn_site::from_word(where_.load(std::memory_order_acquire));
    g.function = function_.load(std::memory_order_acquire);
    g.since = since_.load(std::memory_order_acquire);
    if (turn_.load(std::memory_order_acquire) != g.turn || g.turn % 2 == 0) return std::nullopt;
    return g;
  }

 private:
  std::atomic<std::uint64_t> turn_{0};
  std::atomic<std::uint64_t> complete_{0};  // the last `turn_` whose words are all there
  std::atomic<std::uintptr_t> where_{0};
  std::atomic<const void*> function_{nullptr};
  std::atomic<std::uint64_t> since_{0};
};

}  // namespace parkring::exec
