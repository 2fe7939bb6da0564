// The operations of reading and writing a file at an offset, one for each way to hand memory over.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <memory>
#include <optional>
#include <utility>

#include <parkring/buffer.hpp>
#include <parkring/detail/rw.hpp>
#include <parkring/memory.hpp>

namespace parkring::fs {

/// A described read or write that runs when it is awaited: `co_await file.read_at(...)`.
///
/// `Way` says how memory is handed over. Awaited as an rvalue, once. `as_result` gives the error
/// as a value.
template <class Way>
class [[nodiscard("a request does nothing until it is awaited")]] rw_operation {
  class awaiter;

 public:
  using value_type = typename Way::value_type;

  [[gnu::always_inline]] rw_operation(detail::rw_request && q, Way && way)
      : request_(std::move(q)), way_(std::move(way)) {}

  awaiter operator co_await()&& { return awaiter(*this); }

  /// How many bytes it asks for.
  [[nodiscard]] std::size_t size() const noexcept { return request_.size; }

  /// Gives the request up, for a transfer that is made of several.
  detail::rw_request take_request()&& { return std::move(request_); }

 private:
  // Works on the description until it suspends, and from then on, when the description may be
  // gone, on what it has itself: the waiter and what `Way` holds.
  class awaiter {
   public:
    [[gnu::always_inline]] explicit awaiter(rw_operation& described) noexcept
        : described_(described) {}
    awaiter(const awaiter&) = delete;
    awaiter& operator=(const awaiter&) = delete;
    // The description may have died since it was served.
    [[gnu::always_inline]] ~awaiter() {
      if (waits_) end_wait();
    }
    [[gnu::always_inline]] bool await_ready() noexcept {
      described_.way_.attach(described_.request_);
      return detail::serve_now(described_.request_, answer_);
    }
    void await_suspend(std::coroutine_handle<> h) {
      if (answer_ != detail::op_waiter::no_answer) [[unlikely]]
        return wait_for_turn(h);
      held_.before_ring(described_.request_, described_.way_);  // may throw
      begin_wait();
      if constexpr (Way::travels)
        waiter_.start_owned(described_.request_, Way::owner(), described_.way_.give_away(),
                            held_.home(), h);
      else
        waiter_.start(described_.request_, h);
    }
    [[nodiscard]] bool await_done() const noexcept {
      return (waits_ ? waiter_.answer : answer_) != detail::op_waiter::no_answer;
    }
    [[gnu::always_inline]] value_type await_resume() {
      if (!waits_) return described_.way_.finish(static_cast<std::size_t>(answer_));
      return held_.finish(waiter_.take_count());
    }
    std::expected<value_type, error> await_outcome() {
      if (!waits_) return described_.way_.finish(static_cast<std::size_t>(answer_));
      waiter_.end_delivered();
      auto n = waiter_.outcome();
      if (!n) return std::unexpected(std::move(n).error());
      return held_.finish(*n);
    }

    // As a part of a chain; see link.hpp.
    detail::op_waiter& chain_waiter() noexcept { return waiter_; }
    int chain_refusal() noexcept {
      begin_wait();
      held_.take(described_.way_);
      if constexpr (Way::travels) described_.request_.data = Way::owner().data(held_.home());
      waiter_.keep(std::move(described_.request_));
      return waiter_.refusal();
    }
    void chain_prepare() {
      held_.before_ring(waiter_.kept(), described_.way_);
      if constexpr (Way::travels) waiter_.give_ownership(Way::owner(), held_.home());
    }
    detail::record* chain_record() noexcept { return waiter_.make_record(); }

   private:
    void begin_wait() noexcept {
      std::construct_at(&waiter_);
      waits_ = true;
    }
    // Served, but out of budget.
    [[gnu::cold]] void wait_for_turn(std::coroutine_handle<> h) noexcept {
      begin_wait();
      held_.take(described_.way_);
      waiter_.start_answered(answer_, h);
    }
    void end_wait() noexcept {
      if constexpr (Way::blocks_on_drop) waiter_.wait_for_kernel();
      if constexpr (Way::travels) {
        waiter_.end_turn_dropped();                    // while the memory is still there
        if (!waiter_.object_away()) waiter_.unlink();  // `end` runs the user's code
        // An object that is away in its record must not be destroyed here a second time.
        if (!waiter_.object_away()) held_.end();
      }
      std::destroy_at(&waiter_);
    }

    rw_operation& described_;
    std::int32_t answer_ = detail::op_waiter::no_answer;  // given at once
    bool waits_ = false;                                  // `waiter_` lives
    [[no_unique_address]] typename Way::held held_;
    union {
      detail::rw_waiter waiter_;
    };
  };

