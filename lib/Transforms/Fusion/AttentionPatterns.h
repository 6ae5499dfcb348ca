//===- AttentionPatterns.h - parts of raise-attention ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_LIB_TRANSFORMS_FUSION_ATTENTIONPATTERNS_H
#define PERMALLOY_LIB_TRANSFORMS_FUSION_ATTENTIONPATTERNS_H

#include "../Rewriting.h"

namespace permalloy {

/// Terms of a mask that compare positions become `causal` and windows. AttentionMasks.cpp
void addMaskPatterns(mlir::RewritePatternSet &patterns, SymbolicShapes &shapes,
                     mlir::Pass::Statistic &count);
/// Keys and values that were repeated for their group of query heads are read as they are.
/// AttentionHeads.cpp
void addSharedHeadPatterns(mlir::RewritePatternSet &patterns, SymbolicShapes &shapes,
                           mlir::Pass::Statistic &count);
/// Attention on heads that were split off a packed layout works on that layout. AttentionHeads.cpp
void addPackedHeadPatterns(mlir::RewritePatternSet &patterns, SymbolicShapes &shapes,
                           mlir::Pass::Statistic &count);

/// a and b; both broadcast.
mlir::Value createAnd(mlir::OpBuilder &builder, mlir::Location loc, SymbolicShapes &shapes,
                      mlir::Value a, mlir::Value b);
/// select(condition, added, -inf)
mlir::Value createCutOut(mlir::OpBuilder &builder, mlir::Location loc, SymbolicShapes &shapes,
                         mlir::Value condition, mlir::Value added);

} // namespace permalloy

#endif
