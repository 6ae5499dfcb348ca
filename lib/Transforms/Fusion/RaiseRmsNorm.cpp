//===- RaiseRmsNorm.cpp - rebuild RMS normalisation --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "Match.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISERMSNORM
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

struct RaiseSquares : ShapePattern<ReduceOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(ReduceOp op, PatternRewriter &rewriter) const override {
    std::string reason;
    auto match = matchRmsNorm(op, shapes, reason);
    if (!match)
      return rewriter.notifyMatchFailure(op, reason);
    Dims dims = shapes.dims(match->input);
    if (!dims.back().asConstant() || dims != shapes.dims(match->last->getResult(0)))
      return rewriter.notifyMatchFailure(
          op, "the normalised dimension varies, or the result has another shape");
    rewriter.setInsertionPoint(match->last);
    Location loc = rewriter.getFusedLoc({op.getLoc(), match->last->getLoc()});
    Value scale = createNormScale(rewriter, loc, shapes, match->scale, match->input);
    auto norm = RmsNormOp::create(rewriter, loc, match->input.getType(), match->input, scale,
                                  rewriter.getI64IntegerAttr(dims.size() - 1), rewriter.getF32FloatAttr(match->epsilon));
    ++count;
    return replaceRefined(rewriter, match->last, norm);
  }
};

class RaiseRmsNorm : public permalloy::impl::RaiseRmsNormBase<RaiseRmsNorm> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseSquares>(&getContext(), shapes, numRaised);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
