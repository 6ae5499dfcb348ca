//===- GpuAssembler.h - what makes machine code of GPU kernels ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_PIPELINES_GPUASSEMBLER_H
#define PERMALLOY_PIPELINES_GPUASSEMBLER_H

#include "Kern/Kern.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

#include <functional>

namespace permalloy {

/// Makes the "cubin" of a kernel that has a schedule; called from several threads.
using GpuAssembler = std::function<llvm::Expected<llvm::SmallVector<char, 0>>(
    kern::KernelOp kernel, const codegen::GpuTarget &target, llvm::StringRef name)>;

/// The one of this process; null: ptxas, where it is. Tests put code for an emulated device there before anything is compiled
/// (test/Emulation), and nothing else does.
GpuAssembler &gpuAssembler();

/// PTX of a kernel that has a schedule, and its machine code: of gpuAssembler, or else of ptxas where it is found. The function is
/// called `name`; the kernel's context has the dialects of registerGpuDialects.
llvm::Expected<codegen::GpuCode> compileGpuKernel(kern::KernelOp kernel, const codegen::GpuTarget &target, llvm::StringRef name);

} // namespace permalloy

#endif // PERMALLOY_PIPELINES_GPUASSEMBLER_H
