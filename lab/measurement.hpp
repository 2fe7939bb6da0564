// The figures of one contender in one row: plain values, sent from the measuring process.
#pragma once

#include <limits>

namespace lab {

inline constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

struct measurement {
  double ops_per_s = unknown;
  double p50_ns = unknown;
  double p99_ns = unknown;
  double cpu_ns_per_op = unknown;
  double user_ns_per_op = unknown;  // of them in user space, as far as the kernel knows
  double syscalls_per_op = unknown;
  double switches_per_op = unknown;  // context switches of all threads, wanted and unwanted ones
  double allocs_per_op = unknown;
  double share = 1.0;  // the part of the extent that a checksum row got through
};

}  // namespace lab
