//===- AttentionDecode.h - attention of few queries --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// With one query, lanes that hold queries are empty. Here keys are in the lanes of scores and the
// head's elements in those of the output, and one tile does all query heads that share a key/value
// head, so that each block of K and V comes from memory once:
//
//   rows = group of query heads x queries            Q[row][d] = scale * log2(e) * Q
//   for each block of keys:
//     for each L keys:                                              L = lanes
//       for row:   S[row][L keys] = sum over d of Q[row][d] * K[key][d]
//     for row:     m', P = exp2(S - m'), l = a l + sum P
//     O[rows][D] = a O + P V                                    register tile of up to 4 rows
//   out[row] = O[row] / l[row]
//
// The dot products of L keys are L vectors of partial sums; shuffled and added pairwise they become one vector
// of scores, which costs 3 instructions a key beside the D / L multiplications. The keys that are left, fewer
// than L, go one by one.
//
// A step reads the whole cache once, so it should take as long as memory does: all rows take some keys before the
// next are read, so that the reads are spread evenly, and rows are fetched a few KB ahead, each row of the group its
// share of them. (The processor's own prefetchers begin anew in each page.)
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONDECODE_H
#define PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONDECODE_H

#include "AttentionEmitter.h"

namespace permalloy::codegen {

/// Offsets of a worker's scratch, in bytes; every part is 64-byte aligned.
struct DecodeScratch {
  int64_t queries = 0, output, scores, maskRow, maxima, rest, maximum, sum, rescale, keys, end;
  int64_t rowBytes;   ///< of a query or an output
  int64_t scoreBytes; ///< of the scores of a row

  DecodeScratch(const CpuTarget &target, const AttentionSchedule &s, int64_t group, int64_t headSize);
};

/// Emits the tile of one batch and one key/value head for at most decodeQueries(target) queries.
class DecodeEmitter : AttentionParts {
public:
  DecodeEmitter(KernelBuilder &b, const Attention &a, const AttentionSchedule &s)
      : AttentionParts(b, a, s), layout(b.target(), s, group, a.headSize) {}

  void emit(Value batch, Value kvHead);

private:
  void packQueries();
  void emitKeyBlock(Value firstKey, Value count);
  void startRows(Value firstKey, Value count);
  void emitScores(Value firstKey, Value count);
  void finishScores(Value row, Value dots, Value firstKey, Value key, Value count);
  void finishRow(Value row, Value count);
  void prefetchKeys(Value row, Value keys);
  void prefetchColumns(Value row, int64_t columns);
  Value emitDots(Value queryRow, Value keyRow, int64_t keyStride);
  Value sumRows(llvm::SmallVector<Value> rows);
  int64_t keysAhead(const HeadTensor &tensor) const;
  Value emitDot(Value queryRow, Value keyRow);
  Value visible(Value query, Value position, Value left);
  void emitWeights(Value row, Value maximum, Value count);
  void emitOutputs(Value firstKey, Value count);
  void emitOutputTile(unsigned rows, Value row, Value values, Value count);
  void emitOutputColumns(unsigned rows, Value row, Value values, Value count, Value column,
                         int64_t columns);
  void storeRows();
  Value sumLanes(Value vector);

  /// One row of the mask serves all rows of the tile; else each has its own, where its scores will stand.
  bool sharesMask() { return a.mask && a.mask->sameForAllQueries && a.mask->sameForAllHeads; }
  Value scoresOf(Value row) { return b.at(part(layout.scores), b.mul(row, layout.scoreBytes)); }
  Value laneEntry(int64_t offset, Value row) { return b.at(part(offset), b.mul(row, 64)); }
  Value entry(int64_t offset, Value row) { return b.at(part(offset), b.mul(row, 4)); }
  Value offsetOfKeys() { return b.sub(a.keys, a.queries); }

  DecodeScratch layout;

  Value batch, firstHead, rows, keyRows, valueRows; ///< The tile at hand.
};

} // namespace permalloy::codegen

#endif // PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONDECODE_H
