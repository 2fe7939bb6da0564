// Destroying a coroutine that awaits another, which awaits another, and so on, in constant stack.
//
// A frame that awaits a task owns the task's frame, through the awaiter; so `destroy` of the outer
// one would call itself once for each level. What the frames of this library are awaiting is
// therefore noted in their promises: `awaiting` names the awaiter, from its suspension until its
// `await_resume`, and is null at all other times. Whoever destroys a frame that awaits goes down
// these notes to an innermost frame, destroys that one, and goes on above it.
//
// The order is the one that plain `destroy` has: of what lives in a suspended frame its awaiter was
// made last and goes first. So a child is gone, locals and all, before its parent's locals are,
// which it may refer to.
//
// A coroutine of a foreign type in between is destroyed by plain `destroy`, one level deeper.
#pragma once

#include <concepts>
#include <coroutine>

namespace parkring::detail {

/// A part of a suspended frame that owns what the frame awaits.
struct frame_owner {
  std::coroutine_handle<>
      child;  // the frame awaited; null: this is a `frames_owner`, or it is gone
};

struct frames_owner;

/// What is called for each frame of a combinator, in their order; null: its branch is over.
struct frame_visitor {
  virtual void see(std::coroutine_handle<> frame) = 0;

 protected:
  ~frame_visitor() = default;
};

/// A combinator: what to call it, and how to get at its frames.
struct frames_kind {
  const char* name;
  /// Gives up the next frame to destroy, in the order of the destructor; null: none is left.
  std::coroutine_handle<> (*give_up)(frames_owner&) noexcept;
  /// Shows all frames.
  void (*visit)(frames_owner&, frame_visitor&);
};

/// One that owns several.
struct frames_owner : frame_owner {
  const frames_kind* kind;  // set while awaited
};

/// The first base of a promise.
struct frame_link {
  frame_owner* awaiting = nullptr;  // in this promise's frame
  frame_link* above;                // while it is destroyed: the frame that awaits
  std::coroutine_handle<> self;     // while it is destroyed
};

template <class Promise>
concept linked_promise = std::derived_from<Promise, frame_link>;

/// The link of a frame of this library: at the start of its promise.
[[nodiscard]] inline frame_link& link_of(std::coroutine_handle<> frame) noexcept {
  return std::coroutine_handle<frame_link>::from_address(frame.address()).promise();
}

/// The owner of one child.
struct child_owner : frame_owner {
  frame_link* parent = nullptr;  // who waits, while it does

  explicit child_owner(std::coroutine_handle<> c) noexcept : frame_owner{c} {}
  /// Ends the wait: destroys the child, unless it is gone.
  void drop() noexcept;
};

void destroy_nested(std::coroutine_handle<> frame) noexcept;

/// Destroys a frame of this library, what it awaits first.
inline void destroy_frame(std::coroutine_handle<> frame) noexcept {
  if (link_of(frame).awaiting != nullptr) [[unlikely]]
    return destroy_nested(frame);
  frame.destroy();
}

}  // namespace parkring::detail
