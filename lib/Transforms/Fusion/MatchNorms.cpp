//===- MatchNorms.cpp - spellings of layer and RMS normalisation -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "../Splat.h"
#include "Match.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

static bool isLastAxisMean(ReduceOp op) {
  int64_t rank = cast<RankedTensorType>(op.getInput().getType()).getRank();
  return op.getKind() == ReduceKind::Mean && op.getKeepDims() && op.getAxes().size() == 1 &&
         op.getAxes()[0] == rank - 1;
}

/// x of x - mean(x).
static Value centredInput(Value centred) {
  auto sub = centred.getDefiningOp<BinaryOp>();
  auto mean =
      sub && sub.getKind() == BinaryKind::Sub ? sub.getRhs().getDefiningOp<ReduceOp>() : ReduceOp();
  return mean && isLastAxisMean(mean) && mean.getInput() == sub.getLhs() ? sub.getLhs() : Value();
}

/// d of d * d and d^2.
static Value squared(Value value) {
  auto op = value.getDefiningOp<BinaryOp>();
  if (!op)
    return {};
  if (op.getKind() == BinaryKind::Mul && op.getLhs() == op.getRhs())
    return op.getLhs();
  return op.getKind() == BinaryKind::Pow && isSplatOf(op.getRhs(), 2) ? op.getLhs() : Value();
}

/// The only user, as a binary operation of one kind.
static BinaryOp onlyUser(Value value, BinaryKind kind) {
  auto op = value.hasOneUse() ? dyn_cast<BinaryOp>(*value.getUsers().begin()) : BinaryOp();
  return op && op.getKind() == kind ? op : BinaryOp();
}

static Value other(BinaryOp op, Value value) {
  return op.getLhs() == value ? op.getRhs() : op.getLhs();
}

/// d * 1/sqrt(deviation) in its spellings: what is computed from `variance + epsilon`.
static Value normalised(Value shifted, Value centred) {
  auto isReciprocalOf = [](Operation *op, Value value) {
    if (auto unary = dyn_cast<UnaryOp>(op))
      return unary.getKind() == UnaryKind::Reciprocal;
    auto binary = dyn_cast<BinaryOp>(op);
    return binary && binary.getKind() == BinaryKind::Div && binary.getRhs() == value &&
           isSplatOf(binary.getLhs(), 1);
  };
  Value inverse;
  if (auto power = onlyUser(shifted, BinaryKind::Pow);
      power && isSplatOf(power.getRhs(), -0.5) && power.getLhs() == shifted) {
    inverse = power.getResult();
  } else {
    auto root = shifted.hasOneUse() ? dyn_cast<UnaryOp>(*shifted.getUsers().begin()) : UnaryOp();
    if (!root || root.getKind() != UnaryKind::Sqrt || !root.getResult().hasOneUse())
      return {};
    Operation *user = *root.getResult().getUsers().begin();
    if (auto quotient = dyn_cast<BinaryOp>(user);
        quotient && quotient.getKind() == BinaryKind::Div && quotient.getLhs() == centred)
      return quotient.getResult();
    if (!isReciprocalOf(user, root.getResult()))
      return {};
    inverse = user->getResult(0);
  }
  auto product = onlyUser(inverse, BinaryKind::Mul);
  return product && other(product, inverse) == centred ? product.getResult() : Value();
}

/// A tensor over the last dimension only: [N], or with ones in front.
static bool isRowVector(Value value, Value like, SymbolicShapes &shapes) {
  Dims dims = shapes.dims(value), target = shapes.dims(like);
  return dims.size() <= target.size() && !dims.empty() && dims.back() == target.back() &&
         llvm::all_of(ArrayRef(dims).drop_back(), [](DimExprAttr d) { return d.isConstant(1); });
}

std::optional<LayerNormMatch> permalloy::matchLayerNorm(ReduceOp mean, SymbolicShapes &shapes,
                                                        std::string &reason) {
  auto mismatch = [&](const char *why) {
    reason = why;
    return std::nullopt;
  };
  Value centred = isLastAxisMean(mean) ? squared(mean.getInput()) : Value();
  if (!centred)
    return mismatch("no mean of squares over the last axis that keeps it");
  Value input = centredInput(centred);
  if (!input)
    return mismatch("what is squared is not x - mean(x)");
  auto shifted = onlyUser(mean.getResult(), BinaryKind::Add);
  auto epsilon = shifted ? splatNumber(other(shifted, mean.getResult())) : std::nullopt;
  if (!epsilon)
    return mismatch("no number is added to the variance");
  Value last = normalised(shifted.getResult(), centred);
  if (!last)
    return mismatch("x - mean(x) is not divided by sqrt(variance + epsilon)");
  LayerNormMatch match{input, *epsilon, {}, {}, last.getDefiningOp()};
  if (auto product = onlyUser(last, BinaryKind::Mul);
      product && isRowVector(other(product, last), last, shapes)) {
    match.scale = other(product, last);
    last = product.getResult();
  }
  if (auto sum = onlyUser(last, BinaryKind::Add);
      sum && isRowVector(other(sum, last), last, shapes)) {
    match.bias = other(sum, last);
    last = sum.getResult();
  }
  match.last = last.getDefiningOp();
  return match;
}

/// The result of the conversion back to the type that `input` was converted from, where both are there.
static std::optional<std::pair<Value, Value>> narrowSides(Value input, Value last) {
  auto wide = input.getDefiningOp<CastOp>();
  auto narrow = last.hasOneUse() ? dyn_cast<CastOp>(*last.getUsers().begin()) : CastOp();
  if (!wide || !narrow || wide.getInput().getType() != narrow.getType() ||
      !isa<Float16Type, BFloat16Type>(getElementTypeOrSelf(narrow.getType())))
    return std::nullopt;
  return std::pair(wide.getInput(), narrow.getResult());
}

std::optional<RmsNormMatch> permalloy::matchRmsNorm(ReduceOp mean, SymbolicShapes &shapes, std::string &reason) {
  auto mismatch = [&](const char *why) {
    reason = why;
    return std::nullopt;
  };
  Value input = isLastAxisMean(mean) ? squared(mean.getInput()) : Value();
  if (!input)
    return mismatch("no mean of squares over the last axis that keeps it");
  auto shifted = onlyUser(mean.getResult(), BinaryKind::Add);
  auto epsilon = shifted ? splatNumber(other(shifted, mean.getResult())) : std::nullopt;
  if (!epsilon)
    return mismatch("no number is added to the mean of squares");
  Value last = normalised(shifted.getResult(), input);
  if (!last)
    return mismatch("x is not divided by sqrt(mean of squares + epsilon)");
  if (auto narrow = narrowSides(input, last))
    std::tie(input, last) = *narrow;
  RmsNormMatch match{input, *epsilon, {}, {}};
  if (auto product = onlyUser(last, BinaryKind::Mul);
      product && isRowVector(other(product, last), last, shapes)) {
    match.scale = other(product, last);
    last = product.getResult();
  }
  match.last = last.getDefiningOp();
  return match;
}

Value permalloy::createNormScale(OpBuilder &builder, Location loc, SymbolicShapes &shapes,
                                 Value scale, Value input) {
  if (scale)
    return createReshape(builder, loc, shapes, scale, shapes.dims(scale).back());
  auto one = builder.getFloatAttr(getElementTypeOrSelf(input.getType()), 1.0);
  return createSplat(builder, loc, one, shapes.dims(input).back());
}
