//===- Statistics.h - what a set of times says -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_STATISTICS_H
#define PERMALLOY_LIB_DRIVER_STATISTICS_H

#include <vector>

namespace permalloy {

/// Summary of measured times, in their unit. All zero for none.
struct Summary {
  double minimum = 0, median = 0, p90 = 0, p99 = 0, mean = 0;
  /// Standard deviation over mean.
  double variation = 0;
};
Summary summarize(std::vector<double> times);

double median(std::vector<double> values);
/// Value at `fraction` (0 to 1) of the sorted values, interpolated.
double quantile(std::vector<double> values, double fraction);

/// A median with an interval that holds the true one with at least 95% probability, whatever the
/// distribution: the order statistics whose ranks a binomial(n, 1/2) leaves with 2.5% on each side.
struct MedianInterval {
  double median = 0, low = 0, high = 0;
};
MedianInterval medianInterval(std::vector<double> values);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_STATISTICS_H
