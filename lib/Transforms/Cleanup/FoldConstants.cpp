//===- FoldConstants.cpp - fold what is known before the run -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "../Splat.h"
#include "permalloy/Reference/Interpreter.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_FOLDCONSTANTS
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// What is known of all elements of an integer tensor.
struct Interval {
  std::optional<int64_t> low, high;
};

} // namespace

static Interval intervalOf(Value value, unsigned depth = 16);

static Interval intervalOfConstant(ConstantOp op) {
  auto dense = dyn_cast<DenseIntElementsAttr>(op.getValue());
  if (!dense || dense.getNumElements() == 0)
    return {};
  bool hasNoSign = dense.getElementType().isInteger(1) || dense.getElementType().isUnsignedInteger();
  Interval result;
  for (APInt element : dense.getValues<APInt>()) {
    int64_t v = hasNoSign ? int64_t(element.getZExtValue()) : element.getSExtValue();
    result.low = std::min(result.low.value_or(v), v);
    result.high = std::max(result.high.value_or(v), v);
  }
  return result;
}

/// A sum or product of values whose low ends are not negative; sizes never come near an overflow.
static Interval intervalOfBinary(BinaryOp op, unsigned depth) {
  Interval a = intervalOf(op.getLhs(), depth), b = intervalOf(op.getRhs(), depth), result;
  bool small = a.low >= 0 && b.low >= 0;
  if (op.getKind() == BinaryKind::Add && small)
    result.low = *a.low + *b.low;
  if (op.getKind() == BinaryKind::Mul && small)
    result.low = *a.low * *b.low;
  return result;
}

static Interval intervalOf(Value value, unsigned depth) {
  Operation *op = value.getDefiningOp();
  if (!op || depth == 0 || !isa<IntegerType>(getElementTypeOrSelf(value.getType())))
    return {};
  if (auto constant = dyn_cast<ConstantOp>(op))
    return intervalOfConstant(constant);
  if (auto range = dyn_cast<RangeOp>(op); range && range.getFrom() && range.getStep() > 0)
    return {(*range.getFrom()).asConstant(), std::nullopt};
  if (isa<DimValuesOp>(op)) { // symbols are sizes
    bool sizes = llvm::all_of(dimsOf(cast<DimValuesOp>(op).getValues()),
                              [](DimExprAttr e) { return e.getKind() == DimKind::Symbol; });
    return {sizes ? std::optional<int64_t>(0) : std::nullopt, std::nullopt};
  }
  if (isa<ReshapeOp, BroadcastOp, TransposeOp, SliceOp, GatherOp>(op))
    return intervalOf(op->getOperand(0), depth - 1);
  if (auto cast = dyn_cast<CastOp>(op))
    return cast.getType().getElementTypeBitWidth() >= 32 ? intervalOf(cast.getInput(), depth - 1)
                                                         : Interval();
  if (auto binary = dyn_cast<BinaryOp>(op))
    return intervalOfBinary(binary, depth - 1);
  return {};
}

/// The value of a comparison of anything in `a` with anything in `b`, when it is always the same.
static std::optional<bool> decide(CompareKind kind, Interval a, Interval b) {
  bool less = a.high && b.low && *a.high < *b.low, greater = a.low && b.high && *a.low > *b.high;
  bool atMost = a.high && b.low && *a.high <= *b.low,
       atLeast = a.low && b.high && *a.low >= *b.high;
  auto either = [](bool yes, bool no) {
    return yes ? std::optional(true) : no ? std::optional(false) : std::nullopt;
  };
  switch (kind) {
  case CompareKind::Lt:
    return either(less, atLeast);
  case CompareKind::Le:
    return either(atMost, greater);
  case CompareKind::Gt:
    return either(greater, atMost);
  case CompareKind::Ge:
    return either(atLeast, less);
  case CompareKind::Eq:
    return either(atMost && atLeast, less || greater);
  case CompareKind::Ne:
    return either(less || greater, atMost && atLeast);
  }
  return std::nullopt;
}

namespace {

struct DecideCompare : ShapePattern<CompareOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(CompareOp op, PatternRewriter &rewriter) const override {
    auto answer = decide(op.getKind(), intervalOf(op.getLhs()), intervalOf(op.getRhs()));
    Dims dims = shapes.dims(op.getResult());
    if (!answer || !allDerived(dims))
      return rewriter.notifyMatchFailure(
          op, "the ranges of the operands do not decide it, or a dimension depends on data");
    ++count;
    return replaceRefined(rewriter, op,
                          createSplat(rewriter, op.getLoc(), rewriter.getBoolAttr(*answer), dims));
  }
};

