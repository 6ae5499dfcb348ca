//===- ObjectEmission.h - from a built kernel to an object file -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The fixed road that every CPU kernel takes after its emitter has built it:
//
//   llvm.func with arith, vector, scf, llvm ops     (what KernelBuilder makes)
//     -> checkKernel        every vector fills one register; the number of operations is bounded
//     -> lowerToLLVM        canonicalize, cse, scf -> cf, everything -> llvm dialect
//     -> LLVM IR, -O2 without loop vectorisation, SLP and unrolling: the emitters have decided
//     those
//     -> object or assembly
//
#ifndef PERMALLOY_CODEGEN_COMMON_OBJECTEMISSION_H
#define PERMALLOY_CODEGEN_COMMON_OBJECTEMISSION_H

#include "permalloy/Codegen/CPU/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"

#include <string>

namespace permalloy::codegen {

/// Operations that one kernel may have before lowering. A kernel beyond it would compile for
/// minutes: its emitter has unrolled what should be a loop.
constexpr unsigned kMaxKernelOps = 20000;

/// Registers the dialects that kernels are built from and their translations. Call once per
/// context.
void registerKernelDialects(mlir::DialectRegistry &registry);

/// Checks what the road relies on: at most kMaxKernelOps operations; every float vector is 1-D and
/// fills one register of `target` (i1 and integer vectors have the lanes of one). Emits an error at
/// the first offender: a wider vector would be split by LLVM at 20 to 50 times the cost.
mlir::LogicalResult checkKernel(mlir::ModuleOp module, const CpuTarget &target);

/// Lowers kernels in place to the LLVM dialect. Includes checkKernel.
mlir::LogicalResult lowerToLLVM(mlir::ModuleOp module, const CpuTarget &target);

/// The features beyond its target's baseline that a kernel in the LLVM dialect uses: those of the
/// target-specific intrinsics that it calls (LLVM's spelling, each once).
llvm::SmallVector<llvm::StringRef> extraFeaturesOf(mlir::ModuleOp module);

/// Translates a module in the LLVM dialect to optimised LLVM IR text, assembly (with LLVM's
/// comments on loops and spills), or an ELF object. Deterministic; safe to call from several
/// threads on modules of different contexts.
llvm::Expected<std::string> emitLLVMIR(mlir::ModuleOp module, const CpuTarget &target);
llvm::Expected<std::string> emitAssembly(mlir::ModuleOp module, const CpuTarget &target);
llvm::Expected<llvm::SmallVector<char, 0>> emitObject(mlir::ModuleOp module,
                                                      const CpuTarget &target);

/// emitObject and emitAssembly of one module, optimised once.
struct ObjectAndAssembly {
  llvm::SmallVector<char, 0> object;
  std::string assembly;
};
llvm::Expected<ObjectAndAssembly> emitObjectAndAssembly(mlir::ModuleOp module, const CpuTarget &target);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_COMMON_OBJECTEMISSION_H
