// Machines compared with the reference by random programs, and the proof that this finds faults.
//
//   PARKRING_SOAK_SECONDS=N  as long as that, from seeds that are new each time
//   PARKRING_FUZZ_SEED=N     this program only
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "conformance/fuzz/run.hpp"
#include "conformance/machine.hpp"
#include "conformance/wrapped_kernel.hpp"
#include "support/scale.hpp"

namespace parkring::conformance::fuzz {
namespace {

constexpr unsigned steps = 40;

const char* setting(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr && *text != '\0' ? text : nullptr;
}

// All machines together: about 30 s, or what a soak says.
std::chrono::milliseconds time_for_each() {
  const char* const soak = setting("PARKRING_SOAK_SECONDS");
  const long all =
      soak != nullptr ? std::strtol(soak, nullptr, 10) * 1000 : parkring::testing::scaled(30'000);
  const auto others = static_cast<long>(machines().size()) - 1;
  return std::chrono::milliseconds(all / (others > 0 ? others : 1));
}

std::uint64_t first_seed() {
  if (setting("PARKRING_SOAK_SECONDS") == nullptr) return 1;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(now / std::chrono::microseconds(1));
}

std::vector<machine_kind> all_but_the_reference() {
  return {machines().begin() + 1, machines().end()};
}

class Fuzz : public ::testing::TestWithParam<machine_kind> {};
INSTANTIATE_TEST_SUITE_P(on, Fuzz, ::testing::ValuesIn(all_but_the_reference()),
                         [](const auto& one) { return std::string(one.param.name); });

TEST_P(Fuzz, results_and_trees_are_those_of_the_reference) {
  std::string why;
  const std::unique_ptr<machine> expected = machines().front().make(why);
  if (expected == nullptr) GTEST_SKIP() << "no reference: " << why;
  const std::unique_ptr<machine> tried = GetParam().make(why);
  if (tried == nullptr) GTEST_SKIP() << why;
  runner reference(expected->served_by(), expected->root());
  runner other(tried->served_by(), tried->root());

  const char* const only = setting("PARKRING_FUZZ_SEED");
  const std::uint64_t from = only != nullptr ? std::strtoull(only, nullptr, 10) : first_seed();
  const auto until = std::chrono::steady_clock::now() + time_for_each();
  std::uint64_t seed = from;
  do {
    const program p = generate_for(seed, steps, reference, other);
    const auto found = compare(reference.run(p), other.run(p));
    if (found) {
      FAIL() << "PARKRING_FUZZ_SEED=" << seed << "\n" << report(seed, p, *found, reference, other);
    }
    if (HasFailure()) FAIL() << "while running seed " << seed;
    ++seed;
  } while (only == nullptr && std::chrono::steady_clock::now() < until);
  RecordProperty("programs", std::to_string(seed - from));
  std::cout << seed - from << " programs of " << steps << " steps\n";
}

// ---- faults that are planted ----

// Changes some entries before the kernel below sees them. Which ones depends on the entry alone,
// so that a shorter program meets the same fault.
class faulty_machine final : public wrapped_kernel {
 public:
  using change = bool (*)(abi::sqe&);
  faulty_machine(seam& below, change what) : wrapped_kernel(below), change_(what) {}

  int enter(const ring_memory& ring, unsigned to_submit, unsigned min_complete, unsigned flags,
            const void* arg, std::size_t arg_size) noexcept override {
    for (unsigned i = 0; i < to_submit; ++i)
      changed += change_(ring.sqes[(*ring.sq_head + i) & ring.sq_mask]) ? 1 : 0;
    return wrapped_kernel::enter(ring, to_submit, min_complete, flags, arg, arg_size);
  }

  unsigned changed = 0;

 private:
  change change_;
};

bool write_less(abi::sqe& e) {
  if (e.opcode != abi::op_write || e.len < 5000) return false;
  --e.len;
  return true;
}

bool lose_a_rename(abi::sqe& e) {
  if (e.opcode != abi::op_renameat) return false;
  const std::string_view to(reinterpret_cast<const char*>(static_cast<std::uintptr_t>(e.addr2)));
  if (!to.ends_with("/b")) return false;
  const auto [flags, user_data] = std::pair(e.flags, e.user_data);
  e = with_flags(nop(), flags);
  e.user_data = user_data;
  return true;
}

bool forget_to_truncate(abi::sqe& e) {
  if (e.opcode != abi::op_openat || (e.open_flags & O_TRUNC) == 0) return false;
  e.open_flags &= ~static_cast<std::uint32_t>(O_TRUNC);
  return true;
}

bool tell_of_more_events(abi::sqe& e) {
  if (e.opcode != abi::op_poll_add) return false;
  e.poll32_events |= POLLRDNORM;
  return true;
}

// The fault must be found within some hundred programs, and shrunk to `most` operations.
void expect_found(faulty_machine::change what, std::size_t most) {
  std::string why;
  const std::unique_ptr<machine> good = machines().front().make(why);
  const std::unique_ptr<machine> below = machines().front().make(why);
  if (good == nullptr || below == nullptr) GTEST_SKIP() << why;
  faulty_machine bad(below->served_by(), what);
  runner reference(good->served_by(), good->root());
  runner other(bad, below->root());
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    const program p = generate_for(seed, steps, reference, other);
    const auto found = compare(reference.run(p), other.run(p));
    if (!found) continue;
    ASSERT_NE(bad.changed, 0u);
    const program small = shrink(p, reference, other);
    EXPECT_TRUE(compare(reference.run(small), other.run(small))) << describe(small);
    EXPECT_LE(size_of(small), most) << describe(small);
    EXPECT_LT(size_of(small), size_of(p));
    return;
  }
  FAIL() << "not found";
}

TEST(FuzzItself, finds_a_write_that_is_one_short) { expect_found(write_less, 2); }
TEST(FuzzItself, finds_a_rename_that_is_lost) { expect_found(lose_a_rename, 2); }
TEST(FuzzItself, finds_a_file_that_is_not_truncated) { expect_found(forget_to_truncate, 3); }
TEST(FuzzItself, finds_a_poll_that_tells_too_much) { expect_found(tell_of_more_events, 2); }

// A kernel from before FTRUNCATE.
class old_kernel final : public wrapped_kernel {
 public:
  using wrapped_kernel::wrapped_kernel;
  int reg(const ring_memory& ring, unsigned opcode, const void* arg,
          unsigned count) noexcept override {
    const int answer = wrapped_kernel::reg(ring, opcode, arg, count);
    if (opcode == abi::register_probe && answer >= 0) {
      auto* const known = static_cast<abi::probe*>(const_cast<void*>(arg));
      known->ops[abi::op_ftruncate].flags = 0;
    }
    return answer;
  }
};

TEST(FuzzItself, does_without_what_one_of_the_machines_is_too_old_for) {
  std::string why;
  const std::unique_ptr<machine> one = machines().front().make(why);
  const std::unique_ptr<machine> two = machines().front().make(why);
  if (one == nullptr || two == nullptr) GTEST_SKIP() << why;
  old_kernel old(one->served_by());
  runner reference(old, one->root());
  runner other(two->served_by(), two->root());
  EXPECT_FALSE(reference.supports(abi::op_ftruncate));
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const program p = generate_for(seed, steps, reference, other);
    const auto found = compare(reference.run(p), other.run(p));
    ASSERT_FALSE(found) << report(seed, p, *found, reference, other);
  }
}

TEST(FuzzItself, the_same_seed_is_the_same_program) {
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    EXPECT_EQ(describe(generate(seed, steps)), describe(generate(seed, steps)));
    EXPECT_NE(describe(generate(seed, steps)), describe(generate(seed + 1, steps)));
  }
}

TEST(FuzzItself, the_same_machine_does_not_differ_from_itself) {
  std::string why;
  const std::unique_ptr<machine> one = machines().front().make(why);
  const std::unique_ptr<machine> two = machines().front().make(why);
  if (one == nullptr || two == nullptr) GTEST_SKIP() << why;
  runner reference(one->served_by(), one->root());
  runner other(two->served_by(), two->root());
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const program p = generate_for(seed, steps, reference, other);
    const auto found = compare(reference.run(p), other.run(p));
    ASSERT_FALSE(found) << report(seed, p, *found, reference, other);
  }
}

}  // namespace
}  // namespace parkring::conformance::fuzz
