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

/// Prices schedules of one kernel for one target by the prior (CostModel/GpuPrior.h), at the sizes that its dimensions leave or at
/// 1, 16, 128, 512 and 2048 rows. For forms that choose among a few schedules:
///
///   GpuSchedulePricer price(kernel, target);
///   return price.fastest({small, large, split});
class GpuSchedulePricer {
public:
  GpuSchedulePricer(kern::KernelOp kernel, const GpuTarget &target);

  /// Microseconds of a launch with `schedule` ({form = "tensor", ...}): the geometric mean over the sizes. Nothing where the
  /// schedule is illegal or the sizes depend on data. Emits no diagnostics.
  std::optional<double> us(mlir::DictionaryAttr schedule) const;
  /// The fastest of `candidates`, the earlier one where another gains less than 3%; null where none has a price.
  mlir::DictionaryAttr fastest(llvm::ArrayRef<mlir::DictionaryAttr> candidates) const;

private:
  kern::KernelOp kernel;
  const GpuTarget &target;
  const GpuRates *rates;
  std::vector<std::pair<reference::Symbols, KernelFacts>> sizes;
};

/// Of one schedule.
std::optional<double> priceGpuSchedule(kern::KernelOp kernel, const GpuTarget &target, mlir::DictionaryAttr schedule);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_SCHEDULEPRICE_H
