// How results are shown: tables for a terminal, JSON for programs.
#pragma once

#include <string>
#include <vector>

#include "result.hpp"

namespace lab {

/// One table for each row, then the remarks.
std::string as_text(const results& all);

/// A list of objects with the keys row, contender, ops_per_s, p50_ns, p99_ns, cpu_ns_per_op,
/// user_ns_per_op, syscalls_per_op, allocs_per_op, ratio, rounds and spread. What is unknown is
/// null; failed contenders are left out.
std::string as_json(const std::vector<result>& lines);

/// A rate or a time in three or four significant digits with a unit: "1.73 M", "412 ns".
std::string with_unit(double value, bool is_time);

}  // namespace lab
