//===- ShapesOfElementwise.cpp - shape rules of elementwise operations and reductions -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

LogicalResult CastOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &) {
  dims = oracle.dims(getInput());
  return success();
}
Type CastOp::inferElementType() { return {}; }
Contents CastOp::inferContents(ShapeOracle &oracle) {
  // Integers keep their value here: dimensions fit any integer type that shape arithmetic uses.
  auto to = getElementTypeOrSelf(getType());
  if (!to.isInteger(64) && !to.isInteger(32))
    return std::nullopt;
  return oracle.contents(getInput());
}

LogicalResult UnaryOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &) {
  dims = oracle.dims(getInput());
  return success();
}
Type UnaryOp::inferElementType() {
  if (getKind() == UnaryKind::IsNaN || getKind() == UnaryKind::IsInf)
    return IntegerType::get(getContext(), 1);
  return getElementTypeOrSelf(getInput().getType());
}
Contents UnaryOp::inferContents(ShapeOracle &oracle) {
  Contents input = oracle.contents(getInput());
  if (!input)
    return std::nullopt;
  for (DimExprAttr &dim : *input) {
    if (getKind() == UnaryKind::Neg)
      dim = DimExprAttr::mul(dim, cst(getContext(), -1));
    else if (getKind() == UnaryKind::Not && dim && dim.asConstant())
      dim = cst(getContext(), !*dim.asConstant());
    else
      return std::nullopt;
  }
  return input;
}

LogicalResult BinaryOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  return broadcastOperands(*this, oracle, dims, error);
}
static DimExprAttr applyBinary(BinaryKind kind, DimExprAttr a, DimExprAttr b) {
  auto x = a.asConstant(), y = b.asConstant();
  switch (kind) {
  case BinaryKind::Add: return DimExprAttr::add(a, b);
  case BinaryKind::Sub: return DimExprAttr::sub(a, b);
  case BinaryKind::Mul: return DimExprAttr::mul(a, b);
  case BinaryKind::Max: return DimExprAttr::max(a, b);
  case BinaryKind::Min: return DimExprAttr::min(a, b);
  case BinaryKind::Div: // sizes are not negative, so truncation is floor; constants may be
    if (y == -1) // the smallest integer / -1 traps
      return DimExprAttr::mul(a, b);
    if (x && y && *y != 0)
      return cst(a.getContext(), *x / *y);
    return x && *x < 0 ? DimExprAttr() : DimExprAttr::floorDiv(a, b);
  case BinaryKind::Mod: return DimExprAttr::mod(a, b);
  case BinaryKind::And: return x && y ? cst(a.getContext(), *x && *y) : DimExprAttr();
  case BinaryKind::Or: return x && y ? cst(a.getContext(), *x || *y) : DimExprAttr();
  case BinaryKind::Xor: return x && y ? cst(a.getContext(), *x != *y) : DimExprAttr();
  case BinaryKind::Pow: return {};
  }
  return {};
}
/// Contents of an element-wise operation on two shape-like operands: `apply` for each pair of elements.
static Contents combineContents(Value result, Value lhs, Value rhs, ShapeOracle &oracle,
                                llvm::function_ref<DimExprAttr(DimExprAttr, DimExprAttr)> apply) {
  if (rankOf(result) > 1)
    return std::nullopt;
  Contents left = oracle.contents(lhs), right = oracle.contents(rhs);
  if (!left || !right)
    return std::nullopt;
  Dims combined;
  for (size_t i = 0, e = std::max(left->size(), right->size()); i < e; ++i) {
    auto a = elementAt(*left, i), b = elementAt(*right, i);
    if (!a || !b)
      return std::nullopt;
    combined.push_back(*a && *b ? apply(*a, *b) : DimExprAttr());
  }
  return combined;
}
Contents BinaryOp::inferContents(ShapeOracle &oracle) {
  return combineContents(getResult(), getLhs(), getRhs(), oracle, [&](DimExprAttr a, DimExprAttr b) {
    return applyBinary(getKind(), a, b);
  });
}

LogicalResult CompareOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  return broadcastOperands(*this, oracle, dims, error);
}
Type CompareOp::inferElementType() { return IntegerType::get(getContext(), 1); }
/// Decides a comparison from the sign of a constant difference; symbols are sizes and at least 0, so `size == -1` is false.
static DimExprAttr applyCompare(CompareKind kind, DimExprAttr a, DimExprAttr b) {
  DimExprAttr difference = DimExprAttr::sub(a, b);
  if (!difference)
    return {};
  MLIRContext *context = difference.getContext();
  if (auto d = difference.asConstant()) {
    switch (kind) {
    case CompareKind::Eq: return cst(context, *d == 0);
    case CompareKind::Ne: return cst(context, *d != 0);
    case CompareKind::Lt: return cst(context, *d < 0);
    case CompareKind::Le: return cst(context, *d <= 0);
    case CompareKind::Gt: return cst(context, *d > 0);
    case CompareKind::Ge: return cst(context, *d >= 0);
    }
  }
  bool sizeAgainstNegative = (a.isNotNegative() && b.asConstant() && *b.asConstant() < 0) ||
                             (b.isNotNegative() && a.asConstant() && *a.asConstant() < 0);
  if (sizeAgainstNegative && (kind == CompareKind::Eq || kind == CompareKind::Ne))
    return cst(context, kind == CompareKind::Ne);
  return {};
}
Contents CompareOp::inferContents(ShapeOracle &oracle) {
  return combineContents(getResult(), getLhs(), getRhs(), oracle, [&](DimExprAttr a, DimExprAttr b) {
    return applyCompare(getKind(), a, b);
  });
}

LogicalResult SelectOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  return broadcastOperands(*this, oracle, dims, error);
}
Type SelectOp::inferElementType() { return getElementTypeOrSelf(getOnTrue().getType()); }
Contents SelectOp::inferContents(ShapeOracle &oracle) {
  if (rankOf(getResult()) > 1)
    return std::nullopt;
  Contents condition = oracle.contents(getCondition());
  Contents onTrue = oracle.contents(getOnTrue()), onFalse = oracle.contents(getOnFalse());
  if (!condition || !onTrue || !onFalse)
    return std::nullopt;
  Dims result;
  size_t count = std::max({condition->size(), onTrue->size(), onFalse->size()});
  for (size_t i = 0; i < count; ++i) {
    auto c = elementAt(*condition, i), t = elementAt(*onTrue, i), f = elementAt(*onFalse, i);
    if (!c || !t || !f)
      return std::nullopt;
    auto known = *c ? (*c).asConstant() : std::nullopt;
    result.push_back(known ? (*known ? *t : *f) : *t == *f ? *t : DimExprAttr());
  }
  return result;
}

LogicalResult ReduceOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims input = oracle.dims(getInput());
  int64_t previous = -1;
  for (int64_t axis : getAxes()) {
    if (axis <= previous || axis >= int64_t(input.size()))
      return fail(error, "axes must be sorted, distinct and below rank " + Twine(input.size()) + " (reduce_c1)");
    previous = axis;
  }
  for (auto [i, dim] : llvm::enumerate(input)) {
    bool reduced = llvm::is_contained(getAxes(), int64_t(i));
    if (reduced && getKeepDims())
      dims.push_back(cst(getContext(), 1));
    else if (!reduced)
      dims.push_back(dim);
  }
  return success();
}
