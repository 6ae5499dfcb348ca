//===- TuningState.h - a kernel on its way through a tuner ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_MEASURE_TUNINGSTATE_H
#define PERMALLOY_LIB_MEASURE_TUNINGSTATE_H

#include "permalloy/Measure/Tuner.h"

#include "mlir/IR/Diagnostics.h"

#include <map>
#include <random>
#include <set>

namespace permalloy::measure {

/// A task on its way through the rounds. Each tuner adds what it has ready to be launched.
struct TuningState {
  using Values = codegen::ScheduleSpace::Values;

  explicit TuningState(const TuningTask &task)
      : task(task), kernel(kern::KernelOp(task.kernel).clone()) {}
  /// Offers these schedules, null for one that needs no choice; that on the kernel is the default.
  void begin(std::unique_ptr<codegen::ScheduleSpace> schedules, uint64_t seed);

  bool isDone() const { return !space || exhausted; }
  /// The fastest so far, the default before there is any.
  const Values &best() const;
  /// What is known of a row of a CPU or a GPU without measuring.
  TuningRow rowFor(const Values &values, const std::string &code, size_t size) const;

  const TuningTask &task;
  mlir::OwningOpRef<kern::KernelOp> kernel; ///< takes the schedules
  KernelIdentity identity;
  std::unique_ptr<codegen::ScheduleSpace> space; ///< null: nothing to choose
  Values byDefault;
  std::map<Values, double> scores; ///< sums of logarithms of medians at all sizes
  std::set<Values> tried, confirmed;
  std::mt19937_64 random;
  bool exhausted = false;
};

/// Keeps errors off the user's terminal and for the tuner's report.
class QuietDiagnostics {
public:
  explicit QuietDiagnostics(mlir::MLIRContext *context)
      : handler(context, [this](mlir::Diagnostic &d) {
          text += (text.empty() ? "" : "; ") + d.str();
          return llvm::success();
        }) {}
  std::string text;

private:
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace permalloy::measure

#endif
