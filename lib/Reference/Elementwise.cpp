//===- Elementwise.cpp - elementwise operations and casts --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"

#include <cmath>
#include <numbers>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;
using tfm::BinaryKind;
using tfm::CompareKind;
using tfm::UnaryKind;

//===----------------------------------------------------------------------===//
// Scalar functions
//===----------------------------------------------------------------------===//

static double geluTanh(double x) {
  double inner = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(inner));
}

/// erfc keeps the tail exact where 1 + erf would cancel.
static double geluErf(double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); }

double reference::applyUnary(UnaryKind kind, double x) {
  switch (kind) {
  case UnaryKind::Neg:
    return -x;
  case UnaryKind::Abs:
    return std::abs(x);
  case UnaryKind::Sqrt:
    return std::sqrt(x);
  case UnaryKind::Reciprocal:
    return 1 / x;
  case UnaryKind::Exp:
    return std::exp(x);
  case UnaryKind::Log:
    return std::log(x);
  case UnaryKind::Erf:
    return std::erf(x);
  case UnaryKind::Tanh:
    return std::tanh(x);
  case UnaryKind::Sigmoid:
    return 1 / (1 + std::exp(-x));
  case UnaryKind::Relu:
    return x <= 0 ? 0 : x; // NaN stays
  case UnaryKind::GeluErf:
    return geluErf(x);
  case UnaryKind::GeluTanh:
    return geluTanh(x);
  case UnaryKind::Silu:
    return x / (1 + std::exp(-x));
  case UnaryKind::Floor:
    return std::floor(x);
  case UnaryKind::Ceil:
    return std::ceil(x);
  case UnaryKind::Round:
    return std::nearbyint(x);
  case UnaryKind::Sign:
    return x > 0 ? 1 : x < 0 ? -1 : x;
  case UnaryKind::Sin:
    return std::sin(x);
  case UnaryKind::Cos:
    return std::cos(x);
  case UnaryKind::Not:
  case UnaryKind::IsNaN:
  case UnaryKind::IsInf:
    break;
  }
  llvm_unreachable("not a function of floats to floats");
}

double reference::applyActivation(tfm::Activation activation, double x) {
  auto kind = tfm::unaryOf(activation);
  return kind ? applyUnary(*kind, x) : x;
}

static Wide applyUnary(UnaryKind kind, Wide x) {
  switch (kind) {
  case UnaryKind::Neg:
    return -x;
  case UnaryKind::Abs:
    return x < 0 ? -x : x;
  case UnaryKind::Sign:
    return (x > 0) - (x < 0);
  case UnaryKind::Relu:
    return x > 0 ? x : 0;
  default:
    return !x; // not
  }
}

static double applyBinary(BinaryKind kind, double a, double b) {
  switch (kind) {
  case BinaryKind::Add:
    return a + b;
  case BinaryKind::Sub:
    return a - b;
  case BinaryKind::Mul:
    return a * b;
  case BinaryKind::Div:
    return a / b;
  case BinaryKind::Pow:
    return std::pow(a, b);
  case BinaryKind::Max:
    return std::isnan(a) ? a : std::isnan(b) ? b : a > b ? a : b;
  case BinaryKind::Min:
    return std::isnan(a) ? a : std::isnan(b) ? b : a < b ? a : b;
  case BinaryKind::Mod:
    return std::fmod(a, b);
  case BinaryKind::And:
  case BinaryKind::Or:
  case BinaryKind::Xor:
    break;
  }
  llvm_unreachable("not a function of floats");
}

static Wide multiply(Wide a, Wide b) {
  return Wide(static_cast<unsigned __int128>(a) * static_cast<unsigned __int128>(b));
}

/// Wraps like the products that it stands for; 1 / base^-exponent truncated when the exponent is
/// negative.
static Wide power(Element element, Wide base, Wide exponent) {
  if (exponent < 0)
    return base == 1 ? 1 : base == -1 ? (exponent % 2 ? -1 : 1) : 0;
  Wide result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1)
      result = wrapTo(element, multiply(result, base));
    base = wrapTo(element, multiply(base, base));
  }
  return result;
}

