//===- RaiseLayerNorm.cpp - rebuild layer normalisation ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "Match.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISELAYERNORM
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

struct RaiseVariance : ShapePattern<ReduceOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(ReduceOp op, PatternRewriter &rewriter) const override {
    std::string reason;
    auto match = matchLayerNorm(op, shapes, reason);
    if (!match)
      return rewriter.notifyMatchFailure(op, reason);
    Dims dims = shapes.dims(match->input);
    if (!dims.back().asConstant() || dims != shapes.dims(match->last->getResult(0)))
      return rewriter.notifyMatchFailure(
          op, "the normalised dimension varies, or the result has another shape");
    rewriter.setInsertionPoint(match->last);
    Location loc = rewriter.getFusedLoc({op.getLoc(), match->last->getLoc()});
    Value scale = createNormScale(rewriter, loc, shapes, match->scale, match->input);
    Value bias = match->bias ? createReshape(rewriter, loc, shapes, match->bias,
                                             shapes.dims(match->bias).back())
                             : Value();
    auto norm = LayerNormOp::create(rewriter, loc, match->input.getType(), match->input, scale,
                                    bias, rewriter.getI64IntegerAttr(dims.size() - 1),
                                    rewriter.getF32FloatAttr(match->epsilon));
    ++count;
    return replaceRefined(rewriter, match->last, norm);
  }
};

class RaiseLayerNorm : public permalloy::impl::RaiseLayerNormBase<RaiseLayerNorm> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseVariance>(&getContext(), shapes, numRaised);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
