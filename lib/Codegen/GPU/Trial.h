//===- Trial.h - what a kernel's values would be made of --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_TRIAL_H
#define PERMALLOY_LIB_CODEGEN_GPU_TRIAL_H

#include "permalloy/Codegen/CPU/KernelFrame.h"
#include "permalloy/Codegen/GPU/GpuBuilder.h"
#include "permalloy/Codegen/KernelContext.h"

namespace permalloy::codegen {

/// Emits a kernel for nothing, in a context of its own (schedules are chosen where the dialects of
/// generated code are not loaded): the one way to know whether vectors keep their lanes and no row is
/// remembered in memory.
class Trial {
public:
  Trial(kern::KernelOp kernel, const GpuTarget &target);

  /// Whether `emit` succeeds with vectors of `lanes` elements and asks for no scratch of a worker's.
  using Emit = llvm::function_ref<bool(KernelFrame &frame, GpuBuilder &b)>;
  bool succeeds(unsigned threads, unsigned lanes, Emit emit);

private:
  const GpuTarget &target;
  KernelContext context;
  mlir::OwningOpRef<mlir::ModuleOp> source;
};

} // namespace permalloy::codegen

#endif
