//===- ContractionKernel.h - what the contraction kernels share -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_CONTRACTIONKERNEL_H
#define PERMALLOY_LIB_CODEGEN_CPU_CONTRACTIONKERNEL_H

#include "ScheduleAttribute.h"
#include "permalloy/Codegen/CPU/Contraction.h"
#include "permalloy/Codegen/CPU/KernelFrame.h"

namespace permalloy::codegen {

/// f32, f16 or bf16.
bool isComputedInF32(mlir::Type element);

/// Why the kernel is no tfm.linear with an epilogue of vectors, whatever its operands are; empty when it is one.
std::string whyNotProduct(kern::KernelOp kernel);

/// Emits a contraction with the schedule that stands on the kernel; fails with an error at it when the emitter does not take it.
mlir::LogicalResult emitScheduledContraction(kern::KernelOp kernel, KernelBuilder &b, const Contraction &contraction);

/// The root is a tfm.grouped_linear (GroupedKernel.cpp).
bool isGroupedKernel(kern::KernelOp kernel);
/// Why such a kernel is no product of gathered rows; empty when it is.
std::string whyNotGrouped(kern::KernelOp kernel);
std::unique_ptr<ScheduleSpace> groupedKernelSpace(kern::KernelOp kernel, const CpuTarget &target);
mlir::LogicalResult scheduleGroupedKernel(kern::KernelOp kernel, const CpuTarget &target, mlir::DictionaryAttr wanted);
mlir::LogicalResult emitGroupedKernel(KernelFrame &frame);

} // namespace permalloy::codegen

#endif
