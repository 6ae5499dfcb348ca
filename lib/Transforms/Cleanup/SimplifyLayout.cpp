//===- SimplifyLayout.cpp - cancel reshapes and transposes -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "../Splat.h"
#include "DimGroups.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_SIMPLIFYLAYOUT
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

struct DropIdentityReshape : ShapePattern<ReshapeOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &rewriter) const override {
    if (!shapes.equalShapes(op.getInput(), op.getResult()))
      return rewriter.notifyMatchFailure(op, "the dimensions change");
    ++count;
    return replaceRefined(rewriter, op, op.getInput());
  }
};

/// A transpose that keeps the order of all dimensions but ones is a reshape.
struct TransposeOfOnes : ShapePattern<TransposeOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &rewriter) const override {
    Dims input = shapes.dims(op.getInput()), dims = shapes.dims(op.getResult());
    int64_t last = -1;
    for (int64_t axis : op.getPerm()) {
      if (input[axis].isConstant(1))
        continue;
      if (axis < last)
        return rewriter.notifyMatchFailure(op, "the order of dimensions changes");
      last = axis;
    }
    if (!allDerived(dims))
      return rewriter.notifyMatchFailure(op, "a dimension depends on data");
    ++count;
    return replaceRefined(rewriter, op,
                          createReshape(rewriter, op.getLoc(), shapes, op.getInput(), dims));
  }
};

/// reshape(transpose(reshape(x))), where the first joins dimensions that stay together and the last
/// splits them again, is one transpose: K^T of the dynamo exporter, [b, 12, s, 32] -> [12 b, s, 32]
/// -> [12 b, 32, s] -> [b, 12, 32, s].
struct TransposeThroughReshape : ShapePattern<ReshapeOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &rewriter) const override {
    auto transpose = op.getInput().getDefiningOp<TransposeOp>();
    auto join = transpose ? transpose.getInput().getDefiningOp<ReshapeOp>() : ReshapeOp();
    if (!join || !join.getDims())
      return rewriter.notifyMatchFailure(op, "no reshape, transpose, reshape in a row");
    Dims input = shapes.dims(join.getInput()), joined = shapes.dims(join.getResult());
    auto groups = groupDims(input, joined);
    if (!groups)
      return rewriter.notifyMatchFailure(op, "the first reshape is no joining of dimensions");
    SmallVector<SmallVector<unsigned, 2>> members(joined.size());
    for (const DimGroup &group : *groups) {
      if (group.to.size() != 1)
        return rewriter.notifyMatchFailure(op, "the first reshape splits a dimension");
      members[group.to.front()] = group.from;
    }
    SmallVector<int64_t> perm;
    for (int64_t axis : transpose.getPerm())
      llvm::append_range(perm, members[axis]);
    if (perm.size() != input.size())
      return rewriter.notifyMatchFailure(op, "the input has dimensions of size one");
    Dims permuted = llvm::map_to_vector(perm, [&](int64_t axis) { return input[axis]; });
    if (permuted != shapes.dims(op.getResult()))
      return rewriter.notifyMatchFailure(op, "the last reshape does not undo the first");
    ++count;
    return replaceRefined(rewriter, op,
                          createTranspose(rewriter, op.getLoc(), join.getInput(), perm));
  }
};

