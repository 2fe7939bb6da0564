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

/// A log's lock, and where its state is. It is never freed, only used by a later log under another
/// generation, so whoever has described an append can always ask, and nobody counts references: an
/// atomic read-modify-write waits until the record that was copied before it has left the core.
///
/// `generation` changes under the lock when the log's handle goes: from then on the state takes no
/// waiter, and those that it has are told before the lock is free. So whoever finds its generation
/// under the lock has a state that lives as long as it is in one of its lists.
struct log_gate {
  sync_lock lock;
  std::uint64_t generation = 0;
  fs::wal::state* of = nullptr;  // set anew by each log
};

/// The log that an operation is about.
struct log_ref {
  log_gate* gate;
  std::uint64_t generation;

  /// Null: its handle has gone. Under the lock.
  [[nodiscard]] fs::wal::state* get() const noexcept {
    return gate->generation == generation ? gate->of : nullptr;
  }
};

enum class log_wish : std::uint8_t {
  placed,   // its record has a position
  durable,  // and the device has it
};

/// The same span, in two loads. It has just been stored in two halves, and a load of both at once
/// waits for all stores before them, those of the record that was copied last.
[[nodiscard]] inline std::span<const std::byte> in_registers(
    std::span<const std::byte> s) noexcept {
  const std::byte* data = s.data();
  std::size_t size = s.size();
  asm("" : "+r"(data), "+r"(size));
  return {data, size};
}

/// One record on its way into the log. What the log's tasks use is under its lock, until it is
/// granted.
class log_append_awaiter : public sync_awaiter<log_append_awaiter> {
  using base = sync_awaiter<log_append_awaiter>;

 public:
  log_append_awaiter(log_ref log, log_wish wish, bool control) noexcept
      : log_(log), wish_(wish), control_(control) {}
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
  void set_record(std::span<const std::byte> bytes) noexcept;

 private:
  friend base;
  friend fs::wal::state;
  static constexpr bool returns = false;
  static constexpr const char* waits_for = "log";
  sync_lock& lock() noexcept { return log_.gate->lock; }
  waiter_list& queue() noexcept;
  bool try_now() noexcept;
  void left() noexcept {}
  [[nodiscard]] error failure() const { return *failed_; }

  const log_ref log_;
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
  log_append_of(log_ref log, Memory&& from, log_wish wish, bool control) noexcept
      : log_memory<Memory>{taken(from)}, log_append_awaiter(log, wish, control) {}

  bool await_ready() noexcept {
    if constexpr (std::is_same_v<Memory, std::span<const std::byte>>)
      set_record(this->memory);
    else
      set_record(
          {owned_memory<Memory>::data(this->memory), owned_memory<Memory>::size(this->memory)});
    return log_append_awaiter::await_ready();
  }

 private:
  static Memory taken(Memory& from) noexcept {
    if constexpr (std::is_same_v<Memory, std::span<const std::byte>>)
      return in_registers(from);
    else
      return std::move(from);
  }
};

template <class Memory>
class [[nodiscard("an append does nothing until it is awaited")]] log_append_operation {
 public:
  using value_type = fs::lsn;

  log_append_operation(log_ref log, Memory && memory, log_wish wish, bool control = false) noexcept
      : log_(log), memory_(std::move(memory)), wish_(wish), control_(control) {}
  auto operator co_await()&& {
    return log_append_of<Memory>(log_, std::move(memory_), wish_, control_);
  }

 private:
  log_ref log_;
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

  log_durable_awaiter(log_ref log, std::uint64_t target, bool follows) noexcept
      : log_(log), target_(target), follows_(follows) {}
  ~log_durable_awaiter() { leave(); }

  void await_resume() {
    take();
    if (failed_ != nullptr) throw io_error(failure());
  }
  std::expected<void, error> await_outcome() {
    take();
    if (failed_ != nullptr) return std::unexpected(failure());
    return {};
  }

 private:
  friend base;
  friend fs::wal::state;
  static constexpr bool returns = false;
  static constexpr const char* waits_for = "log";
  sync_lock& lock() noexcept { return log_.gate->lock; }
  waiter_list& queue() noexcept;
  bool try_now() noexcept;
  void left() noexcept {}
  [[nodiscard]] error failure() const { return *failed_; }

  const log_ref log_;
  std::uint64_t target_;
  const bool follows_;  // `target_` may be of what nobody has appended yet
  bool all_ = false;    // it is so of `so_far`: tell also of records that were refused
  log_failure failed_;
};

class [[nodiscard("co_await it")]] log_durable_operation {
 public:
  using value_type = void;
  log_durable_operation(log_ref log, std::uint64_t target, bool follows = false) noexcept
      : log_(log), target_(target), follows_(follows) {}
  log_durable_awaiter operator co_await()&& noexcept { return {log_, target_, follows_}; }

 private:
  log_ref log_;
  std::uint64_t target_;
  bool follows_;
};

}  // namespace parkring::detail
