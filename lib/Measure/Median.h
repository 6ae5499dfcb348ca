//===- Median.h - of times ---------------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_MEASURE_MEDIAN_H
#define PERMALLOY_LIB_MEASURE_MEDIAN_H

#include <algorithm>
#include <ctime>
#include <vector>

namespace permalloy::measure {

/// Nanoseconds of processor time of this thread, so that being put aside by the system counts as nothing.
inline double threadTime() {
  timespec time;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return double(time.tv_sec) * 1e9 + double(time.tv_nsec);
}

/// Of some.
inline double medianOf(std::vector<double> values) {
  auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

} // namespace permalloy::measure

#endif // PERMALLOY_LIB_MEASURE_MEDIAN_H
