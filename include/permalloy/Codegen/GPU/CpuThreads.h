//===- CpuThreads.h - a GPU kernel whose threads work together, on a CPU -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A function of one thread, of the CPU kernel's ABI but for three parameters:
//
//   void kernel(void *const *buffers, const int64_t *scalars, int64_t block, int64_t thread, Machine *machine)
//
// What threads do together they ask of `machine`, which runs each thread of a block on a stack of its own and switches between them:
// machine->step(machine, what, words) takes the operands of an operation as 32-bit words (addresses as two) and puts its results in
// their place. So one function pointer stands for barriers, copies and tensor cores, and the code has no undefined symbol.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_GPU_CPUTHREADS_H
#define PERMALLOY_CODEGEN_GPU_CPUTHREADS_H

#include "mlir/IR/BuiltinOps.h"

namespace permalloy::codegen {

/// What a thread asks of its machine, with the words that go in -> come out.
enum class ThreadStep : int64_t {
  barrier = 0,
  copy = 1,         ///< shared address (2), global address (2), bytes that exist (the rest of 16 is zero)
  commitCopies = 2, ///< ends a group
  waitCopies = 3,   ///< groups that may be under way
  loadMatrix = 4,   ///< shared address (2) -> 4
  multiplyTf32 = 5, ///< a (4), b (2), c (4), 1 and 2: bytes of a and b have no sign -> 4; and the other types behind it, in the order of OperandType
  access = 16,      ///< of shared memory: number of the instruction, bytes, address (2) -> nothing; the thread goes on
  shuffle = 9,      ///< word, lane as ShuffleKind means it, kind -> the word of that lane
  ballot = 10,      ///< 0 or 1 -> a bit for each lane
  barrierOfWarp = 12,
  loadTransposed = 13, ///< as loadMatrix, each 8 x 8 elements of 16 bits transposed
};

/// How a shuffle names the lane that it reads: its number, the exclusive or with the own one, the distance above the own one.
enum class ShuffleKind : uint32_t { index = 0, exclusiveOr = 1, down = 2 };

/// As the generated code sees it.
struct ThreadMachine {
  void (*step)(ThreadMachine *machine, int64_t what, uint32_t *words);
  void *shared;  ///< of the block
  void *scratch; ///< of the launch
};

/// Turns the GPU kernel `name` of `module` (GpuBuilder.h, before lowering) into such a function. Fails with an error at an operation
/// that it does not know.
mlir::LogicalResult toCpuThread(mlir::ModuleOp module, llvm::StringRef name);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_CPUTHREADS_H
