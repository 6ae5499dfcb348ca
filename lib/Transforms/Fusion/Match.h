//===- Match.h - decomposed transformer operations ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each matcher looks up from the last operation of a spelling. On a mismatch it returns nullopt and
// says in `reason` what stopped it, for the pattern's notifyMatchFailure and for the fusion report:
// lower case, no full stop.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_FUSION_MATCH_H
#define PERMALLOY_LIB_TRANSFORMS_FUSION_MATCH_H

#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy {

struct GeluMatch {
  mlir::Value input;
  tfm::UnaryKind kind;
};
/// `root` is the outermost product.
std::optional<GeluMatch> matchGelu(tfm::BinaryOp root, std::string &reason);

struct LayerNormMatch {
  mlir::Value input;
  double epsilon;
  /// Null where the model has none.
  mlir::Value scale, bias;
  /// The last operation, which the layer norm replaces.
  mlir::Operation *last;
};
/// `mean` is the variance: mean(d * d).
std::optional<LayerNormMatch> matchLayerNorm(tfm::ReduceOp mean, SymbolicShapes &shapes,
                                             std::string &reason);

struct RmsNormMatch {
  mlir::Value input;
  double epsilon;
  /// Null where the model has none.
  mlir::Value scale;
  /// The last operation, which the norm replaces.
  mlir::Operation *last;
};
/// `mean` is mean(x * x).
std::optional<RmsNormMatch> matchRmsNorm(tfm::ReduceOp mean, SymbolicShapes &shapes,
                                         std::string &reason);

/// `scale` as [N], the last dimension of a norm's input; ones where it is null.
mlir::Value createNormScale(mlir::OpBuilder &builder, mlir::Location loc, SymbolicShapes &shapes,
                            mlir::Value scale, mlir::Value input);

/// x of x * sigmoid(x) and x / (1 + exp(-x)); null for anything else.
mlir::Value matchSilu(tfm::BinaryOp root);

/// One of what stands between the scores and the softmax.
struct MaskMatch {
  /// A bool mask (true: attend), perhaps inverted, or a float mask.
  mlir::Value value;
  bool inverted = false;
};

struct AttentionMatch {
  mlir::Value query; ///< [B, H, Sq, D]
  mlir::Value key;   ///< [B, H, D, Sk], or [B, H, Sk, D] when keyIsRows
  bool keyIsRows = false;
  mlir::Value value; ///< [B, H, Sk, Dv]
  llvm::SmallVector<MaskMatch> masks;
  tfm::EmptyRows emptyRows = tfm::EmptyRows::NaN;
  double scale = 1;
  int64_t heads = 0;
  tfm::SoftmaxOp softmax;
  tfm::MatmulOp scores;
};
/// `root` is the product with V.
std::optional<AttentionMatch> matchAttention(tfm::MatmulOp root, SymbolicShapes &shapes,
                                             std::string &reason);

} // namespace permalloy

#endif
