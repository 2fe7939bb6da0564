// Requests that run one after the other, each only when the one before has succeeded.
#pragma once

#include <array>
#include <cerrno>
#include <coroutine>
#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <parkring/detail/core.hpp>
#include <parkring/detail/record.hpp>
#include <parkring/error.hpp>

namespace parkring {
namespace detail {

/// Whether `n` records are free, so that a chain can be built.
[[nodiscard]] bool can_make_chain(core_base& core, std::size_t n) noexcept;
/// Queues `w` until a record comes back; then `w.restart(w)` is called.
void starve_chain(core_base& core, op_waiter& w) noexcept;
/// Submits the records as a chain. The queue has room for them: see `chain_fits`.
void submit_chain(core_base& core, record* const* records, std::size_t n) noexcept;
/// Whether a chain of `n` fits into the submission queue and the records at all.
[[nodiscard]] bool chain_fits(core_base& core, std::size_t n) noexcept;

template <class Operation>
using operation_awaiter = decltype(std::declval<Operation>().operator co_await());

// Awaiters do not move, so they are built in place, one inside the other.
template <class... Operations>
struct chain_parts {
  explicit chain_parts() = default;
  template <class F>
  void for_each(F&&) {}
};
template <class First, class... Rest>
struct chain_parts<First, Rest...> {
  chain_parts(First&& first, Rest&&... rest)
      : head(std::move(first).operator co_await()), tail(std::move(rest)...) {}
  template <class F>
  void for_each(F&& f) {
    f(head);
    tail.for_each(f);
  }
  operation_awaiter<First> head;
  chain_parts<Rest...> tail;
};

template <class Value>
using chain_value = std::conditional_t<std::is_void_v<Value>, std::monostate, Value>;

// The chain waits as one: `join_` counts the parts, and the last to end wakes this waiter. As an
// op_waiter it can be starved; it never has a record of its own.
template <class... Operations>
class chain_awaiter : op_waiter {
  static constexpr std::size_t length = sizeof...(Operations);

 public:
  using value_type = std::tuple<chain_value<typename Operations::value_type>...>;

  explicit chain_awaiter(Operations&&... o) : parts_(std::move(o)...) {}
  chain_awaiter(const chain_awaiter&) = delete;
  chain_awaiter& operator=(const chain_awaiter&) = delete;

  bool await_ready() {
    std::size_t at = 0;
    parts_.for_each([&](auto& part) {
      const int refused = part.chain_refusal();
      if (refused != 0 && !refused_at_) {
        refused_at_ = at;
        part.chain_waiter().answer = -refused;
      }
      ++at;
    });
    if (!refused_at_ && !chain_fits(running_core(), length)) too_long_ = true;
    return refused_at_ || too_long_;
  }
  void await_suspend(std::coroutine_handle<> h) {
    auto& core = running_core();
    frame = h.address();
    task = core.current;
    parts_.for_each([](auto& part) { part.chain_prepare(); });
    restart = [](op_waiter& w) noexcept { static_cast<chain_awaiter&>(w).submit(); };
    submit();
  }
  value_type await_resume() {
    auto all = await_outcome();
    if (!all) throw io_error(std::move(all).error());
    return std::move(*all);
  }
  std::expected<value_type, error> await_outcome() {
    if (too_long_) return std::unexpected(too_long_error());
    if (answer == -ENOMEM) return std::unexpected(error(ENOMEM, "link", "", "nothing was run"));
    return outcome(parts_, std::tuple<>());
  }

  /// What became of each part.
  std::tuple<result<typename Operations::value_type>...> each_outcome() {
    return outcomes(parts_, std::tuple<>());
  }

 private:
  void submit() noexcept {
    auto& core = *core_base_of();
    if (!can_make_chain(core, length)) return starve_chain(core, *this);
    std::array<record*, length> records;
    std::size_t at = 0;
    join_ = {this, length};
    parts_.for_each([&](auto& part) {
      op_waiter& w = part.chain_waiter();
      w.chain = &join_;
      records[at] = part.chain_record();
      PARKRING_CHECK(records[at] != nullptr, "records were free for a chain and then were not");
      records[at]->waiter = &w;
      w.rec = records[at];
      ++at;
    });
    submit_chain(core, records.data(), length);
  }
  static core_base* core_base_of() noexcept { return this_thread_core; }

