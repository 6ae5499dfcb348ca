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

using Members = SmallVector<SmallVector<unsigned, 2>>;

/// For each joined dimension those that it consists of; a dimension of size one goes with the next.
/// Nullopt when one is split.
std::optional<Members> membersOf(ArrayRef<DimGroup> groups, ArrayRef<DimExprAttr> input,
                                 size_t count) {
  Members members(count);
  unsigned next = 0;
  for (const DimGroup &group : groups) {
    if (group.to.size() != 1)
      return std::nullopt;
    for (; next <= group.from.back(); ++next)
      members[group.to.front()].push_back(next);
  }
  for (; next < input.size() && !groups.empty(); ++next) // ones at the end
    members[groups.back().to.front()].push_back(next);
  return members;
}

/// A transpose of joined dimensions permutes them before they are joined, so the reshape meets the
/// one that splits them again: K^T of the dynamo exporter, [b, 12, s, 32] -> [12 b, s, 32] -> [12
/// b, 32, s] -> [b, 12, 32, s], is one transpose.
struct TransposeAboveJoin : ShapePattern<TransposeOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &rewriter) const override {
    auto join = op.getInput().getDefiningOp<ReshapeOp>();
    if (!join || !join.getDims())
      return rewriter.notifyMatchFailure(op, "the input is no reshape");
    Dims input = shapes.dims(join.getInput()), joined = shapes.dims(join.getResult());
    auto groups = groupDims(input, joined);
    if (!groups || input.size() <= joined.size())
      return rewriter.notifyMatchFailure(op, "the reshape does not join dimensions");
    auto members = membersOf(*groups, input, joined.size());
    if (!members)
      return rewriter.notifyMatchFailure(op, "the reshape splits a dimension");
    SmallVector<int64_t> perm;
    for (int64_t axis : op.getPerm())
      llvm::append_range(perm, (*members)[axis]);
    Dims result = shapes.dims(op.getResult());
    if (perm.size() != input.size() || !allDerived(result))
      return rewriter.notifyMatchFailure(op, "all dimensions are one, or one depends on data");
    Value moved = createTranspose(rewriter, op.getLoc(), join.getInput(), perm);
    ++count;
    return replaceRefined(rewriter, op,
                          createReshape(rewriter, op.getLoc(), shapes, moved, result));
  }
};

/// The input of a reshape that joins leading dimensions and keeps the last `kept`; null for others.
Value joinedInput(Value value, unsigned kept, SymbolicShapes &shapes) {
  auto join = value.getDefiningOp<ReshapeOp>();
  if (!join || !join.getDims())
    return {};
  Dims input = shapes.dims(join.getInput()), joined = shapes.dims(value);
  bool same = joined.size() == kept + 1 && input.size() > joined.size() &&
              ArrayRef(input).take_back(kept) == ArrayRef(joined).take_back(kept);
  return same ? join.getInput() : Value();
}

/// Products of [batch * heads, m, k] and [batch * heads, k, n] run with batch and heads apart.
struct MatmulAboveJoin : ShapePattern<MatmulOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    Value lhs = joinedInput(op.getLhs(), 2, shapes), rhs = joinedInput(op.getRhs(), 2, shapes);
    if (!lhs || !rhs)
      return rewriter.notifyMatchFailure(op, "an operand has no joined leading dimensions");
    Dims a = shapes.dims(lhs), b = shapes.dims(rhs), result = shapes.dims(op.getResult());
    if (ArrayRef(a).drop_back(2) != ArrayRef(b).drop_back(2) || !allDerived(result))
      return rewriter.notifyMatchFailure(op,
                                         "the joined dimensions differ, or one depends on data");
    llvm::copy(ArrayRef(result).take_back(2), a.end() - 2);
    auto type = RankedTensorType::get(staticShape(a), getElementTypeOrSelf(op.getType()));
    Value product = MatmulOp::create(rewriter, op.getLoc(), type, lhs, rhs, op.getTransposeA(),
                                     op.getTransposeB());
    ++count;
    return replaceRefined(rewriter, op,
                          createReshape(rewriter, op.getLoc(), shapes, product, result));
  }
};

/// softmax(reshape(x)) is reshape(softmax(x)) where the rows are the same.
struct SoftmaxAboveJoin : ShapePattern<SoftmaxOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(SoftmaxOp op, PatternRewriter &rewriter) const override {
    Dims result = shapes.dims(op.getResult());
    Value input = joinedInput(op.getInput(), result.size() - 1, shapes);
    if (!input || op.getAxis() + 1 != result.size() || !allDerived(result) || result.size() < 2)
      return rewriter.notifyMatchFailure(
          op, "no joined leading dimensions, or another axis than the last");
    auto axis = rewriter.getI64IntegerAttr(shapes.dims(input).size() - 1);
    Value rows = SoftmaxOp::create(rewriter, op.getLoc(), input.getType(), input, axis);
    ++count;
    return replaceRefined(rewriter, op, createReshape(rewriter, op.getLoc(), shapes, rows, result));
  }
};

/// Moves a transpose or reshape above a product or quotient with one number.
template <typename OpTy> struct HoistAboveScale : ShapePattern<OpTy> {
  using ShapePattern<OpTy>::ShapePattern;
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &rewriter) const override {
    auto scaled = stripOneScale(op.getInput());
    if (!scaled || !op.getInput().hasOneUse() || !allDerived(this->shapes.dims(op.getResult())))
      return rewriter.notifyMatchFailure(op, "the input is no scaled value that is used here only");
    if (joinedInput(op.getResult(), 2, this->shapes)) // products of joined batches look for it
      return rewriter.notifyMatchFailure(op, "the reshape joins leading dimensions");
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
    patterns.add<DropIdentityReshape, TransposeOfOnes, TransposeAboveJoin, MatmulAboveJoin,
                 SoftmaxAboveJoin, HoistAboveScale<TransposeOp>, HoistAboveScale<ReshapeOp>,
                 HoistAboveUnary, LinearAboveReshape>(&getContext(), shapes, numSimplified);
    ReshapeOp::getCanonicalizationPatterns(patterns, &getContext());
    TransposeOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
