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
#include "permalloy/Codegen/ScheduleSpace.h"

#include "mlir/IR/BuiltinOps.h"

#include <memory>

namespace permalloy::codegen {

/// How a kernel with a schedule is launched; expressions are over the kernel's symbols.
struct GpuLaunch {
  unsigned threads = 0;            ///< per block
  tfm::DimExprAttr blocks;
  tfm::DimExprAttr sharedBytes;    ///< dynamic shared memory of a block
  tfm::DimExprAttr scratchBytes;   ///< device memory of the whole launch
  unsigned registers = 0;          ///< that a thread wants, as the form estimates them; 0: it does not
};

/// How a kernel's schedule is chosen.
enum class GpuChooser {
  Rule,  ///< the form's own
  Prior, ///< one that the cost model's prior finds clearly faster, if there is any (SchedulePrice.h)
};

/// Writes `schedule`, `tiles` and `scratch_bytes` (of one thread) for `target`, of the first form that takes the kernel. `gain`, if
/// it is not null, becomes what that is predicted to gain over the form's own schedule; 1: it is that one. Fails with an error at the
/// kernel when no GPU emitter takes it.
mlir::LogicalResult selectGpuSchedule(kern::KernelOp kernel, const GpuTarget &target, GpuChooser chooser = GpuChooser::Prior,
                                      double *gain = nullptr);

/// As selectGpuSchedule for a schedule of the caller's, {form = "tensor", ...} with all parameters of the form.
mlir::LogicalResult setGpuSchedule(kern::KernelOp kernel, const GpuTarget &target, mlir::DictionaryAttr wanted);

/// The schedules of the form that a kernel has; null where that has one.
std::unique_ptr<ScheduleSpace> gpuScheduleSpace(kern::KernelOp kernel, const GpuTarget &target);

/// The attribute of a kernel's form with these parameters, as setGpuSchedule takes it.
mlir::DictionaryAttr gpuSchedule(kern::KernelOp kernel, const ScheduleSpace &space, llvm::ArrayRef<int64_t> values);

/// The launch of a kernel that has a schedule.
GpuLaunch gpuLaunch(kern::KernelOp kernel);

/// Builds the kernel `name` (see GpuBuilder.h) at the end of `module`. The kernel has a schedule; its context has the dialects of
/// registerGpuDialects loaded.
mlir::LogicalResult emitGpuKernel(kern::KernelOp kernel, const GpuTarget &target, llvm::StringRef name, mlir::ModuleOp module);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_GPUKERNEL_H
