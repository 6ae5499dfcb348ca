//===- RunRecord.h - when the steps of a run happened ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_RUNRECORD_H
#define PERMALLOY_RUNTIME_RUNRECORD_H

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace permalloy {

/// From when to when, in nanoseconds of CLOCK_MONOTONIC; both 0: not at all.
struct TimeSpan {
  int64_t begin = 0, end = 0;
};

/// CLOCK_MONOTONIC in nanoseconds.
inline int64_t monotonicNanoseconds() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

/// What one run did.
struct RunRecord {
  /// One step.
  struct Step {
    uint32_t index = 0; ///< of Program::steps; one in a loop runs several times
    TimeSpan time;
    int64_t flops = 0, bytes = 0; ///< estimates; 0 when the compiler made none
    bool parallel = false;        ///< `lanes` has entries for it
  };
  TimeSpan run;                 ///< of the whole call, set by the caller
  int64_t thread = 0;           ///< the system's number of the calling thread
  std::vector<int64_t> symbols; ///< values of the manifest's symbols
  std::vector<Step> steps;      ///< those that ran, in order
  /// `threads` entries for each step that several threads could share, in order; the caller's
  /// first.
  std::vector<TimeSpan> lanes;
  size_t threads = 1;
};

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_RUNRECORD_H
