//===- Emitters.h - one schedule and one emit function per emitter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each emitter comes as a pair: `schedule...` writes schedule, tiles and scratch_bytes on the
// kernel; `emit...` builds the function's body into a builder that has loaded all buffers and
// scalars.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_CPU_EMITTERS_H
#define PERMALLOY_CODEGEN_CPU_EMITTERS_H

#include "permalloy/Codegen/CPU/KernelFrame.h"

namespace permalloy::codegen {

/// Why an emitter cannot take a kernel, in a few words; empty when it can.
std::string whyNotContraction(kern::KernelOp kernel);
std::string whyNotAttention(kern::KernelOp kernel);

mlir::LogicalResult scheduleContractionKernel(kern::KernelOp kernel, const CpuTarget &target);
mlir::LogicalResult emitContractionKernel(KernelFrame &frame);

mlir::LogicalResult scheduleAttentionKernel(kern::KernelOp kernel, const CpuTarget &target);
mlir::LogicalResult emitAttentionKernel(KernelFrame &frame);

mlir::LogicalResult scheduleRouteKernel(kern::KernelOp kernel, const CpuTarget &target);
mlir::LogicalResult emitRouteKernel(KernelFrame &frame);

mlir::LogicalResult scheduleRowKernel(kern::KernelOp kernel, const CpuTarget &target);
mlir::LogicalResult emitRowKernel(KernelFrame &frame);

mlir::LogicalResult scheduleGenericKernel(kern::KernelOp kernel, const CpuTarget &target);
mlir::LogicalResult emitGenericKernel(KernelFrame &frame);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_EMITTERS_H
