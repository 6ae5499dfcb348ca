//===- WarpBuilder.h - what the threads of a block do together --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_GPU_WARPBUILDER_H
#define PERMALLOY_CODEGEN_GPU_WARPBUILDER_H

#include "permalloy/Codegen/GPU/GpuBuilder.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

namespace permalloy::codegen {

/// Element types of the tensor cores' operands. Each operand word of 32 bits holds 1, 2 or 4 neighbours along K.
enum class OperandType { tf32, f16, bf16, s8 };

/// Elements in an operand word.
int64_t elementsPerWord(OperandType type);

/// The symbol of the dynamic shared memory.
constexpr llvm::StringLiteral kSharedMemory = "dynamic_shared";
/// What exp2 calls.
constexpr llvm::StringLiteral kExp2Intrinsic = "llvm.nvvm.ex2.approx.ftz";

/// Shared memory, barriers, asynchronous copies and tensor cores, through the nvvm dialect. Every call stands where all threads of
/// the block (barrier) or of the warp (the others) come by.
class WarpBuilder {
public:
  using Value = mlir::Value;

  explicit WarpBuilder(GpuBuilder &b) : b(b) {}

  /// The dynamic shared memory of the block, 1024-byte aligned; its size is a matter of the launch.
  Value sharedMemory();
  void barrier();
  /// The same for the threads of this warp.
  void barrierOfWarp();

  /// `value` (f32 or i32) as the lane whose number differs from this one's in the bits of `distance` has it.
  Value shuffleXor(Value value, int32_t distance);
  /// As lane `lane` (i32) has it.
  Value shuffle(Value value, Value lane);
  /// Bit l of the result, an i32, is what lane l has as `flag` (i1).
  Value ballot(Value flag);

  /// c + the sum of four products of bytes (all i32); signed or not.
  Value dotBytes(Value a, bool aSigned, Value b, bool bSigned, Value c);

  /// For blocks that leave parts of a result in the launch's scratch: makes what this block's threads wrote visible, counts it at
  /// `counter` (in global memory) and says (i1, the same for all threads) whether it is the last of `count` (i32) blocks, which then
  /// sees what all of them wrote; the counter is 0 again. `word`: 4 bytes of shared memory that no thread uses any more.
  Value arriveLast(Value counter, Value count, Value word);
  Value arriveLast(Value counter, int64_t count, Value word);

  /// Starts to copy 16 bytes from global to shared memory; both 16-byte aligned. Where `exists` (i1; null: true) is false zeros
  /// are written instead and nothing is read.
  void copyAsync(Value shared, Value global, Value exists = {});
  /// Ends a group of copies; waits until at most `groups` of them, the newest, are under way. What other threads copied is seen
  /// behind the next barrier.
  void commitCopies();
  void waitCopies(unsigned groups);

  /// Operand A of one product: words of 16 rows x 8 words of shared memory, whose 16-byte halves of rows lie anywhere. Lane l gives
  /// the address of row l % 16, half l / 16. Result: the four words that mma takes.
  llvm::SmallVector<Value> loadMatrix(Value rowHalf);
  /// The same for 16-bit elements that are transposed on the way, each 8 x 8 of them: a word of the result is two of one column.
  llvm::SmallVector<Value> loadTransposed(Value rowHalf);

  /// c + a * b of 16 x 8 results, by one warp; with lane = 4 g + t:
  ///   a  words (row g, t), (g + 8, t), (g, t + 4), (g + 8, t + 4)       b  words (t, column g), (t + 4, g)
  ///   c  (row g, columns 2 t and 2 t + 1), (g + 8, the same), of f32, or of i32 for s8
  /// Of s8 either operand may be without sign.
  llvm::SmallVector<Value> multiply(OperandType type, llvm::ArrayRef<Value> a, llvm::ArrayRef<Value> b, llvm::ArrayRef<Value> c,
                                    bool unsignedA = false, bool unsignedB = false);

  /// Two f32 rounded to the halves of a word, of f16 or bf16.
  Value packHalves(OperandType type, Value low, Value high);
  /// An f32 (or its bits) rounded to an operand word of tf32, to nearest, ties away from zero; `multiply` alone would cut it off.
  Value roundTf32(Value value);
  /// 2^x of an f32 by the special function unit: 2 ulp, 0 instead of a subnormal number.
  Value exp2(Value x);

  /// The type of a result element.
  mlir::Type accumulatorType(OperandType type);

private:
  Value shuffle(mlir::NVVM::ShflKind kind, Value value, Value lane);
  llvm::SmallVector<Value> loadMatrices(Value rowHalf, mlir::NVVM::MMALayout layout);
  llvm::SmallVector<Value> unpack(Value words);

  GpuBuilder &b;
};

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_WARPBUILDER_H
