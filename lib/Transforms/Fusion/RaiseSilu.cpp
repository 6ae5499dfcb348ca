//===- RaiseSilu.cpp - rebuild the sigmoid linear unit -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "../Splat.h"
#include "Match.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISESILU
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

static Value operandOf(Value value, UnaryKind kind) {
  auto op = value.getDefiningOp<UnaryOp>();
  return op && op.getKind() == kind ? op.getInput() : Value();
}

Value permalloy::matchSilu(BinaryOp root) {
  if (root.getKind() == BinaryKind::Mul)
    for (auto [x, factor] : {std::pair(root.getLhs(), root.getRhs()), std::pair(root.getRhs(), root.getLhs())})
      if (operandOf(factor, UnaryKind::Sigmoid) == x)
        return x;
  auto sum = root.getKind() == BinaryKind::Div ? root.getRhs().getDefiningOp<BinaryOp>() : BinaryOp();
  if (!sum || sum.getKind() != BinaryKind::Add)
    return {};
  for (auto [power, one] : {std::pair(sum.getLhs(), sum.getRhs()), std::pair(sum.getRhs(), sum.getLhs())})
    if (Value negated = operandOf(power, UnaryKind::Exp);
        negated && isSplatOf(one, 1) && operandOf(negated, UnaryKind::Neg) == root.getLhs())
      return root.getLhs();
  return {};
}

namespace {

struct RaiseProduct : ShapePattern<BinaryOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(BinaryOp op, PatternRewriter &rewriter) const override {
    Value x = matchSilu(op);
    if (!x || !shapes.equalShapes(x, op.getResult()))
      return rewriter.notifyMatchFailure(op, "no product of x and sigmoid(x)");
    rewriter.replaceOpWithNewOp<UnaryOp>(op, op.getType(), UnaryKind::Silu, x);
    ++count;
    return success();
  }
};

class RaiseSilu : public permalloy::impl::RaiseSiluBase<RaiseSilu> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseProduct>(&getContext(), shapes, numRaised);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
