// Where a coroutine leaves its value or its exception, shared by all promise types.
#pragma once

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <parkring/detail/check.hpp>

namespace parkring::detail {

/// A value of `T`, an exception, or nothing yet.
template <class T>
class outcome {
 public:
  using stored = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, T>;

  outcome() noexcept {}
  outcome(const outcome&) = delete;
  outcome& operator=(const outcome&) = delete;
  ~outcome() { reset(); }

  template <class U>
  void set_value(U&& value) {
    if constexpr (std::is_reference_v<T>)
      std::construct_at(&value_, std::addressof(value));
    else
      std::construct_at(&value_, std::forward<U>(value));
    state_ = state::value;
  }
  void set_error(std::exception_ptr error) noexcept {
    std::construct_at(&error_, std::move(error));
    state_ = state::error;
  }

  /// Moves what `other` has into this one, which has nothing yet; true if it is a value. What
  /// moving a value throws is then the outcome.
  [[nodiscard]] bool take_over(outcome& other) noexcept {
    if (other.state_ == state::error) [[unlikely]] {
      set_error(std::move(other.error_));
      return false;
    }
    PARKRING_CHECK(other.state_ == state::value, "a result was taken before it was there");
    try {
      std::construct_at(&value_, std::move(other.value_));
    } catch (...) {
      set_error(std::current_exception());
      return false;
    }
    state_ = state::value;
    return true;
  }

  [[nodiscard]] bool ready() const noexcept { return state_ != state::empty; }
  [[nodiscard]] bool failed() const noexcept { return state_ == state::error; }
  [[nodiscard]] std::exception_ptr error() const noexcept {
    return failed() ? error_ : std::exception_ptr();
  }

  T take() {
    if (state_ == state::error) std::rethrow_exception(error_);
    PARKRING_CHECK(state_ == state::value, "a result was taken before it was there");
    if constexpr (std::is_reference_v<T>)
      return static_cast<T>(*value_);
    else
      return std::move(value_);
  }

 private:
  enum class state : unsigned char { empty, value, error };

  void reset() noexcept {
    if (state_ == state::value) std::destroy_at(&value_);
    if (state_ == state::error) std::destroy_at(&error_);
    state_ = state::empty;
  }

  union {
    stored value_;
    std::exception_ptr error_;
  };
  state state_ = state::empty;
};

template <>
class outcome<void> {
 public:
  void set_value() noexcept { ready_ = true; }
  void set_error(std::exception_ptr error) noexcept {
    error_ = std::move(error);
    ready_ = true;
  }
  [[nodiscard]] bool take_over(outcome& other) noexcept {
    PARKRING_CHECK(other.ready_, "a result was taken before it was there");
    ready_ = true;
    if (other.error_ == nullptr) [[likely]]
      return true;
    error_ = std::move(other.error_);
    return false;
  }
  [[nodiscard]] bool ready() const noexcept { return ready_; }
  [[nodiscard]] bool failed() const noexcept { return error_ != nullptr; }
  [[nodiscard]] std::exception_ptr error() const noexcept { return error_; }
  void take() {
    if (error_ != nullptr) std::rethrow_exception(error_);
    PARKRING_CHECK(ready_, "a result was taken before it was there");
  }

 private:
  std::exception_ptr error_;
  bool ready_ = false;
};

/// The return half of a promise type that stores its outcome itself.
template <class T>
struct returned {
  outcome<T> result;
  template <class U = T>
  requires std::convertible_to<U&&, T>
  void return_value(U&& value) { result.set_value(std::forward<U>(value)); }
  void unhandled_exception() noexcept { result.set_error(std::current_exception()); }
  T take() { return result.take(); }
};

template <>
struct returned<void> {
  outcome<void> result;
  void return_void() noexcept { result.set_value(); }
  void unhandled_exception() noexcept { result.set_error(std::current_exception()); }
  void take() { result.take(); }
};

}  // namespace parkring::detail
