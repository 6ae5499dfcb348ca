//===- ElementArithmetic.cpp - tfm's elementwise kinds -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DoubleMath.h"
#include "ElementOps.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include <limits>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::BinaryKind;
using tfm::CompareKind;
using tfm::UnaryKind;

/// A floating-point constant of the type of `shape`.
static Value real(KernelBuilder &b, Value shape, double value) {
  TypedAttr attr = b.getFloatAttr(getElementTypeOrSelf(shape.getType()), value);
  if (auto vector = dyn_cast<VectorType>(shape.getType()))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, attr);
}

static Value compareFloats(KernelBuilder &b, arith::CmpFPredicate predicate, Value x, Value y) {
  return arith::CmpFOp::create(b, predicate, x, y);
}

/// `function` of an f64, or of an f32 through f64.
static Value throughDouble(KernelBuilder &b, Value x, function_ref<Value(Value)> function) {
  if (x.getType().isF64())
    return function(x);
  return arith::TruncFOp::create(b, b.getF32Type(), function(arith::ExtFOp::create(b, b.getF64Type(), x)));
}

//===----------------------------------------------------------------------===//
// One operand
//===----------------------------------------------------------------------===//

bool ElementOps::hasVectorForm(UnaryKind kind, Element e) {
  return e.hasVectors() && kind != UnaryKind::Sin && kind != UnaryKind::Cos;
}

/// The functions that f64 writes out and f32 takes from VectorMath.
static Value emitTranscendental(KernelBuilder &b, UnaryKind kind, Value x) {
  bool isDouble = x.getType().isF64();
  auto one = [&] { return real(b, x, 1.0); };
  auto sigmoid = [&](Value v) {
    Value power = emitExp64(b, arith::NegFOp::create(b, v));
    return arith::DivFOp::create(b, one(), arith::AddFOp::create(b, power, one())).getResult();
  };
  auto times = [&](Value v, Value w) { return arith::MulFOp::create(b, v, w).getResult(); };
  switch (kind) {
  case UnaryKind::Exp: return isDouble ? emitExp64(b, x) : emitExp(b, x);
  case UnaryKind::Log: return isDouble ? emitLog64(b, x) : emitLog(b, x);
  case UnaryKind::Erf: return isDouble ? emitErf64(b, x) : emitErf(b, x);
  case UnaryKind::Tanh: return isDouble ? emitTanh64(b, x) : emitTanh(b, x);
  case UnaryKind::Sigmoid: return isDouble ? sigmoid(x) : emitSigmoid(b, x);
  case UnaryKind::Silu: return isDouble ? times(x, sigmoid(x)) : emitSilu(b, x);
  case UnaryKind::GeluErf: {
    if (!isDouble)
      return emitGeluErf(b, x);
    Value erf = emitErf64(b, times(x, real(b, x, 0.70710678118654752440)));
    return times(times(x, real(b, x, 0.5)), arith::AddFOp::create(b, one(), erf));
  }
  case UnaryKind::GeluTanh: {
    if (!isDouble)
      return emitGeluTanh(b, x);
    Value cubic = b.fma(times(x, times(x, x)), real(b, x, 0.044715), x);
    Value tanh = emitTanh64(b, times(cubic, real(b, x, 0.79788456080286535588)));
    return times(times(x, real(b, x, 0.5)), arith::AddFOp::create(b, one(), tanh));
  }
  case UnaryKind::Sin: return throughDouble(b, x, [&](Value v) { return emitSin64(b, v); });
  case UnaryKind::Cos: return throughDouble(b, x, [&](Value v) { return emitCos64(b, v); });
  default: llvm_unreachable("not a transcendental function");
  }
}

