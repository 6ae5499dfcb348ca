//===- RaiseLinear.cpp - linear layers with bias and activation --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISELINEAR
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// A weight, a constant, or a weight seen through what `fold-weights` records.
static bool isParameter(Value value) {
  while (isa_and_nonnull<TransposeOp, CastOp, ReshapeOp>(value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return isa_and_nonnull<GetWeightOp, ConstantOp>(value.getDefiningOp());
}

static int64_t rankOf(Value value) { return cast<RankedTensorType>(value.getType()).getRank(); }

static std::optional<Activation> activationOf(UnaryKind kind) {
  switch (kind) {
  case UnaryKind::Relu:
    return Activation::Relu;
  case UnaryKind::GeluErf:
    return Activation::GeluErf;
  case UnaryKind::GeluTanh:
    return Activation::GeluTanh;
  case UnaryKind::Silu:
    return Activation::Silu;
  case UnaryKind::Tanh:
    return Activation::Tanh;
  case UnaryKind::Sigmoid:
    return Activation::Sigmoid;
  default:
    return std::nullopt;
  }
}

namespace {

struct RaiseProduct : ShapePattern<MatmulOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(MatmulOp op, PatternRewriter &rewriter) const override {
    if (rankOf(op.getRhs()) != 2 || !isParameter(op.getRhs()))
      return rewriter.notifyMatchFailure(op, "the right operand is no weight of rank 2");
    if (op.getTransposeA() || rankOf(op.getLhs()) < 2 ||
        !isa<FloatType>(getElementTypeOrSelf(op.getType())))
      return rewriter.notifyMatchFailure(
          op, "the left operand is transposed or a vector, or the elements are integers");
    Value weight = op.getRhs();
    if (op.getTransposeB())
      weight = createTranspose(rewriter, op.getLoc(), weight, {1, 0});
    rewriter.replaceOpWithNewOp<LinearOp>(op, op.getType(), op.getLhs(), weight, Value(),
                                          Activation::None);
    ++count;
    return success();
  }
};

struct JoinBias : ShapePattern<BinaryOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(BinaryOp op, PatternRewriter &rewriter) const override {
    if (op.getKind() != BinaryKind::Add)
      return rewriter.notifyMatchFailure(op, "no sum");
    for (auto [product, bias] :
         {std::pair(op.getLhs(), op.getRhs()), std::pair(op.getRhs(), op.getLhs())}) {
      auto linear = product.getDefiningOp<LinearOp>();
      if (!linear || linear.getBias() || linear.getActivation() != Activation::None ||
          !product.hasOneUse())
        continue;
      if (!isParameter(bias) || !fits(bias, linear))
        return rewriter.notifyMatchFailure(
            op, "what is added to the linear layer is no vector of its width");
      Location loc = rewriter.getFusedLoc({linear.getLoc(), op.getLoc()});
      Value vector =
          createReshape(rewriter, loc, shapes, bias, shapes.dims(linear.getWeight()).back());
      rewriter
          .replaceOpWithNewOp<LinearOp>(op, op.getType(), linear.getInput(), linear.getWeight(),
                                        vector, Activation::None)
          ->setLoc(loc);
      ++count;
      return success();
    }
    return rewriter.notifyMatchFailure(
        op, "no operand is a linear layer without bias and activation that is used here only");
  }

  /// [N], or with ones in front, at most as many dimensions as the result.
  bool fits(Value bias, LinearOp linear) const {
    Dims dims = shapes.dims(bias);
    return !dims.empty() && rankOf(bias) <= rankOf(linear.getResult()) &&
           dims.back() == shapes.dims(linear.getWeight()).back() &&
           llvm::all_of(ArrayRef(dims).drop_back(), [](DimExprAttr d) { return d.isConstant(1); });
  }
};

struct JoinActivation : ShapePattern<UnaryOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(UnaryOp op, PatternRewriter &rewriter) const override {
    auto linear = op.getInput().getDefiningOp<LinearOp>();
    auto activation = activationOf(op.getKind());
    if (!activation || !linear || linear.getActivation() != Activation::None ||
        !op.getInput().hasOneUse())
      return rewriter.notifyMatchFailure(op,
                                         "no activation of a linear layer that is used here only");
    Location loc = rewriter.getFusedLoc({linear.getLoc(), op.getLoc()});
    rewriter
        .replaceOpWithNewOp<LinearOp>(op, op.getType(), linear.getInput(), linear.getWeight(),
                                      linear.getBias(), *activation)
        ->setLoc(loc);
    ++count;
    return success();
  }
};

class RaiseLinear : public permalloy::impl::RaiseLinearBase<RaiseLinear> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseProduct>(&getContext(), shapes, numLinear);
    patterns.add<JoinBias>(&getContext(), shapes, numBias);
    patterns.add<JoinActivation>(&getContext(), shapes, numActivation);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
