//===- VectorMath.cpp - polynomials of stated error -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace permalloy;
using namespace mlir;

namespace {
/// Short names for the arithmetic on one type; everything the functions below are written in.
struct Ops {
  ImplicitLocOpBuilder &b;
  Type type;
  Type integers;

  Ops(ImplicitLocOpBuilder &b, Value x) : b(b), type(x.getType()), integers(b.getI32Type()) {
    if (auto vector = dyn_cast<VectorType>(type))
      integers = VectorType::get(vector.getShape(), integers);
  }

  Value f(float value) { return codegen::emitConstant(b, type, value); }
  Value i(int32_t value) {
    TypedAttr attr = b.getI32IntegerAttr(value);
    if (auto vector = dyn_cast<VectorType>(integers))
      attr = DenseElementsAttr::get(vector, value);
    return arith::ConstantOp::create(b, attr);
  }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) { return LLVM::FMAOp::create(b, type, x, y, z); }
  Value addi(Value x, Value y) { return arith::AddIOp::create(b, x, y); }
  Value subi(Value x, Value y) { return arith::SubIOp::create(b, x, y); }
  Value shl(Value x, int32_t bits) { return arith::ShLIOp::create(b, x, i(bits)); }
  Value sar(Value x, int32_t bits) { return arith::ShRSIOp::create(b, x, i(bits)); }
  Value toInt(Value x) { return arith::BitcastOp::create(b, integers, x); }
  Value toFloat(Value x) { return arith::BitcastOp::create(b, type, x); }
  Value less(Value x, Value y) { return arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, x, y); }
  Value select(Value c, Value x, Value y) { return arith::SelectOp::create(b, c, x, y); }
  /// min and max with a bound, in the operand order of x86's minps and maxps that lets NaN through.
  Value atMost(Value x, float bound) { return select(less(f(bound), x), f(bound), x); }
  Value atLeast(Value x, float bound) { return select(less(x, f(bound)), f(bound), x); }

  /// Horner's scheme; coefficients from the constant term up.
  Value polynomial(Value x, ArrayRef<float> coefficients) {
    Value result = f(coefficients.back());
    for (float c : llvm::reverse(coefficients.drop_back()))
      result = fma(result, x, f(c));
    return result;
  }

  /// x rounded to an integer: as a float, and as the integer in the low bits. Adding 1.5 * 2^23
  /// makes the hardware round at the units; |x| must stay under 2^22. Nothing here is undefined on
  /// NaN.
  std::pair<Value, Value> round(Value shifted) {
    Value magic = f(kRound);
    return {sub(shifted, magic), subi(toInt(shifted), i(kRoundBits))};
  }
  /// p * 2^n in two steps, because 2^n alone may be out of range where the product is not.
  Value scaleByPower(Value p, Value n) {
    Value half = sar(n, 1);
    Value first = toFloat(shl(addi(half, i(127)), 23));
    Value second = toFloat(shl(addi(subi(n, half), i(127)), 23));
    return mul(mul(p, first), second);
  }

  static constexpr float kRound = 12582912.0f;
  static constexpr int32_t kRoundBits = 0x4b400000;
};
} // namespace

// 2^f on [-1/2, 1/2] and e^r on [-ln2/2, ln2/2] (from the r^2 term on), degree 6.
static constexpr float kExp2[] = {1.0f,
                                  0.6931471824645996f,
                                  0.24022647738456726f,
                                  0.055503323674201965f,
                                  0.009618437848985195f,
                                  0.001339887734502554f,
                                  0.00015353356138803065f};
static constexpr float kExp2Degree5[] = {1.0f,
                                         0.6931470036506653f,
                                         0.24022242426872253f,
                                         0.05550733953714371f,
                                         0.009671513922512531f,
                                         0.0013264707522466779f};
static constexpr float kExp[] = {1.0f,
                                 1.0f,
                                 0.4999999403953552f,
                                 0.1666651964187622f,
                                 0.04166839271783829f,
                                 0.00836878176778555f,
                                 0.0013814454432576895f};
// log(1 + f) = f - f^2 / 2 + f^3 q(f) on [sqrt(1/2) - 1, sqrt(2) - 1].
static constexpr float kLog[] = {0.33333316445350647f, -0.25000810623168945f, 0.2000228464603424f,
                                 -0.1662454754114151f, 0.14181219041347504f,  -0.13128837943077087f,
                                 0.12881483137607574f, -0.07859183102846146f};
// erf(x) = x q(2 x^2 / 3.83^2 - 1) for |x| <= 3.82, where it is exactly 1: the argument of q is
// centred, which is what keeps a polynomial of degree 15 accurate in f32, and needs neither exp nor
// a division.
static constexpr float kErfLimit = 3.82f;
static constexpr float kErfScale = 0.1363428682088852f;
static constexpr float kErf[] = {
    0.3691990375518799f,    -0.18423132598400116f,   0.13682371377944946f,
    -0.11071699112653732f,  0.09081102907657623f,    -0.07287036627531052f,
    0.05604991316795349f,   -0.0405416414141655f,    0.027139849960803986f,
    -0.01757938042283058f,  0.011473874561488628f,   -0.005957937799394131f,
    0.0018576818984001875f, -0.0012288003927096725f, 0.0013827491784468293f,
    -0.0005148237687535584f};
// tanh(x) = x p(x^2) / q(x^2) for 4e-4 <= |x| <= 7.905, and the value there up to 9; x below, 1
// beyond.
static constexpr float kTanhLimit = 7.90531110763549805f;
static constexpr float kTanhP[] = {
    4.89352455891786e-03f,  6.37261928875436e-04f, 1.48572235717979e-05f, 5.12229709037114e-08f,
    -8.60467152213735e-11f, 2.00018790482477e-13f, -2.76076847742355e-16f};
