//===- Elementwise.cpp - elementwise operators of ONNX -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

template <UnaryKind kind> LogicalResult importUnary(OpBinder &b) {
  return b.yield(b.unary(kind, b.input(0)));
}
template <BinaryKind kind> LogicalResult importBinary(OpBinder &b) {
  Value x = b.input(0), y = b.input(1);
  return b.yield(b.binary(kind, x, y));
}
template <CompareKind kind> LogicalResult importCompare(OpBinder &b) {
  Value x = b.input(0), y = b.input(1);
  return b.yield(b.compare(kind, x, y));
}

/// Max, Min, Sum of any number of inputs.
Value foldInputs(OpBinder &b, BinaryKind kind) {
  Value result = b.input(0);
  for (size_t i = 1; i < b.numInputs(); ++i)
    result = b.binary(kind, result, b.input(i));
  return result;
}
template <BinaryKind kind> LogicalResult importVariadic(OpBinder &b) {
  return b.yield(foldInputs(b, kind));
}
LogicalResult importMean(OpBinder &b) {
  Value sum = foldInputs(b, BinaryKind::Add);
  return b.yield(b.div(sum, b.scalar(sum, double(b.numInputs()))));
}

/// Unsigned integers are their own absolute value.
LogicalResult importAbs(OpBinder &b) {
  Value x = b.input(0);
  return b.yield(x && b.elementType(x).isUnsignedInteger() ? x : b.unary(UnaryKind::Abs, x));
}

/// The result has the type of the base; a fractional exponent of an integer is computed in floating
/// point.
LogicalResult importPow(OpBinder &b) {
  Value base = b.input(0), exponent = b.input(1);
  if (b.failed())
    return failure();
  Type type = b.elementType(base);
  if (!b.isFloat(base) && b.isFloat(exponent))
    return b.yield(
        b.cast(b.binary(BinaryKind::Pow, b.cast(base, b.elementType(exponent)), exponent), type));
  return b.yield(b.binary(BinaryKind::Pow, base, b.cast(exponent, type)));
}

/// fmod = 1 takes the sign of the dividend (C's fmod), fmod = 0 that of the divisor. tfm's mod does
/// the first for floating point and the second for integers.
LogicalResult importMod(OpBinder &b) {
  Value x = b.input(0), y = b.input(1);
  if (b.failed())
    return failure();
  bool fmod = b.intAttr("fmod", 0) != 0;
  if (b.isFloat(x) && !fmod) { // the remainder moves by one divisor where the signs differ
    Value remainder = b.binary(BinaryKind::Mod, x, y), zero = b.scalar(x, 0);
    Value signsDiffer = b.binary(BinaryKind::Xor, b.compare(CompareKind::Lt, remainder, zero),
                                 b.compare(CompareKind::Lt, y, zero));
    Value moves =
        b.binary(BinaryKind::And, signsDiffer, b.compare(CompareKind::Ne, remainder, zero));
    return b.yield(b.select(moves, b.add(remainder, y), remainder));
  }
  if (!b.isFloat(x) && fmod)
    return b.yield(b.sub(x, b.mul(b.div(x, y), y)));
  return b.yield(b.binary(BinaryKind::Mod, x, y));
}

LogicalResult importIsInf(OpBinder &b) {
  Value x = b.input(0);
  Value isInf = b.unary(UnaryKind::IsInf, x);
  bool positive = b.intAttr("detect_positive", 1), negative = b.intAttr("detect_negative", 1);
  if (positive && negative)
    return b.yield(isInf);
  Value zero = b.scalar(x, 0);
  if (!positive && !negative)
    return b.yield(b.binary(BinaryKind::And, isInf, b.unary(UnaryKind::Not, isInf)));
  return b.yield(b.binary(BinaryKind::And, isInf,
                          b.compare(positive ? CompareKind::Gt : CompareKind::Lt, x, zero)));
}

LogicalResult importWhere(OpBinder &b) {
  Value condition = b.input(0), x = b.input(1), y = b.input(2);
  if (!b.failed() && !b.isBool(condition))
    return b.error("the condition must be bool");
  return b.yield(b.select(condition, x, y));
}

LogicalResult importCast(OpBinder &b) {
  Value x = b.input(0);
  int64_t to = b.intAttr("to", 0);
  Type type = elementTypeOf(int32_t(to), b.builder.getContext());
  if (!type)
    return b.unsupported("a cast to " + onnxTypeName(int32_t(to)));
  return b.yield(b.cast(x, type));
}
LogicalResult importCastLike(OpBinder &b) {
  Value x = b.input(0), like = b.input(1);
  return b.failed() ? failure() : b.yield(b.cast(x, b.elementType(like)));
}

