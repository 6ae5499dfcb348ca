//===- SchedulePrice.h - schedules of GPU kernels, priced --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_GPU_SCHEDULEPRICE_H
#define PERMALLOY_CODEGEN_GPU_SCHEDULEPRICE_H

#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/CostModel/GpuPrior.h"
#include "permalloy/Reference/Interpreter.h"

#include <optional>

namespace permalloy::codegen {

/// The launch of a kernel that has a schedule, at concrete sizes. `registers` of a thread as ptxas says; 0: not known. Nothing
/// where a size does not follow from `symbols`.
std::optional<GpuGrid> gridOf(kern::KernelOp kernel, const reference::Symbols &symbols, unsigned registers = 0);

/// Sizes to judge schedules at: the one that a kernel's dimensions leave, or, where they vary, 1 to 2,048 rows of a batch of one,
/// and single rows behind 512 and 2,048 that came before.
std::vector<reference::Symbols> usualSizes(kern::KernelOp kernel);

/// Prices schedules of one kernel, which has one, for one target by the prior (CostModel/GpuPrior.h).
class GpuSchedulePricer {
public:
  GpuSchedulePricer(kern::KernelOp kernel, const GpuTarget &target, const std::vector<reference::Symbols> &sizes);
  GpuSchedulePricer(kern::KernelOp kernel, const GpuTarget &target) : GpuSchedulePricer(kernel, target, usualSizes(kernel)) {}

  /// What a launch takes at each size, in microseconds, with `schedule` ({form = "tensor", ...}), and the registers that a thread
  /// wants. Nothing where the schedule is illegal or no size is known. Emits no diagnostics.
  struct Price {
    llvm::SmallVector<double, 8> us;
    double registers = 0;
    unsigned threads = 0;
    double mean() const; ///< geometric
  };
  std::optional<Price> price(mlir::DictionaryAttr schedule) const;

private:
  mlir::OwningOpRef<kern::KernelOp> kernel; ///< takes the schedules
  const GpuTarget &target;
  const GpuRates *rates;
  std::vector<std::pair<reference::Symbols, KernelFacts>> sizes;
};

/// A schedule with what it is predicted to gain: the time of the other one by its own, the geometric mean over the sizes.
struct GpuChoice {
  mlir::DictionaryAttr schedule;
  double gain = 1;
};

/// Looks for a schedule that the prior finds faster than the one that stands on the kernel, by changes of one parameter as long as
/// they help. What is returned gains at least 10%, loses at no size, and wants no more registers than ptxas gives, or than that one
/// does. Nothing where there is none, or where the prior does not tell schedules of the form apart (ranksSchedules).
std::optional<GpuChoice> fasterGpuSchedule(kern::KernelOp kernel, const GpuTarget &target);

/// Legal schedules of the kernel's form that differ from its own in one parameter, fastest first by the prior at `symbols`, with
/// their time by its own; at most `count`. None where the prior does not tell them apart.
std::vector<std::pair<NamedNumbers, double>> rankedGpuNeighbours(kern::KernelOp kernel, const GpuTarget &target,
                                                                 const reference::Symbols &symbols, size_t count);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_SCHEDULEPRICE_H
