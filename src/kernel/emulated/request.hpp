// One request of an emulated ring, from its submission entry to its last completion.
//
//   waiting   behind a link of its chain, or a drain: nobody but the ring knows it
//   active    begun: the backend has it, or the ring itself (timeouts)
//   gone      its last completion was given; the slot is free
//
// Thread: the ring's only. A backend with threads gives them jobs of its own and brings the answers
// back to the ring's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include <parkring/detail/list.hpp>

#include "kernel/abi.hpp"

namespace parkring::kernel::emulated {

class ring;

enum class stage : std::uint8_t { gone, waiting, active };

struct request : detail::list_node {  // on the ring's list of active or deferred requests, or free
  abi::sqe entry;                     // a copy of what was submitted
  ring* home = nullptr;
  std::uint64_t number = 0;  // how many were submitted to this ring before it
  stage at = stage::gone;
  bool cancel_asked = false;  // the backend was asked once
  int refused = 0;            // why it cannot begin, as a positive errno
  // What was posted last counts as a failure for its chain: of a zero-copy send, before its
  // notification.
  bool posted_failure = false;

  /// What the request acts on: a descriptor, or what `backend::hold` gave for a registered file.
  /// -1 when the opcode has none.
  int file = -1;

  /// The memory of a transfer (read, write, send, receive and their fixed forms), checked. With a
  /// provided buffer it is null until `ring::choose_buffer`.
  std::byte* memory = nullptr;
  std::uint32_t length = 0;

  abi::buf chosen{};  // a provided buffer, while one is chosen
  bool has_chosen = false;
  std::uint64_t chosen_from = 0;  // which group, see provided_buffers.hpp
  request* rest = nullptr;        // of its chain, in stage `waiting`
  request* same_chain = nullptr;  // of the index by user_data
  request* timer = nullptr;       // the link timeout that watches over it, active
  request* watched = nullptr;     // of a link timeout: whom it watches over
  std::uint64_t deadline_ns = 0;  // of a timeout
  std::uint64_t count_left = 0;   // of a timeout that counts completions, or of a multishot one

  static constexpr std::size_t scratch_size = 96;
  alignas(16) std::byte scratch[scratch_size];  // the backend's, while active

  template <class T>
  T& scratch_as() noexcept {
    static_assert(sizeof(T) <= scratch_size && alignof(T) <= 16);
    return *std::launder(reinterpret_cast<T*>(scratch));
  }
  template <class T>
  const T& scratch_as() const noexcept {
    return const_cast<request*>(this)->scratch_as<T>();
  }
  template <class T>
  T& make_scratch() noexcept {
    static_assert(sizeof(T) <= scratch_size && alignof(T) <= 16);
    return *::new (static_cast<void*>(scratch)) T{};
  }

  [[nodiscard]] bool selects_buffer() const noexcept {
    return (entry.flags & abi::iosqe_buffer_select) != 0;
  }
};

}  // namespace parkring::kernel::emulated
