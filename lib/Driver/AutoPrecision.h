//===- AutoPrecision.h - `--precision auto` ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How a plan is found, by measurements on calibration inputs:
//
//   1. The model is compiled once with a switch for each product (see addPrecisionSwitches): all
//      off is f32, and any set of operations can be tried by a run, without a compilation.
//   2. Each switch alone gives the error of its operation. Error: the largest difference from f32
//      of any floating-point output, relative to that output's largest magnitude, as `verify`
//      measures it.
//   3. Operations are sorted by the time that bf16 saves per error, and the longest prefix is taken
//      whose error, measured as a whole, is within the limit (by bisection). The cost model says
//      what is saved: it prices the model in f32 and in bf16 (BudgetState.h divides that over
//      operations).
//   4. The model is compiled with that plan and measured. Its kernels round more than switches do
//      (a query before and after its rotation, say): while the error is too large, the plan gets
//      shorter.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_AUTOPRECISION_H
#define PERMALLOY_LIB_DRIVER_AUTOPRECISION_H

#include "CompileModel.h"

namespace permalloy {

/// The plan for `command.model` under its settings; nothing after an error, which was reported.
std::optional<PrecisionPlan> planPrecision(const CompileCommand &command);

} // namespace permalloy

#endif
