//===- MatchExperts.h - mixtures of experts as exporters write them -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two forms, both over routing weights r[T, k] of the experts i[T, k] that a top_k chose:
//
//   loop      for each expert e: (t, j) = non_zero(i == e); y[t] += mlp_e(x[t]) * r[t, j]
//   batched   x repeated k times, the weights of each row gathered by i, two products of batch T * k,
//             times r, summed over k
//
// The parts of both are one: a router, and an expert's layers, seen through the products that the
// form writes.
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_FUSION_MATCHEXPERTS_H
#define PERMALLOY_LIB_TRANSFORMS_FUSION_MATCHEXPERTS_H

#include "permalloy/Analysis/SymbolicShapes.h"

namespace permalloy {

/// How routing weights were computed from logits.
struct RouterMatch {
  mlir::Value logits; ///< [T, E], or with T as several dimensions
  tfm::TopKOp topK;
  tfm::MoeScore score = tfm::MoeScore::Softmax;
  bool normalize = false;
};

/// input x weight + bias. The weight is one expert's, or the stack that rows were gathered from; it
/// is [K, N], or [N, K] when transposed, behind the dimension of experts.
struct ExpertLayer {
  mlir::Value input, weight;
  bool transposed = false;
  mlir::Value bias;
  tfm::Activation activation = tfm::Activation::None;
};

/// down(activation(gate) * up), or down(activation(up)).
struct ExpertMlp {
  llvm::SmallVector<ExpertLayer, 2> up; ///< one, or gate and up where they are apart
  bool gated = false;
  tfm::Activation activation = tfm::Activation::None;
  ExpertLayer down;
  mlir::Value input() const { return up.front().input; }
};

struct MoeMatch {
  mlir::Value input; ///< [T, D]
  RouterMatch router;
  /// One for each expert, in order; or one whose weights are stacks.
  llvm::SmallVector<ExpertMlp> experts;
};

/// What the matchers of both forms share.
class ExpertMatcher {
public:
  ExpertMatcher(SymbolicShapes &shapes, std::string &reason) : shapes(shapes), reason(reason) {}

  /// `root` is the last sum of the loop, or the sum over k of the batched form.
  std::optional<MoeMatch> match(mlir::Operation *root);

private:
  /// A product as the form at hand writes it; nullopt with a reason.
  using LayerMatcher = llvm::function_ref<std::optional<ExpertLayer>(mlir::Value)>;
  struct Step;

  std::nullopt_t no(const llvm::Twine &why) {
    reason = why.str();
    return std::nullopt;
  }
  /// Looks through reshapes that only add or drop dimensions of 1.
  mlir::Value strip(mlir::Value value);
  /// Looks through reshapes that keep the last dimension, and casts between floats.
  mlir::Value stripRows(mlir::Value value);

  /// Rows and columns of a layer's weight, [K, N].
  std::pair<tfm::DimExprAttr, tfm::DimExprAttr> extents(const ExpertLayer &layer);
  /// Equal but for the values of weights.
  bool haveOneForm(const ExpertMlp &a, const ExpertMlp &b);

  // MatchExperts.cpp
  std::optional<RouterMatch> matchRouter(mlir::Value weights);
  bool takesAlong(tfm::GatherNDOp gather, tfm::TopKOp &topK);
  std::optional<ExpertMlp> matchMlp(mlir::Value output, LayerMatcher layer);
  std::optional<ExpertMlp> matchGated(tfm::BinaryOp product, LayerMatcher layer);
  std::optional<std::pair<mlir::Value, int64_t>> matchHalf(mlir::Value value);
  std::optional<int64_t> sliceStart(tfm::SliceOp op, int64_t axis);

  // MatchMoe.cpp
  std::optional<MoeMatch> matchLoop(mlir::Operation *root);
  std::optional<Step> matchStep(mlir::Value sum);
  std::optional<int64_t> matchExpert(const Step &step, MoeMatch &match, mlir::Value &weights);
  std::optional<std::pair<tfm::NonZeroOp, int64_t>> matchColumn(mlir::Value value);
  bool choosesWeights(mlir::Value scale, tfm::NonZeroOp hits, mlir::Value &weights);
  std::optional<MoeMatch> matchBatched(tfm::ReduceOp sum);
  std::optional<ExpertLayer> matchGathered(mlir::Value value, tfm::TopKOp topK);
  mlir::Value repeatedRows(mlir::Value value, int64_t k);

  SymbolicShapes &shapes;
  std::string &reason;
};

/// A weight, a constant, or what `fold-weights` makes of them.
bool isFoldableParameter(mlir::Value value);

} // namespace permalloy

#endif
