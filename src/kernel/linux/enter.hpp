// io_uring_enter as an inlined instruction.
//
// A mitigation empties the return predictor on the way out of the kernel, so the first return
// after a system call is mispredicted (about 48 ns). The C library's wrapper is exactly such a
// return; inlining the instruction into the loop avoids it. errno is not touched.
#pragma once

#include <cstddef>

#include "kernel/abi.hpp"

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <unistd.h>

#include <cerrno>
#endif

namespace parkring::kernel::linux_impl {

/// The number of consumed entries, or -errno.
[[gnu::always_inline]] inline int enter_inlined(int fd, unsigned to_submit, unsigned min_complete,
                                                unsigned flags, const void* arg,
                                                std::size_t arg_size) noexcept {
#if defined(__x86_64__)
  long result = abi::sys_io_uring_enter;
  register long r10 asm("r10") = static_cast<long>(flags);
  register const void* r8 asm("r8") = arg;
  register std::size_t r9 asm("r9") = arg_size;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(static_cast<long>(fd)), "S"(static_cast<long>(to_submit)),
                 "d"(static_cast<long>(min_complete)), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return static_cast<int>(result);
#elif defined(__aarch64__)
  register long x8 asm("x8") = abi::sys_io_uring_enter;
  register long x0 asm("x0") = fd;
  register long x1 asm("x1") = static_cast<long>(to_submit);
  register long x2 asm("x2") = static_cast<long>(min_complete);
  register long x3 asm("x3") = static_cast<long>(flags);
  register const void* x4 asm("x4") = arg;
  register std::size_t x5 asm("x5") = arg_size;
  asm volatile("svc #0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory", "cc");
  return static_cast<int>(x0);
#else
  const long result =
      ::syscall(abi::sys_io_uring_enter, fd, to_submit, min_complete, flags, arg, arg_size);
  return result < 0 ? -errno : static_cast<int>(result);
#endif
}

}  // namespace parkring::kernel::linux_impl
