//===- TensorKernel.h - kern.kernel with a tfm.linear on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_TENSORKERNEL_H
#define PERMALLOY_LIB_CODEGEN_GPU_TENSORKERNEL_H

#include "TensorProduct.h"
#include "permalloy/Codegen/CPU/KernelFrame.h"

namespace permalloy::codegen {

/// Why tensor cores cannot take a kernel, in a few words; empty when they can: one linear layer in bf16 or signed 8-bit
/// integers whose operands are arguments and whose K fills whole stages.
std::string whyNotTensor(kern::KernelOp kernel);

/// Writes the default schedule and tiles. The kernel is one that whyNotTensor takes.
mlir::LogicalResult scheduleTensorKernel(kern::KernelOp kernel);
/// The schedule of a kernel that has one of this form; nothing where it has another form.
std::optional<TensorSchedule> tensorScheduleOf(kern::KernelOp kernel);
mlir::LogicalResult emitTensorKernel(KernelFrame &frame, GpuBuilder &b);

} // namespace permalloy::codegen

#endif
