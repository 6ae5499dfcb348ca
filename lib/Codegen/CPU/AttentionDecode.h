//===- AttentionDecode.h - attention of few queries --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// With one query, lanes that hold queries are empty. Here keys are in the lanes of scores and the
// head's elements in those of the output, and one tile does all query heads that share a key/value
// head, so that each block of K and V comes from memory once:
//
//   rows = group of query heads x queries            Q[row][d] = scale * log2(e) * Q
//   for each block of keys:
//     for row:
//       S[row][L keys] = sum over d of transposed (Q[row][d] * K[key][d])     L = lanes
//       m', P = exp2(S - m'), l = a l + sum P
//     O[rows][D] = a O + P V                                    register tile of up to 4 rows
//   out[row] = O[row] / l[row]
//
// The dot products of L keys are L vectors of partial sums; transposed and added they are one
// vector of scores, which costs 5 instructions a key beside the D / L multiplications. The keys
// that are left, fewer than L, go one by one.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONDECODE_H
#define PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONDECODE_H

#include "AttentionEmitter.h"

namespace permalloy::codegen {

/// Offsets of a worker's scratch, in bytes; every part is 64-byte aligned.
struct DecodeScratch {
  int64_t queries = 0, output, scores, maskRow, maximum, sum, rescale, values, end;
  int64_t rowBytes;   ///< of a query or an output
  int64_t scoreBytes; ///< of the scores of a row

  /// `widens`: a block of V stands here as f32.
  DecodeScratch(const CpuTarget &target, const AttentionSchedule &s, int64_t group,
                int64_t headSize, bool widens);
};

/// Emits the tile of one batch and one key/value head for at most decodeQueries(target) queries.
class DecodeEmitter : AttentionParts {
public:
  DecodeEmitter(KernelBuilder &b, const Attention &a, const AttentionSchedule &s)
      : AttentionParts(b, a, s), layout(b.target(), s, group, a.headSize, element.isHalf()) {}

  void emit(Value batch, Value kvHead);

private:
  void packQueries();
  void emitKeyBlock(Value firstKey, Value count);
  void emitRow(Value row, Value firstKey, Value count);
  Value emitDots(Value queryRow, Value keyRow);
  Value emitDot(Value queryRow, Value keyRow);
  Value finishScores(Value scores, Value query, Value firstKey, Value key, Value count);
  Value visible(Value query, Value position, Value left);
  void emitWeights(Value row, Value maximum, Value count);
  void emitOutputs(Value firstKey, Value count);
  void emitOutputTile(unsigned rows, Value row, Value values, Value count);
  void emitOutputColumns(unsigned rows, Value row, Value values, Value count, Value offset,
                         int64_t columns);
  void storeRows();
  Value sumLanes(Value vector);

  Value entry(int64_t offset, Value row) { return b.at(part(offset), b.mul(row, 4)); }
  Value offsetOfKeys() { return b.sub(a.keys, a.queries); }

  DecodeScratch layout;

  Value batch, firstHead, rows, keyRows, valueRows; ///< The tile at hand.
};

} // namespace permalloy::codegen

#endif // PERMALLOY_LIB_CODEGEN_CPU_ATTENTIONDECODE_H
