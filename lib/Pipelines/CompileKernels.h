//===- CompileKernels.h - all kernels of a module into one image -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_PIPELINES_COMPILEKERNELS_H
#define PERMALLOY_LIB_PIPELINES_COMPILEKERNELS_H

#include "BuildArtifact.h"
#include "TunedSchedules.h"
#include "permalloy/Codegen/CPU/Target.h"
#include "permalloy/Codegen/GPU/Target.h"
#include "permalloy/Pipelines/Compile.h"

namespace permalloy {

/// The kernels of one target: clones with their schedules, in a module of their own.
struct ScheduledKernels {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  codegen::CpuTarget target;
};

/// Clones the kernels of `module` and gives each its schedule for `target`: the default, or a measured one of `tuned`.
llvm::FailureOr<ScheduledKernels> scheduleKernels(mlir::ModuleOp module, const codegen::CpuTarget &target, TunedSchedules &tuned);

/// Generates code for every kernel, in parallel, each in a context of its own, and links the image. Counts kernels taken from
/// the cache in `fromCache`.
llvm::FailureOr<TargetImage> compileKernels(ScheduledKernels &kernels, const CompileOptions &options, unsigned &fromCache);

/// Prints LLVM IR or assembly of every kernel.
llvm::LogicalResult printKernels(ScheduledKernels &kernels, EmitKind kind, llvm::raw_ostream &out);

/// The same for a GPU target.
struct ScheduledGpuKernels {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  codegen::GpuTarget target;
  llvm::StringMap<std::string> origins; ///< "measured" or "predicted", of kernels whose schedule is not their form's own
};
llvm::FailureOr<ScheduledGpuKernels> scheduleGpuKernels(mlir::ModuleOp module, const codegen::GpuTarget &target, TunedSchedules &tuned);

/// PTX of every kernel, and its cubin where ptxas is found. Counts kernels taken from the cache in `fromCache`.
llvm::FailureOr<DeviceImage> compileGpuKernels(ScheduledGpuKernels &kernels, const CompileOptions &options, unsigned &fromCache);

/// Prints LLVM IR or PTX of every kernel.
llvm::LogicalResult printGpuKernels(ScheduledGpuKernels &kernels, EmitKind kind, llvm::raw_ostream &out);

} // namespace permalloy

#endif
