// The way back to a runtime from anywhere: another thread, or a time after its death.
//
// Objects that a runtime's thread manages (locked buffers, files, tasks) hold a `home_ref`. On the
// home thread they are used directly. From elsewhere a message goes to the home's inbox; if the
// runtime is gone, `post` says so and the caller is the only one left who knows the object.
//
// Protocol. A `home` is never freed, only reused by a later runtime under a new generation, so a
// stale `home_ref` can always be asked. `generation` and `owner` change under `mutex_`, by the
// owner thread only; hence the owner thread may read them without it. A post that found the
// generation current is delivered: the runtime takes the last messages under the same mutex when
// it closes. Whoever finds it closed has seen, through the mutex, everything the runtime did.
//
// A message is on one of three lists: the inbox, under `mutex_`; the owner's list of those that it
// has taken and not yet run; or none. The owner may withdraw one that it shares memory with, say
// because the frame that holds it is destroyed: it is not run after that.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include <parkring/detail/list.hpp>
#include <parkring/detail/waiter.hpp>

namespace parkring::detail {

struct core_base;

/// Something to do on a runtime's thread. Intrusive: the sender owns the memory until `run`, or
/// until the runtime's thread has withdrawn it.
struct message : list_node {
  void (*run)(message&) noexcept = nullptr;
};
using message_list = intrusive_list<message>;

/// A name for the calling thread that costs one instruction where the thread pointer can be read.
[[nodiscard]] inline const void* thread_token() noexcept {
  // Volatile: a coroutine may go on in another thread, so the answer must not be kept.
#if defined(__x86_64__)
  const void* token;
  asm volatile("mov %%fs:0, %0" : "=r"(token));  // its own address (x86-64 psABI)
  return token;
#elif defined(__aarch64__)
  const void* token;
  asm volatile("mrs %0, tpidr_el0" : "=r"(token));
  return token;
#else
  static constinit thread_local char token = 0;
  return &token;
#endif
}

class home {
 public:
  using wake_function = void (*)(void*) noexcept;

  /// Takes a home out of the process-wide stock and opens it for the calling thread.
  static home& open(core_base& core, waiter_list& ready, wake_function wake, void* wake_context);

  /// Closes it and moves the messages not yet run to `rest`, oldest first. On the owner thread
  /// only.
  void close(message_list& rest) noexcept;
  /// Closes it if there are no messages; false: there are.
  [[nodiscard]] bool close_if_empty() noexcept;

  /// Moves the messages posted so far to the owner's `taken`, oldest first.
  void take(message_list& taken) noexcept;
  /// `m`, which was posted to this home and was not run, is not run any more; false when it has not
  /// arrived yet. On the owner thread only.
  [[nodiscard]] bool withdraw(message& m) noexcept;
  /// Whether `take` would find something. Cheap; may lag behind, a wake follows then.
  [[nodiscard]] bool has_messages() const noexcept {
    return has_messages_.load(std::memory_order_acquire);  // pairs with the release in `post`
  }

  [[nodiscard]] std::uint64_t generation() const noexcept {
    return generation_.load(std::memory_order_relaxed);
  }

 private:
  friend struct home_ref;
  friend struct fork_access;
  void end_generation() noexcept;
  void give_back() noexcept;
  bool post(std::uint64_t generation, message& m) noexcept;
  void wake(std::uint64_t generation) noexcept;
  [[nodiscard]] bool is_open(std::uint64_t generation) noexcept;

  // What others write lies apart from what the owner reads all the time.
  alignas(64) std::mutex mutex_;
  message_list inbox_;  // under mutex_
  std::atomic<bool> has_messages_{false};
  alignas(64) std::atomic<std::uint64_t> generation_{0};  // odd while open
  std::atomic<const void*> owner_{nullptr};
  core_base* core_ = nullptr;     // read on the owner thread only
  waiter_list* ready_ = nullptr;  // read on the owner thread only
  wake_function wake_ = nullptr;
  void* wake_context_ = nullptr;
};

/// The fork handlers; see home.cpp.
struct fork_access {
  static void before();
  static void in_parent();
  static void in_child();
};
/// Called in a forked child, on its only thread; set by the layer that knows what runs there.
extern void (*on_fork_in_child)() noexcept;

struct home_ref {
  home* where = nullptr;  // null: no home, the object belongs to whoever holds it
  std::uint64_t generation = 0;

  /// True on the home's thread while the runtime lives.
  [[nodiscard]] bool is_here() const noexcept {
    return where != nullptr && where->owner_.load(std::memory_order_relaxed) == thread_token() &&
           where->generation_.load(std::memory_order_relaxed) == generation;
  }
  /// Whether the runtime lives, on whatever thread. Elsewhere than there it may end right after.
  [[nodiscard]] bool is_open() const noexcept {
    return where != nullptr && where->is_open(generation);
  }
  /// The runtime; only where `is_here()`.
  [[nodiscard]] core_base* core() const noexcept { return where->core_; }
  /// The runtime's ready list; only where `is_here()`.
  [[nodiscard]] waiter_list& ready() const noexcept { return *where->ready_; }
  /// Delivers `m` to the home's thread; false when the runtime is gone (or never was).
  [[nodiscard]] bool post(message& m) const noexcept {
    return where != nullptr && where->post(generation, m);
  }
  /// Ends the sleep of the home's thread, or its next one.
  void wake() const noexcept {
    if (where != nullptr) where->wake(generation);
  }
  [[nodiscard]] bool operator==(const home_ref&) const noexcept = default;
};

}  // namespace parkring::detail
