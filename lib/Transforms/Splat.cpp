//===- Splat.cpp - values whose elements are all one number ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Splat.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

Attribute permalloy::splatElement(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (isa<BroadcastOp, ReshapeOp, TransposeOp, SliceOp>(op)) {
      value = op->getOperand(0);
      continue;
    }
    auto constant = dyn_cast<ConstantOp>(op);
    auto dense = constant ? dyn_cast<DenseElementsAttr>(constant.getValue()) : DenseElementsAttr();
    return dense && dense.isSplat() && dense.getNumElements() > 0 ? dense.getSplatValue<Attribute>()
                                                                  : Attribute();
  }
  return {};
}

std::optional<double> permalloy::splatNumber(Value value) {
  Attribute element = splatElement(value);
  if (auto number = dyn_cast_or_null<FloatAttr>(element))
    return number.getValueAsDouble();
  if (auto number = dyn_cast_or_null<IntegerAttr>(element))
    return number.getType().isInteger(1) ? double(number.getValue().getZExtValue())
                                         : double(number.getValue().getSExtValue());
  return std::nullopt;
}

bool permalloy::isNear(double value, double expected, Type element) {
  // A product of two numbers that were each rounded to the type.
  double tolerance = element && element.isF16() ? 0x1p-10 : element && element.isBF16() ? 0x1p-7 : 1e-6;
  return std::abs(value - expected) <= tolerance * std::abs(expected);
}

bool permalloy::isSplatOf(Value value, double expected) {
  auto number = splatNumber(value);
  return number && isNear(*number, expected);
}

/// A number of rank at most that of `other`, with no dimension but 1, so a product with it has the
/// shape of `other`.
static bool keepsShape(Value number, Value other) {
  auto type = cast<RankedTensorType>(number.getType());
  return type.hasStaticShape() && type.getNumElements() == 1 &&
         type.getRank() <= cast<RankedTensorType>(other.getType()).getRank();
}

std::optional<Scaled> permalloy::stripOneScale(Value value) {
  auto op = value.getDefiningOp<BinaryOp>();
  if (!op || !isa<FloatType>(getElementTypeOrSelf(value.getType())))
    return std::nullopt;
  bool product = op.getKind() == BinaryKind::Mul;
  if (!product && op.getKind() != BinaryKind::Div)
    return std::nullopt;
  if (auto number = splatNumber(op.getRhs()); number && keepsShape(op.getRhs(), op.getLhs()))
    return Scaled{op.getLhs(), product ? *number : 1 / *number};
  if (auto number = splatNumber(op.getLhs());
      product && number && keepsShape(op.getLhs(), op.getRhs()))
    return Scaled{op.getRhs(), *number};
  return std::nullopt;
}

Scaled permalloy::stripScale(Value value) {
  Scaled result{value, 1};
  while (auto step = stripOneScale(result.value))
    result = {step->value, result.factor * step->factor};
  return result;
}

Value permalloy::createSplat(OpBuilder &builder, Location loc, TypedAttr element,
                             ArrayRef<DimExprAttr> dims) {
  auto type = RankedTensorType::get(staticShape(dims), element.getType());
  if (type.hasStaticShape())
    return ConstantOp::create(builder, loc, DenseElementsAttr::get(type, Attribute(element)));
  auto scalar =
      DenseElementsAttr::get(RankedTensorType::get({}, element.getType()), Attribute(element));
  Value constant = ConstantOp::create(builder, loc, scalar);
  return BroadcastOp::create(builder, loc, type, constant, Value(),
                             dimArray(builder.getContext(), dims));
}
