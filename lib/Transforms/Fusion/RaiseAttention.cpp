//===- RaiseAttention.cpp - rebuild attention --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
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
    if (match->mask.value && !allDerived(shapes.dims(match->mask.value)))
      return rewriter.notifyMatchFailure(op, "a dimension of the mask depends on data");
    Location loc =
        rewriter.getFusedLoc({match->scores.getLoc(), match->softmax.getLoc(), op.getLoc()});
    Value key =
        match->keyIsRows ? match->key : createTranspose(rewriter, loc, match->key, {0, 1, 3, 2});
    Value mask = createMask(match->mask, loc, rewriter);
    auto attention = AttentionOp::create(
        rewriter, loc, op.getType(), match->query, key, match->value, mask, match->heads,
        match->heads, float(match->scale), /*causal=*/false, match->mask.emptyRows);
    rewriter.replaceOp(op, attention);
    ++count;
    return success();
  }

  /// The mask with rank 4, true where it attends.
  Value createMask(const MaskMatch &mask, Location loc, PatternRewriter &rewriter) const {
    if (!mask.value)
      return {};
    Value value = mask.value;
    Dims dims = shapes.dims(value);
    if (mask.inverted)
      value = UnaryOp::create(rewriter, loc, value.getType(), UnaryKind::Not, value);
    while (dims.size() < 4)
      dims.insert(dims.begin(), DimExprAttr::constant(rewriter.getContext(), 1));
    return createReshape(rewriter, loc, shapes, value, dims);
  }
};

/// Attention on heads that were all split off a packed layout works on that layout.
struct PackHeads : ShapePattern<AttentionOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    if (cast<RankedTensorType>(op.getType()).getRank() != 4)
      return rewriter.notifyMatchFailure(op, "the heads are packed");
    Dims result = shapes.dims(op.getResult());
    if (!allDerived(result) || !canPack(op.getQuery()) || !canPack(op.getKey()) ||
        !canPack(op.getValue()))
      return rewriter.notifyMatchFailure(op,
                                         "an operand is no transpose of [batch, sequence, heads, "
                                         "size], or a dimension depends on data");
    Value query = pack(op.getQuery(), rewriter), key = pack(op.getKey(), rewriter);
    Value value = pack(op.getValue(), rewriter);
    Dims packed = {result[0], result[2], DimExprAttr::mul(result[1], result[3])};
    auto type = RankedTensorType::get(staticShape(packed), getElementTypeOrSelf(op.getType()));
    Value attention = op.cloneWith(rewriter, type, query, key, value, op.getMask());
    Value split = createReshape(rewriter, op.getLoc(), shapes, attention,
                                {result[0], result[2], result[1], result[3]});
    ++count;
    return replaceRefined(rewriter, op,
                          createTranspose(rewriter, op.getLoc(), split, {0, 2, 1, 3}));
  }

private:
  static bool isSplit(Value operand) {
    auto transpose = operand.getDefiningOp<TransposeOp>();
    return transpose && transpose.getPerm() == ArrayRef<int64_t>{0, 2, 1, 3};
  }

  /// The heads were split by a transpose, or there is one head or one position, so that none is
  /// needed.
  bool canPack(Value operand) const {
    Dims dims = shapes.dims(operand);
    return allDerived(dims) && (isSplit(operand) || dims[1].isConstant(1) || dims[2].isConstant(1));
  }

  /// [batch, heads, sequence, size] as [batch, sequence, heads * size].
  Value pack(Value operand, PatternRewriter &rewriter) const {
    Dims dims = shapes.dims(operand);
    Value rows = isSplit(operand) ? operand.getDefiningOp()->getOperand(0) : operand;
    return createReshape(rewriter, operand.getLoc(), shapes, rows,
                         {dims[0], dims[2], DimExprAttr::mul(dims[1], dims[3])});
  }
};

class RaiseAttention : public permalloy::impl::RaiseAttentionBase<RaiseAttention> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseProduct>(&getContext(), shapes, numRaised);
    patterns.add<PackHeads>(&getContext(), shapes, numPacked);
    ReshapeOp::getCanonicalizationPatterns(patterns, &getContext());
    TransposeOp::getCanonicalizationPatterns(patterns, &getContext());
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
