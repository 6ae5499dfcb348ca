//===- KernelEmitter.h - from kern.kernel to native code --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_KERNELEMITTER_H
#define PERMALLOY_CODEGEN_KERNELEMITTER_H

#include "Kern/Kern.h"
#include "permalloy/Codegen/CPU/Target.h"
#include "permalloy/Codegen/Common/KernelCache.h"
#include "permalloy/Codegen/ScheduleSpace.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"

namespace permalloy::codegen {

/// Writes the default `schedule`, `tiles` and `scratch_bytes` of a kernel for `target`: what
/// select-schedules runs on every kernel that has no schedule yet. A kernel that its emitter cannot take
/// goes to the generic emitter, with a warning that says why. Not for several threads on one context.
mlir::LogicalResult selectSchedule(kern::KernelOp kernel, const CpuTarget &target);

/// Writes `schedule` instead of the default. Fails with an error at the kernel when it is not legal for it and the target.
mlir::LogicalResult setSchedule(kern::KernelOp kernel, const CpuTarget &target, mlir::DictionaryAttr schedule);

/// The schedules of a kernel that its emitter takes (so after selectSchedule); null for an emitter without parameters.
std::unique_ptr<ScheduleSpace> scheduleSpace(kern::KernelOp kernel, const CpuTarget &target);

/// Builds the function `name` of the kernel ABI (see KernelBuilder.h) at the end of `module`, in the
/// dialects that lowerToLLVM takes. The kernel has a schedule. Its context must have the dialects of
/// registerKernelDialects loaded.
mlir::LogicalResult emitKernel(kern::KernelOp kernel, const CpuTarget &target, llvm::StringRef name,
                               mlir::ModuleOp module);

/// emitKernel into a module of its own, verified and lowered to the LLVM dialect. The reason of a failure stands in the
/// diagnostics of the kernel's context.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> lowerKernel(kern::KernelOp kernel, const CpuTarget &target,
                                                              llvm::StringRef name);

/// What names the code that a kernel gets here with the schedule that stands on it, without generating it: a hash of its LLVM
/// dialect, the target and the version of LLVM. It changes with any change of an emitter that matters.
llvm::Expected<std::string> codeOf(kern::KernelOp kernel, const CpuTarget &target);

/// A kernel as native code.
struct CompiledObject {
  llvm::SmallVector<char, 0> bytes;
  /// What the machine must have beyond the target's baseline (LLVM's spelling).
  llvm::SmallVector<llvm::StringRef> extraFeatures;
  bool fromCache = false;
};

/// emitKernel, lowerToLLVM and emitObject in one; `cache` (may be null) spares the last where it can.
/// Safe to call from several threads.
llvm::Expected<CompiledObject> compileKernel(kern::KernelOp kernel, const CpuTarget &target,
                                             llvm::StringRef name, const KernelCache *cache = nullptr);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_KERNELEMITTER_H
