//===- AttentionWarps.h - attention by the warps of a block -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// FlashAttention-2 (Dao 2023) on whatever multiplies (AttentionProduct.h). Scores, weights and outputs stay in registers.
//
//   rows       pairs (query, head) of the query heads that share a key/value head, heads first: row r is query r / group. A block has
//              neighbouring rows, so that keys beyond the causal diagonal or outside of the window are not visited, and keys are
//              read once for the whole group.
//   each warp  m = -inf, l = 0, O = 0
//     for each tile of keys:   S = Q K^T;  m' = max(m, S);  P = 2^(S - m');  l = 2^(m - m') l + sum P;  O = 2^(m - m') O + P V
//   out = O / l
//
// Rows of a lane's quad (or eight) meet by shuffles. Tiles come by cp.async: values while scores are computed, the next keys while
// weights and outputs are (stages = 1), or a whole tile ahead (stages = 2). Positions are compared only in tiles where some row of the
// block does not see some key.
//
// MANY ROWS: warps have rows of their own and share the tiles. FEW ROWS (a step of a decoder): every warp has all rows and takes tiles
// of its own, a block some part of the keys. Warps meet in shared memory, blocks in device memory: the last one that arrives at the
// head's counter adds up the parts in the order of the keys, whichever it is.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_ATTENTIONWARPS_H
#define PERMALLOY_LIB_CODEGEN_GPU_ATTENTIONWARPS_H

#include "AttentionProduct.h"
#include "permalloy/Codegen/CPU/Attention.h"

namespace permalloy::codegen {

/// Device memory for the parts of a head: [split][row] of a maximum, a sum, 8 bytes of nothing and the outputs.
inline int64_t attentionPartBytes(const AttentionShape &shape) { return (4 + shape.headSize) * 4; }

class AttentionWarps {
public:
  using Value = mlir::Value;
  using Values = llvm::SmallVector<Value>;

  AttentionWarps(GpuBuilder &b, const Attention &a, const AttentionShape &shape, const GpuAttentionSchedule &s);

  /// Block number x of ceil(rows / blockRows) for each batch and key/value head.
  void emitMany();
  /// Block number x of `splits` (i64) for each batch and key/value head.
  void emitFew(Value splits);

private:
  struct Tiles { ///< where they stand, in which parts of a block
    Value keys, values;
    int64_t count, stride, stages; ///< keys of a tile; from one to the next; in turn
    Value thread;                  ///< of those that copy
    int64_t threads;
    bool ofWarp; ///< or of the block
  };
  struct Merged {
    Value maximum, sum;
    Values outputs;
  };

  void placeRows(Value firstOfBlock, int64_t ofBlock, Value firstOfWarp);
  void placeSequence();
  void emitBlock();
  void copyRows(const Tiles &tiles, Value to, int64_t count, llvm::function_ref<std::pair<Value, Value>(Value row)> from);
  void copyQueries(const Tiles &tiles, Value to, int64_t count);
  void copyTile(const Tiles &tiles, const HeadTensor &tensor, Value rows, Value to, Value first);
  Values walk(const Tiles &tiles, Value first);
  void finishScores(llvm::MutableArrayRef<Value> scores, Value first, int64_t count);
  Value scaled(Value score);
  void addMask(llvm::MutableArrayRef<Value> scores, Value first);
  Value masked(Value score, Value address);
  Value maskRowOf(Value number);
  Value attends(Value address);
  std::pair<Value, Value> attendedKeys();
  Values hide(llvm::ArrayRef<Value> scores, Value first);
  Values softmax(llvm::MutableArrayRef<Value> state, llvm::MutableArrayRef<Value> scores);
  void store(llvm::MutableArrayRef<Value> state);
  Values meanOfValues(Value firstColumn, llvm::ArrayRef<int64_t> columns);
  Value inverse(Value sum);
  Value isZero(Value sum);

  void mergeWarps(llvm::MutableArrayRef<Value> state, Value splits, Value split, Value tile);
  void forItems(llvm::function_ref<void(Value row, Value column)> body);
  Merged merge(Value count, llvm::function_ref<Value(Value)> statistics, llvm::function_ref<Value(Value)> outputs);
  void storeItem(Value row, Value column, const Merged &merged);
  Value isLastOf(Value splits, Value tile, Value word);

  Value headBase(const HeadTensor &tensor, Value head);
  Value rowOf(const HeadTensor &tensor, Value number);
  Value sumOfLanes(Value value);
  bool folds() const { return a.softcap == 0 && a.scale > 0 && (!a.mask || a.mask->isBool); }
  Value toScale(Value maximum) { return folds() ? b.mulf(maximum, b.f32(scale)) : maximum; }
  bool sharesMask() const { return a.mask->sameForAllQueries && a.mask->sameForAllHeads; }
  size_t lanesRows() const { return product->rows.size(); }
  Value sub(Value x, Value y);
  Value i32(Value x);
  Value both(Value x, Value y);
  /// Of numbers of blocks, rows and keys, none of which is negative: 64 bits would call a routine.
  Value quotient(Value x, Value y);
  Value remainder(Value x, Value y);

  GpuBuilder &b;
  WarpBuilder warp;
  ElementOps ops;
  Attention a;
  AttentionShape shape;
  GpuAttentionSchedule s;
  float scale; ///< of scores, in powers of two
  OperandType type;
  std::unique_ptr<AttentionProduct> product;
  Value shared, warpNumber, batch, kvHead, keyRows, valueRows;

  Value total, firstRow;            ///< rows of the head; the block's first
  Values numbers;                   ///< of this lane's rows
  Values lastKeys, firstKeys;       ///< that they see, as i32
  Values maskRows;                  ///< one, or one for each of them
  Value begin, end;                 ///< keys that the block sees some of
  Value insideBegin, insideEnd;     ///< and those that all its rows see
};

} // namespace permalloy::codegen

#endif
