//===- SinkBroadcasts.cpp - repeat elements as late as possible --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_SINKBROADCASTS
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// `dims` with ones in front, `rank` in all.
Dims padded(MLIRContext *context, ArrayRef<DimExprAttr> dims, size_t rank) {
  Dims result(rank - dims.size(), DimExprAttr::constant(context, 1));
  result.append(dims.begin(), dims.end());
  return result;
}

/// elementwise(broadcast(x), y) is elementwise(x, y), broadcast where that is smaller.
template <typename OpTy> struct SinkBelowElementwise : ShapePattern<OpTy> {
  using ShapePattern<OpTy>::ShapePattern;
  LogicalResult matchAndRewrite(OpTy op, PatternRewriter &rewriter) const override {
    SymbolicShapes &shapes = this->shapes;
    SmallVector<Value> operands;
    for (Value operand : op->getOperands()) {
      auto broadcast = operand.getDefiningOp<BroadcastOp>();
      operands.push_back(broadcast ? broadcast.getInput() : operand);
    }
    if (ValueRange(operands) == op->getOperands())
      return rewriter.notifyMatchFailure(op, "no operand is a broadcast");
    Dims dims = shapes.dims(op->getResult(0));
    if (!allDerived(dims))
      return rewriter.notifyMatchFailure(op, "a dimension depends on data");
    Value small = cloneElementwise(rewriter, shapes, op, operands);
    ++this->count;
    return replaceRefined(rewriter, op,
                          createBroadcast(rewriter, op.getLoc(), shapes, small, dims));
  }
};

/// Attention broadcasts its mask.
struct DropAtMask : ShapePattern<AttentionOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(AttentionOp op, PatternRewriter &rewriter) const override {
    auto broadcast = op.getMask() ? op.getMask().getDefiningOp<BroadcastOp>() : BroadcastOp();
    if (!broadcast)
      return rewriter.notifyMatchFailure(op, "the mask is no broadcast");
    Dims dims = padded(op.getContext(), shapes.dims(broadcast.getInput()), 4);
    if (!allDerived(dims))
      return rewriter.notifyMatchFailure(op, "a dimension depends on data");
    Value mask = createReshape(rewriter, op.getLoc(), shapes, broadcast.getInput(), dims);
    rewriter.modifyOpInPlace(op, [&] { op.getMaskMutable().assign(mask); });
    ++count;
    return success();
  }
};

/// gather(x, broadcast(i)) is broadcast(gather(x, i)).
struct SinkBelowGather : ShapePattern<GatherOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(GatherOp op, PatternRewriter &rewriter) const override {
    auto broadcast = op.getIndices().getDefiningOp<BroadcastOp>();
    Dims result = shapes.dims(op.getResult());
    if (!broadcast || !allDerived(result))
      return rewriter.notifyMatchFailure(
          op, "the indices are no broadcast, or a dimension depends on data");
    size_t rank = shapes.dims(op.getIndices()).size();
    Dims dims = padded(op.getContext(), shapes.dims(broadcast.getInput()), rank);
    Value indices = createReshape(rewriter, op.getLoc(), shapes, broadcast.getInput(), dims);
    Dims small = result;
    llvm::copy(dims, small.begin() + op.getAxis());
    auto type = RankedTensorType::get(staticShape(small), getElementTypeOrSelf(op.getType()));
    Value gathered =
        GatherOp::create(rewriter, op.getLoc(), type, op.getInput(), indices, op.getAxisAttr());
    ++count;
    return replaceRefined(rewriter, op,
                          createBroadcast(rewriter, op.getLoc(), shapes, gathered, result));
  }
};

/// A reduction over dimensions that the broadcast leaves alone runs before it.
struct SinkBelowReduce : ShapePattern<ReduceOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(ReduceOp op, PatternRewriter &rewriter) const override {
    auto broadcast = op.getInput().getDefiningOp<BroadcastOp>();
    Dims result = shapes.dims(op.getResult());
    if (!broadcast || !allDerived(result))
      return rewriter.notifyMatchFailure(
          op, "the input is no broadcast, or a dimension depends on data");
    Dims input = shapes.dims(broadcast.getInput()), wide = shapes.dims(op.getInput());
    if (input.size() != wide.size())
      return rewriter.notifyMatchFailure(op, "the broadcast adds dimensions");
    for (int64_t axis : op.getAxes())
      if (input[axis] != wide[axis])
        return rewriter.notifyMatchFailure(op, "a reduced dimension is repeated");
    Dims small;
    for (auto [i, dim] : llvm::enumerate(input)) {
      bool reduced = llvm::is_contained(op.getAxes(), int64_t(i));
      if (!reduced || op.getKeepDims())
        small.push_back(reduced ? DimExprAttr::constant(op.getContext(), 1) : dim);
    }
    auto type = RankedTensorType::get(staticShape(small), getElementTypeOrSelf(op.getType()));
    Value reduced = ReduceOp::create(rewriter, op.getLoc(), type, op.getKind(),
                                     broadcast.getInput(), op.getAxes(), op.getKeepDims());
    ++count;
    return replaceRefined(rewriter, op,
                          createBroadcast(rewriter, op.getLoc(), shapes, reduced, result));
  }
};

/// broadcast(broadcast(x)) is one; one that keeps every dimension is none.
struct MergeBroadcasts : ShapePattern<BroadcastOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(BroadcastOp op, PatternRewriter &rewriter) const override {
    if (op.getDims() && shapes.equalShapes(op.getInput(), op.getResult()))
      return replaceRefined(rewriter, op, op.getInput());
    auto producer = op.getInput().getDefiningOp<BroadcastOp>();
    if (!producer || !op.getDims())
      return rewriter.notifyMatchFailure(
          op, "the input is no broadcast, or the dimensions are not resolved");
    rewriter.modifyOpInPlace(op, [&] { op.getInputMutable().assign(producer.getInput()); });
    ++count;
    return success();
  }
};

class SinkBroadcasts : public permalloy::impl::SinkBroadcastsBase<SinkBroadcasts> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<SinkBelowElementwise<UnaryOp>, SinkBelowElementwise<CastOp>,
                 SinkBelowElementwise<BinaryOp>, SinkBelowElementwise<CompareOp>,
                 SinkBelowElementwise<SelectOp>, DropAtMask, SinkBelowGather, SinkBelowReduce,
                 MergeBroadcasts>(&getContext(), shapes, numSunk);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
