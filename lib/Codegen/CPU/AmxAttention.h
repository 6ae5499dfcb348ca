//===- AmxAttention.h - attention of many queries in bf16 on AMX -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The grid, the blocks of queries and of keys, and the online softmax are those of Attention.h; the two products
// run on tiles of bf16 with f32 sums. A block is 32 queries, two tiles high; "sub" is 32 keys of a block of keys:
//
//   Q'[2][D/32] tiles     rows of Q as they lie, one behind another                          A of the scores
//   K'[keys/16][D/32]     K transposed: pairs of features in a row, a key in each column     B of the scores
//   V'[keys/32][D/16]     pairs of keys in a row, a feature in each column                   B of the output
//
//   S[keys/16][2] = Q' K'                          tiles of f32 in scratch that stays in L1
//   m' = max(m, rows of S), scaled to powers of two; mask, softcap and borders enter here
//   P = exp2(scale S - m') as bf16, over S, a sub ahead of its use; l += sum of the rounded P
//   O[D/16][2] = a O + P V'                        pairs of feature tiles: 4 tiles of sums in registers
//
// Queries are rows, not lanes: Q, P, masks and the output need no transposing, K and V are packed once for all blocks
// of queries of a tile of the grid. Row maxima of 16 rows are reduced together (30 shuffles), and the sums of rows stay
// vectors until the end, so that rows cost no horizontal reductions worth naming.
//
// What AMX leaves to hide is the exponential: 2 of 3 cycles. It stands, unrolled, between the products of the first pair
// of feature tiles.
//
// P, between 0 and 1, is rounded to bf16 (relative error 2^-9), and so are Q, K and V by their type; products are
// exact, sums f32. exp2 has a relative error of 2e-4. Subnormals count as zero.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_AMXATTENTION_H
#define PERMALLOY_LIB_CODEGEN_CPU_AMXATTENTION_H

#include "AmxTiles.h"
#include "AttentionEmitter.h"

namespace permalloy::codegen {

/// Offsets of a worker's scratch, in bytes; every part is 64-byte aligned.
struct AmxAttentionScratch {
  int64_t scores = 0, maskRow, maskTile, rowMaxima, shifts, factors, keys, values, blocks, end;
  /// Within the part of a block of queries, and the size of one.
  int64_t queries = 0, output, sums, maxima, blockBytes;

  /// `maskTiles`: a mask that differs by query stands here.
  AmxAttentionScratch(const AttentionSchedule &s, int64_t headSize, bool maskTiles);
};

/// Emits the tiles of the grid for more than decodeQueries queries.
class AmxAttentionEmitter : AttentionParts {
public:
  AmxAttentionEmitter(KernelBuilder &b, const Attention &a, const AttentionSchedule &s);

  /// Queries of a block, and keys of a sub.
  static constexpr int64_t kQueries = 32, kKeys = 32;

  void emit();

private:
  /// Rows from `first` on of a block of queries, and the first and last key that each sees, counted from the first of
  /// the block of keys; firstKey may be null.
  struct RowGroup {
    Value first;
    llvm::SmallVector<Value> firstKey, lastKey;
    llvm::SmallVector<Value> masks; ///< Their rows of the mask, from the block's first key on; empty where none are read.
  };

  // AmxAttention.cpp: the tiles of the grid, packing, output.
  void emitTile(Value batch, Value kvHead, Value firstBlock, Value blockCount);
  Value loadElements(Value address, int64_t valid);
  void forFeatures(llvm::function_ref<void(Value, int64_t)> body);
  void packQueries();
  void clearState(std::pair<Value, Value> attended);
  void packKeys(Value rows, Value count);
  void packValues(Value rows, Value count);
  void storeRows();
  void storeRow(Value from, Value to, Value factor, Value sum);

  // AmxAttentionBlock.cpp: one block of queries and one of keys.
  void emitVisibleKeys(Value firstKey, Value count, std::pair<Value, Value> attended);
  void emitScores();
  void emitWideScores(Value sub, llvm::function_ref<Value(unsigned, int64_t)> query,
                      llvm::function_ref<Value(unsigned, int64_t)> key);
  void fillMasks(Value firstKey, Value count);
  void emitMaxima(Value firstKey, Value count);
  llvm::SmallVector<Value> emitSubMaxima(Value sub, const RowGroup &rows, mlir::ValueRange maxima, bool border);
  Value finishScore(Value score, Value mask);
  Value maskOf(Value sub, const RowGroup &rows, int64_t row, unsigned half, Value lastKey);
  Value seesUpTo(Value lastKey, unsigned half);
  Value hideScore(Value score, unsigned half, Value last, Value first);
  Value reduceRows(llvm::SmallVector<Value> rows, llvm::function_ref<Value(Value, Value)> combine);
  void updateMaxima(unsigned tile);
  void rescale(unsigned tile);
  Value toBf16(Value low, Value high);
  void emitWeights(Value sub, Value row);
  void emitOutput();
  void emitOutputPass(Value column, unsigned columns, bool weights);

  Value ofBlock(int64_t offset) { return b.at(block, offset); }
  /// Scores, later weights (where keyTile is 0), of 16 queries and 16 keys of a sub.
  Value scoreTile(Value sub, unsigned keyTile, unsigned queryTile) {
    return b.at(part(layout.scores + (keyTile * 2 + queryTile) * AmxTiles::kBytes), b.mul(sub, 4 * AmxTiles::kBytes));
  }
  /// Whether S holds scores in powers of two with mask and softcap; else products, scaled in the exponential.
  bool finishes() const { return a.mask || a.softcap != 0 || a.scale <= 0; }
  static bool hasMaskTile(const Attention &a) { return a.mask && !a.mask->sameForAllQueries; }
  /// Whether that is read as it lies, because neighbours in it are neighbours in memory at every run.
  bool readsMask() const;
  bool hasSharedMask() const { return a.mask && a.mask->sameForAllQueries && a.mask->sameForAllHeads; }

  AmxTiles tiles;
  AmxAttentionScratch layout;
  int64_t steps;       ///< Tiles of 32 features of Q and K.
  int64_t columnTiles; ///< Tiles of 16 features of V and O.
  Value tileStride;

  Value batch, valueRows; ///< The tile of the grid at hand.
  Value firstSub, endSub; ///< The subs of the block of keys that its block of queries sees,
  Value isFirst;          ///< and whether that has seen none before.
};

} // namespace permalloy::codegen

#endif // PERMALLOY_LIB_CODEGEN_CPU_AMXATTENTION_H
