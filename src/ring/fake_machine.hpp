// A simulated machine for tests of what runs above the seam, as small as it can be: time passes
// only while a runtime waits for it, requests end at once or never, and the machine can stop.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "base/descriptor.hpp"
#include "ring/fake_kernel.hpp"

namespace parkring::ring {

class fake_machine final : public kernel::kernel {
  using sqe = parkring::kernel::abi::sqe;
  using memory = parkring::kernel::ring_memory;

 public:
  fake_machine() {
    closed.clear();
    parkring::base::close_simulated.store(
        [](int fd) noexcept {
          closed.push_back(fd);
          return 0;
        },
        std::memory_order_release);
  }
  fake_machine(const fake_machine&) = delete;
  fake_machine& operator=(const fake_machine&) = delete;
  ~fake_machine() override {
    parkring::base::close_simulated.store(nullptr, std::memory_order_release);
  }

  // What it is told to do.
  bool keeps_requests = false;  // they never end by themselves
  bool stopped = false;
  int stop_at_enter = 0;  // counts down; stops at 1

  // What it saw.
  std::uint64_t clock_ns = 5'000'000'000;
  std::vector<sqe> seen;
  std::uint64_t enters = 0;
  int events_signalled = 0;
  static inline std::vector<int> closed;  // one machine at a time

  [[nodiscard]] const char* name() const noexcept override { return "fake machine"; }
  [[nodiscard]] bool real() const noexcept override { return false; }
  [[nodiscard]] std::uint64_t now_ns() noexcept override { return clock_ns; }
  void pause(std::uint64_t ns) noexcept override { clock_ns += ns; }
  [[nodiscard]] int inspect(int fd, bool, parkring::kernel::file_facts& out) noexcept override {
    out = {};
    return fd >= parkring::base::first_simulated_descriptor ? 0 : -EBADF;
  }
  [[nodiscard]] int make_event() noexcept override {
    return parkring::base::first_simulated_descriptor;
  }
  void signal_event(int) noexcept override { ++events_signalled; }
  void clear_event(int) noexcept override {}

  [[nodiscard]] int setup(unsigned entries, parkring::kernel::abi::params& p,
                          memory& out) noexcept override {
    return queues_.setup(entries, p, out);
  }
  int reg(const memory& ring, unsigned opcode, const void* arg, unsigned n) noexcept override {
    return queues_.reg(ring, opcode, arg, n);
  }
  void release(memory& ring) noexcept override { queues_.release(ring); }

  int enter(const memory& ring, unsigned to_submit, unsigned min_complete, unsigned,
            const void* arg, std::size_t) noexcept override {
    namespace abi = parkring::kernel::abi;
    ++enters;
    if (stop_at_enter != 0 && --stop_at_enter == 0) stopped = true;
    for (unsigned i = 0; i < to_submit; ++i) {
      const unsigned at = (*ring.sq_head)++ & ring.sq_mask;
      begin(ring, ring.sqes[ring.sq_array != nullptr ? ring.sq_array[at] : at]);
    }
    if (stopped) {
      for (const std::uint64_t user_data : std::exchange(kept_, {}))
        post(ring, user_data, -ECANCELED);
      return -ESHUTDOWN;
    }
    if (min_complete == 0 || *ring.cq_tail != *ring.cq_head) return static_cast<int>(to_submit);
    if (arg == nullptr) return -EINTR;  // nothing will ever happen: a test looks at what it has
    abi::timespec64 wait;
    std::memcpy(&wait,
                reinterpret_cast<const void*>(static_cast<const abi::getevents_arg*>(arg)->ts),
                sizeof wait);
    clock_ns += static_cast<std::uint64_t>(wait.tv_sec) * 1'000'000'000u +
                static_cast<std::uint64_t>(wait.tv_nsec);
    return -ETIME;
  }

 private:
  void begin(const memory& ring, const sqe& e) {
    namespace abi = parkring::kernel::abi;
    seen.push_back(e);
    if (e.opcode == abi::op_async_cancel) {
      const bool found = std::erase(kept_, e.addr) != 0;
      if (found) post(ring, e.addr, -ECANCELED);
      post(ring, e.user_data, found ? 0 : -ENOENT);
    } else if (keeps_requests || e.opcode == abi::op_poll_add) {
      kept_.push_back(e.user_data);
    } else {
      post(ring, e.user_data, stopped ? -ECANCELED : static_cast<int>(e.len));
    }
  }
  static void post(const memory& ring, std::uint64_t user_data, int res) noexcept {
    ring.cqes[(*ring.cq_tail)++ & ring.cq_mask] = {user_data, res, 0};
  }

  fake_kernel queues_;
  std::vector<std::uint64_t> kept_;
};

}  // namespace parkring::ring
