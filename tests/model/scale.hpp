// How far the tests go.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "model/explorer.hpp"

namespace parkring::model {

/// `./dev soak`: scenarios of minutes, too.
inline bool deeper() { return std::getenv("PARKRING_SOAK_SECONDS") != nullptr; }

/// Says how large scenarios are.
inline bool tells() { return std::getenv("PARKRING_MODEL_TELLS") != nullptr; }

/// Fails with the schedule.
inline void expect_passed(const outcome& o, const char* scenario) {
  EXPECT_TRUE(o.passed()) << scenario << ": " << o;
  if (tells()) std::cerr << scenario << ": " << o.states << " states, " << o.steps << " steps\n";
}

/// What goes wrong must contain `what`.
inline void expect_found(const char* what, const outcome& o, const char* scenario) {
  EXPECT_TRUE(o.found(what)) << scenario << ": " << o;
}

}  // namespace parkring::model

#define EXPECT_PASSED(...) expect_passed((__VA_ARGS__), #__VA_ARGS__)
#define EXPECT_FOUND(what, ...) expect_found(what, (__VA_ARGS__), #__VA_ARGS__)
