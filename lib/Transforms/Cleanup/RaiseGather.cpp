//===- RaiseGather.cpp - rows taken by tuples of one index -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISEGATHER
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

struct RaiseTuplesOfOne : ShapePattern<GatherNDOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(GatherNDOp op, PatternRewriter &rewriter) const override {
    if (op.getBatchDims() != 0)
      return rewriter.notifyMatchFailure(op, "leading dimensions are shared");
    auto type = cast<RankedTensorType>(op.getIndices().getType());
    if (type.getShape().back() != 1)
      return rewriter.notifyMatchFailure(op, "the tuples have more than one index");
    Dims dims = shapes.dims(op.getIndices());
    if (!allDerived(dims))
      return rewriter.notifyMatchFailure(op, "the indices' dimensions depend on data");
    dims.pop_back();
    Value rows = createReshape(rewriter, op.getLoc(), shapes, op.getIndices(), dims);
    rewriter.replaceOpWithNewOp<GatherOp>(op, op.getType(), op.getInput(), rows,
                                          rewriter.getI64IntegerAttr(0));
    ++count;
    return success();
  }
};

class RaiseGather : public permalloy::impl::RaiseGatherBase<RaiseGather> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseTuplesOfOne>(&getContext(), shapes, numRaised);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
