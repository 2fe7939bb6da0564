// Who waits for a primitive that any thread may use: a coroutine of some runtime, or a plain thread
// that blocks. The base of every awaiter in <parkring/sync/...>.
//
// A primitive has a lock and a list of waiters. "Own thread" is the one of the waiter's runtime, or
// the one that blocks.
//
//   phase, the own thread's
//     fresh     it asks for nothing yet
//     holding   it got what it asked for without waiting
//     waiting   it was put on the list; `stage` says how far that has come
//     taken     what was granted is its owner's, or there is nothing to be had any more
//   stage, while it waits
//     queued    on the primitive's list. Leaves it under the primitive's lock only: by a grant, or
//               because it is dropped
//     granting  another thread has granted it, and posts, or has posted, a message to its runtime.
//               The message lies in the waiter
//     granted   it is on its runtime's ready list, or was resumed. Set on the own thread
//
// A grant is for ever: whoever grants puts what was waited for (a permit, a value) into the waiter
// first; the store of `stage` releases it, the own thread's load acquires it. A waiter that is
// dropped while it is queued leaves the list; one that was granted withdraws the message before its
// memory goes, and gives back to the primitive what it has, for the next one. So it can be dropped
// at any time, and nothing is lost. Where there is nothing to give back, what was granted does not
// touch the primitive any more, which may be gone.
//
// A grant fails where the waiter's runtime is gone, and the waiter was not destroyed with it: its
// frame was leaked. The primitive goes on with the next one.
//
// Lock order: a primitive's lock, then the home's mutex.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <mutex>

#include <parkring/detail/core.hpp>
#include <parkring/detail/home.hpp>
#include <parkring/detail/sync_lock.hpp>
#include <parkring/detail/wait_note.hpp>
#include <parkring/detail/waiter.hpp>

namespace parkring::detail {

class sync_waiter : public waiter {
 public:
  sync_waiter() noexcept = default;
  sync_waiter(const sync_waiter&) = delete;
  sync_waiter& operator=(const sync_waiter&) = delete;

  /// What was waited for is in the waiter: wakes it. Under the lock, off the list. False when there
  /// is nobody to wake.
  [[nodiscard]] bool grant() noexcept {
    if (home_.is_here()) [[likely]] {
      stage_.store(stage::granted, std::memory_order_relaxed);
      home_.ready().push_back(*this);
      return true;
    }
    return grant_elsewhere();
  }
  /// The primitive ends: this one waits for nothing any more, until it is dropped. Own thread, off
  /// the list.
  void orphan() noexcept { phase_ = phase::taken; }

 protected:
  enum class phase : std::uint8_t { fresh, holding, waiting, taken };
  enum class stage : std::uint8_t { queued, granting, granted };

  /// Puts the running coroutine on the list; it must suspend then. Under the lock.
  void queue_in(waiter_list& list, const home_ref& home) noexcept {
    home_ = home;
    phase_ = phase::waiting;
    stage_.store(stage::queued, std::memory_order_relaxed);
    list.push_back(*this);
  }
  [[nodiscard]] bool still_queued() const noexcept {
    return stage_.load(std::memory_order_acquire) == stage::queued;  // pairs with the grant's store
  }
  /// No message will arrive any more. Own thread; it was granted.
  void settle() noexcept {
    if (stage_.load(std::memory_order_acquire) == stage::granting) [[unlikely]]
      withdraw();
  }
  /// Sleeps until it was granted. A thread without a runtime.
  void block(sync_lock& lock) noexcept;

  phase phase_ = phase::fresh;
  wait_note note_;

 private:
  struct arrival : message {
    sync_waiter* of = nullptr;
  };
  static void arrived(message& m) noexcept;
  [[nodiscard]] bool grant_elsewhere() noexcept;
  void withdraw() noexcept;

  std::atomic<stage> stage_{stage::queued};
  home_ref home_;  // none: a thread that blocks
  arrival arrival_;
};

/// What all awaiters share. `Derived` has
///   sync_lock& lock()       the primitive's
///   bool try_now()          takes what is asked for if it is there; under the lock
///   waiter_list& queue()    where to wait
///   waits_for               for a dump, in a word or two
///   void left()             it was dropped and has left the list; under the lock
///   void give_back()        of what was granted and is not wanted any more; under the lock. Only
///                           where `returns` is true
///   await_resume()          calls `take` first
/// and calls `leave` in its destructor.
template <class Derived>
class sync_awaiter : public sync_waiter {
 public:
  bool await_ready() noexcept {
    core_base& core = running_core();
    std::lock_guard guard(self().lock());
    if (self().try_now()) {
      phase_ = phase::holding;
      return core.spend_budget();
    }
    // A grant by another thread comes to this one as a message, which is not run before the
    // coroutine has suspended.
    queue_in(self().queue(), core.home_of);
    return false;
  }
  void await_suspend(std::coroutine_handle<> h) noexcept {
    core_base& core = running_core();
    if (phase_ == phase::holding) return core.make_ready(*this, h);  // out of budget
    frame = h.address();
    task = core.current;
    note_.begin(core.notes, *this, Derived::waits_for);
  }
  [[nodiscard]] bool await_done() const noexcept {
    return phase_ == phase::waiting ? !still_queued() : phase_ == phase::holding;
  }

  /// For a plain thread: waits by blocking it.
  void wait_blocking() noexcept {
    PARKRING_CHECK(this_thread_core == nullptr,
                   "a task must not block its thread: co_await what this would wait for");
    {
      std::lock_guard guard(self().lock());
      if (self().try_now()) {
        phase_ = phase::holding;
        return;
      }
      queue_in(self().queue(), {});
    }
    block(self().lock());
  }

 protected:
  static constexpr bool returns = true;

  void take() noexcept {
    if (phase_ == phase::waiting) settle();
    phase_ = phase::taken;
  }
  void leave() noexcept {
    if (phase_ == phase::taken || phase_ == phase::fresh) return;
    if (phase_ == phase::waiting) {
      if (still_queued() && leave_queue()) return;
      settle();
    }
    if constexpr (Derived::returns) {
      std::lock_guard guard(self().lock());
      self().give_back();
    }
  }

 private:
  /// False when it was granted meanwhile.
  bool leave_queue() noexcept {
    std::lock_guard guard(self().lock());
    if (!still_queued()) return false;
    unlink();
    self().left();
    return true;
  }
  Derived& self() noexcept { return static_cast<Derived&>(*this); }
};

}  // namespace parkring::detail
