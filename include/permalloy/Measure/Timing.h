//===- Timing.h - how long one launch takes ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_TIMING_H
#define PERMALLOY_MEASURE_TIMING_H

#include "llvm/ADT/STLFunctionalExtras.h"

#include <utility>
#include <vector>

namespace permalloy::measure {

/// Times of one call, in nanoseconds of processor time.
struct Timing {
  double minNs = 0, medianNs = 0;
  double madNs = 0; ///< median distance from the median
  unsigned repeats = 0;
  double drift = 1; ///< time of the reference round this measurement, relative to what is usual in this session

  /// Within the noise gate: a MAD of at most 3% of the median, and a drift of at most 5%.
  bool isSteady() const { return madNs <= 0.03 * medianNs && drift >= 0.95 && drift <= 1.05; }
};

/// A fixed piece of work, half of it in registers and half of it reads of 4 MB, that is timed before and after each
/// measurement: it tells a slower clock or a busy neighbour from a slower kernel.
class DriftReference {
public:
  DriftReference();
  /// Nanoseconds of the work now; the best of three.
  double time();
  /// `nanoseconds` over the median of the last hundred times. (Over the best one, a moment of a higher clock would make all
  /// that follows look disturbed.)
  double relative(double nanoseconds) const;

private:
  std::vector<unsigned long> memory;
  std::vector<double> recent;
  size_t position = 0;
};

/// Calls `run` in batches of at least 100 us: once to warm up, then for about `budgetNs` in all, at least 5 batches and at
/// most 50. A measurement that is not steady is made up to three times, and the steadiest one counts. Ends early, with what it
/// has, when `stop` becomes true.
Timing timeCalls(llvm::function_ref<void()> run, DriftReference &reference, llvm::function_ref<bool()> stop,
                 double budgetNs = 15e6);

/// The same of two, batch by batch in turns, for `budgetNs` each: what disturbs one disturbs the other. The first call of a
/// batch finds in the caches what the other one left.
std::pair<Timing, Timing> timeByTurns(llvm::function_ref<void()> first, llvm::function_ref<void()> second,
                                      DriftReference &reference, llvm::function_ref<bool()> stop, double budgetNs = 30e6);

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_TIMING_H
