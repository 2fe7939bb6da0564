// Who waits for a log: to append, or until something is durable. The protocol is in
// src/fs/log/state.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <utility>

#include <parkring/detail/sync_lock.hpp>
#include <parkring/detail/sync_waiter.hpp>
#include <parkring/error.hpp>
#include <parkring/fs/log_options.hpp>
#include <parkring/memory.hpp>

namespace parkring::fs::wal {
class state;
}

namespace parkring::detail {

using log_state_ref = std::shared_ptr<fs::wal::state>;
using log_failure = std::shared_ptr<const error>;

enum class log_wish : std::uint8_t {
  placed,   // its record has a position
  durable,  // and the device has it
};

[[nodiscard]] sync_lock& log_lock(fs::wal::state& s) noexcept;

/// One record on its way into the log. What the log's tasks use is under its lock, until it is
/// granted.
class log_append_awaiter : public sync_awaiter<log_append_awaiter> {
  using base = sync_awaiter<log_append_awaiter>;

 public:
  log_append_awaiter(log_state_ref state, log_wish wish, bool control) noexcept
      : state_(std::move(state)), wish_(wish), control_(control) {}
  ~log_append_awaiter() { leave(); }

  fs::lsn await_resume() {
    take();
    if (failed_ != nullptr) [[unlikely]]
      throw io_error(failure());
    return fs::lsn{at_};
  }
  std::expected<fs::lsn, error> await_outcome() {
    take();
    if (failed_ != nullptr) return std::unexpected(failure());
    return fs::lsn{at_};
  }

 protected:
  /// Sets what is appended; before the wait.
  void set_record(std::span<const std::byte> bytes);

 private:
  friend base;
  friend fs::wal::state;
  static constexpr bool returns = false;
  static constexpr const char* waits_for = "log";
  sync_lock& lock() noexcept { return log_lock(*state_); }
  waiter_list& queue() noexcept;
  bool try_now() noexcept;
  void left() noexcept {}
  [[nodiscard]] error failure() const;

  log_state_ref state_;
  std::span<const std::byte> bytes_;
  std::uint32_t checksum_ = 0;  // of `bytes_`
  const log_wish wish_;
  const bool control_;   // not the user's: `bytes_` is a position, before which nothing is needed
  bool placed_ = false;  // it is copied into a group, and has its position
  std::uint64_t at_ = 0;
  log_failure failed_;
};

/// Goes before the awaiter, which may be in the log's list until it ends.
template <class Memory>
struct log_memory {
  Memory memory;
};

template <class Memory>
class log_append_of : log_memory<Memory>, public log_append_awaiter {
 public:
  log_append_of(log_state_ref state, Memory&& from, log_wish wish, bool control) noexcept
      : log_memory<Memory>{std::move(from)}, log_append_awaiter(std::move(state), wish, control) {}

  bool await_ready() {
    if constexpr (std::is_same_v<Memory, std::span<const std::byte>>)
      set_record(this->memory);
    else
      set_record(
          {owned_memory<Memory>::data(this->memory), owned_memory<Memory>::size(this->memory)});
    return log_append_awaiter::await_ready();
  }
};

template <class Memory>
class [[nodiscard("an append does nothing until it is awaited")]] log_append_operation {
 public:
  using value_type = fs::lsn;

  log_append_operation(log_state_ref state, Memory && memory, log_wish wish,
                       bool control = false) noexcept
      : state_(std::move(state)), memory_(std::move(memory)), wish_(wish), control_(control) {}
  auto operator co_await()&& {
    return log_append_of<Memory>(std::move(state_), std::move(memory_), wish_, control_);
  }

 private:
  log_state_ref state_;
  Memory memory_;
  log_wish wish_;
  bool control_;
};

/// Waits until all before `target` is durable.
class log_durable_awaiter : public sync_awaiter<log_durable_awaiter> {
  using base = sync_awaiter<log_durable_awaiter>;

 public:
  /// Means: all that has its position when the wait begins.
  static constexpr std::uint64_t so_far = ~std::uint64_t{0};

  log_durable_awaiter(log_state_ref state, std::uint64_t target, bool follows) noexcept
      : state_(std::move(state)), target_(target), follows_(follows) {}
  ~log_durable_awaiter() { leave(); }

  void await_resume() {
    take();
    if (failed_ != nullptr || invalid_) throw io_error(failure());
  }
  std::expected<void, error> await_outcome() {
    take();
    if (failed_ != nullptr || invalid_) return std::unexpected(failure());
    return {};
  }

 private:
  friend base;
  friend fs::wal::state;
  static constexpr bool returns = false;
  static constexpr const char* waits_for = "log";
  sync_lock& lock() noexcept { return log_lock(*state_); }
  waiter_list& queue() noexcept;
  bool try_now() noexcept;
  void left() noexcept {}
  [[nodiscard]] error failure() const;

  log_state_ref state_;
  std::uint64_t target_;
  const bool follows_;    // `target_` may be of what nobody has appended yet
  bool all_ = false;      // it is so of `so_far`: tell also of records that were refused
  bool invalid_ = false;  // no append has given such a position
  log_failure failed_;
};

class [[nodiscard("co_await it")]] log_durable_operation {
 public:
  using value_type = void;
  log_durable_operation(log_state_ref state, std::uint64_t target, bool follows = false) noexcept
      : state_(std::move(state)), target_(target), follows_(follows) {}
  log_durable_awaiter operator co_await()&& noexcept {
    return {std::move(state_), target_, follows_};
  }

 private:
  log_state_ref state_;
  std::uint64_t target_;
  bool follows_;
};

}  // namespace parkring::detail
