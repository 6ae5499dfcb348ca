//===- ProductWeight.h - weights of products without tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A weight in panels (Tfm/Panels.h) is rows of 64 bytes: 16 columns of one 32-bit word, which holds
// 1 (f32), 2 (bf16), 4 (8 bits) or 8 (4 bits) steps of K. Panels of f16 have rows of 32 bytes, 16
// columns of one step. A thread takes 16 bytes of a row, a CHUNK: 4 words, of neighbouring columns.
//
// What stands in a row and of which steps of K it is depends on the weight:
//
//   dense           row r holds the steps from r * stepsOfRow on
//   kept blocks     row r of a slab holds those from list[r] * stepsOfRow on (tfm.expand_blocks)
//   quads           row r holds one step of each column, the one of the four steps 4 * (r / kept) ..
//                   that two bits of a word name (tfm.expand_quads)
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_PRODUCTWEIGHT_H
#define PERMALLOY_LIB_CODEGEN_GPU_PRODUCTWEIGHT_H

#include "permalloy/Codegen/CPU/Contraction.h"
#include "permalloy/Codegen/GPU/GpuBuilder.h"

namespace permalloy::codegen {

/// A weight [k, n] in a kernel's memory. One of `element` and `coded` says what its words hold.
struct ProductWeight {
  int64_t n = 0, k = 0;
  mlir::Type element = {}; ///< f32, f16, bf16, i8 or ui8
  mlir::Value panels = {};
  std::optional<CodedWeight> coded = {};
  mlir::Type decoded = {}; ///< of codes: the type that they become, f32, f16 or bf16
  std::optional<SparseRows> sparse = {};

  bool isIntegral() const { return element && element.isInteger(8); }
  /// Codes become numbers that are rounded before they are multiplied.
  bool roundsCodes() const { return coded && !decoded.isF32(); }
  bool isQuads() const { return sparse && sparse->keptOfFour; }
  bool isBlocks() const { return sparse && !sparse->keptOfFour; }

  /// Steps of K in a row, columns of a chunk, chunks of a row, and bytes of a row.
  int64_t stepsOfRow() const;
  int64_t columnsOfChunk() const { return isHalfRow() ? 8 : 4; }
  int64_t chunksOfRow() const { return isHalfRow() ? 2 : 4; }
  int64_t rowBytes() const { return isHalfRow() ? 32 : 64; }
  /// Rows of a panel, and the bytes from one to the next.
  int64_t depth() const;
  int64_t rowStride() const { return rowBytes() * (isBlocks() ? sparse->panels : 1); }
  int64_t panelCount() const;
  /// The last row holds steps behind K, or any row of a list may.
  bool hasPartialRow() const { return k % stepsOfRow() != 0; }
  /// Rows that share scales, and the number of scales of a column.
  int64_t rowsOfGroup() const;
  int64_t groups() const;

private:
  bool isHalfRow() const;
};

/// What the blocks of threads of a product multiply: some rows of A by some panels of the weight.
struct BlockProduct {
  using Value = mlir::Value;
  ProductWeight weight;
  mlir::Type element;     ///< of A
  Value a;                ///< rows of weight.k elements
  bool signedRows = true; ///< of A in 8-bit integers
  Value count;            ///< rows that the block is about, i64, at least 1
  std::optional<int64_t> knownCount = {};
  /// The row of A that row `i` (i64, below `count`) is.
  std::function<Value(Value i)> rowOf;
  /// The panels of the weight's second half are multiplied beside those of the first one.
  bool isGated = false;
  /// Takes 4 results of row i, from `column` (a multiple of 4, below n) on, as a vector: f32, or i32
  /// of 8-bit integers; columns behind n mean nothing. `second`: those of a gated product's other half.
  std::function<void(Value i, Value column, Value results, Value second)> epilogue;

  /// Bytes of an element of A.
  int64_t elementBytes() const { return element.getIntOrFloatBitWidth() / 8; }
};

/// Reads a weight, thread by thread.
class WeightReader {
public:
  using Value = mlir::Value;
  /// Stands where what it sets up is visible to all its uses; codebooks that are no constants of the
  /// kernel are read where they are used.
  WeightReader(GpuBuilder &b, const ProductWeight &weight) : b(b), w(weight) {}

  /// The address of the first row of a panel.
  Value panel(Value number);
  /// A chunk, 4 words.
  Value chunk(Value pointer);
  /// The chunk's elements as f32: of step s and column c at s * columnsOfChunk() + c. Codes are what
  /// they are before scales and zero points. Words of 8-bit integers stay as they are, one a column.
  llvm::SmallVector<Value> elements(Value chunk);
  /// What the codes of a chunk, elements() of it, stand for: (code - zero point) * scale of their columns, rounded as tfm.dequantize
  /// rounds it, as f32. No zero points: 0.
  llvm::SmallVector<Value> decode(llvm::ArrayRef<Value> codes, llvm::ArrayRef<Value> scales,
                                  llvm::ArrayRef<Value> zeroPoints);
  /// 4 scales or zero points of a group, from `column` (a multiple of 4) of a panel on.
  llvm::SmallVector<Value> scales(Value base, Value panelNumber, Value group, Value column);

  /// Of kept blocks: which row of the dense weight row `row` of a panel is.
  Value denseRow(Value panelNumber, Value row);
  /// Of quads: the words that name the steps of 4 columns, from `column` of a panel on, for `row`;
  /// each shifted so that its two lowest bits are that row's.
  llvm::SmallVector<Value> quadSteps(Value panelNumber, Value row, Value column);

private:
  Value bits(Value word, int64_t first, int64_t width, bool isSigned);
  Value fromCodebook(Value word, int64_t first);

  GpuBuilder &b;
  const ProductWeight &w;
};

/// Loads of what no thread writes while the kernel runs (ld.global.nc).
mlir::Value loadConstant(KernelBuilder &b, mlir::Type type, mlir::Value pointer, unsigned alignment);

/// The two halves of a word as f32.
std::pair<mlir::Value, mlir::Value> widenHalves(KernelBuilder &b, mlir::Type element,
                                                mlir::Value word);

/// `count` (1, 2, 4 or 8) neighbouring elements of f32, f16 or bf16 as f32; the address is a multiple
/// of `alignment` bytes.
llvm::SmallVector<mlir::Value> loadFloats(KernelBuilder &b, mlir::Type element, mlir::Value pointer,
                                          int64_t count, int64_t alignment);

/// The word of the bytes from `first` (i64, a multiple of 4) on of a row of `k` bytes; zeros behind
/// them. `isInside`: none are behind.
mlir::Value loadBytes(KernelBuilder &b, mlir::Value row, mlir::Value first, int64_t k, bool isInside);

} // namespace permalloy::codegen

#endif
