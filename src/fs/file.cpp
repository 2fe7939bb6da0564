#include <parkring/fs/file.hpp>

#include <stdexcept>

#include "exec/core.hpp"
#include "fs/file_state.hpp"
#include "fs/rw_error.hpp"

namespace parkring::fs {

using detail::direction;
using detail::file_ref;
using detail::state_of;

namespace {

// On the home thread: the handle was dropped elsewhere; its reference came along.
void handle_dropped_elsewhere(detail::message& m) noexcept {
  auto& base = static_cast<detail::file_state_base&>(m);
  if (--base.references != 0) return;
  if (base.home_of.is_here())
    detail::close_unreferenced(base);
  else
    delete &state_of(base);
}

}  // namespace

void file::drop() noexcept {
  if (state_ == nullptr) return;
  detail::file_state_base& base = *std::exchange(state_, nullptr);
  if (base.home_of.is_here()) {
    if (--base.references == 0) detail::close_unreferenced(base);
    return;
  }
  base.run = &handle_dropped_elsewhere;
  if (base.home_of.post(base)) return;
  // The runtime is gone and with it every request, but for those it leaked: they keep the file.
  if (--base.references == 0) delete &state_of(base);
}

[[gnu::always_inline]] inline void file::check_usable() const {
  PARKRING_CHECK(state_ != nullptr, "the file is empty, moved from or closed; open it first");
  PARKRING_CHECK(state_->home_of.is_here(), "use a file on the thread of the runtime it belongs to");
}

detail::rw_request file::request(direction way, std::byte* data, std::size_t size,
                                 std::uint64_t offset) const {
  check_usable();
  return {file_ref(*state_), detail::block_lock(), data, size, offset, way};
}

namespace {

[[noreturn, gnu::cold]] void throw_too_long(const detail::buffer_block& block, std::size_t count) {
  throw std::out_of_range("the buffer has " + std::to_string(block.size) +
                          " bytes, fewer than the " + std::to_string(count) + " asked for");
}

}  // namespace

[[gnu::always_inline]] inline rw_operation<locking> file::with_lock(direction way,
                                                                    detail::buffer_block* block,
                                                                    std::uint64_t offset,
                                                                    std::size_t count) const {
  check_usable();
  if (block == nullptr) return {request(way, nullptr, 0, offset), locking{}};
  if (count > block->size) [[unlikely]] throw_too_long(*block, count);
  const bool locked = way == direction::read ? block->lock_exclusive(state_->home_of, nullptr)
                                             : block->lock_shared(state_->home_of, nullptr);
  if (!locked) [[unlikely]] detail::throw_locked(*block);
  return {detail::rw_request{file_ref(*state_), detail::block_lock(block), block->data, count,
                             offset, way},
          locking{}};
}

rw_operation<locking> file::read_at(buffer& into, std::uint64_t offset) {
  return with_lock(direction::read, buffer_access::block(into), offset, into.size());
}
rw_operation<locking> file::read_at(buffer& into, std::uint64_t offset, std::size_t count) {
  return with_lock(direction::read, buffer_access::block(into), offset, count);
}
rw_operation<locking> file::write_at(const buffer& from, std::uint64_t offset) {
  return with_lock(direction::write, buffer_access::block(from), offset, from.size());
}
rw_operation<locking> file::write_at(const buffer& from, std::uint64_t offset, std::size_t count) {
  return with_lock(direction::write, buffer_access::block(from), offset, count);
}

rw_operation<through_copy<std::byte>> file::read_at(copied_span<std::byte> into,
                                                    std::uint64_t offset) {
  return {request(direction::read, into.bytes.data(), into.bytes.size(), offset),
          through_copy<std::byte>(into.bytes)};
}
rw_operation<through_copy<const std::byte>> file::write_at(copied_span<const std::byte> from,
                                                           std::uint64_t offset) {
  // The kernel only reads from it.
  auto* data = const_cast<std::byte*>(from.bytes.data());
  return {request(direction::write, data, from.bytes.size(), offset),
          through_copy<const std::byte>(from.bytes)};
}
rw_operation<borrowing> file::read_at(borrowed_span<std::byte> into, std::uint64_t offset) {
  return {request(direction::read, into.bytes.data(), into.bytes.size(), offset), borrowing{}};
}
rw_operation<borrowing> file::write_at(borrowed_span<const std::byte> from, std::uint64_t offset) {
  auto* data = const_cast<std::byte*>(from.bytes.data());  // the kernel only reads from it
  return {request(direction::write, data, from.bytes.size(), offset), borrowing{}};
}

sync_operation file::sync() {
  return sync_operation({request(direction::write, nullptr, 0, 0).file, false});
}
sync_operation file::datasync() {
  return sync_operation({request(direction::write, nullptr, 0, 0).file, true});
}
size_operation file::size() const {
  return size_operation({request(direction::read, nullptr, 0, 0).file});
}

close_operation file::close() && {
  file_ref ref = request(direction::read, nullptr, 0, 0).file;
  std::string path = state_of(*state_).path.native();
  drop();
  return close_operation({std::move(ref), std::move(path)});
}

const std::filesystem::path& file::path() const noexcept {
  static const std::filesystem::path none;
  return state_ == nullptr ? none : state_of(*state_).path;
}
std::size_t file::memory_alignment() const noexcept {
  return state_ == nullptr ? 1 : state_of(*state_).memory_alignment;
}
std::size_t file::offset_alignment() const noexcept {
  return state_ == nullptr ? 1 : state_of(*state_).offset_alignment;
}

}  // namespace parkring::fs