Value ElementOps::floatUnary(UnaryKind kind, Value x) {
  const double infinity = std::numeric_limits<double>::infinity();
  switch (kind) {
  case UnaryKind::Neg: return arith::NegFOp::create(b, x);
  case UnaryKind::Abs: return LLVM::FAbsOp::create(b, x);
  case UnaryKind::Sqrt: return LLVM::SqrtOp::create(b, x);
  case UnaryKind::Reciprocal: return arith::DivFOp::create(b, real(b, x, 1.0), x);
  case UnaryKind::Floor: return LLVM::FFloorOp::create(b, x);
  case UnaryKind::Ceil: return LLVM::FCeilOp::create(b, x);
  case UnaryKind::Round: return LLVM::RoundEvenOp::create(b, x);
  case UnaryKind::IsNaN: return compareFloats(b, arith::CmpFPredicate::UNO, x, x);
  case UnaryKind::IsInf:
    return compareFloats(b, arith::CmpFPredicate::OEQ, LLVM::FAbsOp::create(b, x), real(b, x, infinity));
  case UnaryKind::Relu: {
    Value negative = compareFloats(b, arith::CmpFPredicate::OLT, x, real(b, x, 0.0));
    return arith::SelectOp::create(b, negative, real(b, x, 0.0), x);
  }
  case UnaryKind::Sign: { // zeros and NaN are their own sign
    Value signedOne = LLVM::CopySignOp::create(b, real(b, x, 1.0), x);
    Value nonZero = compareFloats(b, arith::CmpFPredicate::ONE, x, real(b, x, 0.0));
    return arith::SelectOp::create(b, nonZero, signedOne, x);
  }
  default: return emitTranscendental(b, kind, x);
  }
}

Value ElementOps::intUnary(UnaryKind kind, Value x) {
  Value zero = integer(x, 0);
  auto compare = [&](arith::CmpIPredicate predicate) { return arith::CmpIOp::create(b, predicate, x, zero); };
  switch (kind) {
  case UnaryKind::Not: return arith::XOrIOp::create(b, x, integer(x, 1));
  case UnaryKind::Neg: return arith::SubIOp::create(b, zero, x);
  case UnaryKind::Abs:
    return arith::SelectOp::create(b, compare(arith::CmpIPredicate::slt), arith::SubIOp::create(b, zero, x), x);
  case UnaryKind::Relu: return arith::MaxSIOp::create(b, x, zero);
  case UnaryKind::Sign: {
    Value positive = arith::SelectOp::create(b, compare(arith::CmpIPredicate::sgt), integer(x, 1), zero);
    return arith::SelectOp::create(b, compare(arith::CmpIPredicate::slt), integer(x, -1), positive);
  }
  default: llvm_unreachable("unary_c1: kind does not take integers");
  }
}

Value ElementOps::unary(UnaryKind kind, Element e, Value x) {
  if (e.isFloat())
    return floatUnary(kind, x);
  if (!e.isUnsigned())
    return intUnary(kind, x);
  switch (kind) { // nothing is negative
  case UnaryKind::Neg: return intUnary(kind, x);
  case UnaryKind::Sign: return arith::MinUIOp::create(b, x, integer(x, 1));
  default: return x;
  }
}

//===----------------------------------------------------------------------===//
// Two operands
//===----------------------------------------------------------------------===//

bool ElementOps::hasVectorForm(BinaryKind kind, Element e) {
  if (!e.hasVectors() || kind == BinaryKind::Pow || kind == BinaryKind::Mod)
    return false;
  return e.isFloat() || kind != BinaryKind::Div;
}

Value ElementOps::floatBinary(BinaryKind kind, Value x, Value y) {
  auto inDouble = [&](Value (*function)(KernelBuilder &, Value, Value)) {
    if (x.getType().isF64())
      return function(b, x, y);
    Value wide = arith::ExtFOp::create(b, b.getF64Type(), y);
    return throughDouble(b, x, [&](Value v) { return function(b, v, wide); });
  };
  switch (kind) {
  case BinaryKind::Add: return arith::AddFOp::create(b, x, y);
  case BinaryKind::Sub: return arith::SubFOp::create(b, x, y);
  case BinaryKind::Mul: return arith::MulFOp::create(b, x, y);
  case BinaryKind::Div: return arith::DivFOp::create(b, x, y);
  case BinaryKind::Max: return arith::MaximumFOp::create(b, x, y);
  case BinaryKind::Min: return arith::MinimumFOp::create(b, x, y);
  case BinaryKind::Pow: return inDouble(emitPow64);
  case BinaryKind::Mod: return inDouble(emitFmod64);
  default: llvm_unreachable("binary_c1: kind does not take floating point");
  }
}

