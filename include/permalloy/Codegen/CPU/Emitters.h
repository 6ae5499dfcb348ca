//===- Emitters.h - one schedule and one emit function per emitter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each emitter comes as a triple: `schedule...` writes schedule (`wanted`, which is checked, or the
// default where that is null), tiles and scratch_bytes on the kernel; `emit...` builds the function's
// body into a builder that has loaded all buffers and scalars; `...Space` declares the schedules of a
// kernel that the emitter takes.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_CPU_EMITTERS_H
#define PERMALLOY_CODEGEN_CPU_EMITTERS_H

#include "permalloy/Codegen/CPU/KernelFrame.h"
#include "permalloy/Codegen/ScheduleSpace.h"

namespace permalloy::codegen {

/// Why an emitter cannot take a kernel, in a few words; empty when it can.
std::string whyNotContraction(kern::KernelOp kernel);
std::string whyNotAttention(kern::KernelOp kernel);

mlir::LogicalResult scheduleContractionKernel(kern::KernelOp kernel, const CpuTarget &target,
                                          mlir::DictionaryAttr wanted);
mlir::LogicalResult emitContractionKernel(KernelFrame &frame);
std::unique_ptr<ScheduleSpace> contractionKernelSpace(kern::KernelOp kernel, const CpuTarget &target);

mlir::LogicalResult scheduleAttentionKernel(kern::KernelOp kernel, const CpuTarget &target,
                                          mlir::DictionaryAttr wanted);
mlir::LogicalResult emitAttentionKernel(KernelFrame &frame);
std::unique_ptr<ScheduleSpace> attentionKernelSpace(kern::KernelOp kernel, const CpuTarget &target);

mlir::LogicalResult scheduleRouteKernel(kern::KernelOp kernel, const CpuTarget &target,
                                          mlir::DictionaryAttr wanted);
mlir::LogicalResult emitRouteKernel(KernelFrame &frame);

mlir::LogicalResult scheduleTokensKernel(kern::KernelOp kernel, const CpuTarget &target,
                                          mlir::DictionaryAttr wanted);
mlir::LogicalResult emitTokensKernel(KernelFrame &frame);

mlir::LogicalResult scheduleRowKernel(kern::KernelOp kernel, const CpuTarget &target,
                                          mlir::DictionaryAttr wanted);
mlir::LogicalResult emitRowKernel(KernelFrame &frame);

mlir::LogicalResult scheduleGenericKernel(kern::KernelOp kernel, const CpuTarget &target,
                                          mlir::DictionaryAttr wanted);
mlir::LogicalResult emitGenericKernel(KernelFrame &frame);
/// Of row and generic kernels.
std::unique_ptr<ScheduleSpace> tiledKernelSpace();

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_EMITTERS_H
