// The machine that a test runs on: this one, or with PARKRING_TEST_MACHINE=sim a simulated world.
//
// Every test then has a world of its own, made before its fixture and ended after it, and the
// runtimes that the test's thread makes run there. Its seed is `seed()`, so --gtest_repeat=N tries
// N of them. Helpers in scratch.hpp and drop_everywhere.hpp follow.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>

#include <parkring/sim/world.hpp>

namespace parkring::testing {

/// The world of the test that runs; null on the real machine.
[[nodiscard]] sim::world* simulated() noexcept;

/// For the worlds that tests make: PARKRING_TEST_SEED (by default 1) plus the number of the
/// iteration.
[[nodiscard]] std::uint64_t seed() noexcept;

/// Whether tests run in worlds at all: for parameters, which are made before any test.
[[nodiscard]] bool runs_simulated() noexcept;

}  // namespace parkring::testing

/// Skips a test in a simulated world, which does not have `WHAT`.
#define PARKRING_NEEDS_REAL(WHAT)                  \
  if (::parkring::testing::simulated() != nullptr) \
  GTEST_SKIP() << "a simulated world does not have " << (WHAT)
