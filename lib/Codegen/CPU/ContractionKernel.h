//===- ContractionKernel.h - what the contraction kernels share -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_CONTRACTIONKERNEL_H
#define PERMALLOY_LIB_CODEGEN_CPU_CONTRACTIONKERNEL_H

#include "permalloy/Codegen/CPU/Contraction.h"
#include "permalloy/Codegen/CPU/KernelFrame.h"

namespace permalloy::codegen {

/// A schedule as the attribute of a kernel, and back; an error is emitted when it does not fit the target.
void writeSchedule(kern::KernelOp kernel, const ContractionSchedule &schedule);
mlir::FailureOr<ContractionSchedule> readSchedule(kern::KernelOp kernel, const CpuTarget &target,
                                                  mlir::Type element);

/// The root is a tfm.grouped_linear (GroupedKernel.cpp).
bool isGroupedKernel(kern::KernelOp kernel);
mlir::LogicalResult scheduleGroupedKernel(kern::KernelOp kernel, const CpuTarget &target);
mlir::LogicalResult emitGroupedKernel(KernelFrame &frame);

} // namespace permalloy::codegen

#endif