static FailureOr<Wide> applyBinary(BinaryKind kind, Element element, Wide a, Wide b, Scope &scope) {
  bool divides = kind == BinaryKind::Div || kind == BinaryKind::Mod ||
                 (kind == BinaryKind::Pow && a == 0 && b < 0);
  if (divides && (b == 0 || kind == BinaryKind::Pow))
    return scope.fail("integer division of " + Twine(int64_t(a)) + " by zero");
  switch (kind) {
  case BinaryKind::Add:
    return a + b;
  case BinaryKind::Sub:
    return a - b;
  case BinaryKind::Mul:
    return multiply(a, b);
  case BinaryKind::Div:
    return a / b;
  case BinaryKind::Pow:
    return power(element, a, b);
  case BinaryKind::Max:
    return std::max(a, b);
  case BinaryKind::Min:
    return std::min(a, b);
  case BinaryKind::Mod: {
    Wide rest = a % b;
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
  case BinaryKind::And:
    return a & b;
  case BinaryKind::Or:
    return a | b;
  case BinaryKind::Xor:
    return a ^ b;
  }
  llvm_unreachable("all kinds are listed");
}

template <typename T> static bool applyCompare(CompareKind kind, T a, T b) {
  switch (kind) {
  case CompareKind::Eq:
    return a == b;
  case CompareKind::Ne:
    return a != b;
  case CompareKind::Lt:
    return a < b;
  case CompareKind::Le:
    return a <= b;
  case CompareKind::Gt:
    return a > b;
  case CompareKind::Ge:
    return a >= b;
  }
  llvm_unreachable("all kinds are listed");
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

Result reference::evaluate(tfm::UnaryOp op, Operands in, Scope &) {
  UnaryKind kind = op.getKind();
  const Tensor &x = in[0];
  bool classifies = kind == UnaryKind::IsNaN || kind == UnaryKind::IsInf;
  Tensor result(classifies ? IntegerType::get(op.getContext(), 1) : x.elementType(), x.shape());
  for (int64_t i = 0; i < x.size(); ++i) {
    if (classifies)
      result.setInteger(i, kind == UnaryKind::IsNaN ? std::isnan(x.number(i))
                                                    : std::isinf(x.number(i)));
    else if (isFloat(x.element()))
      result.setNumber(i, applyUnary(kind, x.number(i)));
    else
      result.setInteger(i, ::applyUnary(kind, x.integer(i)));
  }
  return result;
}

/// The common shape of operands, or a failure that names two that do not fit.
static FailureOr<Shape> commonShape(Operands in, Scope &scope) {
  Shape shape(in[0].shape());
  for (const Tensor &operand : in.drop_front()) {
    auto joined = broadcastShapes(shape, operand.shape());
    if (!joined)
      return scope.fail("shapes " + str(shape) + " and " + str(operand.shape()) +
                        " do not broadcast");
    shape = *joined;
  }
  return shape;
}

static SmallVector<Shape> allStrides(Operands in, ArrayRef<int64_t> shape) {
  return llvm::map_to_vector(in,
                             [&](const Tensor &t) { return broadcastStrides(t.shape(), shape); });
}

Result reference::evaluate(tfm::BinaryOp op, Operands in, Scope &scope) {
  FailureOr<Shape> shape = commonShape(in, scope);
  if (failed(shape))
    return failure();
  const Tensor &a = in[0], &b = in[1];
  Tensor result(a.elementType(), *shape);
  bool ok = true;
  forEachIndex(*shape, allStrides(in, *shape), [&](int64_t i, ArrayRef<int64_t> at) {
    if (isFloat(a.element()))
      return result.setNumber(i, applyBinary(op.getKind(), a.number(at[0]), b.number(at[1])));
    if (!ok)
      return;
    FailureOr<Wide> value =
        applyBinary(op.getKind(), a.element(), a.integer(at[0]), b.integer(at[1]), scope);
    ok = succeeded(value);
    result.setInteger(i, ok ? *value : 0);
  });
  if (!ok)
    return failure();
  return result;
}

Result reference::evaluate(tfm::CompareOp op, Operands in, Scope &scope) {
  FailureOr<Shape> shape = commonShape(in, scope);
  if (failed(shape))
    return failure();
  const Tensor &a = in[0], &b = in[1];
  Tensor result(IntegerType::get(op.getContext(), 1), *shape);
  forEachIndex(*shape, allStrides(in, *shape), [&](int64_t i, ArrayRef<int64_t> at) {
    result.setInteger(i, isFloat(a.element())
                             ? applyCompare(op.getKind(), a.number(at[0]), b.number(at[1]))
                             : applyCompare(op.getKind(), a.integer(at[0]), b.integer(at[1])));
  });
  return result;
}

Result reference::evaluate(tfm::SelectOp op, Operands in, Scope &scope) {
  FailureOr<Shape> shape = commonShape(in, scope);
  if (failed(shape))
    return failure();
  Tensor result(in[1].elementType(), *shape);
  int64_t width = elementBytes(result.element());
  char *out = result.mutableBytes().data();
  forEachIndex(*shape, allStrides(in, *shape), [&](int64_t i, ArrayRef<int64_t> at) {
    unsigned chosen = in[0].integer(at[0]) ? 1 : 2;
    std::copy_n(in[chosen].bytes().data() + at[chosen] * width, width, out + i * width);
  });
  return result;
}

/// Truncates towards zero; NaN gives 0 and what is out of range saturates (C++ leaves both
/// undefined).
static Wide toInteger(double value) {
  if (std::isnan(value))
    return 0;
  return Wide(std::clamp(value, -0x1p64, 0x1p64));
}

static Wide saturate(Element element, Wide value) {
  if (element == Element::Bool)
    return value;
  int bits = 8 * elementBytes(element);
  bool isUnsigned = element >= Element::U8 && element <= Element::U64;
  Wide high = (Wide(1) << (isUnsigned ? bits : bits - 1)) - 1, low = isUnsigned ? 0 : -high - 1;
  return std::clamp(value, low, high);
}

Tensor reference::castElements(const Tensor &x, Type elementType) {
  Tensor result(elementType, x.shape());
  Element from = x.element(), to = result.element();
  for (int64_t i = 0; i < x.size(); ++i) {
    if (isFloat(from) && isFloat(to))
      result.setNumber(i, x.number(i));
    else if (isFloat(from) && to == Element::Bool)
      result.setInteger(i, x.number(i) != 0);
    else if (isFloat(from))
      result.setInteger(i, saturate(to, toInteger(x.number(i))));
    else if (isFloat(to))
      result.setNumber(i, roundTo(to, x.integer(i)));
    else
      result.setInteger(i, x.integer(i));
  }
  if (auto code = dyn_cast<tfm::QuantType>(elementType))
    wrapCodes(code, result.mutableBytes());
  return result;
}

Result reference::evaluate(tfm::CastOp op, Operands in, Scope &) {
  return castElements(in[0], getElementTypeOrSelf(op.getType()));
}
