// A kernel that passes everything on to another one: the base of those that change something.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/kernel.hpp"

namespace parkring::conformance {

using seam = parkring::kernel::kernel;

class wrapped_kernel : public seam {
 public:
  using ring_memory = parkring::kernel::ring_memory;
  using file_facts = parkring::kernel::file_facts;
  using params = parkring::kernel::abi::params;

  explicit wrapped_kernel(seam& below) : below_(below) {}

  [[nodiscard]] const char* name() const noexcept override { return below_.name(); }
  [[nodiscard]] int setup(unsigned entries, params& p, ring_memory& out) noexcept override {
    return below_.setup(entries, p, out);
  }
  int enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete, unsigned flags,
            const void* arg, std::size_t arg_size) noexcept override {
    return below_.enter(ring, to_submit, min_complete, flags, arg, arg_size);
  }
  int reg(const ring_memory& ring, unsigned opcode, const void* arg,
          unsigned count) noexcept override {
    return below_.reg(ring, opcode, arg, count);
  }
  void release(ring_memory& ring) noexcept override { below_.release(ring); }
  [[nodiscard]] bool real() const noexcept override { return below_.real(); }
  [[nodiscard]] std::uint64_t now_ns() noexcept override { return below_.now_ns(); }
  void pause(std::uint64_t ns) noexcept override { below_.pause(ns); }
  [[nodiscard]] int inspect(int fd, bool direct_io, file_facts& out) noexcept override {
    return below_.inspect(fd, direct_io, out);
  }
  int close(int fd) noexcept override { return below_.close(fd); }
  [[nodiscard]] int make_event() noexcept override { return below_.make_event(); }
  void signal_event(int fd) noexcept override { below_.signal_event(fd); }
  void clear_event(int fd) noexcept override { below_.clear_event(fd); }

 protected:
  seam& below_;
};

}  // namespace parkring::conformance
