// The machines that the conformance tests run on, and the test fixture that gives one to a test.
//
// A machine is a kernel and an empty directory of its own on it. A new kernel is one line in
// machines() of machine.cpp. Tests do everything by requests: a simulated machine's descriptors
// mean nothing to system calls.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "conformance/client.hpp"
#include "kernel/kernel.hpp"

namespace parkring::conformance {

class machine {
 public:
  virtual ~machine() = default;
  [[nodiscard]] virtual kernel::kernel& served_by() noexcept = 0;
  /// An absolute path, of a directory that is empty at first and goes with the machine.
  [[nodiscard]] virtual const std::string& root() const noexcept = 0;
};

struct machine_kind {
  const char* name;
  /// Null where this machine cannot be had; `why` then says the reason.
  std::unique_ptr<machine> (*make)(std::string& why);
};

/// All that there are; the first is the reference.
[[nodiscard]] const std::vector<machine_kind>& machines();

void PrintTo(const machine_kind& kind, std::ostream* out);

class on_machine : public ::testing::TestWithParam<machine_kind> {
 protected:
  void SetUp() override;
  void TearDown() override;

  [[nodiscard]] bool supports(unsigned opcode) const { return io_->supports(opcode); }
  [[nodiscard]] kernel::kernel& served_by() { return machine_->served_by(); }
  [[nodiscard]] const std::string& root() const { return machine_->root(); }
  [[nodiscard]] std::string path(const std::string& name) const { return root() + "/" + name; }
  /// The ring most tests need one of; made by SetUp.
  [[nodiscard]] client& io() { return *io_; }

 private:
  std::unique_ptr<machine> machine_;
  std::unique_ptr<client> io_;
};

}  // namespace parkring::conformance

/// Instantiates the fixture for every machine.
#define PARKRING_ON_EVERY_MACHINE(fixture)                                                        \
  INSTANTIATE_TEST_SUITE_P(on, fixture, ::testing::ValuesIn(::parkring::conformance::machines()), \
                           [](const auto& one) { return std::string(one.param.name); })

/// Skips a test on a machine that does not have an opcode, which old kernels may lack.
#define PARKRING_NEEDS(opcode) \
  if (!supports(opcode)) GTEST_SKIP() << "no " << ::parkring::kernel::abi::op_name(opcode)
