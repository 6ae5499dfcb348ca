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
// Every load and store of memory that other threads see is told before it happens, machine->access(machine, address, access), so that
// a machine can look for races, for accesses outside of buffers and for reads of what nobody wrote.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_GPU_CPUTHREADS_H
#define PERMALLOY_CODEGEN_GPU_CPUTHREADS_H

#include "Kern/Kern.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>

namespace permalloy::codegen {

class KernelBuilder;

/// What a thread asks of its machine, with the words that go in -> come out. The number of the operation (ThreadMachine::places) stands
/// in the upper 32 bits of `what`.
enum class ThreadStep : int64_t {
  barrier = 0,
  copy = 1,         ///< shared address (2), global address (2), bytes that exist (the rest of 16 is zero), number of the buffer
  commitCopies = 2, ///< ends a group
  waitCopies = 3,   ///< groups that may be under way
  loadMatrix = 4,   ///< shared address (2) -> 4
  multiplyTf32 = 5, ///< a (4), b (2), c (4), 1 and 2: bytes of a and b have no sign -> 4; and the other types behind it, in the order of OperandType
  shuffle = 9,      ///< word, lane as ShuffleKind means it, kind -> the word of that lane
  ballot = 10,      ///< 0 or 1 -> a bit for each lane
  barrierOfWarp = 12,
  loadTransposed = 13, ///< as loadMatrix, each 8 x 8 elements of 16 bits transposed
  fence = 14,          ///< 1: acquires, 2: releases, for the device
  declare = 15,        ///< number of a buffer, 1: a result, address (2), bytes (2); each thread begins with these
};

/// How a shuffle names the lane that it reads: its number, the exclusive or with the own one, the distance above the own one.
enum class ShuffleKind : uint32_t { index = 0, exclusiveOr = 1, down = 2 };

/// A load or store, as 64 bits.
struct ThreadAccess {
  enum Kind : uint8_t { load = 0, store = 1, atomic = 2, constant = 4 }; ///< bits; atomic operations read, write and are relaxed; constant: a
                                                                   ///< load of what nobody writes in the launch
  /// Numbers of buffers: arguments, results, then the scratch; beside them shared memory, and what nobody knows.
  enum : uint16_t { shared = 0xfffe, unknown = 0xffff };

  uint8_t bytes, alignment, kind, pad = 0;
  uint16_t buffer, place;
};
static_assert(sizeof(ThreadAccess) == 8);

/// As the generated code sees it.
struct ThreadMachine {
  void (*step)(ThreadMachine *machine, int64_t what, uint32_t *words);
  void *shared;  ///< of the block
  void *scratch; ///< of the launch
  void (*access)(ThreadMachine *machine, void *address, uint64_t access); ///< a ThreadAccess
  /// Set by each thread when it begins: the kernel's name, then the text of operation 0, 1 and so on, each ended by a zero.
  const char *places;
};

/// Bytes of a buffer of the launch.
struct ThreadBuffer {
  mlir::Value bytes; ///< i64
  bool isResult = false;
};
/// All buffers, and the scratch behind them; made where the builder stands, at the function's beginning.
using DescribeBuffers = std::function<llvm::SmallVector<ThreadBuffer>(KernelBuilder &b)>;

/// Turns the GPU kernel `name` of `module` (GpuBuilder.h, before lowering) into such a function. Fails with an error at an operation
/// that it does not know.
mlir::LogicalResult toCpuThread(mlir::ModuleOp module, llvm::StringRef name, const DescribeBuffers &describe);
/// The buffers are those of `kernel`, from which the GPU kernel was made.
mlir::LogicalResult toCpuThread(mlir::ModuleOp module, llvm::StringRef name, kern::KernelOp kernel);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_CPUTHREADS_H
