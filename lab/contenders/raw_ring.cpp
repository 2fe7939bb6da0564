#include "raw_ring.hpp"

#include <sys/mman.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "../load.hpp"

namespace lab {
namespace {

// Newer than the headers that Debian 12 has.
constexpr unsigned setup_no_sqarray = 1U << 16;

template <typename T>
T* at(void* base, unsigned offset) {
  return reinterpret_cast<T*>(static_cast<char*>(base) + offset);
}

void* map(int fd, std::size_t size, std::uint64_t what) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
                        static_cast<off_t>(what));
  if (memory == MAP_FAILED) fail("mmap of the ring: %s", std::strerror(errno));
  return memory;
}

}  // namespace

raw_ring::raw_ring(unsigned entries, unsigned more_flags) {
  io_uring_params params{};
  const unsigned base_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | more_flags;
  bool with_array = false;
  params.flags = base_flags | setup_no_sqarray;
  ring_fd_ = static_cast<int>(::syscall(__NR_io_uring_setup, entries, &params));
  if (ring_fd_ < 0 && errno == EINVAL) {
    with_array = true;
    params = {};
    params.flags = base_flags;
    ring_fd_ = static_cast<int>(::syscall(__NR_io_uring_setup, entries, &params));
  }
  if (ring_fd_ < 0) fail("io_uring_setup: %s", std::strerror(errno));

  rings_bytes_ = std::max<std::size_t>(
      params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe),
      with_array ? params.sq_off.array + params.sq_entries * sizeof(unsigned) : 0);
  sqes_bytes_ = params.sq_entries * sizeof(io_uring_sqe);
  rings_ = map(ring_fd_, rings_bytes_, IORING_OFF_SQ_RING);
  sqes_ = static_cast<io_uring_sqe*>(map(ring_fd_, sqes_bytes_, IORING_OFF_SQES));
  sq_tail_ = at<unsigned>(rings_, params.sq_off.tail);
  sq_flags_ = at<unsigned>(rings_, params.sq_off.flags);
  cq_head_ = at<unsigned>(rings_, params.cq_off.head);
  cq_tail_ = at<unsigned>(rings_, params.cq_off.tail);
  cqes_ = at<io_uring_cqe>(rings_, params.cq_off.cqes);
  sq_mask_ = params.sq_entries - 1;
  cq_mask_ = params.cq_entries - 1;
  if (with_array) {
    auto* array = at<unsigned>(rings_, params.sq_off.array);
    for (unsigned i = 0; i < params.sq_entries; ++i) array[i] = i;
  }

  io_uring_rsrc_update update{};
  update.offset = ~0U;
  update.data = static_cast<std::uint64_t>(ring_fd_);
  enter_fd_ = ring_fd_;
  if (::syscall(__NR_io_uring_register, ring_fd_, IORING_REGISTER_RING_FDS, &update, 1) == 1) {
    enter_fd_ = static_cast<int>(update.offset);
    enter_flags_ |= IORING_ENTER_REGISTERED_RING;
  }
}

raw_ring::~raw_ring() {
  ::munmap(sqes_, sqes_bytes_);
  ::munmap(rings_, rings_bytes_);
  ::close(ring_fd_);
}

void raw_ring::register_files(const int* fds, unsigned number) {
  if (::syscall(__NR_io_uring_register, ring_fd_, IORING_REGISTER_FILES, fds, number) < 0)
    fail("io_uring_register(FILES): %s", std::strerror(errno));
}

void raw_ring::register_memory(void* base, std::size_t size) {
  const iovec memory{.iov_base = base, .iov_len = size};
  if (::syscall(__NR_io_uring_register, ring_fd_, IORING_REGISTER_BUFFERS, &memory, 1) < 0)
    fail("io_uring_register(BUFFERS): %s", std::strerror(errno));
}

void raw_ring::prepare_entries(const io_uring_sqe& pattern) noexcept {
  for (unsigned i = 0; i <= sq_mask_; ++i) sqes_[i] = pattern;
}

void raw_ring::recover(long taken) noexcept {
  if (taken >= 0) {
    submitted_ += static_cast<unsigned>(taken);
  } else if (taken != -EINTR && taken != -EAGAIN && taken != -EBUSY) {
    fail("io_uring_enter: %s", std::strerror(static_cast<int>(-taken)));
  }
}

}  // namespace lab
