//===- Statistics.cpp - what a set of times says -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace permalloy {

static double quantileOfSorted(const std::vector<double> &sorted, double fraction) {
  if (sorted.empty())
    return 0;
  double position = fraction * static_cast<double>(sorted.size() - 1);
  size_t below = static_cast<size_t>(position);
  size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], position - static_cast<double>(below));
}

double quantile(std::vector<double> values, double fraction) {
  std::sort(values.begin(), values.end());
  return quantileOfSorted(values, fraction);
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

Summary summarize(std::vector<double> times) {
  if (times.empty())
    return {};
  std::sort(times.begin(), times.end());
  double count = static_cast<double>(times.size());
  double mean = std::accumulate(times.begin(), times.end(), 0.0) / count;
  double squares = 0;
  for (double time : times)
    squares += (time - mean) * (time - mean);
  double deviation = times.size() > 1 ? std::sqrt(squares / (count - 1)) : 0;
  return {times.front(),
          quantileOfSorted(times, 0.5),
          quantileOfSorted(times, 0.9),
          quantileOfSorted(times, 0.99),
          mean,
          mean > 0 ? deviation / mean : 0};
}

/// Largest rank r (from 0) such that fewer than r of n fair coins show heads with probability of at
/// most 2.5%: the r-th smallest value then bounds the median from below.
static size_t lowerRank(size_t count) {
  double n = static_cast<double>(count);
  double below = 0;
  for (size_t rank = 0; rank < count; ++rank) {
    double k = static_cast<double>(rank);
    below += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) -
                      n * std::log(2.0));
    if (below > 0.025)
      return rank;
  }
  return 0;
}

MedianInterval medianInterval(std::vector<double> values) {
  if (values.empty())
    return {};
  std::sort(values.begin(), values.end());
  // Rank 0 bounds from below only with probability 1 - 2^-n; with few values that is all there is.
  size_t rank = lowerRank(values.size());
  size_t low = rank == 0 ? 0 : rank - 1;
  return {quantileOfSorted(values, 0.5), values[low], values[values.size() - 1 - low]};
}

} // namespace permalloy
