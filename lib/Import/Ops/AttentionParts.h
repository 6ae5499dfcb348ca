//===- AttentionParts.h - what all attention operators share -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// ONNX's Attention and onnxruntime's three operators differ in how they name projections, masks and
// caches. Each importer reads its own spelling into AttentionParts; from there one tfm.attention is
// made, and the scores or weights where an operator gives them out, too.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_IMPORT_OPS_ATTENTIONPARTS_H
#define PERMALLOY_LIB_IMPORT_OPS_ATTENTIONPARTS_H

#include "OpTable.h"

namespace permalloy {

/// The operands and attributes of a tfm.attention (dialects/Tfm/TfmOps.td), windows of -1 being
/// open.
struct AttentionParts {
  mlir::Value query;      ///< [batch, queries, heads * size] or [batch, heads, queries, size]
  mlir::Value key, value; ///< one of these layouts, with the past
  mlir::Value mask;       ///< rank 4, bool or of the query's type; or null
  int64_t queryHeads = 0, keyHeads = 0;
  double scale = 1, softcap = 0;
  bool causal = false;
  int64_t left = -1, right = -1;
  tfm::EmptyRows emptyRows = tfm::EmptyRows::NaN;

  int64_t queryAxis() const { return axisOf(query); }
  int64_t keyAxis() const { return axisOf(key); }

private:
  static int64_t axisOf(mlir::Value x) {
    return llvm::cast<mlir::RankedTensorType>(x.getType()).getRank() == 3 ? 1 : 2;
  }
};

/// Columns [begin, end) of the last dimension.
mlir::Value lastColumns(OpBinder &b, mlir::Value x, int64_t begin, int64_t end);
/// [batch, sequence, heads * size] to [batch, heads, sequence, size]; another rank as it is.
mlir::Value splitHeads(OpBinder &b, mlir::Value x, int64_t heads);
/// `past` before `fresh`, which is packed or of rank 4: [batch, heads, past + sequence, size].
mlir::Value appendToPast(OpBinder &b, mlir::Value past, mlir::Value fresh, int64_t heads);
/// Narrows a mask (null: none; bool, or added to the scores) to what `allowed` lets through.
void restrictMask(OpBinder &b, mlir::Value &mask, mlir::Value allowed);
/// The mask with leading dimensions of 1 up to rank 4.
mlir::Value maskOfRank4(OpBinder &b, mlir::Value mask);
/// start + [0, 1, ... of the queries] - [0, 1, ... of the keys], [queries, keys]. `start` is null
/// for 0, [1], or [batch, 1, 1, 1], which the result then has in front.
mlir::Value queryMinusKey(OpBinder &b, const Extent &queries, mlir::Value start,
                          const Extent &keys);

/// The tfm.attention.
mlir::Value makeAttention(OpBinder &b, const AttentionParts &parts);

/// Stages of the scores [batch, heads, queries, keys] that operators give out.
enum class ScoreStage {
  Scaled,  ///< scale Q K^T
  Capped,  ///< softcap applied
  Masked,  ///< with mask, causality and windows
  Weights, ///< after softmax; a query without a key has zeros, or what empty_rows nan makes
};
/// The scores by themselves. Computed a second time: tfm.attention keeps them in registers.
mlir::Value makeScores(OpBinder &b, const AttentionParts &parts, ScoreStage stage);

} // namespace permalloy

#endif
