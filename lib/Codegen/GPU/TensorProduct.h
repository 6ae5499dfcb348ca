//===- TensorProduct.h - a block of a matrix product on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ONE KERNEL FOR ALL TYPES. A row of panels (Tfm/Panels.h) is 16 columns of 32-bit words, and the operands of mma.sync are words,
// too: tf32 with 1, bf16 and f16 with 2, s8 with 4 elements along K in each. So K is counted in words, weights are read as they lie for the CPU,
// and the types differ in the multiplication alone. Where panels hold something else, words are made on the way from shared
// memory to the registers: from two rows of f16 (TensorColumns.cpp), from codes, scales and zero points (TensorCodes.cpp). f32 becomes
// tf32 there, too, both operands: memory, which CPUs and strict kernels share, has f32.
//
// A BLOCK computes blockRows x blockColumns results. Its warps stand side by side, each with warpRows x warpColumns. K is walked
// in tiles of blockWords words, `stages` of which lie in shared memory: one is multiplied while the others are on their way
// (cp.async; rows of A that are computed go through registers). Per 8 words of K a warp loads A by ldmatrix, B by one 128-bit
// access per two mma, and multiplies. What lies beyond K, M or N is zero in shared memory: a copy of no bytes.
//
// SPLIT K. Where blocks are fewer than the multiprocessors, several share a block of results (SplitK.h).
//
// COLUMNS ARE PERMUTED. What mma calls column q may be any column, if the results are taken for that one. In each 32 columns (two
// panels) the j-th of four products takes columns 4 q + j: then the 16-byte chunk q of a panel row has this lane's word for all four,
// and the lane's results of all four are the columns 8 t .. 8 t + 7 of its row, neighbours in memory.
//
// NO BANK CONFLICTS. Chunks of 16 bytes are stored at exclusive-or'ed places, so that each group of 8 lanes, which the hardware
// serves at once, touches all 8 chunks of 128 bytes:
//
//   A  rows of 16 words: chunk ^ (row / 2 % 4); rows of 32 words: chunk ^ (row % 8). ldmatrix reads one chunk of 8 rows.
//   B  rows of 16 words: chunk ^ (row & 2). Lanes 4 g + t of two g read chunk g % 4 of rows t: places 4 (t % 2) + (g % 4 ^ (t & 2)).
//      f16: a line of 64 bytes is two rows of 16 halves, and each group of 16 lanes reads 8 bytes of four lines: all 16 places.
//      Codes: the four t of a column read one line (4 bits) or two neighbours (8 bits), the same 16 bytes or others; of tf32 one line.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_TENSORPRODUCT_H
#define PERMALLOY_LIB_CODEGEN_GPU_TENSORPRODUCT_H

#include "Tfm/Tfm.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"
#include "permalloy/Codegen/ScheduleSpace.h"

namespace permalloy::codegen {

/// A weight as codes, which become elements of the product's type: (code - zero) * scale, or codebook[code] * scale.
struct TensorCodes {
  int64_t bits = 4; ///< stored
  bool isSigned = false;
  int64_t group = 0;      ///< steps of K that share a scale
  int64_t scaleBytes = 2; ///< of a scale (f16 or f32), and of a zero point
  bool hasZeroPoints = false;
  int64_t entries = 0; ///< of a codebook; 0: there is none
};

/// A product, as far as its schedules depend on it.
struct TensorSize {
  OperandType type;
  int64_t depth, columns; ///< K, N
  std::optional<TensorCodes> codes;
  bool unsignedRows = false, unsignedColumns = false; ///< of 8-bit integers

  int64_t words() const { return llvm::divideCeil(depth, elementsPerWord(type)); }
  /// Steps of K in 64 bytes of a panel.
  int64_t lineSteps() const { return codes ? 32 / codes->bits : elementsPerWord(type); }
  int64_t groups() const { return llvm::divideCeil(depth, codes->group); }
};

struct TensorSchedule {
  int64_t blockRows = 64, blockColumns = 64, blockWords = 16, warpRows = 32, warpColumns = 32, stages = 4, splitK = 1;

