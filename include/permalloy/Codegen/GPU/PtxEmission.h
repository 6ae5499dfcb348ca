//===- PtxEmission.h - from a built GPU kernel to PTX and cubin -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The road of every GPU kernel after its emitter has built it:
//
//   llvm.func with arith, vector, scf, nvvm, llvm ops
//     -> lowerToLLVM (Common/ObjectEmission.h), the same as for a CPU
//     -> LLVM IR, -O2 without loop vectorisation, SLP and unrolling
//     -> PTX by LLVM's NVPTX backend: needs no CUDA toolkit
//     -> cubin by NVIDIA's ptxas, a program of the toolkit, where there is one; without, drivers compile the PTX when they load it
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_GPU_PTXEMISSION_H
#define PERMALLOY_CODEGEN_GPU_PTXEMISSION_H

#include "Kern/Kern.h"
#include "permalloy/Codegen/GPU/Target.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SmallVector.h"

#include <optional>
#include <string>

namespace permalloy::codegen {

/// Beside registerKernelDialects: what GPU kernels are built from, and its translation.
void registerGpuDialects(mlir::DialectRegistry &registry);

/// A module in the LLVM dialect as optimised LLVM IR, or as PTX. Deterministic; safe to call from several threads on modules of
/// different contexts.
llvm::Expected<std::string> emitGpuLLVMIR(mlir::ModuleOp module, const GpuTarget &target);
llvm::Expected<std::string> emitPtx(mlir::ModuleOp module, const GpuTarget &target);

/// emitGpuKernel into a module of its own, verified and lowered to the LLVM dialect.
llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> lowerGpuKernel(kern::KernelOp kernel, const GpuTarget &target, llvm::StringRef name);

/// As codeOf (KernelEmitter.h), for a kernel in a context with the dialects of registerGpuDialects. Of PTX: which ptxas there is makes
/// no difference.
llvm::Expected<std::string> gpuCodeOf(kern::KernelOp kernel, const GpuTarget &target);

/// What ptxas says of a kernel.
struct PtxasReport {
  unsigned registers = 0;  ///< of a thread
  unsigned spillBytes = 0; ///< stored and loaded
};

struct Cubin {
  llvm::SmallVector<char, 0> bytes;
  PtxasReport report;
};

/// A kernel for one GPU target.
struct GpuCode {
  std::string ptx;
  Cubin cubin; ///< no bytes: there was no ptxas

  /// As a file of the KernelCache, and back: nothing where `bytes` is no such file.
  llvm::SmallVector<char, 0> pack() const;
  static std::optional<GpuCode> unpack(llvm::ArrayRef<char> bytes);
};

/// Where a program of the CUDA toolkit is: PATH, bin of $CUDA_HOME or $CUDA_PATH, /usr/local/cuda/bin.
std::optional<std::string> findCudaTool(llvm::StringRef name);
/// $PERMALLOY_PTXAS (empty: there is none), or else as findCudaTool.
std::optional<std::string> findPtxas();
/// All that it prints of its version; nothing where it does not run.
std::optional<std::string> ptxasVersion(llvm::StringRef ptxas);
/// Runs it on the PTX of one kernel. The cubin depends on the text, the target and the version of ptxas alone.
llvm::Expected<Cubin> assemblePtx(llvm::StringRef ptx, const GpuTarget &target, llvm::StringRef ptxas);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_PTXEMISSION_H
