// Readiness of a descriptor that some other library reads and writes.
//
// Protocol. `fd_state` is shared by the handle, by waits that are described or under way, and by
// the records of polls. Each wait is one poll of its own (POLL_ADD, one-shot), so waiters know
// nothing of each other, and a wait that is dropped takes its own poll with it:
//
//   described ──await──> polling ──ready──> resumed
//                          │  └──release()──> resumed with ECANCELED
//                          └──dropped──> the record is an orphan that cancels itself
//
// A poll in flight keeps the open file in the kernel, whatever happens to the number. `polls`
// counts the records that name the descriptor; when it is 0 the kernel has let go, and whoever
// waits for that in `releasing` goes on.
//
// Thread: the runtime's in which it was first awaited. A handle that is dropped elsewhere posts
// itself home, as that of a file does.
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>

#include <parkring/detail/core.hpp>
#include <parkring/detail/home.hpp>
#include <parkring/detail/simple_op.hpp>

namespace parkring {

/// What may be true of a descriptor, by the names and values of poll(2). A set: combine with `|`.
enum class fd_events : std::uint32_t {
  none = 0,
  readable = 0x0001,      // POLLIN
  priority = 0x0002,      // POLLPRI
  writable = 0x0004,      // POLLOUT
  error = 0x0008,         // POLLERR; told whether asked for or not
  hang_up = 0x0010,       // POLLHUP; told whether asked for or not
  read_hang_up = 0x2000,  // POLLRDHUP
};

[[nodiscard]] constexpr fd_events operator|(fd_events a, fd_events b) noexcept {
  return static_cast<fd_events>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
[[nodiscard]] constexpr fd_events operator&(fd_events a, fd_events b) noexcept {
  return static_cast<fd_events>(static_cast<std::uint32_t>(a) & static_cast<std::uint32_t>(b));
}
/// Whether `all` has one of `some`.
[[nodiscard]] constexpr bool has(fd_events all, fd_events some) noexcept {
  return (all & some) != fd_events::none;
}

namespace detail {

struct fd_waiter : op_waiter {
  struct link : list_node {
    fd_waiter* of = nullptr;
    link() noexcept = default;
    ~link() { unlink(); }
  } among;  // the waits of its descriptor
};

struct fd_state : message {
  fd_state(int fd, bool owned) noexcept : descriptor(fd), owns(owned) {}

  std::uint32_t references = 1;
  int descriptor;         // -1 once it was released
  bool owns;              // closes it in the end
  bool released = false;  // `release` was awaited: waits end with ECANCELED
  home_ref home_of;       // none before the first wait
  std::size_t polls = 0;  // records that name the descriptor
  intrusive_list<fd_waiter::link> waits;
  waiter_list releasing;
};

void end_fd(fd_state& state) noexcept;

/// A reference held by a wait or by a record, on the home thread.
class fd_ref {
 public:
  explicit fd_ref(fd_state& s) noexcept : state_(&s) { ++s.references; }
  fd_ref(fd_ref&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  fd_ref& operator=(fd_ref&&) = delete;
  ~fd_ref() {
    if (state_ != nullptr && --state_->references == 0) end_fd(*state_);
  }
  [[nodiscard]] fd_state& operator*() const noexcept { return *state_; }
  [[nodiscard]] fd_state* operator->() const noexcept { return state_; }

 private:
  fd_state* state_;
};

struct poll_request {
  using value_type = fd_events;
  fd_ref of;
  fd_events wanted;

  record* make(op_waiter& w) noexcept;
  void start(op_waiter& w) noexcept;
  bool ready(op_waiter& w) noexcept;
  std::expected<fd_events, error> value(op_waiter& w) const noexcept {
    return static_cast<fd_events>(w.answer);
  }
  error failure(int number) const;
};

}  // namespace detail

/// A descriptor of a foreign library, whose readiness tasks wait for through the ring.
///
/// The library reads and writes; a task waits until it can. Any number of tasks may wait for the
/// same descriptor, each for events of its own. *Owns* the descriptor if it was made by `own`: it
/// is closed when this object has gone, all waits have ended and the kernel has let go. One made by
/// `borrow` stays the library's, which may close it only after `release`, or at least after all
/// waits were dropped: a wait under way then sees another file if the number has a new one.
/// *Thread*: the runtime's in which it is first awaited; it may be dropped on any, also after the
/// runtime's end.
class async_fd {
  class release_awaiter;

 public:
  /// Watches a descriptor that a library keeps, and closes.
  [[nodiscard]] static async_fd borrow(int fd) { return async_fd(fd, false); }
  /// Takes a descriptor over.
  [[nodiscard]] static async_fd own(int fd) { return async_fd(fd, true); }

  async_fd(async_fd&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  async_fd& operator=(async_fd&& other) noexcept {
    if (this != &other) {
      drop();
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  ~async_fd() { drop(); }

  /// Waits for one of `events`.
  ///
  /// *Completes when* poll(2) would say so, with the events seen, `error` and `hang_up` among them
  /// unasked; at once if it says so already. *Owns* a share of the descriptor, not what it is.
  /// *Thread*: inside a task of its runtime. *Drop*: at once; the poll is cancelled with the next
  /// turn, and `release` waits for that. *Errors*: ECANCELED after `release`; EBADF when the
  /// descriptor is not open.
  [[nodiscard("co_await it")]] auto ready(fd_events events) const {
    return detail::simple_operation<detail::poll_request, detail::fd_waiter>(
        detail::poll_request{detail::fd_ref(state()), events});
  }
  /// Waits until a read would not block: there is data, an end, or an error. As `ready`.
  [[nodiscard("co_await it")]] auto readable() const { return ready(fd_events::readable); }
  /// Waits until a write would not block. As `ready`.
  [[nodiscard("co_await it")]] auto writable() const { return ready(fd_events::writable); }

  /// Ends all waits, waits until the kernel has let go of the descriptor, and gives it back: it is
  /// the caller's to close, also if it was `own`ed.
  ///
  /// The order with a library that closes its descriptors: stop waiting, `co_await fd.release()`,
  /// let the library close. Without it nothing breaks, but the open file lives on in the kernel
  /// until the polls are cancelled, a turn later, and its peer sees no end before.
  ///
  /// *Completes when* no poll of it is left; gives the descriptor, or -1 if another `release` has
  /// given it. *Owns* a share of the descriptor. *Thread*: inside a task of its runtime.
  /// *Drop*: at once: the waits have ended all the same, the descriptor stays. *Errors*: none.
  [[nodiscard("co_await it")]] auto release() const {
    return release_operation{detail::fd_ref(state())};
  }

  /// The descriptor, or -1 once it was released.
  [[nodiscard]] int get() const noexcept { return state_ == nullptr ? -1 : state_->descriptor; }

 private:
  async_fd(int fd, bool owned);

  class release_awaiter : detail::waiter {
   public:
    explicit release_awaiter(detail::fd_ref&& of) noexcept : of_(std::move(of)) {}
    release_awaiter(const release_awaiter&) = delete;
    release_awaiter& operator=(const release_awaiter&) = delete;

    bool await_ready() noexcept {
      begin();
      return of_->polls == 0 && detail::running_core().spend_budget();
    }
    void await_suspend(std::coroutine_handle<> h) noexcept {
      auto& core = detail::running_core();
      if (of_->polls == 0) return core.make_ready(*this, h);
      frame = h.address();
      task = core.current;
      of_->releasing.push_back(*this);
    }
    [[nodiscard]] bool await_done() const noexcept { return of_->polls == 0; }
    int await_resume() const noexcept {
      of_->owns = false;
      return std::exchange(of_->descriptor, -1);
    }

   private:
    void begin() noexcept;
    detail::fd_ref of_;
  };
  struct release_operation {
    detail::fd_ref of;
    release_awaiter operator co_await() && noexcept { return release_awaiter(std::move(of)); }
  };

  [[nodiscard]] detail::fd_state& state() const noexcept {
    PARKRING_CHECK(state_ != nullptr, "this async_fd was moved from; use the one it went to");
    return *state_;
  }
  void drop() noexcept;

  detail::fd_state* state_;
};

}  // namespace parkring