  int64_t threads() const { return 32 * (blockRows / warpRows) * (blockColumns / warpColumns); }
  int64_t tilesOfK(const TensorSize &size) const { return llvm::divideCeil(size.words(), blockWords); }
  int64_t across(const TensorSize &size) const { return llvm::divideCeil(size.columns, blockColumns); }
  /// Bytes of the sums of a block.
  int64_t sumBytes() const { return blockRows * blockColumns * 4; }

  /// The default for so many rows of A; nothing: any number.
  static TensorSchedule choose(const TensorSize &size, std::optional<int64_t> rows);
};

/// Where things stand in the shared memory of a block: its stages, each with A, B, scales and zero points, and a codebook.
struct TensorLayout {
  TensorLayout(const TensorSize &size, const TensorSchedule &schedule);

  int64_t lines;             ///< of a panel in a stage, 64 bytes each
  int64_t groups = 0;        ///< of K in a stage
  int64_t scaleRowBytes = 0; ///< of a group's scales of a panel
  int64_t rowBytes, columnBytes, scaleBytes = 0, zeroBytes = 0, stageBytes;
  int64_t table, sharedBytes; ///< the codebook stands at `table`
};

/// Why a product cannot run like that, with at most `sharedBytes` of shared memory; empty when it can.
std::string whyNotTensor(const TensorSize &size, const TensorSchedule &schedule, int64_t sharedBytes);

/// Declares the parameters of S, which is a TensorSchedule and more.
template <typename S> void addTensorParameters(ScheduleSpaceOf<S> &space, const TensorSize &size, int64_t sharedBytes) {
  auto member = [](int64_t TensorSchedule::*of) { return static_cast<int64_t S::*>(of); };
  space.add("block_rows", "rows of A of a block", member(&TensorSchedule::blockRows), {32, 64, 128});
  space.add("block_columns", "columns of a block", member(&TensorSchedule::blockColumns), {64, 128});
  space.add("block_words", "words of K in one stage", member(&TensorSchedule::blockWords), {16, 32});
  space.add("warp_rows", "rows of a warp", member(&TensorSchedule::warpRows), {16, 32, 64});
  space.add("warp_columns", "columns of a warp", member(&TensorSchedule::warpColumns), {32, 64});
  space.add("stages", "tiles of K in shared memory", member(&TensorSchedule::stages), {2, 3, 4});
  space.add("split_k", "blocks that share K, at most", member(&TensorSchedule::splitK), {1, 2, 4, 8, 16});
  space.require([=](const S &s) { return whyNotTensor(size, s, sharedBytes); });
}

/// Why there is no schedule for a product, in a few words; empty when there are some.
std::string whyNotTensor(const TensorSize &size);

/// How many blocks a product of `rows` rows of A is launched with, and the bytes of scratch that they need.
tfm::DimExprAttr tensorBlocks(const TensorSize &size, const TensorSchedule &schedule, tfm::DimExprAttr rows);
tfm::DimExprAttr tensorScratch(const TensorSize &size, const TensorSchedule &schedule, tfm::DimExprAttr rows);

/// What is multiplied.
struct TensorProduct {
  using Value = mlir::Value;
  TensorSize size;
  Value rows; ///< of A, i64
  Value a;    ///< their elements, rows of whole 16 bytes; null: computed
  /// Elements k .. k + 3 of a row (both i64), a vector of 8, 16 or 32 bits each. Called for what exists.
  std::function<Value(Value row, Value k)> computed;
  Value weights;            ///< panels, of elements or codes
  Value scales, zeroPoints; ///< of codes, panels
  llvm::SmallVector<Value> table; ///< the codebook
  Value scratch;            ///< of the launch

  /// Called for groups of 4 neighbours in one row, the first column a multiple of 4: row and column exist where `exists` says so.
  using Epilogue = std::function<void(Value row, Value column, llvm::ArrayRef<Value> results)>;
  Epilogue epilogue;
};

/// Emits the product of this block, one of tensorBlocks. The epilogue is called with results that exist, or, where N is no multiple
/// of 4, perhaps beyond the last column.
void emitTensorProduct(GpuBuilder &b, const TensorProduct &product, const TensorSchedule &schedule);

} // namespace permalloy::codegen

#endif
