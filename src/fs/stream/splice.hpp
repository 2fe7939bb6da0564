// Bytes that move between two files inside the kernel (splice(2)); one of them is a pipe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>

#include <parkring/detail/file_ref.hpp>
#include <parkring/detail/record.hpp>
#include <parkring/detail/simple_op.hpp>
#include <parkring/error.hpp>

namespace parkring::detail {

/// Gives how many bytes moved; 0 at the end of the source. EINVAL: not between these two.
///
/// Cancelled when it is dropped. A cancelled one may have moved bytes all the same.
struct splice_request {
  using value_type = std::size_t;
  file_ref from;
  std::uint64_t from_offset;  // ignored for a stream, as below
  file_ref to;
  std::uint64_t to_offset;
  std::uint32_t size;

  [[nodiscard]] bool ready(op_waiter&) const noexcept { return false; }
  record* make(op_waiter&) const noexcept;
  void start(op_waiter& w) const noexcept;
  std::expected<std::size_t, error> value(op_waiter& w) const noexcept {
    return static_cast<std::size_t>(w.answer);
  }
  [[nodiscard]] error failure(int number) const;
};

/// Whether this runtime's kernel can, one of the two is a stream, and nobody reads from the source
/// or left bytes of it behind.
[[nodiscard]] bool may_splice(const file_ref& from, const file_ref& to) noexcept;

}  // namespace parkring::detail
