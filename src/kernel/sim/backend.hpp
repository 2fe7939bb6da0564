// What requests of a ring do on the simulated machine.
//
// A request on a file or a path takes a time that is drawn, and is done at its end: a cancel before
// that may end it without an effect, or come too late, or find it just done; which, is drawn. A
// sync has its effect at its beginning or at its end, so what is written meanwhile may not be
// covered. A request on a pipe, a socket or an event counter is tried after a moment, and again
// whenever its endpoint changes.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>

#include <parkring/detail/list.hpp>

#include "kernel/emulated/backend.hpp"
#include "kernel/emulated/ring.hpp"
#include "kernel/open_how.hpp"
#include "kernel/sim/machine.hpp"
#include "kernel/sim/operation.hpp"

namespace parkring::kernel::sim {

class backend final : public emulated::backend {
 public:
  explicit backend(machine& m) noexcept : m_(m), life_(m.life()) {}
  backend(const backend&) = delete;
  backend& operator=(const backend&) = delete;
  ~backend() override;

  [[nodiscard]] bool supports(unsigned opcode) const noexcept override;
  void start(emulated::request& r) noexcept override;
  [[nodiscard]] emulated::cancel_answer cancel(emulated::request& r) noexcept override;
  [[nodiscard]] int update_poll(emulated::request& r, std::uint32_t events,
                                std::uint32_t flags) noexcept override;
  [[nodiscard]] int hold(int fd) noexcept override;
  void let_go(int held) noexcept override;
  [[nodiscard]] bool is_open(int fd) noexcept override { return m_.table.find(fd) != nullptr; }
  [[nodiscard]] bool acts_on(const emulated::request& r, int fd) noexcept override;
  [[nodiscard]] int install(int held, bool close_on_exec) noexcept override;
  [[nodiscard]] std::uint64_t now_ns(emulated::clock which) noexcept override;
  void harvest() noexcept override;
  [[nodiscard]] int wait(std::uint64_t deadline_ns) noexcept override;
  [[nodiscard]] int reg(unsigned, const void*, unsigned) noexcept override;

  /// The machine stops: what is under way is done all the same, or not.
  void cut() noexcept;
  [[nodiscard]] unsigned life() const noexcept { return life_; }

  /// What OPENAT and OPENAT2 ask for; nothing where the latter does not say.
  [[nodiscard]] static abi::open_how opening_of(const abi::sqe& e) noexcept;

 private:
  friend struct operation;

  operation& acquire(emulated::request& r);
  void release(operation& op) noexcept;
  /// The time has come to do it.
  void due(operation& op) noexcept;
  void changed(operation& op) noexcept;
  void finish(operation& op, std::int64_t result, std::uint32_t flags = 0) noexcept;
  void describe(operation& op) noexcept;
  [[nodiscard]] bool may_be_half_way(const operation& op) const noexcept;

  // What goes wrong, and how long it takes (request_fate.cpp).
  void decide(operation& op) noexcept;
  void fail(operation& op) noexcept;
  [[nodiscard]] std::uint64_t latency(const operation& op) noexcept;
  [[nodiscard]] parkring::sim::operation told_of(const operation& op) noexcept;
  /// In its file; 0 where it has none.
  [[nodiscard]] static std::uint64_t offset_of(const operation& op) noexcept;

  // Files and paths (file_requests.cpp). Done at once: a result.
  [[nodiscard]] std::int64_t do_file(operation& op);
  static constexpr std::int64_t must_wait = std::numeric_limits<std::int64_t>::min();
  [[nodiscard]] std::int64_t do_path(operation& op);
  [[nodiscard]] bool stat_stream(const abi::sqe& e) noexcept;
  [[nodiscard]] std::int64_t transfer_file(operation& op, bool read);
  /// Or `must_wait`: for the other end of a pipe, as op.object tells of.
  [[nodiscard]] std::int64_t open_path(operation& op, open_file* from, const char* path);
  [[nodiscard]] std::int64_t finish_open_pipe(operation& op);
  // Streams (stream_requests.cpp). May wait; finish by themselves.
  void try_stream(operation& op);
  void try_transfer(operation& op, bool read);
  void try_receive(operation& op);
  void try_accept(operation& op);
  void try_poll(operation& op);
  void try_connect(operation& op);
  [[nodiscard]] std::int64_t do_socket(operation& op);
  [[nodiscard]] std::int64_t message(operation& op);
  [[nodiscard]] std::int64_t send(operation& op);
  void wait_for_change(operation& op) noexcept;
  [[nodiscard]] int give_descriptor(open_object object) noexcept;

  machine& m_;
  const unsigned life_;
  std::uint64_t completed_ = 0;
  std::deque<operation> all_;
  detail::intrusive_list<operation> live_;
  detail::intrusive_list<operation> free_;
};

}  // namespace parkring::kernel::sim