/// The operand at the other side of a neutral element.
struct DropNeutral : ShapePattern<BinaryOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(BinaryOp op, PatternRewriter &rewriter) const override {
    Value kept = isNeutral(op.getKind(), op.getRhs(), true)    ? op.getLhs()
                 : isNeutral(op.getKind(), op.getLhs(), false) ? op.getRhs()
                                                               : Value();
    if (!kept)
      return rewriter.notifyMatchFailure(op, "no operand is neutral");
    Dims dims = shapes.dims(op.getResult());
    if (!allDerived(dims))
      return rewriter.notifyMatchFailure(op, "a dimension depends on data");
    ++count;
    return replaceRefined(rewriter, op, createBroadcast(rewriter, op.getLoc(), shapes, kept, dims));
  }

  static bool isNeutral(BinaryKind kind, Value value, bool isRhs) {
    auto number = splatNumber(value);
    bool integer = isa<IntegerType>(getElementTypeOrSelf(value.getType()));
    switch (kind) {
    case BinaryKind::And:
      return number == 1;
    case BinaryKind::Or:
    case BinaryKind::Xor:
      return number == 0;
    case BinaryKind::Add:
      return integer && number == 0;
    case BinaryKind::Sub:
      return integer && isRhs && number == 0;
    case BinaryKind::Mul:
      return number == 1;
    case BinaryKind::Div:
      return isRhs && number == 1;
    default:
      return false;
    }
  }
};

/// `and` with false and `or` with true are that.
struct FoldAbsorbing : ShapePattern<BinaryOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(BinaryOp op, PatternRewriter &rewriter) const override {
    if (op.getKind() != BinaryKind::And && op.getKind() != BinaryKind::Or)
      return rewriter.notifyMatchFailure(op, "neither and nor or");
    bool absorbing = op.getKind() == BinaryKind::Or;
    Dims dims = shapes.dims(op.getResult());
    bool found = splatNumber(op.getLhs()) == double(absorbing) ||
                 splatNumber(op.getRhs()) == double(absorbing);
    if (!found || !allDerived(dims))
      return rewriter.notifyMatchFailure(op,
                                         "no operand decides it, or a dimension depends on data");
    ++count;
    return replaceRefined(
        rewriter, op, createSplat(rewriter, op.getLoc(), rewriter.getBoolAttr(absorbing), dims));
  }
};

struct FoldSelect : ShapePattern<SelectOp> {
  using ShapePattern::ShapePattern;
  LogicalResult matchAndRewrite(SelectOp op, PatternRewriter &rewriter) const override {
    if (auto inverted = op.getCondition().getDefiningOp<UnaryOp>();
        inverted && inverted.getKind() == UnaryKind::Not) {
      Value onTrue = op.getOnTrue(), onFalse = op.getOnFalse();
      rewriter.modifyOpInPlace(op,
                               [&] { op->setOperands({inverted.getInput(), onFalse, onTrue}); });
      ++count;
      return success();
    }
    auto condition = splatNumber(op.getCondition());
    Dims dims = shapes.dims(op.getResult());
    if (!condition || !allDerived(dims))
      return rewriter.notifyMatchFailure(
          op, "the condition is not the same everywhere, or a dimension depends on data");
    Value chosen = *condition ? op.getOnTrue() : op.getOnFalse();
    ++count;
    return replaceRefined(rewriter, op,
                          createBroadcast(rewriter, op.getLoc(), shapes, chosen, dims));
  }
};

/// An operation over constants, evaluated by the reference interpreter.
struct Evaluate : RewritePattern {
  Evaluate(MLIRContext *context, Pass::Statistic &count, int64_t maxBytes)
      : RewritePattern(MatchAnyOpTypeTag(), 1, context), count(count), maxBytes(maxBytes) {}
  LogicalResult matchAndRewrite(Operation *op, PatternRewriter &rewriter) const override {
    if (!isa<ShapeOpInterface>(op) || op->getNumOperands() == 0 || op->getNumResults() != 1)
      return rewriter.notifyMatchFailure(op, "no operation of tfm with operands and one result");
    SmallVector<Attribute> constants, results;
    for (Value operand : op->getOperands()) {
      auto constant = operand.getDefiningOp<ConstantOp>();
      if (!constant)
        return rewriter.notifyMatchFailure(op, "an operand is no constant");
      constants.push_back(constant.getValue());
    }
    if (failed(reference::foldWithInterpreter(op, constants, results, maxBytes)))
      return rewriter.notifyMatchFailure(
          op,
          "the result is too large, its size is not known, or the operation cannot be evaluated");
    auto value = dyn_cast<ElementsAttr>(results.front());
    if (!value || value.getType() != op->getResult(0).getType())
      return rewriter.notifyMatchFailure(op, "the result has another type");
    rewriter.replaceOpWithNewOp<ConstantOp>(op, value);
    ++count;
    return success();
  }
  Pass::Statistic &count;
  int64_t maxBytes;
};

class FoldConstants : public permalloy::impl::FoldConstantsBase<FoldConstants> {
  using FoldConstantsBase::FoldConstantsBase;
  void runOnOperation() override {
    SymbolicShapes shapes;
    RewritePatternSet patterns(&getContext());
    patterns.add<DecideCompare, DropNeutral, FoldAbsorbing, FoldSelect>(&getContext(), shapes,
                                                                        numFolded);
    patterns.add<Evaluate>(&getContext(), numFolded, maxBytes);
    if (failed(rewriteWithShapes(getOperation(), shapes, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
