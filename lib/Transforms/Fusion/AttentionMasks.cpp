//===- AttentionMasks.cpp - causality and windows out of masks ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Splat.h"
#include "AttentionPatterns.h"
#include "MaskTerms.h"

#include <limits>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// The terms of a mask that bound the distance of key and query become attributes.
struct SplitMask : ShapePattern<AttentionOp> {
  using ShapePattern::ShapePattern;

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getMask())
      return rewriter.notifyMatchFailure(op, "there is no mask");
    Dims q = shapes.dims(op.getQuery()), k = shapes.dims(op.getKey());
    Dims scores = {q[0], DimExprAttr::constant(op.getContext(), op.getNumHeads()),
                   q[op.queryAxis()], op.keys(k)};
    MaskTerms terms = splitMask(op.getMask(), scores, shapes);
    if (!terms.boundsDistance())
      return rewriter.notifyMatchFailure(op, "no term of the mask compares positions");
    Value mask = join(terms, op, rewriter);
    rewriter.modifyOpInPlace(op, [&] {
      op.getMaskMutable().clear();
      if (mask)
        op.getMaskMutable().assign(mask);
      op.setCausal(op.getCausal() || terms.causal);
      auto narrow = [&](std::optional<uint64_t> has, std::optional<int64_t> term) {
        return !term ? has : has ? std::min<uint64_t>(*has, *term) : uint64_t(*term);
      };
      op.setWindowLeft(narrow(op.getWindowLeft(), terms.left));
      op.setWindowRight(narrow(op.getWindowRight(), terms.right));
    });
    ++count;
    return success();
  }

  /// What is left of the mask, with rank 4; null for nothing.
  Value join(const MaskTerms &terms, AttentionOp op, PatternRewriter &rewriter) const {
    Location loc = op.getLoc();
    Value joined;
    for (const MaskTerms::Term &term : terms.rest) {
      Value value = withRank4(term.value, loc, rewriter);
      if (term.negated)
        value = UnaryOp::create(rewriter, loc, value.getType(), UnaryKind::Not, value);
      joined = joined ? createAnd(rewriter, loc, shapes, joined, value) : value;
    }
    if (!terms.added)
      return joined;
    Value added = withRank4(terms.added, loc, rewriter);
    return joined ? createCutOut(rewriter, loc, shapes, joined, added) : added;
  }

  Value withRank4(Value value, Location loc, PatternRewriter &rewriter) const {
    Dims dims = shapes.dims(value);
    while (dims.size() < 4)
      dims.insert(dims.begin(), DimExprAttr::constant(rewriter.getContext(), 1));
    return createReshape(rewriter, loc, shapes, value, dims);
  }
};

/// A mask that adds 0 everywhere, or that is true everywhere, is none.
struct DropMask : ShapePattern<AttentionOp> {
  using ShapePattern::ShapePattern;

  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (!op.getMask())
      return rewriter.notifyMatchFailure(op, "there is no mask");
    bool isBool = getElementTypeOrSelf(op.getMask().getType()).isInteger(1);
    if (splatNumber(op.getMask()) != (isBool ? 1.0 : 0.0))
      return rewriter.notifyMatchFailure(op, "the mask changes a score");
    rewriter.modifyOpInPlace(op, [&] { op.getMaskMutable().clear(); });
    ++count;
    return success();
  }
};

} // namespace

static RankedTensorType broadcastType(SymbolicShapes &shapes, Value a, Value b, Type element) {
  return RankedTensorType::get(staticShape(*broadcastDims(shapes.dims(a), shapes.dims(b))),
                               element);
}

Value permalloy::createAnd(OpBuilder &builder, Location loc, SymbolicShapes &shapes, Value a,
                           Value b) {
  auto type = broadcastType(shapes, a, b, builder.getI1Type());
  return BinaryOp::create(builder, loc, type, BinaryKind::And, a, b);
}

Value permalloy::createCutOut(OpBuilder &builder, Location loc, SymbolicShapes &shapes,
                              Value condition, Value added) {
  Type element = getElementTypeOrSelf(added.getType());
  auto infinity = builder.getFloatAttr(element, -std::numeric_limits<double>::infinity());
  Value lowest = ConstantOp::create(
      builder, loc, DenseElementsAttr::get(RankedTensorType::get({}, element), infinity));
  return SelectOp::create(builder, loc, broadcastType(shapes, condition, added, element), condition,
                          added, lowest);
}

void permalloy::addMaskPatterns(RewritePatternSet &patterns, SymbolicShapes &shapes,
                                Pass::Statistic &count) {
  patterns.add<DropMask, SplitMask>(patterns.getContext(), shapes, count);
}
