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
  /// The first two as i32. Arithmetic below takes i32 as well as i64, and numbers become constants of the other operand's type.
  Value blockIndex() const { return block32; }
  Value threadIndex() const { return thread32; }
  Value i32(int64_t value);
  /// An i32 that is not negative as i64, and an i64 below 2^31 as i32.
  Value wide(Value index);
  Value narrow(Value index);

  using KernelBuilder::add, KernelBuilder::sub, KernelBuilder::mul, KernelBuilder::div, KernelBuilder::rem;
  Value add(Value x, int64_t y) { return add(x, alike(x, y)); }
  Value sub(Value x, int64_t y) { return sub(x, alike(x, y)); }
  Value mul(Value x, int64_t y) { return mul(x, alike(x, y)); }
  Value div(Value x, int64_t y) { return div(x, alike(x, y)); }
  Value rem(Value x, int64_t y) { return rem(x, alike(x, y)); }
  Value ceilDiv(Value x, int64_t y) { return div(add(x, y - 1), y); }
  using KernelBuilder::less;
  Value less(Value x, int64_t y) { return less(x, alike(x, y)); }
  Value bitAnd(Value x, int64_t y);
  Value bitXor(Value x, Value y);
  Value bitXor(Value x, int64_t y) { return bitXor(x, alike(x, y)); }
  Value both(Value x, Value y); ///< i1; a null one is true

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
  Value alike(Value x, int64_t value) { return x.getType().isInteger(32) ? i32(value) : i64(value); }

  const GpuTarget &gpu;
  Value block, thread, block32, thread32, inGrid, launchMemory;
};

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_GPUBUILDER_H
