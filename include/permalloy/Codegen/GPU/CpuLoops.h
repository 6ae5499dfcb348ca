//===- CpuLoops.h - a GPU kernel as loops over its threads ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_GPU_CPULOOPS_H
#define PERMALLOY_CODEGEN_GPU_CPULOOPS_H

#include "permalloy/Codegen/CPU/Target.h"

#include "mlir/IR/BuiltinOps.h"

namespace permalloy::codegen {

/// Where the loops run: any CPU that LLVM's x86-64-v3 stands for, in vectors of 128 bits as GpuTarget::thread() has them.
const CpuTarget &cpuLoopsTarget();

/// Whether threads of a block do nothing together (barriers, shuffles, tensor cores).
bool threadsAreIndependent(mlir::ModuleOp module, llvm::StringRef name);

/// Turns the GPU kernel `name` of `module` (GpuBuilder.h, before lowering) into a function of the CPU kernel's ABI whose tiles are
/// blocks and which runs the threads of a block one after the other. So the arithmetic of GPU kernels is tested without a GPU.
/// Fails with an error where threads of a block work together (barriers, shuffles, tensor cores).
mlir::LogicalResult toCpuLoops(mlir::ModuleOp module, llvm::StringRef name);

/// Replaces roundings from f32 to bf16 in `root` by arithmetic of integers, where LLVM would call a library on a CPU.
void roundInIntegers(mlir::Operation *root);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_CPULOOPS_H