/// Truncating quotient, or the remainder with the sign of the divisor. What traps on x86 has a value here: division by
/// zero gives 0 (and the remainder the dividend), lowest / -1 wraps.
Value ElementOps::intDivide(Element e, Value x, Value y, bool remainder) {
  Value zero = integer(x, 0), one = integer(x, 1);
  auto equal = [&](Value v, int64_t n) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::eq, v, integer(v, n)).getResult();
  };
  Value byZero = equal(y, 0);
  if (e.isUnsigned()) {
    Value divisor = arith::SelectOp::create(b, byZero, one, y);
    if (remainder)
      return arith::SelectOp::create(b, byZero, x, arith::RemUIOp::create(b, x, divisor));
    return arith::SelectOp::create(b, byZero, zero, arith::DivUIOp::create(b, x, divisor));
  }
  Value byMinusOne = equal(y, -1);
  Value divisor = arith::SelectOp::create(b, arith::OrIOp::create(b, byZero, byMinusOne), one, y);
  if (!remainder) {
    Value quotient = arith::DivSIOp::create(b, x, divisor);
    quotient = arith::SelectOp::create(b, byMinusOne, arith::SubIOp::create(b, zero, x), quotient);
    return arith::SelectOp::create(b, byZero, zero, quotient);
  }
  Value rest = arith::RemSIOp::create(b, x, divisor);
  Value signs = arith::XOrIOp::create(b, rest, y);
  Value differ = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, signs, zero);
  Value nonZero = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, rest, zero);
  Value wrapped = arith::AddIOp::create(b, rest, y);
  rest = arith::SelectOp::create(b, arith::AndIOp::create(b, differ, nonZero), wrapped, rest);
  return arith::SelectOp::create(b, byZero, x, rest);
}

/// x^y by squaring; a negative y gives 0, but for x = 1 and -1.
Value ElementOps::intPower(Element e, Value x, Value y) {
  Value zero = integer(x, 0), one = integer(x, 1);
  unsigned width = x.getType().getIntOrFloatBitWidth();
  auto power = b.loop(b.i64(0), b.i64(width), 1, {one, x, y}, [&](Value, ValueRange v) {
    Value bit = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, arith::AndIOp::create(b, v[2], one), zero);
    Value product = arith::MulIOp::create(b, v[0], v[1]);
    return SmallVector<Value>{arith::SelectOp::create(b, bit, product, v[0]), arith::MulIOp::create(b, v[1], v[1]),
                              arith::ShRUIOp::create(b, v[2], one)};
  });
  // For a base of 1 or -1 the low bit of the exponent decides, negative or not.
  Value magnitude = arith::MulIOp::create(b, x, x);
  Value unit = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, magnitude, one);
  Value negative = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, y, zero);
  Value vanishes = arith::AndIOp::create(b, negative, arith::XOrIOp::create(b, unit, integer(unit, 1)));
  return e.isUnsigned() ? power[0] : arith::SelectOp::create(b, vanishes, zero, power[0]).getResult();
}

