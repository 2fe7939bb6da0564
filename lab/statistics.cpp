#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace lab {
namespace {

double median_of_member(const std::vector<measurement>& rounds, double measurement::*member) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const measurement& round : rounds) values.push_back(round.*member);
  return median(std::move(values));
}

}  // namespace

double quantile(const std::vector<double>& ascending, double q) {
  if (ascending.empty()) return unknown;
  const double place = std::ceil(q * static_cast<double>(ascending.size())) - 1;
  const auto index = static_cast<std::size_t>(std::max(place, 0.0));
  return ascending[std::min(index, ascending.size() - 1)];
}

double median(std::vector<double> values) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  if (values.empty()) return unknown;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double spread(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return (*most - *least) / median(values);
}

measurement median_of(const std::vector<measurement>& rounds) {
  measurement result;
  for (double measurement::*member :
       {&measurement::ops_per_s, &measurement::p50_ns, &measurement::p99_ns,
        &measurement::cpu_ns_per_op, &measurement::user_ns_per_op, &measurement::syscalls_per_op,
        &measurement::switches_per_op, &measurement::allocs_per_op, &measurement::share})
    result.*member = median_of_member(rounds, member);
  return result;
}

double ratio_to(const std::vector<measurement>& contender, const std::vector<measurement>& limit,
                bool by_cpu_time) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(contender.size(), limit.size()); ++i) {
    ratios.push_back(by_cpu_time ? limit[i].cpu_ns_per_op / contender[i].cpu_ns_per_op
                                 : contender[i].ops_per_s / limit[i].ops_per_s);
  }
  return median(std::move(ratios));
}

}  // namespace lab
