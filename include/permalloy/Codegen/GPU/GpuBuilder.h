//===- GpuBuilder.h - functions that many threads run -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A GPU kernel is an llvm.func marked `nvvm.kernel`, in the dialects llvm, arith, vector, scf and nvvm, built on raw addresses
// like a CPU kernel (KernelBuilder.h), so what computes values from indices is shared. Its parameters are 64-bit words:
//
//   .entry kernel(buffers..., scalars..., scratch)
//
// buffers   kernel arguments, then results, in device memory, each 16-byte aligned; generic pointers, which LLVM proves to be global
// scalars   values of the launch's scalar expressions
// scratch   device memory of the whole launch, undefined; the artifact::kDeviceCounters 32-bit words before it are 0 and left 0
//
// Blocks are numbered in x only, threads too: what stands in the launch table is one number of each (GpuKernel.h).
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_GPU_GPUBUILDER_H
#define PERMALLOY_CODEGEN_GPU_GPUBUILDER_H

#include "permalloy/Codegen/CPU/KernelBuilder.h"
#include "permalloy/Codegen/GPU/Target.h"

namespace permalloy::codegen {

class GpuBuilder : public KernelBuilder {
public:
  /// Starts the kernel `name` of `threads` threads a block at the end of `module`.
  GpuBuilder(mlir::ModuleOp module, mlir::Location loc, llvm::StringRef name, const GpuTarget &target, unsigned threads,
             unsigned numBuffers, unsigned numScalars);

  /// Numbers of this block, and of this thread in its block and in the grid, as i64.
  Value blockNumber() const { return block; }
  Value threadInBlock() const { return thread; }
  Value threadInGrid() const { return inGrid; }
  /// The scratch of the launch.
  Value launchScratch() const { return launchMemory; }

  /// What tileBegin, tileEnd and scratch() give to emitters that write for a single worker.
  void setWorker(Value begin, Value end, Value scratch) { firstTile = begin, lastTile = end, memory = scratch; }

  /// Native vectors have 4 (as at the start) or 8 elements from here on.
  void setLanes(unsigned lanes) { cpu = &gpu.thread(lanes); }
  /// Quotients are of 32 bits from here on, which take a tenth of the instructions. `most`, the elements of the largest tensor, is
  /// checked first: where it is 2^32 or more the kernel traps.
  void shortenDivisions(Value most);

private:
  const GpuTarget &gpu;
  Value block, thread, inGrid, launchMemory;
};

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_GPUBUILDER_H
