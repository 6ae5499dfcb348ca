//===- Timing.h - how long one launch takes ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_TIMING_H
#define PERMALLOY_MEASURE_TIMING_H

#include "permalloy/Measure/Yardstick.h"

#include "llvm/ADT/STLFunctionalExtras.h"

#include <utility>
#include <vector>

namespace permalloy::measure {

/// Times of one call, in nanoseconds of processor time.
struct Timing {
  double minNs = 0, medianNs = 0;
  double madNs = 0; ///< median distance from the median
  unsigned repeats = 0;
  MachineSpeed speed; ///< round this measurement
  double drift = 1;   ///< multiply-adds of the yardstick before this measurement by those after it

  /// Within the noise gate: a MAD of at most 3% of the median, and a drift of at most 5%.
  bool isSteady() const { return madNs <= 0.03 * medianNs && drift >= 0.95 && drift <= 1.05; }
};

/// The least, the median and the MAD of the times of batches, of which there is one at least.
Timing timingOf(const std::vector<double> &times);

/// Calls `run` in batches of at least 100 us: once to warm up, then for about `budgetNs` in all, at least 5 batches and at
/// most 50. A measurement that is not steady is made up to three times, and the steadiest one counts. Ends early, with what it
/// has, when `stop` becomes true.
Timing timeCalls(llvm::function_ref<void()> run, Yardstick &yardstick, llvm::function_ref<bool()> stop,
                 double budgetNs = 15e6);

/// The same of two, batch by batch in turns, for `budgetNs` each: what disturbs one disturbs the other. The first call of a
/// batch finds in the caches what the other one left.
std::pair<Timing, Timing> timeByTurns(llvm::function_ref<void()> first, llvm::function_ref<void()> second,
                                      Yardstick &yardstick, llvm::function_ref<bool()> stop, double budgetNs = 30e6);

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_TIMING_H
