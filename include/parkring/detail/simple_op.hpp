// A request whose answer is one number and which hands no memory over: the shape shared by sync,
// size, truncate, close, open and nop.
#pragma once

#include <coroutine>
#include <cstdint>
#include <expected>
#include <type_traits>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/detail/record.hpp>
#include <parkring/error.hpp>

namespace parkring::detail {

/// A request described by `Request`, which has
///   using value_type;
///   record* make(op_waiter&) noexcept    builds the record; null: answered at once, or no record
///   void start(op_waiter&) noexcept      makes and submits; called again after starvation
///   bool ready(op_waiter&) noexcept      answers at once, if it can
///   std::expected<value_type, error> value(op_waiter&)   from an answer >= 0
///   error failure(int number) const
/// `Waiter` derives from op_waiter and may hold what a completion hands over.
template <class Request, class Waiter = op_waiter>
class [[nodiscard("a request does nothing until it is awaited")]] simple_operation {
  class awaiter;

 public:
  using value_type = typename Request::value_type;

  explicit simple_operation(Request && r) : request_(std::move(r)) {}

  awaiter operator co_await()&& { return awaiter(std::move(request_)); }

 private:
  class awaiter : Waiter {
   public:
    explicit awaiter(Request&& r) noexcept : request_(std::move(r)) {}
    awaiter(const awaiter&) = delete;
    awaiter& operator=(const awaiter&) = delete;
    bool await_ready() noexcept {
      finished_ = request_.ready(*this);
      return finished_ && running_core().spend_budget();
    }
    void await_suspend(std::coroutine_handle<> h) noexcept {
      auto& core = running_core();
      if (finished_) return core.make_ready(*this, h);
      this->frame = h.address();
      this->task = core.current;
      this->restart = [](op_waiter& w) noexcept {
        auto& self = static_cast<awaiter&>(w);
        self.request_.start(self);
      };
      request_.start(*this);
    }
    [[nodiscard]] bool await_done() const noexcept { return this->answer != op_waiter::no_answer; }
    value_type await_resume() {
      if constexpr (std::is_void_v<value_type>) {
        if (this->answer < 0) [[unlikely]]
          fail();
      } else {
        auto value = await_outcome();
        if (!value) [[unlikely]]
          throw io_error(std::move(value).error());
        return std::move(*value);
      }
    }
    std::expected<value_type, error> await_outcome() {
      if (this->answer < 0) return std::unexpected(request_.failure(-this->answer));
      return request_.value(*this);
    }

    // As a part of a chain; see link.hpp.
    op_waiter& chain_waiter() noexcept { return *this; }
    int chain_refusal() noexcept { return request_.ready(*this) ? -this->answer : 0; }
    void chain_prepare() noexcept {}
    record* chain_record() noexcept { return request_.make(*this); }

   private:
    [[noreturn, gnu::cold]] void fail() { throw io_error(request_.failure(-this->answer)); }

    Request request_;
    bool finished_ = false;
  };

  Request request_;
};

}  // namespace parkring::detail
