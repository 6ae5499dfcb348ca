//===- RaiseGelu.cpp - rebuild gelu ------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "Match.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISEGELU
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

struct RaiseProduct : ShapePattern<BinaryOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(BinaryOp op, PatternRewriter &rewriter) const override {
    std::string reason;
    auto match = matchGelu(op, reason);
    if (!match)
      return rewriter.notifyMatchFailure(op, reason);
    if (!shapes.equalShapes(match->input, op.getResult()))
      return rewriter.notifyMatchFailure(op, "a number in the product changes its shape");
    ++count;
    rewriter.replaceOpWithNewOp<UnaryOp>(op, op.getType(), match->kind, match->input);
    return success();
  }
};

class RaiseGelu : public permalloy::impl::RaiseGeluBase<RaiseGelu> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseProduct>(&getContext(), shapes, numRaised);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
