// What readers and writers are made of: requests on a file by a reference to it, in the background.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <utility>

#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/scope.hpp>
#include <parkring/detail/task_context.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/shield.hpp>
#include <parkring/spawn.hpp>

#include "fs/file_state.hpp"

namespace parkring::fs {

/// A reference as requests have it. The file must be open.
[[nodiscard]] inline detail::file_ref reference_to(file& f) {
  buffer none;
  return std::move(f.read_at(none, 0)).take_request().file;
}

/// A request on `count` bytes of `b` from `from` on.
[[nodiscard]] inline rw_operation<locking> request_on(const detail::file_ref& file,
                                                      detail::direction way, const buffer& b,
                                                      std::size_t from, std::size_t count,
                                                      std::uint64_t offset) {
  detail::buffer_block* const block = buffer_access::block(b);
  detail::rw_request q;
  q.file = file.share();
  q.way = way;
  q.offset = offset;
  q.size = count;
  if (block == nullptr) return {std::move(q), locking{}};
  q.data = block->data + from;
  const auto& home = detail::locker_for(*file.get());
  const bool locked = way == detail::direction::read ? block->lock_exclusive(home, nullptr)
                                                     : block->lock_shared(home, nullptr);
  if (!locked) detail::throw_locked(*block);
  q.lock = detail::block_lock(block);
  return {std::move(q), locking{}};
}

/// Starts `t` beside the current task, out of reach of the deadlines around it: it belongs to an
/// object that may outlive them.
template <class T>
[[nodiscard]] join_handle<T> spawn_beside(task<T> t) {
  detail::core_base& core = detail::running_core();
  if (core.current == nullptr || core.current->context == nullptr) return spawn(std::move(t));
  const detail::context_ref scope = detail::new_shield();
  return make_handle<T>(detail::start_in<T>(*scope, std::move(t)));
}

/// Notes that a task is at work on an object that one at a time may use.
class one_at_a_time {
 public:
  one_at_a_time(bool& busy, const char* what_to_do) : busy_(busy) {
    PARKRING_CHECK(!busy, what_to_do);
    busy = true;
  }
  one_at_a_time(const one_at_a_time&) = delete;
  one_at_a_time& operator=(const one_at_a_time&) = delete;
  ~one_at_a_time() { busy_ = false; }

 private:
  bool& busy_;
};

}  // namespace parkring::fs