static constexpr float kTanhQ[] = {4.89352518554385e-03f, 2.26843463243900e-03f,
                                   1.18534705686654e-04f, 1.19825839466702e-06f};

Value codegen::emitConstant(ImplicitLocOpBuilder &b, Type type, float value) {
  TypedAttr attr = b.getF32FloatAttr(value);
  if (auto vector = dyn_cast<VectorType>(type))
    attr = DenseElementsAttr::get(vector, value);
  return arith::ConstantOp::create(b, attr);
}

Value codegen::emitExp2(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  // Results under 2^-150 round to 0 and those from 2^128 on are inf: outside these bounds nothing
  // changes.
  x = o.atMost(o.atLeast(x, -151.0f), 129.0f);
  auto [rounded, n] = o.round(o.add(x, o.f(Ops::kRound)));
  return o.scaleByPower(o.polynomial(o.sub(x, rounded), kExp2), n);
}

Value codegen::emitExp2NonPositive(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  // At -127 the exponent field of 1.0 reaches zero: exactly 0, also for a masked key's -inf.
  x = o.atLeast(x, -127.0f);
  Value shifted = o.add(x, o.f(Ops::kRound));
  Value p = o.polynomial(o.sub(x, o.sub(shifted, o.f(Ops::kRound))), kExp2Degree5);
  // The bits above the rounded integer are shifted out, so its low bits serve as they are.
  return o.toFloat(o.addi(o.toInt(p), o.shl(o.toInt(shifted), 23)));
}

Value codegen::emitExp(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  x = o.atMost(o.atLeast(x, -104.7f), 89.5f);
  auto [n, integer] = o.round(o.fma(x, o.f(1.44269504f), o.f(Ops::kRound)));
  // ln 2 in two parts, the first with trailing zeros, so that n * ln2 is exact to the last bit.
  Value r = o.fma(n, o.f(-0.693359375f), x);
  r = o.fma(n, o.f(2.12194440e-4f), r);
  return o.scaleByPower(o.polynomial(r, kExp), integer);
}

Value codegen::emitLog(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  // Subnormals get a normal exponent first.
  Value tiny = o.less(x, o.f(0x1p-126f));
  Value bits = o.toInt(o.select(tiny, o.mul(x, o.f(0x1p25f)), x));
  // The exponent relative to sqrt(1/2), so that the mantissa lies in [sqrt(1/2), sqrt(2)).
  Value offset = o.subi(bits, o.i(0x3f3504f3));
  Value exponent = o.sar(offset, 23);
  Value mantissa = o.toFloat(o.subi(bits, o.shl(exponent, 23)));
  Value n = arith::SIToFPOp::create(b, o.type, exponent);
  n = o.select(tiny, o.sub(n, o.f(25.0f)), n);
  Value f = o.sub(mantissa, o.f(1.0f));
  Value square = o.mul(f, f);
  Value result = o.mul(o.mul(o.polynomial(f, kLog), f), square);
  result = o.fma(n, o.f(-2.12194440e-4f), result);
  result = o.add(o.fma(square, o.f(-0.5f), result), f);
  result = o.fma(n, o.f(0.693359375f), result);
  // inf and NaN pass through; 0 and negative numbers have their own answers.
  const float infinity = std::numeric_limits<float>::infinity();
  result = o.select(o.less(x, o.f(infinity)), result, x);
  Value nonPositive =
      o.select(o.less(x, o.f(0.0f)), o.f(std::numeric_limits<float>::quiet_NaN()), o.f(-infinity));
  Value positive = arith::CmpFOp::create(b, arith::CmpFPredicate::UGT, x, o.f(0.0f));
  return o.select(positive, result, nonPositive);
}

Value codegen::emitErf(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  Value clamped = o.atMost(o.atLeast(x, -kErfLimit), kErfLimit);
  Value t = o.fma(o.mul(clamped, o.f(kErfScale)), clamped, o.f(-1.0f));
  return o.mul(clamped, o.polynomial(t, kErf));
}

Value codegen::emitTanh(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  Value clamped = o.atMost(o.atLeast(x, -kTanhLimit), kTanhLimit);
  Value square = o.mul(clamped, clamped);
  Value result = o.div(o.mul(clamped, o.polynomial(square, kTanhP)), o.polynomial(square, kTanhQ));
  result = o.select(o.less(o.mul(x, x), o.f(1.6e-7f)), x, result);
  result = o.select(o.less(o.f(9.0f), x), o.f(1.0f), result);
  return o.select(o.less(x, o.f(-9.0f)), o.f(-1.0f), result);
}

Value codegen::emitSigmoid(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  Value power = emitExp(b, arith::NegFOp::create(b, x));
  return o.div(o.f(1.0f), o.add(power, o.f(1.0f)));
}

Value codegen::emitSilu(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  Value power = emitExp(b, arith::NegFOp::create(b, x));
  return o.div(x, o.add(power, o.f(1.0f)));
}

Value codegen::emitGeluErf(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  Value erf = emitErf(b, o.mul(x, o.f(0.70710678f)));
  Value half = o.mul(x, o.f(0.5f));
  return o.fma(half, erf, half);
}

Value codegen::emitGeluTanh(ImplicitLocOpBuilder &b, Value x) {
  Ops o(b, x);
  // (1 + tanh u) / 2 = 1 / (1 + e^-2u); the argument in powers of two.
  constexpr float linear = -2.0f * 0.7978845608f * 1.4426950409f;
  Value u = o.mul(x, o.fma(o.mul(x, x), o.f(linear * 0.044715f), o.f(linear)));
  return o.div(x, o.add(emitExp2(b, u), o.f(1.0f)));
}