/// Moves a transpose or reshape above a product or quotient with one number.
template <typename OpTy> struct HoistAboveScale : ShapePattern<OpTy> {
  using ShapePattern<OpTy>::ShapePattern;
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &rewriter) const override {
    auto scaled = stripOneScale(op.getInput());
    if (!scaled || !op.getInput().hasOneUse() || !allDerived(this->shapes.dims(op.getResult())))
      return rewriter.notifyMatchFailure(op, "the input is no scaled value that is used here only");
    auto scale = cast<BinaryOp>(op.getInput().getDefiningOp());
    int64_t rank = cast<RankedTensorType>(op.getType()).getRank();
    if (cast<RankedTensorType>(scale.getLhs().getType()).getRank() > rank ||
        cast<RankedTensorType>(scale.getRhs().getType()).getRank() > rank)
      if (!isa<ReshapeOp>(op))
        return rewriter.notifyMatchFailure(op, "the number has a higher rank");
    Value moved = moveAbove(op, scaled->value, rewriter);
    Value lhs = scale.getLhs() == scaled->value ? moved : number(scale.getLhs(), rewriter);
    Value rhs = scale.getLhs() == scaled->value ? number(scale.getRhs(), rewriter) : moved;
    rewriter.replaceOpWithNewOp<BinaryOp>(op, op.getType(), scale.getKind(), lhs, rhs);
    ++this->count;
    return success();
  }

  static Value moveAbove(TransposeOp op, Value value, PatternRewriter &rewriter) {
    return createTranspose(rewriter, op.getLoc(), value, op.getPerm());
  }
  Value moveAbove(ReshapeOp op, Value value, PatternRewriter &rewriter) const {
    return createReshape(rewriter, op.getLoc(), this->shapes, value,
                         this->shapes.dims(op.getResult()));
  }
  /// The number as a scalar, so that it fits any rank.
  static Value number(Value value, PatternRewriter &rewriter) {
    return createSplat(rewriter, value.getLoc(), cast<TypedAttr>(splatElement(value)), {});
  }
};

/// transpose(f(transpose(x))) is f(transpose(transpose(x))).
struct HoistAboveUnary : ShapePattern<TransposeOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &rewriter) const override {
    Operation *function = op.getInput().getDefiningOp();
    if (!isa_and_nonnull<UnaryOp, CastOp>(function) || !op.getInput().hasOneUse() ||
        !function->getOperand(0).getDefiningOp<TransposeOp>())
      return rewriter.notifyMatchFailure(op,
                                         "no transpose, elementwise function, transpose in a row");
    Value moved = createTranspose(rewriter, op.getLoc(), function->getOperand(0), op.getPerm());
    IRMapping map;
    map.map(function->getOperand(0), moved);
    Operation *copy = rewriter.clone(*function, map);
    copy->getResult(0).setType(op.getType());
    rewriter.replaceOp(op, copy->getResults());
    ++count;
    return success();
  }
};

/// linear(reshape(x)) is reshape(linear(x)) where the reshape keeps the last dimension.
struct LinearAboveReshape : ShapePattern<LinearOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(LinearOp op, PatternRewriter &rewriter) const override {
    auto reshape = op.getInput().getDefiningOp<ReshapeOp>();
    if (!reshape)
      return rewriter.notifyMatchFailure(op, "the input is no reshape");
    Dims input = shapes.dims(reshape.getInput()), rows = shapes.dims(reshape.getResult()),
         result = shapes.dims(op.getResult());
    if (input.empty() || input.back() != rows.back() || !allDerived(result))
      return rewriter.notifyMatchFailure(
          op, "the reshape changes the last dimension, or a dimension depends on data");
    input.back() = result.back();
    auto type = RankedTensorType::get(staticShape(input), getElementTypeOrSelf(op.getType()));
    Value linear = LinearOp::create(rewriter, op.getLoc(), type, reshape.getInput(), op.getWeight(),
                                    op.getBias(), op.getActivation());
    ++count;
    return replaceRefined(rewriter, op,
                          createReshape(rewriter, op.getLoc(), shapes, linear, result));
  }
};

class SimplifyLayout : public permalloy::impl::SimplifyLayoutBase<SimplifyLayout> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<DropIdentityReshape, TransposeOfOnes, TransposeThroughReshape,
                 HoistAboveScale<TransposeOp>, HoistAboveScale<ReshapeOp>, HoistAboveUnary,
                 LinearAboveReshape>(&getContext(), shapes, numSimplified);
    ReshapeOp::getCanonicalizationPatterns(patterns, &getContext());
    TransposeOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
