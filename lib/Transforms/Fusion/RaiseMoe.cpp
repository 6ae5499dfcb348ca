//===- RaiseMoe.cpp - mixtures of experts from their parts -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "MatchExperts.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISEMOE
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Weights of single experts as one stack, written so that fold-weights records it.
class WeightStack {
public:
  WeightStack(OpBuilder &builder, Location loc, SymbolicShapes &shapes)
      : builder(builder), loc(loc), shapes(shapes) {}

  /// [E, K, N] of one layer of all experts, as `part` finds it in an expert.
  Value weights(const MoeMatch &match, function_ref<const ExpertLayer &(const ExpertMlp &)> part) {
    const ExpertLayer &first = part(match.experts.front());
    if (rankOf(first.weight) == 3)
      return columnsLast(first.weight, first.transposed);
    if (Value stack = commonStack(match, part))
      return columnsLast(stack, first.transposed);
    SmallVector<Value> matrices;
    for (const ExpertMlp &expert : match.experts)
      matrices.push_back(lifted(columnsLast(part(expert).weight, part(expert).transposed)));
    return concat(matrices, 0);
  }

  /// [E, N] of the biases; null when there are none.
  Value biases(const MoeMatch &match, function_ref<const ExpertLayer &(const ExpertMlp &)> part) {
    SmallVector<Value> vectors;
    for (const ExpertMlp &expert : match.experts)
      if (Value bias = part(expert).bias)
        vectors.push_back(lifted(bias));
    return vectors.empty() ? Value() : concat(vectors, 0);
  }

  Value concat(ArrayRef<Value> parts, int64_t axis) {
    if (parts.size() == 1)
      return parts.front();
    return tfm::create<ConcatOp>(builder, loc, shapes, getElementTypeOrSelf(parts.front()), parts,
                            builder.getI64IntegerAttr(axis))
        .getResult();
  }

private:
  static int64_t rankOf(Value value) { return cast<RankedTensorType>(value.getType()).getRank(); }

  Value columnsLast(Value weight, bool transposed) {
    if (!transposed)
      return weight;
    SmallVector<int64_t> perm = llvm::to_vector(llvm::seq<int64_t>(0, rankOf(weight)));
    std::swap(perm[perm.size() - 2], perm.back());
    return createTranspose(builder, loc, weight, perm);
  }

  Value lifted(Value value) {
    Dims dims = shapes.dims(value);
    dims.insert(dims.begin(), DimExprAttr::constant(builder.getContext(), 1));
    return createReshape(builder, loc, shapes, value, dims);
  }

  /// The stack that the weight of each expert is cut from at its number.
  Value commonStack(const MoeMatch &match,
                    function_ref<const ExpertLayer &(const ExpertMlp &)> part) {
    Value stack;
    for (auto [number, expert] : llvm::enumerate(match.experts)) {
      auto reshape = part(expert).weight.getDefiningOp<ReshapeOp>();
      auto slice = reshape ? reshape.getInput().getDefiningOp<SliceOp>() : SliceOp();
      if (!slice || !slice.getSizes() || rankOf(slice) != 3 ||
          (stack && stack != slice.getInput()) || !isCut(slice, number) ||
          shapes.dims(reshape) != Dims(ArrayRef(shapes.dims(slice)).drop_front()) ||
          part(expert).transposed != part(match.experts.front()).transposed)
        return {};
      stack = slice.getInput();
    }
    return stack && shapes.dim(stack, 0).isConstant(match.experts.size()) ? stack : Value();
  }

  bool isCut(SliceOp slice, int64_t number) {
    Dims offsets = dimsOf(*slice.getOffsets()), sizes = shapes.dims(slice),
         input = shapes.dims(slice.getInput());
    return offsets[0].isConstant(number) && sizes[0].isConstant(1) && offsets[1].isConstant(0) &&
           offsets[2].isConstant(0) && sizes[1] == input[1] && sizes[2] == input[2] &&
           llvm::all_of(*slice.getStrides(), [](int64_t stride) { return stride == 1; });
  }

  OpBuilder &builder;
  Location loc;
  SymbolicShapes &shapes;
};

struct RaiseExperts : RewritePattern {
  RaiseExperts(MLIRContext *context, SymbolicShapes &shapes, Pass::Statistic &count)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context), shapes(shapes), count(count) {}

  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!isa<ScatterOp, BinaryOp, ReduceOp>(op) || !isa<FloatType>(getElementTypeOrSelf(op->getResult(0))))
      return failure();
    std::string reason;
    auto match = ExpertMatcher(shapes, reason).match(op);
    if (!match)
      return rewriter.notifyMatchFailure(op, reason);
    Location loc = op->getLoc();
    WeightStack stack(rewriter, loc, shapes);
    auto up = [&](unsigned i) {
      return [i](const ExpertMlp &expert) -> const ExpertLayer & { return expert.up[i]; };
    };
    auto down = [](const ExpertMlp &expert) -> const ExpertLayer & { return expert.down; };
    const ExpertMlp &first = match->experts.front();
    SmallVector<Value> ups, upBiases;
    for (unsigned i = 0; i < first.up.size(); ++i) {
      ups.push_back(stack.weights(*match, up(i)));
      if (Value bias = stack.biases(*match, up(i)))
        upBiases.push_back(bias);
    }
    Value upBias = upBiases.empty() ? Value() : stack.concat(upBiases, 1);
    Value downs = stack.weights(*match, down);
    DimExprAttr tokens = shapes.dim(match->router.topK, 0);
    auto rows = [&](Value value, Value columns) {
      return createReshape(rewriter, loc, shapes, value, {tokens, shapes.dims(columns).back()});
    };
    Value input = rows(match->input, downs);
    Value logits = rows(match->router.logits, match->router.logits);
    auto moe = tfm::create<MoeOp>(
        rewriter, loc, shapes, getElementTypeOrSelf(input), input, logits, stack.concat(ups, 2),
        downs, upBias, stack.biases(*match, down),
        *match->router.topK.getK()->asConstant(), match->router.score, match->router.normalize,
        first.gated, first.activation);
    if (!moe)
      return failure();
    ++count;
    return replaceRefined(rewriter, op, moe);
  }

  SymbolicShapes &shapes;
  Pass::Statistic &count;
};

class RaiseMoe : public permalloy::impl::RaiseMoeBase<RaiseMoe> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseExperts>(&getContext(), shapes, numRaised);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
