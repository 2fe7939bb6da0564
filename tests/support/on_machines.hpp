// Runs a test's task on the machine that the test runs on, and in a simulated world: what it says
// holds on both.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>

#include <parkring/as_result.hpp>
#include <parkring/runtime.hpp>
#include <parkring/sim/world.hpp>

#include "fs/test_files.hpp"

namespace parkring::fs {

/// `body(directory)` gives the task; the directory is empty and the task's own.
template <class Body>
void on_both_machines(Body body) {
  {
    SCOPED_TRACE("this machine");
    const test_directory dir;
    run(body((dir / "x").parent_path()));
  }
  SCOPED_TRACE("a simulated world");
  sim::world w(1);
  w.create_directory("/t");
  w.run([&] { return body(std::filesystem::path("/t")); });
  EXPECT_EQ(w.open_descriptors(), 0u);
}

/// The error that an operation ends with, or one with number 0.
template <class Operation>
task<error> error_of(Operation operation) {
  auto r = co_await as_result(std::move(operation));
  co_return r ? error(0, "", "") : r.error();
}

}  // namespace parkring::fs
