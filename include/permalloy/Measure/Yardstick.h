//===- Yardstick.h - how fast the machine is at the moment -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_YARDSTICK_H
#define PERMALLOY_MEASURE_YARDSTICK_H

#include "permalloy/CostModel/MachineRates.h"
#include "permalloy/Runtime/Memory.h"

#include <chrono>

namespace permalloy::measure {

/// Two fixed pieces of work, timed before and after each measurement: multiply-adds in the widest registers, and reads of 4 MB of a
/// quarter of a gigabyte, which no cache holds until their turn comes again. They tell a slower clock or a busy neighbour from a slower
/// kernel, and a row of the tuning database keeps them, so that rows of a slow hour and of a fast one agree.
///
/// The multiply-adds run for a while before they count, since a core keeps for some milliseconds the clock that the code before had it
/// choose, and products of matrices make it choose a lower one: after a run of a model it takes kRest until they say what the machine is
/// capable of. Beside kernels, where that would be twice the measurement, it is kSettle, and the faster of many neighbouring rows count.
class Yardstick {
public:
  Yardstick();
  static constexpr std::chrono::microseconds kSettle{2000}, kRest{30000};
  /// In half a millisecond and what it waits before.
  MachineSpeed now(std::chrono::microseconds wait = kSettle);
  /// The last one, where it is fewer than 20 ms old.
  MachineSpeed lately();

private:
  using Clock = std::chrono::steady_clock;
  double fmaRate(std::chrono::microseconds wait) const;
  double readRate();

  bool wide;
  Mapping memory; ///< empty where there is none: speeds are then unknown
  size_t next = 0;
  MachineSpeed last;
  Clock::time_point taken;
};

/// The speed between two moments.
MachineSpeed between(const MachineSpeed &before, const MachineSpeed &after);

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_YARDSTICK_H
