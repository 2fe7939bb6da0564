// The simulated machine as a kernel: serves rings in virtual time.
//
// When the machine stops, inside an enter, that call settles it: requests under way are done all
// the same or not, then the power goes, then the rings of this life end all their requests.
// Thread: the one that made it.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "kernel/emulated/ring.hpp"
#include "kernel/kernel.hpp"
#include "kernel/sim/backend.hpp"
#include "kernel/sim/machine.hpp"
#include "kernel/sim/machine_file_calls.hpp"

namespace parkring::kernel::sim {

class sim_kernel final : public kernel {
 public:
  explicit sim_kernel(machine& m) noexcept : m_(m) {}
  sim_kernel(const sim_kernel&) = delete;
  sim_kernel& operator=(const sim_kernel&) = delete;
  ~sim_kernel() override;

  [[nodiscard]] const char* name() const noexcept override { return "sim"; }
  [[nodiscard]] int setup(unsigned entries, abi::params& p, ring_memory& out) noexcept override;
  int enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete, unsigned flags,
            const void* arg, std::size_t arg_size) noexcept override;
  int reg(const ring_memory& ring, unsigned opcode, const void* arg,
          unsigned count) noexcept override;
  void release(ring_memory& ring) noexcept override;

  [[nodiscard]] bool real() const noexcept override { return false; }
  [[nodiscard]] std::uint64_t now_ns() noexcept override { return m_.now_ns(); }
  void pause(std::uint64_t ns) noexcept override { m_.time.pass(m_.now_ns() + ns); }
  [[nodiscard]] int inspect(int fd, bool direct_io, file_facts& out) noexcept override;
  int close(int fd) noexcept override { return m_.table.close(fd); }
  [[nodiscard]] bool halted() const noexcept override {
    return m_.stopped() != machine::stop_reason::none;
  }
  [[nodiscard]] file_calls& files() noexcept override { return calls_; }
  [[nodiscard]] int make_event() noexcept override;
  void signal_event(int fd) noexcept override;
  void clear_event(int fd) noexcept override;

  /// Ends what the power cut has left undone. Idempotent.
  void settle() noexcept;
  /// Rings that were not released.
  [[nodiscard]] std::size_t rings() const noexcept { return served_.size(); }

 private:
  struct served {
    backend below;
    std::unique_ptr<emulated::ring> queues;
    bool ended = false;
    explicit served(machine& m) noexcept : below(m) {}
  };
  [[nodiscard]] served& of(const ring_memory& ring) const noexcept;
  void check_thread() const noexcept;
  static void want_enter(const ring_memory& ring) noexcept;

  machine& m_;
  machine_file_calls calls_{m_};
  const std::thread::id thread_ = std::this_thread::get_id();
  std::vector<std::unique_ptr<served>> served_;
};

}  // namespace parkring::kernel::sim
