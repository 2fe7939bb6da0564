#include "statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace lab {
namespace {

measurement with(double rate, double cpu) {
  measurement m;
  m.ops_per_s = rate;
  m.cpu_ns_per_op = cpu;
  return m;
}

TEST(Statistics, the_median_is_the_middle_value_or_the_mean_of_the_two) {
  EXPECT_EQ(median({5, 1, 3}), 3);
  EXPECT_EQ(median({4, 1, 3, 2}), 2.5);
  EXPECT_TRUE(std::isnan(median({})));
}

TEST(Statistics, the_median_leaves_unknown_values_out) {
  EXPECT_EQ(median({unknown, 7, unknown}), 7);
  EXPECT_TRUE(std::isnan(median({unknown})));
}

TEST(Statistics, a_quantile_is_a_value_that_occurred) {
  std::vector<double> values;
  for (int i = 1; i <= 100; ++i) values.push_back(i);
  EXPECT_EQ(quantile(values, 0.50), 50);
  EXPECT_EQ(quantile(values, 0.99), 99);
  EXPECT_EQ(quantile(values, 1.0), 100);
  EXPECT_EQ(quantile({8}, 0.99), 8);
  EXPECT_EQ(quantile({8}, 0.0), 8);
  EXPECT_TRUE(std::isnan(quantile({}, 0.5)));
}

TEST(Statistics, spread_is_relative_to_the_median) {
  EXPECT_DOUBLE_EQ(spread({90, 100, 120}), 0.3);
  EXPECT_EQ(spread({100}), 0);
  EXPECT_EQ(spread({}), 0);
}

TEST(Statistics, medians_are_taken_figure_by_figure) {
  const measurement m = median_of({with(10, 3), with(30, 1), with(20, 2)});
  EXPECT_EQ(m.ops_per_s, 20);
  EXPECT_EQ(m.cpu_ns_per_op, 2);
  EXPECT_TRUE(std::isnan(m.syscalls_per_op));
}

TEST(Statistics, a_ratio_compares_within_each_round_so_that_drift_cancels_out) {
  const std::vector<measurement> limit = {with(100, 1), with(200, 1), with(50, 1)};
  const std::vector<measurement> half = {with(50, 1), with(100, 1), with(25, 1)};
  EXPECT_DOUBLE_EQ(ratio_to(half, limit, false), 0.5);
}

TEST(Statistics, a_ratio_by_cpu_time_is_lower_for_the_one_that_uses_more) {
  EXPECT_DOUBLE_EQ(ratio_to({with(1, 400)}, {with(1, 100)}, true), 0.25);
}

TEST(Statistics, a_ratio_to_nothing_is_unknown) {
  EXPECT_TRUE(std::isnan(ratio_to({with(1, 1)}, {}, false)));
}

}  // namespace
}  // namespace lab
