// Buffers that programs hand over in advance, in groups: rings in the program's memory
// (io_uring_register(2), IORING_REGISTER_PBUF_RING) and the older PROVIDE_BUFFERS requests.
//
// A ring's tail is the program's, its head is ours. A buffer that was taken and not used is kept in
// `returned` and goes out again first; one whose group has gone meanwhile, or has been made anew,
// is the program's and forgotten.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "kernel/abi.hpp"

namespace parkring::kernel::emulated {

class provided_buffers {
 public:
  /// IORING_REGISTER_PBUF_RING and its siblings: 0 or -errno. Rings that the kernel would allocate
  /// (PBUF_RING_MMAP), and those used up in parts (PBUF_RING_INC), are refused with -EINVAL.
  int register_ring(const abi::buf_reg& asked);
  int unregister_ring(std::uint16_t group) noexcept;
  int status(abi::buf_status& about) const noexcept;

  /// PROVIDE_BUFFERS: `count` buffers of `length` bytes from `at` on, numbered from `first` on.
  int provide(std::uint16_t group, std::uint64_t at, std::uint32_t length, unsigned count,
              std::uint16_t first);
  /// REMOVE_BUFFERS: how many, at most `count`, or -errno.
  int remove(std::uint16_t group, unsigned count) noexcept;

  /// Takes the next buffer of a group, until `used` or `give_back`. Which of the groups that had
  /// this number one after the other it was; 0 when there is no buffer, or no memory.
  [[nodiscard]] std::uint64_t take(std::uint16_t group, abi::buf& out) noexcept;
  void used(std::uint16_t group, std::uint64_t which) noexcept;
  void give_back(std::uint16_t group, std::uint64_t which, const abi::buf& b) noexcept;

 private:
  struct group_state {
    abi::buf* ring = nullptr;  // null: buffers provided one by one
    std::uint16_t mask = 0;
    std::uint16_t head = 0;
    std::uint64_t which = 0;         // of all groups there ever were
    std::size_t out = 0;             // taken, neither used nor given back
    std::deque<abi::buf> provided;   // one by one
    std::vector<abi::buf> returned;  // the next to go out last; has room for those that are out
    [[nodiscard]] bool empty() const noexcept { return provided.empty() && returned.empty(); }
  };
  [[nodiscard]] group_state* find(std::uint16_t group, std::uint64_t which) noexcept;

  std::map<std::uint16_t, group_state> groups_;
  std::uint64_t groups_made_ = 0;
};

}  // namespace parkring::kernel::emulated
