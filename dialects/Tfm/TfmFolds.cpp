//===- TfmFolds.cpp - folders and canonicalisations --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Tfm/Tfm.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace permalloy::tfm;

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

/// dim_values of constants only is a constant.
OpFoldResult DimValuesOp::fold(FoldAdaptor) {
  auto type = cast<RankedTensorType>(getType());
  SmallVector<APInt> elements;
  unsigned width = type.getElementTypeBitWidth();
  for (DimExprAttr dim : dimsOf(getValues())) {
    auto value = dim.asConstant();
    if (!value)
      return {};
    elements.push_back(APInt(width, *value, /*isSigned=*/true, /*implicitTrunc=*/true));
  }
  return DenseElementsAttr::get(type, elements);
}

static bool sameTensorType(Value a, Value b) { return a.getType() == b.getType(); }
static bool isStatic(Value value) { return cast<RankedTensorType>(value.getType()).hasStaticShape(); }

OpFoldResult ReshapeOp::fold(FoldAdaptor adaptor) {
  if (sameTensorType(getInput(), getResult()) && isStatic(getResult()))
    return getInput();
  if (auto dense = dyn_cast_or_null<DenseElementsAttr>(adaptor.getInput()); dense && isStatic(getResult()))
    return dense.reshape(cast<RankedTensorType>(getType()));
  return {};
}

namespace {
/// reshape(reshape(x)) is one reshape, once its own dimensions are resolved.
struct MergeReshapes : OpRewritePattern<ReshapeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(ReshapeOp op, PatternRewriter &rewriter) const override {
    auto producer = op.getInput().getDefiningOp<ReshapeOp>();
    if (!producer || !op.getDims())
      return rewriter.notifyMatchFailure(op, "input is no reshape, or the dimensions are not resolved");
    rewriter.modifyOpInPlace(op, [&] { op.getInputMutable().assign(producer.getInput()); });
    return success();
  }
};

/// transpose(transpose(x)) is one transpose.
struct MergeTransposes : OpRewritePattern<TransposeOp> {
  using OpRewritePattern::OpRewritePattern;
  LogicalResult matchAndRewrite(TransposeOp op, PatternRewriter &rewriter) const override {
    auto producer = op.getInput().getDefiningOp<TransposeOp>();
    if (!producer)
      return rewriter.notifyMatchFailure(op, "input is no transpose");
    SmallVector<int64_t> perm;
    for (int64_t i : op.getPerm())
      perm.push_back(producer.getPerm()[i]);
    rewriter.modifyOpInPlace(op, [&] {
      op.getInputMutable().assign(producer.getInput());
      op.setPerm(perm);
    });
    return success();
  }
};
} // namespace

void ReshapeOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<MergeReshapes>(context);
}

void TransposeOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *context) {
  patterns.add<MergeTransposes>(context);
}

OpFoldResult TransposeOp::fold(FoldAdaptor) {
  bool identity = llvm::all_of(llvm::enumerate(getPerm()), [](auto it) { return int64_t(it.index()) == it.value(); });
  return identity && sameTensorType(getInput(), getResult()) ? OpFoldResult(getInput()) : OpFoldResult();
}

OpFoldResult BroadcastOp::fold(FoldAdaptor adaptor) {
  if (sameTensorType(getInput(), getResult()) && isStatic(getResult()))
    return getInput();
  auto dense = dyn_cast_or_null<DenseElementsAttr>(adaptor.getInput());
  if (dense && dense.isSplat() && isStatic(getResult()))
    return dense.resizeSplat(cast<RankedTensorType>(getType()));
  return {};
}

OpFoldResult SliceOp::fold(FoldAdaptor) {
  if (sameTensorType(getInput(), getResult()) && isStatic(getResult()) && getStrides() &&
      llvm::all_of(*getStrides(), [](int64_t s) { return s == 1; }))
    return getInput();
  return {};
}

OpFoldResult ConcatOp::fold(FoldAdaptor) {
  if (getInputs().size() == 1 && sameTensorType(getInputs().front(), getResult()))
    return getInputs().front();
  return {};
}

OpFoldResult CastOp::fold(FoldAdaptor adaptor) {
  if (sameTensorType(getInput(), getResult()))
    return getInput();
  return {};
}

/// The splat value of a floating-point constant, if it is one.
static std::optional<double> splatFloat(Attribute attribute) {
  auto dense = dyn_cast_or_null<DenseFPElementsAttr>(attribute);
  if (!dense || !dense.isSplat())
    return std::nullopt;
  APFloat value = dense.getSplatValue<APFloat>();
  bool lossy;
  value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &lossy);
  return value.convertToDouble();
}

/// Broadcasting with `ones` leaves the shape of `value`: an extent other than 1 must be that of `value`, statically.
static bool leavesShape(Value ones, Value value) {
  auto small = cast<RankedTensorType>(ones.getType()), large = cast<RankedTensorType>(value.getType());
  if (small.getRank() > large.getRank())
    return false;
  for (auto [a, b] : llvm::zip(llvm::reverse(small.getShape()), llvm::reverse(large.getShape())))
    if (a != 1 && (a != b || ShapedType::isDynamic(a)))
      return false;
  return true;
}

/// x * 1 and x / 1 are x (bit for bit); x + 0 is not (it turns -0 into 0), so it stays.
OpFoldResult BinaryOp::fold(FoldAdaptor adaptor) {
  bool dropsRhs = getKind() == BinaryKind::Mul || getKind() == BinaryKind::Div;
  if (dropsRhs && splatFloat(adaptor.getRhs()) == 1.0 && leavesShape(getRhs(), getLhs()) && sameTensorType(getLhs(), getResult()))
    return getLhs();
  if (getKind() == BinaryKind::Mul && splatFloat(adaptor.getLhs()) == 1.0 && leavesShape(getLhs(), getRhs()) &&
      sameTensorType(getRhs(), getResult()))
    return getRhs();
  return {};
}

OpFoldResult SelectOp::fold(FoldAdaptor adaptor) {
  auto condition = dyn_cast_or_null<DenseElementsAttr>(adaptor.getCondition());
  if (!condition || !condition.isSplat())
    return {};
  Value chosen = condition.getSplatValue<bool>() ? getOnTrue() : getOnFalse();
  return sameTensorType(chosen, getResult()) && isStatic(chosen) ? OpFoldResult(chosen) : OpFoldResult();
}
