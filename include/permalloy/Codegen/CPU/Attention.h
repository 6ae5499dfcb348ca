//===- Attention.h - softmax(scale Q K^T + mask) V in one kernel -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// FlashAttention (Dao et al. 2022, 2023) with queries in the lanes of the vectors. A block is W queries
// (two or three registers wide) of one head; its scores never leave the L1 cache. One tile of the grid is a few
// blocks that read the same keys: blocks of one head, and of the other heads that share its keys.
//
//   for each block:   Qt[d][W] = transposed block of Q, times scale * log2(e)      so that exp2 serves
//                     m = -inf, l = 0, O[W][D] = 0
//   for each block of keys:
//     K', V' = its rows, one behind another in scratch (or in place where they lie so)
//     for each block of queries that sees some of them:
//       St[key][W] = mask + K'[key] Qt       register tile: A = rows of K', B = Qt
//       m' = max(m, columns of St)           lane by lane: no horizontal reductions
//       P = exp2(St - m'), a = exp2(m - m'), l = a l + sum P
//       O[q][D] = a[q] O + sum over keys P[key][q] V'[key]           A = columns of P, B = V'
//       m = m'
//   for each block:   out[q] = O[q] / l[q]         l = 0: no key to see; what `emptyRows` says
//
// Rows of packed heads are a multiple of the model's width apart; at 4096 bytes all of a block's keys would
// compete for a few sets of the caches and need a page each. Copying them costs one load and one store of
// 64 bytes for every 4 W FMAs of a block of queries, so the blocks of a tile share it (f16 and bf16 are
// widened on the way). While they compute scores, they fetch the next block's rows into the second cache.
//
// Sequences of their own lengths, one behind another (`offsets`): the grid is that of the longest, and tiles past the end of their
// sequence are empty.
//
// Few queries (a step of a decoder) go another way, chosen when the kernel runs: AttentionDecode.h. Many in bf16 go
// through the tiles of AMX where there are any: AmxAttention.h.
//
// Keys that nobody in a block of queries sees are not visited: behind the causal diagonal, outside of a window, and at
// both ends of a mask that is the same for all queries and heads (padding; AttentionParts::attendedRange). What only
// some queries see is masked. A mask enters as the initial value of the accumulators. A mask of -inf gives weights of
// exactly 0, m = -inf counts as 0 so that no inf - inf arises, and finite masks stay finite (a row masked by -3e38
// throughout is uniform).
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_CPU_ATTENTION_H
#define PERMALLOY_CODEGEN_CPU_ATTENTION_H

#include "permalloy/Codegen/CPU/KernelBuilder.h"
#include "permalloy/Codegen/ScheduleSpace.h"

namespace permalloy::codegen {

/// How attention runs; any legal value is exact, but blocks of other sizes round differently.
struct AttentionSchedule {
  /// Keys of one register tile of scores, and queries of one register tile of the output; 0 on AMX.
  unsigned keyRows = 0;
  unsigned queryRows = 0;
  /// Keys of one step of the online softmax.
  int64_t keyBlock = 0;
  /// Blocks of queries that share a block of keys: one tile of the grid.
  int64_t queryBlocks = 0;
  /// Registers of queries side by side in a block; on AMX always 2.
  unsigned queryVectors = 2;

  /// `element`: what query, key and value hold; null: f32.
  static AttentionSchedule choose(const CpuTarget &target, mlir::Type element = {});
  bool fits(const CpuTarget &target, mlir::Type element = {}) const;
};

/// All schedules of attention; the parameters are documented there.
ScheduleSpaceOf<AttentionSchedule> attentionSpace(const CpuTarget &target, mlir::Type element = {});
/// Whether blocks of queries go through tiles of bf16.
bool attentionUsesAmx(const CpuTarget &target, mlir::Type element);

/// A tensor [batch, head, sequence, size] in memory; strides in bytes, the last one dense.
struct HeadTensor {
  mlir::Value base;
  mlir::Value batchStride;
  mlir::Value headStride;
  int64_t rowStride = 0;
};

/// A mask [batch, head, query, key]; a stride of 0 repeats. Numbers are added to the scaled
/// scores; bool bytes attend where not 0.
struct AttentionMask {
  mlir::Value base;
  bool isBool = false;
  mlir::Value batchStride, headStride, queryStride, keyStride;
  /// The query stride is 0 at every run: the fast case.
  bool sameForAllQueries = false;
  /// The head stride is 0 at every run.
  bool sameForAllHeads = false;
};

/// What a query gives that sees no key.
enum class NoKeys { NaN, Zero, MeanOfValues };

struct Attention {
  HeadTensor query, key, value, output;
  mlir::Value batch, queries, keys;
  int64_t heads = 0, kvHeads = 0, headSize = 0;
  float scale = 1;
  std::optional<AttentionMask> mask;
  bool causal = false;
  /// The scaled score x becomes softcap * tanh(x / softcap) where this is not 0.
  float softcap = 0;
  std::optional<int64_t> windowLeft, windowRight;
  NoKeys noKeys = NoKeys::NaN;
  /// Where each of `batch` sequences begins among the rows of the query, key, value and output, i64, and at the end their
  /// number; null for rows of [batch, ...]. `queries` and `keys` are then the length of the longest.
  mlir::Value offsets;
  /// f32 (null), f16 or bf16: what query, key and value hold.
  mlir::Type element = {};
  /// The same of the output and of a mask of numbers; null: as the query.
  mlir::Type outputElement = {}, maskElement = {};

  /// How many keys after its own position a query sees; nullopt for all.
  std::optional<int64_t> reachRight() const {
    return causal ? std::optional(int64_t(0)) : windowRight;
  }
};

/// Queries of one block: W above.
int64_t attentionQueryBlock(const CpuTarget &target, const AttentionSchedule &schedule);
/// Tiles of the grid for each batch and key/value head: ceil(blocks of its query heads / queryBlocks).
int64_t attentionTilesPerHead(const CpuTarget &target, const AttentionSchedule &schedule, int64_t group,
                              int64_t queries);
/// Up to this many queries the first tile of a key/value head does all, and its others are empty.
int64_t decodeQueries(const CpuTarget &target);
/// Bytes of scratch that a worker needs; `group` query heads share a key/value head. `masksByQuery`: there is a mask that
/// differs by query.
int64_t attentionScratchBytes(const CpuTarget &target, const AttentionSchedule &schedule,
                              int64_t group, int64_t headSize, mlir::Type element = {},
                              bool masksByQuery = true);

/// Emits the loop over the tiles [tileBegin, tileEnd) of the kernel's grid.
void emitAttention(KernelBuilder &b, const Attention &attention, const AttentionSchedule &schedule);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_ATTENTION_H
