//===- RaiseLinear.cpp - linear layers with bias and activation --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "Match.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_RAISELINEAR
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// A weight, a constant, or a weight seen through what `fold-weights` records or what decodes it.
static bool isParameter(Value value) {
  while (isa_and_nonnull<TransposeOp, CastOp, ReshapeOp, SliceOp, DequantizeOp>(value.getDefiningOp()))
    value = value.getDefiningOp()->getOperand(0);
  return isa_and_nonnull<GetWeightOp, ConstantOp>(value.getDefiningOp());
}

static int64_t rankOf(Value value) { return cast<RankedTensorType>(value.getType()).getRank(); }

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
      if (!linear || linear.isIntegral() || linear.getBias() || linear.getActivation() != Activation::None ||
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
    if (!activation || !linear || linear.isIntegral() || linear.getActivation() != Activation::None ||
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

/// Columns [first, first + width) of all rows; nullopt for any other slice.
std::optional<std::pair<int64_t, int64_t>> columnsOf(SliceOp slice, SymbolicShapes &shapes) {
  if (!slice.getSizes() || llvm::any_of(*slice.getStrides(), [](int64_t stride) { return stride != 1; }))
    return std::nullopt;
  Dims offsets = dimsOf(*slice.getOffsets()), dims = shapes.dims(slice), input = shapes.dims(slice.getInput());
  auto first = offsets.back().asConstant(), width = dims.back().asConstant();
  bool allRows = ArrayRef(dims).drop_back() == ArrayRef(input).drop_back() &&
                 llvm::all_of(ArrayRef(offsets).drop_back(), [](DimExprAttr d) { return d.isConstant(0); });
  return allRows && first && width ? std::optional(std::pair(*first, *width)) : std::nullopt;
}

/// linear whose columns are only read in slices (a fused QKV projection): one layer per slice, with part of the weight.
struct SplitColumns : ShapePattern<LinearOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(LinearOp op, PatternRewriter &rewriter) const override {
    if (!isParameter(op.getWeight()) || (op.getBias() && !isParameter(op.getBias())))
      return rewriter.notifyMatchFailure(op, "weight and bias are no parameters");
    auto total = shapes.dims(op).back().asConstant();
    SmallVector<SliceOp> slices;
    int64_t covered = 0;
    for (Operation *user : op->getUsers()) {
      auto slice = dyn_cast<SliceOp>(user);
      auto columns = slice ? columnsOf(slice, shapes) : std::nullopt;
      if (!columns || columns->second % 16 != 0)
        return rewriter.notifyMatchFailure(op, "it is not only read in slices of columns");
      covered += columns->second;
      slices.push_back(slice);
    }
    if (slices.size() < 2 || !total || covered > *total)
      return rewriter.notifyMatchFailure(op, "its slices overlap or are one");
    for (SliceOp slice : slices) {
      auto [first, width] = *columnsOf(slice, shapes);
      Value weight = cut(op.getWeight(), first, width, rewriter);
      Value bias = op.getBias() ? cut(op.getBias(), first, width, rewriter) : Value();
      rewriter.setInsertionPoint(op);
      auto part = LinearOp::create(rewriter, op.getLoc(), slice.getType(), op.getInput(), weight, bias, op.getActivation());
      rewriter.replaceOp(slice, part);
    }
    rewriter.eraseOp(op);
    ++count;
    return success();
  }

  Value cut(Value parameter, int64_t first, int64_t width, PatternRewriter &rewriter) const {
    auto number = [&](int64_t n) { return DimExprAttr::constant(rewriter.getContext(), n); };
    rewriter.setInsertionPointAfterValue(parameter);
    Dims sizes = shapes.dims(parameter), offsets(sizes.size(), number(0));
    offsets.back() = number(first);
    sizes.back() = number(width);
    auto type = RankedTensorType::get(staticShape(sizes), getElementTypeOrSelf(parameter.getType()));
    return SliceOp::create(rewriter, parameter.getLoc(), type, parameter, Value(), Value(), Value(), DenseI64ArrayAttr(),
                           dimArray(rewriter.getContext(), offsets), dimArray(rewriter.getContext(), sizes),
                           rewriter.getDenseI64ArrayAttr(SmallVector<int64_t>(sizes.size(), 1)));
  }
};

class RaiseLinear : public permalloy::impl::RaiseLinearBase<RaiseLinear> {
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<RaiseProduct>(&getContext(), shapes, numLinear);
    patterns.add<JoinBias>(&getContext(), shapes, numBias);
    patterns.add<JoinActivation>(&getContext(), shapes, numActivation);
    patterns.add<SplitColumns>(&getContext(), shapes, numSplit);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
