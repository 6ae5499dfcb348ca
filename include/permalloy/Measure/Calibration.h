//===- Calibration.h - the constants of this machine's roofline --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_CALIBRATION_H
#define PERMALLOY_MEASURE_CALIBRATION_H

#include "permalloy/CostModel/MachineRates.h"

namespace permalloy::measure {

/// Measures what one core can do, with small loops of about 20 ms each (three seconds in all): multiply-adds in registers for every unit
/// that this CPU has and Linux grants, reads from each level of the hierarchy and what the third-level cache holds.
/// The best of several tries counts. What is not measured (from one step to the next) keeps the value of MachineRates::committed.
MachineRates calibrate();

/// The same, once per kind of CPU: writes MachineRates::defaultPath, where a file of this version is left alone unless `again`. Returns
/// the constants that count from now on.
Result<MachineRates> calibrateOnce(bool again = false);

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_CALIBRATION_H
