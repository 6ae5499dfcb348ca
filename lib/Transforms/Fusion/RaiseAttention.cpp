//===- RaiseAttention.cpp - rebuild attention --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "AttentionPatterns.h"
#include "Match.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISEATTENTION
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// matmul(softmax(...), V) on separate heads becomes attention of rank 4.
struct RaiseProduct : ShapePattern<MatmulOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    std::string reason;
    auto match = matchAttention(op, shapes, reason);
    if (!match)
      return rewriter.notifyMatchFailure(op, reason);
    for (const MaskMatch &mask : match->masks)
      if (!allDerived(shapes.dims(mask.value)))
        return rewriter.notifyMatchFailure(op, "a dimension of a mask depends on data");
    Location loc =
        rewriter.getFusedLoc({match->scores.getLoc(), match->softmax.getLoc(), op.getLoc()});
    Value key =
        match->keyIsRows ? match->key : createTranspose(rewriter, loc, match->key, {0, 1, 3, 2});
    Value mask = createMask(match->masks, loc, rewriter);
    auto attention = AttentionOp::create(
        rewriter, loc, op.getType(), match->query, key, match->value, mask, match->heads,
        match->heads, float(match->scale), /*causal=*/false, match->emptyRows);
    rewriter.replaceOp(op, attention);
    ++count;
    return success();
  }

  /// All masks as one of rank 4: bool ones are joined by `and`, float ones added up.
  Value createMask(ArrayRef<MaskMatch> masks, Location loc, PatternRewriter &rewriter) const {
    Value attended, added;
    for (const MaskMatch &mask : masks) {
      Value value = withRank4(mask, loc, rewriter);
      bool isBool = getElementTypeOrSelf(value.getType()).isInteger(1);
      Value &sum = isBool ? attended : added;
      if (sum && isBool)
        sum = createAnd(rewriter, loc, shapes, sum, value);
      else if (sum)
        sum = createSum(rewriter, loc, sum, value);
      else
        sum = value;
    }
    return attended && added ? createCutOut(rewriter, loc, shapes, attended, added)
           : attended        ? attended
                             : added;
  }

  Value createSum(PatternRewriter &rewriter, Location loc, Value a, Value b) const {
    Dims dims = *broadcastDims(shapes.dims(a), shapes.dims(b));
    auto type = RankedTensorType::get(staticShape(dims), getElementTypeOrSelf(a.getType()));
    return BinaryOp::create(rewriter, loc, type, BinaryKind::Add, a, b);
  }

  /// The mask with rank 4, true where it attends.
  Value withRank4(const MaskMatch &mask, Location loc, PatternRewriter &rewriter) const {
    Value value = mask.value;
    Dims dims = shapes.dims(value);
    if (mask.inverted)
      value = UnaryOp::create(rewriter, loc, value.getType(), UnaryKind::Not, value);
    while (dims.size() < 4)
      dims.insert(dims.begin(), DimExprAttr::constant(rewriter.getContext(), 1));
    return createReshape(rewriter, loc, shapes, value, dims);
  }
};

class RaiseAttention : public permalloy::impl::RaiseAttentionBase<RaiseAttention> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseProduct>(&getContext(), shapes, numRaised);
    addMaskPatterns(patterns, shapes, numSplit);
    addSharedHeadPatterns(patterns, shapes, numShared);
    addPackedHeadPatterns(patterns, shapes, numPacked);
    ReshapeOp::getCanonicalizationPatterns(patterns, &getContext());
    TransposeOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
