// The operations of reading and writing a file at an offset, one for each way to hand memory over.
#pragma once

#include <coroutine>
#include <cstddef>
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

  rw_operation(detail::rw_request&& q, Way&& way) : request_(std::move(q)), way_(std::move(way)) {}

  awaiter operator co_await() && { return awaiter(std::move(request_), std::move(way_)); }

  /// Gives the request up for a chain; see `link`.
  detail::rw_request take_request() && { return std::move(request_); }

 private:
  class awaiter : detail::rw_awaiter {
   public:
    awaiter(detail::rw_request&& q, Way&& way) noexcept
        : rw_awaiter(std::move(q)), way_(std::move(way)) {
      way_.attach(request());
    }
    ~awaiter() {
      if constexpr (Way::blocks_on_drop) wait_for_kernel();
      end_dropped();
      // An owned object that is away in its record must not be destroyed here a second time.
      if (!object_away()) way_.end();
    }
    bool await_ready() noexcept { return try_now(); }
    void await_suspend(std::coroutine_handle<> h) {
      if (!finished()) {
        way_.before_ring(request());
        if constexpr (Way::travels) give_ownership(Way::owner(), way_.object());
      }
      start(h);
    }
    [[nodiscard]] bool await_done() const noexcept { return answer != no_answer; }
    value_type await_resume() {
      end_delivered();
      return way_.finish(count(), !finished());
    }
    std::expected<value_type, error> await_outcome() {
      end_delivered();
      auto n = outcome();
      if (!n) return std::unexpected(std::move(n).error());
      return way_.finish(*n, !finished());
    }

    // As a part of a chain; see link.hpp.
    detail::op_waiter& chain_waiter() noexcept { return *this; }
    int chain_refusal() noexcept { return refusal(); }
    void chain_prepare() { way_.before_ring(request()); }
    detail::record* chain_record() noexcept {
      if constexpr (Way::travels) give_ownership(Way::owner(), way_.object());
      return make_record();
    }

   private:
    Way way_;
  };

  detail::rw_request request_;
  Way way_;
};

/// A locking buffer: nothing travels but the lock, which the request holds already.
struct locking {
  using value_type = std::size_t;
  static constexpr bool blocks_on_drop = false;
  static constexpr bool travels = false;
  void attach(detail::rw_request&) noexcept {}
  void before_ring(detail::rw_request&) noexcept {}
  void end() noexcept {}
  value_type finish(std::size_t n, bool) noexcept { return n; }
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
  ~owning() { end_value(); }

  // The object lies in the awaiter now, so its address, and its data's, are final.
  void attach(detail::rw_request& q) noexcept { q.data = owned_memory<V>::data(value_); }
  void before_ring(detail::rw_request&) noexcept {}
  void* object() noexcept {
    alive_ = false;  // from now on the awaiter's `end` decides
    return std::addressof(value_);
  }
  /// Ends the value if the record does not have it.
  void end() noexcept {
    alive_ = true;
    end_value();
  }
  value_type finish(std::size_t n, bool) noexcept { return {std::move(value_), n}; }

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
  void end_value() noexcept {
    if (alive_) std::destroy_at(std::addressof(value_));
    alive_ = false;
  }
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
  void before_ring(detail::rw_request& q) {
    scratch_ = buffer(span_.size());
    detail::buffer_block* block = buffer_access::block(scratch_);
    q.data = block->data;
    const detail::home_ref home = q.file.get()->home_of;
    if constexpr (std::is_const_v<B>) {
      if (!span_.empty()) std::memcpy(block->data, span_.data(), span_.size());
      (void)block->lock_shared(home, nullptr);
    } else {
      (void)block->lock_exclusive(home, nullptr);
    }
    q.lock = detail::block_lock(block);
  }
  void end() noexcept {}
  value_type finish(std::size_t n, bool through_ring) noexcept {
    if constexpr (!std::is_const_v<B>)
      if (through_ring && n != 0)
        std::memcpy(span_.data(), buffer_access::block(scratch_)->data, n);
    return n;
  }

 private:
  std::span<B> span_;
  buffer scratch_;
};

}  // namespace parkring::fs
