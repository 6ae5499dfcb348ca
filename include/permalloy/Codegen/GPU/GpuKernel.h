//===- GpuKernel.h - from kern.kernel to PTX --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The same kern.kernel that a CPU target compiles, for a grid of threads, in one of these forms (lib/Codegen/GPU/Forms.h):
//
//   tensor     linear layers in bf16 and 8-bit integers on tensor cores (lib/Codegen/GPU/TensorProduct.h), with the epilogue on
//              the accumulators
//
// and two through ValueEmitter, for every operation that the generic emitter knows:
//
//   elements   one thread per element of the widest result; neighbours in memory are neighbours in a warp, so accesses are
//              coalesced. For kernels that remember nothing between elements.
//   rows       one thread per row of a result, as a CPU worker would do it, with scratch of its own in device memory. For kernels
//              with row statistics (softmax, norms, reductions, attention). Right before fast.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_GPU_GPUKERNEL_H
#define PERMALLOY_CODEGEN_GPU_GPUKERNEL_H

#include "Kern/Kern.h"
#include "permalloy/Codegen/GPU/Target.h"

#include "mlir/IR/BuiltinOps.h"

namespace permalloy::codegen {

/// How a kernel with a schedule is launched; expressions are over the kernel's symbols.
struct GpuLaunch {
  unsigned threads = 0;            ///< per block
  tfm::DimExprAttr blocks;
  tfm::DimExprAttr sharedBytes;    ///< dynamic shared memory of a block
  tfm::DimExprAttr scratchBytes;   ///< device memory of the whole launch
};

/// Writes `schedule`, `tiles` and `scratch_bytes` (of one thread) for `target`. Fails with an error at the kernel when no GPU
/// emitter takes it.
mlir::LogicalResult selectGpuSchedule(kern::KernelOp kernel, const GpuTarget &target);

/// As selectGpuSchedule for a schedule of the caller's, {form = "tensor", ...} with all parameters of the form.
mlir::LogicalResult setGpuSchedule(kern::KernelOp kernel, const GpuTarget &target, mlir::DictionaryAttr wanted);

/// The launch of a kernel that has a schedule.
GpuLaunch gpuLaunch(kern::KernelOp kernel);

/// Builds the kernel `name` (see GpuBuilder.h) at the end of `module`. The kernel has a schedule; its context has the dialects of
/// registerGpuDialects loaded.
mlir::LogicalResult emitGpuKernel(kern::KernelOp kernel, const GpuTarget &target, llvm::StringRef name, mlir::ModuleOp module);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_GPUKERNEL_H
