//===- MaskTerms.h - what a mask says about positions ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Exporters compute a decoder's mask as one tensor [batch, 1, queries, keys]: "the key is not after
// the query, and it is no padding". Taken apart, the first half is the attribute `causal` and costs
// nothing, and what is left has one row for all queries:
//
//   and(le(key, query + past), padding)        causal, padding as [batch, 1, 1, keys]
//   not(or(gt(key, query), not(padding)))      the same
//   select(le(key, query), float mask, -inf)   causal and the float mask
//
// A term bounds the distance d = key - query between positions in the tensors. Query i stands at
// i + offset, offset = keys - queries, so d <= offset is causal, d <= offset + w a window to the
// right and d >= offset - w one to the left.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_FUSION_MASKTERMS_H
#define PERMALLOY_LIB_TRANSFORMS_FUSION_MASKTERMS_H

#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy {

struct MaskTerms {
  /// From terms that bound the distance.
  bool causal = false;
  std::optional<int64_t> left, right;
  /// Bool terms that are left, to be joined by `and`, each perhaps negated first.
  struct Term {
    mlir::Value value;
    bool negated;
  };
  llvm::SmallVector<Term> rest;
  /// The float mask that the bool ones cut out of, or null.
  mlir::Value added;

  bool boundsDistance() const { return causal || left || right; }
};

/// Takes `mask` apart, which broadcasts to `scores` [batch, heads, queries, keys].
MaskTerms splitMask(mlir::Value mask, llvm::ArrayRef<tfm::DimExprAttr> scores,
                    SymbolicShapes &shapes);

} // namespace permalloy

#endif
