// A request on some of the bytes of a buffer that a composite operation has for itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include <parkring/buffer.hpp>
#include <parkring/detail/check.hpp>
#include <parkring/fs/file.hpp>

namespace parkring::fs {

/// On `count` bytes of `part` from byte `from` on, which no other request has.
[[nodiscard]] inline detail::rw_request part_request(detail::file_state_base& file,
                                                     detail::direction way, buffer& part,
                                                     std::size_t from, std::size_t count,
                                                     std::uint64_t offset) {
  detail::buffer_block* const block = buffer_access::block(part);
  const auto& home = detail::locker_for(file);
  const bool locked = way == detail::direction::read ? block->lock_exclusive(home, nullptr)
                                                     : block->lock_shared(home, nullptr);
  PARKRING_CHECK(locked, "the part of a composite operation is used by one request at a time");
  detail::rw_request q;
  q.file = detail::file_ref(file);
  q.lock = detail::block_lock(block);
  q.data = block->data + from;
  q.size = count;
  q.offset = offset;
  q.way = way;
  return q;
}

/// The reference to the file that a request would take; checks that it may be used here.
[[nodiscard]] inline detail::file_ref reference_to(file& f) {
  buffer none;
  return std::move(f.read_at(none, 0)).take_request().file;
}

}  // namespace parkring::fs
