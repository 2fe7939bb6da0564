// Another event loop that lives inside a runtime.
#pragma once

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace parkring {

/// What a loop says after a turn.
enum class guest_state : std::uint8_t {
  idle,   // nothing is left to do at once
  more,   // it stopped early, so that others have their turn: it wants another one soon
  ended,  // it will never have anything to do again
};

/// A loop that does not have to wait by itself: all that a runtime asks of a guest.
template <class L>
concept guest_loop = requires(L& loop) {
  /// Readable when a turn would find something to do; -1 when there is no such descriptor. Asked
  /// after each turn: one that was given before is watched no more when it is -1.
  { loop.descriptor() } -> std::same_as<int>;
  /// How long until a turn is due although the descriptor says nothing; empty: for ever.
  { loop.next_timeout() } -> std::same_as<std::optional<std::chrono::nanoseconds>>;
  /// Does what can be done without waiting, but not for long. Must not throw.
  { loop.turn() } -> std::same_as<guest_state>;
};

namespace detail {
class guest_watch;
}

/// A loop of a foreign library as the guest of a runtime, which waits for both: see
/// `runtime::park_on`.
///
/// *Owns* what it was made of, not the foreign loop: destroy it before that. *Thread*: the
/// runtime's. *Drop*: the runtime watches it no more; a runtime that goes first forgets it. Not
/// from inside its own turn.
class guest {
 public:
  template <guest_loop L>
  requires(!std::same_as<L, guest>) explicit guest(L loop)
      : loop_(std::make_unique<loop_of<L>>(std::move(loop))) {}
  /// Its runtime, if it has one, follows.
  guest(guest&& other) noexcept;
  guest& operator=(guest&&) = delete;
  ~guest();

  [[nodiscard]] int descriptor() const noexcept { return loop_->descriptor(); }
  [[nodiscard]] std::optional<std::chrono::nanoseconds> next_timeout() const noexcept {
    return loop_->next_timeout();
  }
  /// Gives the loop a turn, by hand: a runtime does it by itself.
  guest_state turn() noexcept;

  /// Turns that it was given.
  [[nodiscard]] std::uint64_t turns() const noexcept { return turns_; }

 private:
  friend class detail::guest_watch;

  struct loop_base {
    virtual ~loop_base() = default;
    virtual int descriptor() noexcept = 0;
    virtual std::optional<std::chrono::nanoseconds> next_timeout() noexcept = 0;
    virtual guest_state turn() noexcept = 0;
  };
  template <class L>
  struct loop_of final : loop_base {
    explicit loop_of(L l) : loop(std::move(l)) {}
    int descriptor() noexcept override { return loop.descriptor(); }
    std::optional<std::chrono::nanoseconds> next_timeout() noexcept override {
      return loop.next_timeout();
    }
    guest_state turn() noexcept override { return loop.turn(); }
    L loop;
  };

  std::unique_ptr<loop_base> loop_;
  detail::guest_watch* watch_ = nullptr;  // ours, while a runtime has it as a guest
  std::uint64_t turns_ = 0;
  bool in_turn_ = false;
};

}  // namespace parkring