Value ElementOps::intBinary(BinaryKind kind, Element e, Value x, Value y) {
  switch (kind) {
  case BinaryKind::Add: return arith::AddIOp::create(b, x, y);
  case BinaryKind::Sub: return arith::SubIOp::create(b, x, y);
  case BinaryKind::Mul: return arith::MulIOp::create(b, x, y);
  case BinaryKind::Div: return intDivide(e, x, y, /*remainder=*/false);
  case BinaryKind::Mod: return intDivide(e, x, y, /*remainder=*/true);
  case BinaryKind::Pow: return intPower(e, x, y);
  case BinaryKind::Max:
    return e.isUnsigned() ? arith::MaxUIOp::create(b, x, y).getResult() : arith::MaxSIOp::create(b, x, y).getResult();
  case BinaryKind::Min:
    return e.isUnsigned() ? arith::MinUIOp::create(b, x, y).getResult() : arith::MinSIOp::create(b, x, y).getResult();
  case BinaryKind::And: return arith::AndIOp::create(b, x, y);
  case BinaryKind::Or: return arith::OrIOp::create(b, x, y);
  case BinaryKind::Xor: return arith::XOrIOp::create(b, x, y);
  }
  llvm_unreachable("unknown kind");
}

Value ElementOps::binary(BinaryKind kind, Element e, Value x, Value y) {
  match(x, y);
  return e.isFloat() ? floatBinary(kind, x, y) : intBinary(kind, e, x, y);
}

Value ElementOps::compare(CompareKind kind, Element e, Value x, Value y) {
  match(x, y);
  if (e.isFloat()) {
    static constexpr arith::CmpFPredicate kFloat[] = {arith::CmpFPredicate::OEQ, arith::CmpFPredicate::UNE,
                                                      arith::CmpFPredicate::OLT, arith::CmpFPredicate::OLE,
                                                      arith::CmpFPredicate::OGT, arith::CmpFPredicate::OGE};
    return compareFloats(b, kFloat[unsigned(kind)], x, y);
  }
  using P = arith::CmpIPredicate;
  static constexpr P kSigned[] = {P::eq, P::ne, P::slt, P::sle, P::sgt, P::sge};
  static constexpr P kUnsigned[] = {P::eq, P::ne, P::ult, P::ule, P::ugt, P::uge};
  bool isUnsigned = e.isUnsigned() || e.isBool();
  return arith::CmpIOp::create(b, (isUnsigned ? kUnsigned : kSigned)[unsigned(kind)], x, y);
}

//===----------------------------------------------------------------------===//
// Codes of 8 bits
//===----------------------------------------------------------------------===//

/// Numbers that are not negative order as their bits do, NaN above all: one integer maximum.
Value ElementOps::largerMagnitude(Value most, Value x) {
  match(most, x);
  auto bits = [&](Value v) { return arith::BitcastOp::create(b, like(b.getI32Type(), v), v).getResult(); };
  Value magnitude = arith::AndIOp::create(b, bits(x), integer(bits(x), 0x7fffffff));
  Value larger = arith::MaxSIOp::create(b, bits(most), magnitude);
  return arith::BitcastOp::create(b, most.getType(), larger);
}

/// Adding 3 * 2^22 leaves an integer in the low bits of the sum, rounded to nearest even; clamping before rounding is the same, as
/// the ends are integers.
Value ElementOps::code(Value x, int64_t low, int64_t high, Element e, Value zero) {
  Value least = real(b, x, double(low)), most = real(b, x, double(high)), shift;
  if (zero) {
    Type wide = like(b.getI32Type(), zero);
    shift = e.isUnsigned() ? arith::ExtUIOp::create(b, wide, zero).getResult() : arith::ExtSIOp::create(b, wide, zero).getResult();
    Value origin = arith::SIToFPOp::create(b, like(b.getF32Type(), zero), shift);
    match(x, origin);
    least = arith::SubFOp::create(b, real(b, x, double(low)), origin);
    most = arith::SubFOp::create(b, real(b, x, double(high)), origin);
  }
  x = b.maxf(x, least);
  x = arith::SelectOp::create(b, compareFloats(b, arith::CmpFPredicate::OLT, x, most), x, most);
  Value sum = arith::AddFOp::create(b, x, real(b, x, 12582912.0));
  Value bits = arith::BitcastOp::create(b, like(b.getI32Type(), x), sum);
  if (shift)
    bits = arith::AddIOp::create(b, bits, shift.getType() == bits.getType() ? shift : splat(bits.getType(), shift));
  return arith::TruncIOp::create(b, like(b.getI8Type(), x), bits);
}
