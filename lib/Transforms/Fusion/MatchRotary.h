//===- MatchRotary.h - rotations of features, however spelled ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Exporters write rotary embeddings as slices, strided slices, stacks, negations, products with tables that hold each angle
// once or twice, joined again by a concatenation or a reshape. Instead of one pattern per spelling, the matcher asks what each
// feature d of the result is made of. Every element is followed down to a sum of terms
//
//   sign * x[feature] * table[entry]
//
// and the D sums are a rotation when feature d is x[d] * cos[j] -+ x[partner] * sin[j], with the partner half of the rotated
// features away (halves) or next to it (interleaved), and the rest of the features are x[d] as they were (partial). Tables are
// followed the same way, to see that both features of a pair take the same angle:
//
//   x * concat(f, f) + concat(-x[D/2:], x[:D/2]) * concat(g, g)
//     feature 0 =  x[0] f[0] - x[D/2] g[0]         feature D/2 = x[D/2] f[0] + x[0] g[0]
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_FUSION_MATCHROTARY_H
#define PERMALLOY_LIB_TRANSFORMS_FUSION_MATCHROTARY_H

#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy {

/// Elements of `value`, by their number within its last `trailing` dimensions, which are static.
struct Features {
  mlir::Value value;
  unsigned trailing = 1;
  llvm::SmallVector<int64_t> indices;
};

/// Entries of a table: elementwise functions, innermost last, of some features of a value.
struct TableEntries {
  Features base;
  llvm::SmallVector<mlir::Operation *> functions;
  bool operator==(const TableEntries &other) const;
};

struct RotaryMatch {
  mlir::Value input;          ///< [B, H, S, D], or [B, S, H, D] when sequenceFirst
  bool sequenceFirst = false;
  int64_t first = 0, size = 0; ///< the features of the input that the result is made of
  bool interleaved = false;
  TableEntries cos, sin;       ///< one per pair
  tfm::Dims tableDims;         ///< [1 or B, S, pairs]
};

/// `root` is the last operation; on a mismatch `reason` says why.
std::optional<RotaryMatch> matchRotary(mlir::Value root, SymbolicShapes &shapes, std::string &reason);

} // namespace permalloy

#endif