/// Bounds are attributes before opset 11 and optional scalars since. When they cross, the upper one
/// wins.
LogicalResult importClip(OpBinder &b) {
  Value x = b.input(0), low, high;
  if (b.opset() < 11) {
    low = b.hasAttr("min") ? b.scalar(x, b.floatAttr("min", 0)) : Value();
    high = b.hasAttr("max") ? b.scalar(x, b.floatAttr("max", 0)) : Value();
  } else {
    low = b.optionalInput(1);
    high = b.optionalInput(2);
  }
  if (low)
    x = b.binary(BinaryKind::Max, x, low);
  if (high)
    x = b.binary(BinaryKind::Min, x, high);
  return b.yield(x);
}

LogicalResult importIdentity(OpBinder &b) { return b.yield(b.input(0)); }

/// Inference only: the value itself, and a mask of true.
LogicalResult importDropout(OpBinder &b) {
  Value x = b.input(0);
  if (b.hasInput(2)) {
    auto training = b.constantInput(2, "the training mode");
    if (!training || training->empty() || training->front())
      return b.unsupported("training mode");
  }
  if (b.failed())
    return failure();
  if (b.hasOutput(1)) {
    SmallVector<Extent> extents;
    for (int64_t i = 0; i < b.rank(x); ++i)
      extents.push_back(Extent(x, i));
    if (failed(b.yield(1, b.broadcast(b.scalar(b.builder.getI1Type(), 1), extents))))
      return failure();
  }
  return b.yield(x);
}

constexpr OpClass E = OpClass::Elementwise, D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "Abs", 6, 13, E, importAbs},
    {"", "Add", 7, 14, E, importBinary<BinaryKind::Add>},
    {"", "And", 7, 7, E, importBinary<BinaryKind::And>},
    {"", "Cast", 6, 28, E, importCast},
    {"", "CastLike", 15, 25, E, importCastLike},
    {"", "Ceil", 6, 13, E, importUnary<UnaryKind::Ceil>},
    {"", "Clip", 6, 13, D, importClip},
    {"", "Cos", 7, 22, E, importUnary<UnaryKind::Cos>},
    {"", "Div", 7, 14, E, importBinary<BinaryKind::Div>},
    {"", "Dropout", 7, 22, D, importDropout},
    {"", "Equal", 7, 19, E, importCompare<CompareKind::Eq>},
    {"", "Erf", 9, 13, E, importUnary<UnaryKind::Erf>},
    {"", "Exp", 6, 13, E, importUnary<UnaryKind::Exp>},
    {"", "Floor", 6, 13, E, importUnary<UnaryKind::Floor>},
    {"", "Greater", 7, 13, E, importCompare<CompareKind::Gt>},
    {"", "GreaterOrEqual", 12, 16, E, importCompare<CompareKind::Ge>},
    {"", "Identity", 1, 25, D, importIdentity},
    {"", "IsInf", 10, 20, E, importIsInf},
    {"", "IsNaN", 9, 20, E, importUnary<UnaryKind::IsNaN>},
    {"", "Less", 7, 13, E, importCompare<CompareKind::Lt>},
    {"", "LessOrEqual", 12, 16, E, importCompare<CompareKind::Le>},
    {"", "Log", 6, 13, E, importUnary<UnaryKind::Log>},
    {"", "Max", 6, 13, E, importVariadic<BinaryKind::Max>},
    {"", "Mean", 6, 13, D, importMean},
    {"", "Min", 6, 13, E, importVariadic<BinaryKind::Min>},
    {"", "Mod", 10, 28, E, importMod},
    {"", "Mul", 7, 14, E, importBinary<BinaryKind::Mul>},
    {"", "Neg", 6, 13, E, importUnary<UnaryKind::Neg>},
    {"", "Not", 1, 1, E, importUnary<UnaryKind::Not>},
    {"", "Or", 7, 7, E, importBinary<BinaryKind::Or>},
    {"", "Pow", 7, 15, E, importPow},
    {"", "Reciprocal", 6, 13, E, importUnary<UnaryKind::Reciprocal>},
    {"", "Relu", 6, 14, E, importUnary<UnaryKind::Relu>},
    {"", "Round", 11, 22, E, importUnary<UnaryKind::Round>},
    {"", "Sigmoid", 6, 13, E, importUnary<UnaryKind::Sigmoid>},
    {"", "Sign", 9, 13, E, importUnary<UnaryKind::Sign>},
    {"", "Sin", 7, 22, E, importUnary<UnaryKind::Sin>},
    {"", "Sqrt", 6, 13, E, importUnary<UnaryKind::Sqrt>},
    {"", "Sub", 7, 14, E, importBinary<BinaryKind::Sub>},
    {"", "Sum", 6, 13, E, importVariadic<BinaryKind::Add>},
    {"", "Tanh", 6, 13, E, importUnary<UnaryKind::Tanh>},
    {"", "Where", 9, 16, E, importWhere},
    {"", "Xor", 7, 7, E, importBinary<BinaryKind::Xor>},
};

} // namespace

ArrayRef<OpRow> permalloy::elementwiseRows() { return rows; }