  template <class Parts, class... Done>
  std::expected<value_type, error> outcome(Parts& rest, std::tuple<Done...>&& done) {
    if constexpr (sizeof...(Done) == length) {
      return value_type(std::move(done));
    } else {
      if (refused_at_ && *refused_at_ > sizeof...(Done)) return skip(rest, std::move(done));
      const bool cancelled = rest.head.chain_waiter().answer == -ECANCELED;
      auto value = rest.head.await_outcome();
      if (!value) {
        if (!cancelled || sizeof...(Done) == 0) return std::unexpected(std::move(value).error());
        const error& e = value.error();
        return std::unexpected(error(ECANCELED, e.operation(), e.subject(),
                                     "it was not run, because the request before it in the chain "
                                     "ended short; repeat the chain for what is missing"));
      }
      if constexpr (std::is_void_v<typename decltype(value)::value_type>)
        return outcome(rest.tail, std::tuple_cat(std::move(done), std::tuple(std::monostate())));
      else
        return outcome(rest.tail, std::tuple_cat(std::move(done), std::tuple(std::move(*value))));
    }
  }
  template <class Parts, class... Done>
  auto outcomes(Parts& rest, std::tuple<Done...>&& done) {
    if constexpr (sizeof...(Done) == length) {
      return std::move(done);
    } else {
      using value =
          typename std::tuple_element_t<sizeof...(Done), std::tuple<Operations...>>::value_type;
      return outcomes(rest.tail,
                      std::tuple_cat(std::move(done),
                                     std::tuple<result<value>>(one<value>(rest, sizeof...(Done)))));
    }
  }
  template <class Value, class Parts>
  result<Value> one(Parts& rest, std::size_t at) {
    if (too_long_) return std::unexpected(too_long_error());
    if (answer == -ENOMEM) return std::unexpected(error(ENOMEM, "link", "", "nothing was run"));
    if (refused_at_ && *refused_at_ != at)
      rest.head.chain_waiter().answer = -ECANCELED;  // none was run
    return rest.head.await_outcome();
  }
  static error too_long_error() {
    return error(E2BIG, "link", std::to_string(length) + " requests",
                 "a chain must fit into the submission queue; raise runtime_options::entries");
  }
  // A later part was refused, so none was run: tell of that one.
  template <class Parts, class... Done>
  std::expected<value_type, error> skip(Parts& rest, std::tuple<Done...>&&) {
    std::optional<error> why;
    std::size_t at = sizeof...(Done);
    rest.for_each([&](auto& part) {
      if (at++ == *refused_at_) why = part.await_outcome().error();
    });
    return std::unexpected(std::move(*why));
  }

  chain_parts<Operations...> parts_;
  chain_join join_;
  std::optional<std::size_t> refused_at_;
  bool too_long_ = false;
};

// The same, with what became of each part instead of the first failure.
template <class... Operations>
class chain_each_awaiter : chain_awaiter<Operations...> {
  using whole = chain_awaiter<Operations...>;

 public:
  explicit chain_each_awaiter(Operations&&... o) : whole(std::move(o)...) {}
  using whole::await_ready;
  using whole::await_suspend;
  auto await_resume() { return whole::each_outcome(); }
};

template <class... Operations>
class [[nodiscard("a chain does nothing until it is awaited")]] chain_each_operation {
 public:
  explicit chain_each_operation(std::tuple<Operations...> && o) : operations_(std::move(o)) {}
  auto operator co_await()&& {
    return std::apply(
        [](Operations&... o) { return chain_each_awaiter<Operations...>(std::move(o)...); },
        operations_);
  }

 private:
  std::tuple<Operations...> operations_;
};

template <class... Operations>
class [[nodiscard("a chain does nothing until it is awaited")]] chain_operation {
 public:
  explicit chain_operation(Operations && ... o) : operations_(std::move(o)...) {}
  /// What became of each part: a tuple of `result`s. A part that ended short has its count, one
  /// that was not run has ECANCELED; so that a chain can be taken up where it ended.
  auto each()&& { return chain_each_operation<Operations...>(std::move(operations_)); }
  auto operator co_await()&& {
    return std::apply(
        [](Operations&... o) { return chain_awaiter<Operations...>(std::move(o)...); },
        operations_);
  }

 private:
  std::tuple<Operations...> operations_;
};

template <class O>
concept chainable = requires(operation_awaiter<O>& a) {
  a.chain_record();
};

}  // namespace detail

/// Runs requests one after the other without coming back in between:
/// `co_await link(file.write_at(page, off), file.datasync())`.
///
/// Each starts when the one before has succeeded completely; after a failure or a short transfer
/// the rest is not run, on any kernel. So `link(write, datasync, rename)` renames only what is
/// durable. Never served inline. The kernel keeps the order (IOSQE_IO_LINK), in one submission, as
/// far as it can be trusted to: what follows a sync or a change of names is handed over when that
/// has succeeded, because Linux would run it after a failure too.
/// `link(...).each()` gives what became of each part instead: which failed, which were short and by
/// how much, and which were not run (ECANCELED).
/// *Completes when* all have ended, with a tuple of their values (`std::monostate` for void).
/// *Owns* what the requests own. *Thread*: inside a task. *Drop*: as each request; what has not
/// begun is still run, in its turn, after a regular file's request before it that has. *Errors*:
/// the first failure, as that request tells it; E2BIG when the chain is longer than the submission
/// queue; ENOMEM.
template <detail::chainable... Operations>
requires(sizeof...(Operations) > 0 && (!std::is_lvalue_reference_v<Operations> && ...))
    [[nodiscard("co_await it")]] auto link(Operations&&... operations) {
  return detail::chain_operation<Operations...>(std::move(operations)...);
}

}  // namespace parkring
