// Reads and writes of several pieces of memory in one request (readv(2), writev(2)), and those with
// options of their own: durable, at the end, atomic, without a trace in the cache, with a priority.
//
//   co_await pr::fs::writev_at(file, pr::fs::parts(header, body), 0);   buffers, locked
//   auto [parts, n] = co_await pr::fs::readv_at(file, std::move(vectors), 0);   moved in and back
//   co_await pr::fs::append(file, std::string("line\n"));
//   co_await pr::fs::write_all_at(file, std::string("all of it"), 0);
//
// Memory is handed over as to `file.read_at`: buffers lock, owners move in and come back.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include <parkring/detail/vector_transfer.hpp>
#include <parkring/fs/file.hpp>
#include <parkring/fs/transfer_options.hpp>

namespace parkring::fs {

using vectored_operation =
    detail::simple_operation<detail::vector_count_request, detail::vector_waiter>;
template <class Memory>
using owning_vectored_operation =
    detail::simple_operation<detail::vector_owning_request<Memory>, detail::vector_waiter>;

/// Memory of several pieces: a vector of owners or of buffers, or a tuple of any of them.
template <class Memory>
concept several_memories = detail::several<Memory>;

/// The most pieces that one request takes (IOV_MAX).
inline constexpr std::size_t most_parts = 1024;

/// Buffers as the pieces of one request; they stay where they are.
template <class... Buffers>
requires(std::same_as<std::remove_const_t<Buffers>, buffer>&&...)
    [[nodiscard]] auto parts(Buffers&... each) noexcept {
  if constexpr ((std::is_const_v<Buffers> || ...))
    return std::array<const buffer*, sizeof...(Buffers)>{&each...};
  else
    return std::array<buffer*, sizeof...(Buffers)>{&each...};
}

/// Reads into one buffer after the other, from byte `offset` of the file on (preadv2(2)).
///
/// Gives the number of bytes, 0 at the end of the file; fewer than there is room for near the end
/// and beyond 2 GiB less a page. *Completes when* bytes have arrived or the file has ended. *Owns*
/// a lock on every buffer from the call on, and a reference to the file. *Thread*: the file's
/// runtime. *Drop*: the buffers stay locked until the kernel is done. *Errors*: `io_error`: EINVAL
/// for more than `most_parts` of them, ESPIPE for pipes and terminals, else those of `read_at`;
/// `buffer_locked` when one is in use already, or is named twice.
[[nodiscard]] vectored_operation readv_at(file& from, std::span<buffer* const> into,
                                          std::uint64_t offset, const read_options& how = {});

/// Writes one buffer after the other, from byte `offset` of the file on (pwritev2(2)).
///
/// Gives the number of bytes, which may be fewer. *Completes when* the page cache or, with direct
/// I/O or `dsync`, the device has the bytes. *Owns* a shared lock on every buffer from the call on.
/// *Thread*: the file's runtime. *Drop*: regular files: finished in the background, as `write_at`.
/// *Errors*: `io_error`: EINVAL for more than `most_parts`, EOPNOTSUPP for options that kernel or
/// file system do not have (but for `dontcache`, which is left out then); `buffer_locked`.
[[nodiscard]] vectored_operation writev_at(file& to, std::span<const buffer* const> from,
                                           std::uint64_t offset, const write_options& how = {});

/// Reads into all pieces of memory that move into the request and back: gives `{memory, count}`.
///
/// *Completes when* bytes have arrived. *Owns* the memory. *Thread*: the file's runtime. *Drop*:
/// the memory stays with the request and is destroyed when the kernel is done. *Errors*: as above;
/// the memory is lost with them.
template <several_memories Memory>
[[nodiscard]] owning_vectored_operation<Memory> readv_at(file& from, Memory&& into,
                                                         std::uint64_t offset,
                                                         const read_options& how = {}) {
  return owning_vectored_operation<Memory>(detail::vector_owning_request<Memory>(
      detail::describe_transfer(from, detail::direction::read, std::move(into), offset, how)));
}
/// Writes all pieces of memory that move into the request and back. As `readv_at`.
template <several_memories Memory>
[[nodiscard]] owning_vectored_operation<Memory> writev_at(file& to, Memory&& from,
                                                          std::uint64_t offset,
                                                          const write_options& how = {}) {
  return owning_vectored_operation<Memory>(detail::vector_owning_request<Memory>(
      detail::describe_transfer(to, detail::direction::write, std::move(from), offset, how)));
}

/// Writes until all of it is written, in as many requests as that takes; so of any number of parts.
///
/// *Completes when* every byte is written. *Owns* a shared lock on every buffer from the call on.
/// *Thread*: the file's runtime. *Drop*: the request under way is finished, the rest is not
/// written. *Errors*: `io_error`, whose `transferred()` says how many bytes were written.
[[nodiscard]] task<> writev_all_at(file& to, std::span<const buffer* const> from,
                                   std::uint64_t offset, const write_options& how = {});
/// As above with memory that moves in, and back.
template <several_memories Memory>
[[nodiscard]] task<owned_result<Memory>> writev_all_at(file& to, Memory&& from,
                                                       std::uint64_t offset,
                                                       const write_options& how = {}) {
  auto t = detail::describe_transfer(to, detail::direction::write, std::move(from), offset, how);
  t->in_steps = true;
  return detail::whole_transfer_of<Memory>(std::move(t));
}

// ---- one piece of memory ----

/// Writes all of an object that moves in and back, in as many requests as that takes: what
/// `file.write_all_at` does for buffers.
///
/// *Completes when* every byte is written. *Owns* the object. *Thread*: the file's runtime. *Drop*:
/// the request under way is finished, the rest is not written. *Errors*: `io_error`, whose
/// `transferred()` says how many bytes were written; the object is lost with it.
template <owns_memory V>
[[nodiscard]] task<owned_result<V>> write_all_at(file& to, V&& from, std::uint64_t offset,
                                                 const write_options& how = {}) {
  return detail::whole_transfer_of<V>(
      detail::describe_transfer(to, detail::direction::write, std::move(from), offset, how));
}
/// Reads until all of an object is filled that moves in and back: what `file.read_exactly_at` does
/// for buffers.
///
/// *Completes when* every byte has arrived. *Owns* the object. *Thread*: the file's runtime.
/// *Drop*: the object stays with the request and is destroyed when the kernel is done. *Errors*:
/// `io_error`, with ENODATA when the file ends before; the object is lost with it.
template <owns_memory V>
[[nodiscard]] task<owned_result<V>> read_exactly_at(file& from, V&& into, std::uint64_t offset,
                                                    const read_options& how = {}) {
  return detail::whole_transfer_of<V>(
      detail::describe_transfer(from, detail::direction::read, std::move(into), offset, how));
}

/// As `file.read_at(into, offset)`, through the ring.
///
/// *Completes when* bytes have arrived. *Owns* a lock on the buffer. *Thread*: the file's runtime.
/// *Drop*: the buffer stays locked until the kernel is done. *Errors*: as `readv_at`.
[[nodiscard]] inline vectored_operation read_at(file& from, buffer& into, std::uint64_t offset,
                                                const read_options& how) {
  buffer* const one = &into;
  return readv_at(from, std::span(&one, 1), offset, how);
}
/// As `file.write_at(from, offset)`, with options and through the ring.
///
/// *Completes when* the page cache or, with direct I/O or `dsync`, the device has the bytes. *Owns*
/// a shared lock on the buffer. *Thread*: the file's runtime. *Drop*: as `write_at`. *Errors*: as
/// `writev_at`.
[[nodiscard]] inline vectored_operation write_at(file& to, const buffer& from, std::uint64_t offset,
                                                 const write_options& how) {
  const buffer* const one = &from;
  return writev_at(to, std::span(&one, 1), offset, how);
}
/// As above, of an object that moves in and back.
template <owns_memory V>
[[nodiscard]] owning_vectored_operation<V> write_at(file& to, V&& from, std::uint64_t offset,
                                                    const write_options& how) {
  return owning_vectored_operation<V>(detail::vector_owning_request<V>(
      detail::describe_transfer(to, detail::direction::write, std::move(from), offset, how)));
}

/// Writes at the end of the file, wherever that is when the kernel comes to it: appends do not
/// overwrite each other, whoever makes them.
///
/// Gives the number of bytes. The kernel does not tell where they are; who alone appends knows. Of
/// several appends in flight any may be the first. *Completes when* the bytes are written. *Owns* a
/// shared lock on the buffer. *Thread*: the file's runtime. *Drop*: as `write_at`. *Errors*: as
/// `writev_at`.
[[nodiscard]] inline vectored_operation append(file& to, const buffer& from,
                                               write_options how = {}) {
  how.append = true;
  return write_at(to, from, 0, how);
}
/// As above, of an object that moves in and back.
template <owns_memory V>
[[nodiscard]] owning_vectored_operation<V> append(file& to, V&& from, write_options how = {}) {
  how.append = true;
  return write_at(to, std::move(from), 0, how);
}

/// Sizes that `write_options::atomic` takes: powers of two in between, at offsets that are
/// multiples of them. 0: the file cannot.
struct atomic_limits {
  std::uint32_t smallest = 0;
  std::uint32_t largest = 0;
};

/// What atomic writes the file can do (statx(2), STATX_WRITE_ATOMIC, Linux 6.11).
///
/// *Completes when* the file system has answered. *Owns* a reference to the file. *Thread*: the
/// file's runtime. *Drop*: at once. *Errors*: `io_error`.
[[nodiscard]] task<atomic_limits> atomic_write_limits(file& of);

}  // namespace parkring::fs
