#include <parkring/detail/nested_frames.hpp>

#include <utility>

namespace parkring::detail {
namespace {

// A frame that this one awaits, now the caller's to destroy; null when there is none (left).
std::coroutine_handle<> take_child(frame_link& link) noexcept {
  frame_owner* owner = link.awaiting;
  if (owner == nullptr) return nullptr;
  if (owner->child != nullptr) {
    link.awaiting = nullptr;
    return std::exchange(owner->child, nullptr);
  }
  auto& several = static_cast<frames_owner&>(*owner);
  const std::coroutine_handle<> next = several.kind->give_up(several);
  if (next == nullptr) link.awaiting = nullptr;
  return next;
}

}  // namespace

void child_owner::drop() noexcept {
  if (child == nullptr) return;  // destroyed before us, by `destroy_nested`
  if (parent->awaiting == this) parent->awaiting = nullptr;
  destroy_frame(child);
}

void destroy_nested(std::coroutine_handle<> frame) noexcept {
  frame_link* at = &link_of(frame);
  at->above = nullptr;
  at->self = frame;
  while (at != nullptr) {
    if (const std::coroutine_handle<> child = take_child(*at); child != nullptr) {
      frame_link& below = link_of(child);
      below.above = at;
      below.self = child;
      at = &below;
    } else {
      frame_link* const above = at->above;
      at->self.destroy();
      at = above;
    }
  }
}

}  // namespace parkring::detail
