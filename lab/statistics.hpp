// Medians, quantiles and spread of the rounds of a row.
#pragma once

#include <vector>

#include "measurement.hpp"

namespace lab {

/// The value below which the share `q` of an ascending sequence lies; NaN when it is empty.
double quantile(const std::vector<double>& ascending, double q);

/// The median of the values that are known (not NaN); NaN when none is.
double median(std::vector<double> values);

/// How far the rounds lie apart: (largest − smallest) / median. 0 for fewer than two values.
double spread(const std::vector<double>& values);

/// The medians of each figure over the rounds.
measurement median_of(const std::vector<measurement>& rounds);

/// How a contender compares to its limit: the median over the rounds of the ratio within each
/// round, so that drift of the machine cancels out. By rate, or inversely by CPU time; in both,
/// 1.0 means as good as the limit and less means worse. Rounds are paired by index.
double ratio_to(const std::vector<measurement>& contender, const std::vector<measurement>& limit,
                bool by_cpu_time);

}  // namespace lab