  detail::rw_request request_;
  [[no_unique_address]] Way way_;
};

// A `Way` is what of it the description has:
//   attach(q)       the description lies where it will be served from: fill in what depends on it
//   finish(n)       the value, when it was served from the description
// and `held` what the frame has while the coroutine is suspended:
//   before_ring(q, way)   the ring will do it: take over what `way` has, but for what travels
//   take(way)             take over what `way` has, of a request that was served
//   finish(n)             the value
// Where `travels`, `give_away` gives the object up, to be moved from and destroyed by `owner()`;
// `home` is where it comes back to, and `end()` destroys it there.

/// A locking buffer: nothing travels but the lock, which the request holds already.
struct locking {
  using value_type = std::size_t;
  static constexpr bool blocks_on_drop = false;
  static constexpr bool travels = false;
  void attach(detail::rw_request&) noexcept {}
  value_type finish(std::size_t n) noexcept { return n; }

  struct held {
    void before_ring(detail::rw_request&, locking&) noexcept {}
    void take(locking&) noexcept {}
    value_type finish(std::size_t n) noexcept { return n; }
  };
};

/// Memory used in place; the drop waits.
struct borrowing : locking {
  static constexpr bool blocks_on_drop = true;
};

/// An object that owns its memory: it moves into the record and back.
template <class V>
class owning {
 public:
  using value_type = owned_result<V>;
  static constexpr bool blocks_on_drop = false;
  static constexpr bool travels = true;

  explicit owning(V&& value) noexcept : value_(std::move(value)), alive_(true) {}
  owning(owning&& other) noexcept : alive_(other.alive_) {
    if (alive_) std::construct_at(&value_, std::move(other.value_));
  }
  owning& operator=(owning&&) = delete;
  ~owning() {
    if (alive_) std::destroy_at(std::addressof(value_));
  }

  void attach(detail::rw_request& q) noexcept { q.data = owned_memory<V>::data(value_); }
  value_type finish(std::size_t n) noexcept { return {std::move(value_), n}; }
  void* give_away() noexcept {
    alive_ = false;
    return std::addressof(value_);
  }

  struct held {
    held() noexcept {}
    ~held() {}
    void before_ring(detail::rw_request&, owning&) noexcept {}
    void take(owning& way) noexcept { owner().move(home(), way.give_away()); }
    void* home() noexcept { return std::addressof(value_); }
    void end() noexcept { std::destroy_at(std::addressof(value_)); }
    value_type finish(std::size_t n) noexcept { return {std::move(value_), n}; }
    union {
      V value_;
    };
  };

  static const detail::owner_type& owner() noexcept {
    static_assert(sizeof(V) <= detail::owned_capacity && alignof(V) <= 16,
                  "the object that owns the memory is too large to travel in a request; hand over "
                  "a std::unique_ptr to it");
    static constexpr detail::owner_type type = {
        .move =
            [](void* to, void* from) noexcept {
              V& source = *static_cast<V*>(from);
              std::construct_at(static_cast<V*>(to), std::move(source));
              std::destroy_at(&source);
            },
        .destroy = [](void* at) noexcept { std::destroy_at(static_cast<V*>(at)); },
        .data = [](void* at) noexcept { return owned_memory<V>::data(*static_cast<V*>(at)); },
    };
    return type;
  }

 private:
  union {
    V value_;
  };
  bool alive_;
};

/// A span that is copied: directly where the request is served at once, else through a pooled
/// buffer that the request locks.
template <class B>
class through_copy {
 public:
  using value_type = std::size_t;
  static constexpr bool blocks_on_drop = false;
  static constexpr bool travels = false;

  explicit through_copy(std::span<B> s) noexcept : span_(s) {}
  void attach(detail::rw_request&) noexcept {}
  value_type finish(std::size_t n) noexcept { return n; }

  struct held {
    void before_ring(detail::rw_request& q, through_copy& way) {
      span_ = way.span_;
      scratch_ = buffer(span_.size());
      detail::buffer_block* block = buffer_access::block(scratch_);
      q.data = block->data;
      const detail::home_ref home = detail::locker_for(*q.file.get());
      if constexpr (std::is_const_v<B>) {
        if (!span_.empty()) std::memcpy(block->data, span_.data(), span_.size());
        (void)block->lock_shared(home, nullptr);
      } else {
        (void)block->lock_exclusive(home, nullptr);
      }
      q.lock = detail::block_lock(block);
    }
    void take(through_copy&) noexcept {}
    value_type finish(std::size_t n) noexcept {
      if constexpr (!std::is_const_v<B>)
        if (!scratch_.empty() && n != 0)
          std::memcpy(span_.data(), buffer_access::block(scratch_)->data, n);
      return n;
    }
    std::span<B> span_;
    buffer scratch_;
  };

 private:
  std::span<B> span_;
};

}  // namespace parkring::fs
