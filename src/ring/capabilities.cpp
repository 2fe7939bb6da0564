#include "ring/capabilities.hpp"

#include <cstddef>

#include "ring/ring.hpp"

namespace parkring::ring {

namespace {

constexpr std::uint32_t single = abi::setup_single_issuer;
constexpr std::uint32_t defer = single | abi::setup_defer_taskrun;

struct candidate {
  const char* name;
  std::uint32_t flag;
  std::uint32_t companions;
};
constexpr candidate candidates[] = {
    {"IOPOLL", abi::setup_iopoll, 0},
    {"SQPOLL", abi::setup_sqpoll, 0},
    {"CQSIZE", abi::setup_cqsize, 0},
    {"CLAMP", abi::setup_clamp, 0},
    {"R_DISABLED", abi::setup_r_disabled, 0},
    {"SUBMIT_ALL", abi::setup_submit_all, 0},
    {"COOP_TASKRUN", abi::setup_coop_taskrun, 0},
    {"TASKRUN_FLAG", abi::setup_taskrun_flag, abi::setup_coop_taskrun},
    {"SQE128", abi::setup_sqe128, 0},
    {"CQE32", abi::setup_cqe32, 0},
    {"SINGLE_ISSUER", single, 0},
    {"DEFER_TASKRUN", abi::setup_defer_taskrun, single},
    {"NO_SQARRAY", abi::setup_no_sqarray, defer},
    {"HYBRID_IOPOLL", abi::setup_hybrid_iopoll, abi::setup_iopoll},
    {"CQE_MIXED", abi::setup_cqe_mixed, 0},
    {"SQE_MIXED", abi::setup_sqe_mixed, 0},
};

}  // namespace

capabilities probe(kernel::kernel& k) {
  capabilities found;
  found.around = surroundings::read();
  try {
    ring r(k, {.entries = 1});
    found.setup_flags = r.setup_flags();
    found.features = r.features();
    found.opcodes = r.opcodes();
    found.registered_descriptor = r.bind_to_this_thread() == 0 && r.descriptor_registered();
  } catch (const setup_failed& failure) {
    found.error = failure.code().value();
    found.why = explain_setup_error(found.error, found.around);
  }
  return found;
}

const capabilities& this_machine() {
  static const capabilities found = probe(kernel::linux_kernel());
  return found;
}

std::vector<flag_trial> try_setup_flags(kernel::kernel& k) {
  std::vector<flag_trial> trials;
  for (const candidate& c : candidates) {
    abi::params p{};
    p.flags = c.flag | c.companions;
    p.cq_entries = (p.flags & abi::setup_cqsize) != 0 ? 16 : 0;
    kernel::ring_memory memory;
    const int result = k.setup(2, p, memory);
    if (result == 0) k.release(memory);
    trials.push_back({c.name, c.flag, c.flag | c.companions, -result});
  }
  return trials;
}

}  // namespace parkring::ring
