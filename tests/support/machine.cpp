#include "support/machine.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace parkring::testing {
namespace {

std::uint64_t chosen_seed() {
  const char* const text = std::getenv("PARKRING_TEST_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
}

struct place {
  explicit place(std::uint64_t seed) : world(seed), inside(world) {}
  sim::world world;
  sim::world::entered inside;
};

std::unique_ptr<place>& the_place() {
  static std::unique_ptr<place> instance;
  return instance;
}

std::uint64_t seed_now = 1;

class seeds : public ::testing::EmptyTestEventListener {
  void OnTestIterationStart(const ::testing::UnitTest&, int iteration) override {
    seed_now = chosen_seed() + static_cast<std::uint64_t>(iteration);
  }
};

class worlds : public ::testing::EmptyTestEventListener {
  void OnTestStart(const ::testing::TestInfo&) override {
    the_place() = std::make_unique<place>(seed_now);
  }
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed() || told_ || the_place() == nullptr) return;
    told_ = true;
    std::printf("seed %llu, after %llu steps; the last events:\n%s",
                static_cast<unsigned long long>(seed_now),
                static_cast<unsigned long long>(the_place()->world.steps()),
                the_place()->world.trace(30).c_str());
  }
  void OnTestEnd(const ::testing::TestInfo&) override {
    told_ = false;
    the_place() = nullptr;
  }
  bool told_ = false;
};

const bool installed = [] {
  // Before main, which takes the list as it then is; gtest owns it from there on.
  auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
  listeners.Append(new seeds);
  if (runs_simulated()) listeners.Append(new worlds);
  return true;
}();

}  // namespace

sim::world* simulated() noexcept {
  static_cast<void>(installed);
  return the_place() != nullptr ? &the_place()->world : nullptr;
}

std::uint64_t seed() noexcept {
  static_cast<void>(installed);
  return seed_now;
}

bool runs_simulated() noexcept {
  const char* const machine = std::getenv("PARKRING_TEST_MACHINE");
  return machine != nullptr && std::string_view(machine) == "sim";
}

}  // namespace parkring::testing
