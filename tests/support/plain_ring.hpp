// A ring without the runtime above it, for tests of a kernel: entries in, completions out.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <vector>

#include "kernel/kernel.hpp"
#include "ring/ring.hpp"

namespace parkring::testing {

namespace abi = kernel::abi;

class plain_ring {
 public:
  explicit plain_ring(kernel::kernel& k, ring::options o = {}) : ring(k, o) {
    EXPECT_EQ(ring.bind_to_this_thread(), 0);
  }

  /// An entry with the next number as its user data.
  abi::sqe& put(std::uint8_t opcode, int fd, const void* memory = nullptr, std::uint32_t size = 0,
                std::uint64_t offset = 0) {
    if (ring.room() == 0) ring.enter();
    abi::sqe& e = ring.take_unchecked();
    parkring::ring::clear(e);
    e.opcode = opcode;
    e.fd = fd;
    e.addr = reinterpret_cast<std::uintptr_t>(memory);
    e.len = size;
    e.off = offset;
    e.user_data = ++last;
    return e;
  }

  /// Enters until the request has a completion that was not taken yet, and takes it.
  abi::cqe wait(std::uint64_t number) {
    for (;;) {
      if (const auto at = arrived_.find(number); at != arrived_.end()) {
        const abi::cqe c = at->second;
        arrived_.erase(at);
        return c;
      }
      const int answer = ring.enter(1);
      if (answer < 0 && answer != -EINTR) {
        ADD_FAILURE() << "enter: " << answer;
        return {};
      }
      reap();
    }
  }
  /// The result of the last entry.
  int wait() { return wait(last).res; }

  /// Enters without waiting; whether the request has a completion.
  bool ended(std::uint64_t number) {
    ring.enter(0, nullptr, abi::enter_getevents);
    reap();
    return arrived_.contains(number);
  }

  /// Asks for the end of a request: the answer to the canceller.
  int cancel(std::uint64_t number) {
    abi::sqe& e = put(abi::op_async_cancel, -1);
    e.addr = number;
    return wait();
  }

  ring::ring ring;
  std::uint64_t last = 0;

 private:
  void reap() {
    ring.reap([this](const abi::cqe& c) { arrived_.emplace(c.user_data, c); });
  }
  std::multimap<std::uint64_t, abi::cqe> arrived_;  // in the order of arrival for each request
};

}  // namespace parkring::testing
