// A coroutine frame without a coroutine: a transfer can go to it, and the run loop resume it.
//
// A coroutine handle is the address of a frame, and a frame begins with two pointers, to the
// functions that resume and that destroy it, both called with that address. The standard does not
// say so, but the C++ ABI that GCC, Clang and MSVC share does, so that the coroutines of one may
// resume those of another; libstdc++ makes its `noop_coroutine` in this way. A plain frame has the
// same beginning and is filled by hand: it costs two stores, and going through it two jumps.
#pragma once

#include <coroutine>

namespace parkring::detail {

class plain_frame {
 public:
  using function = void (*)(void* frame);

  plain_frame(const plain_frame&) = delete;
  plain_frame& operator=(const plain_frame&) = delete;

  /// What a `coroutine_handle` with this address does from now on.
  void resumes_with(function f) noexcept { resume_ = hidden(f); }

  [[nodiscard]] std::coroutine_handle<> handle() noexcept {
    return std::coroutine_handle<>::from_address(this);
  }
  /// The frame that such a function was called with.
  [[nodiscard]] static plain_frame& at(void* frame) noexcept {
    return *static_cast<plain_frame*>(frame);
  }

 protected:
  plain_frame(function resume, function destroy) noexcept
      : resume_(hidden(resume)), destroy_(hidden(destroy)) {}
  ~plain_frame() = default;

 private:
  // Clang's own coroutines have a calling convention of their own (the same one in effect, for a
  // single pointer). It must not see which function it calls through a handle, and that this one
  // was declared with the other convention.
  static function hidden(function f) noexcept {
    asm("" : "+r"(f));
    return f;
  }

  function resume_;
  function destroy_;
};

}  // namespace parkring::detail
