//===- DoubleMath.cpp - elementary functions of one f64 ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DoubleMath.h"

#include <cmath>
#include <limits>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

namespace {
/// Short names for arithmetic on one f64 and on the i64 of its bits.
struct Ops {
  KernelBuilder &b;

  Value f(double value) { return arith::ConstantOp::create(b, b.getF64FloatAttr(value)); }
  Value add(Value x, Value y) { return arith::AddFOp::create(b, x, y); }
  Value sub(Value x, Value y) { return arith::SubFOp::create(b, x, y); }
  Value mul(Value x, Value y) { return arith::MulFOp::create(b, x, y); }
  Value div(Value x, Value y) { return arith::DivFOp::create(b, x, y); }
  Value fma(Value x, Value y, Value z) { return LLVM::FMAOp::create(b, x.getType(), x, y, z); }
  Value abs(Value x) { return LLVM::FAbsOp::create(b, x); }
  Value floor(Value x) { return LLVM::FFloorOp::create(b, x); }
  Value bits(Value x) { return arith::BitcastOp::create(b, b.getI64Type(), x); }
  Value fromBits(Value x) { return arith::BitcastOp::create(b, b.getF64Type(), x); }
  Value shl(Value x, int64_t n) { return arith::ShLIOp::create(b, x, b.i64(n)); }
  Value shr(Value x, int64_t n) { return arith::ShRUIOp::create(b, x, b.i64(n)); }
  Value sar(Value x, int64_t n) { return arith::ShRSIOp::create(b, x, b.i64(n)); }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
  Value any(Value x, Value y) { return arith::OrIOp::create(b, x, y); }
  Value select(Value c, Value x, Value y) { return arith::SelectOp::create(b, c, x, y); }
  Value compare(arith::CmpFPredicate predicate, Value x, Value y) { return arith::CmpFOp::create(b, predicate, x, y); }
  Value less(Value x, Value y) { return compare(arith::CmpFPredicate::OLT, x, y); }
  Value equal(Value x, Value y) { return compare(arith::CmpFPredicate::OEQ, x, y); }
  Value isNaN(Value x) { return compare(arith::CmpFPredicate::UNO, x, x); }
  Value nan() { return f(std::numeric_limits<double>::quiet_NaN()); }

  Value polynomial(Value x, ArrayRef<double> coefficients) {
    Value result = f(coefficients.back());
    for (double c : llvm::reverse(coefficients.drop_back()))
      result = fma(result, x, f(c));
    return result;
  }
  /// p * 2^n in two steps: 2^n alone may be out of range. |n| <= 2044.
  Value scaleByPower(Value p, Value n) {
    Value half = sar(n, 1);
    Value first = fromBits(shl(b.add(half, 1023), 52));
    Value second = fromBits(shl(b.add(b.sub(n, half), 1023), 52));
    return mul(mul(p, first), second);
  }
  /// x + 1.5 * 2^52 rounded at the units: the rounded value as a float, and as an integer. No step is undefined on NaN.
  std::pair<Value, Value> round(Value shifted) {
    Value magic = f(0x1.8p52);
    return {sub(shifted, magic), b.sub(bits(shifted), b.i64(0x4338000000000000))};
  }
};
} // namespace

// exp: Taylor on [-ln2 / 2, ln2 / 2], where the first term left out is below 2^-57.
static constexpr double kExp[] = {1.0,           1.0,           1.0 / 2,         1.0 / 6,         1.0 / 24,
                                  1.0 / 120,     1.0 / 720,     1.0 / 5040,      1.0 / 40320,     1.0 / 362880,
                                  1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800};
static constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;
// log, sin, cos: the minimax polynomials of fdlibm (Sun Microsystems, 1993).
static constexpr double kLog[] = {6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
                                  2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
                                  1.479819860511658591e-01};
static constexpr double kSin[] = {-1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04,
                                  2.75573137070700676789e-06,  -2.50507602534068634195e-08, 1.58969099521155010221e-10};
static constexpr double kCos[] = {4.16666666666666019037e-02, -1.38888888888741095749e-03, 2.48015872894767294178e-05,
                                  -2.75573143513906633035e-07, 2.08757232129817482790e-09, -1.13596475577881948265e-11};
// Own Chebyshev interpolants. erf(x) / x in 8 x^2 - 1 on [0, 1/2]; exp(x^2) erfc(x) in (t + 0.05) / 0.55 with
// t = (x - 2) / (x + 2) on [1/2, 6]; tanh(x) / x in 2 x^2 / 0.55^2 - 1 on [0, 0.55].
static constexpr double kErfSmall[] = {1.0830752376761723,      -0.04364205888669867,   0.0016130716680430098,
                                       -4.76233693958333e-05,   1.1516038470254982e-06, -2.347201757165913e-08,
                                       4.1262024409309244e-10,  -6.800029174811306e-12, 1.1986045018834297e-13,
                                       2.0359871494826057e-13};
static constexpr double kErfTail[] = {
    0.2773690076208386,      -0.24857010886982608,    0.07669952688529755,    -0.013234851812411628,
    0.00017899240339862808,  0.0003623587532048234,   -1.390102047010113e-05, -1.4983357916980166e-05,
    -2.62012149469173e-07,   7.238116233064814e-07,   1.0236638332275126e-07, -2.6350767960988363e-08,
    -1.0998391538630502e-08, -6.798404975928842e-10,  8.386474159570692e-10,  4.0469132402180287e-10,
    -1.0680667694241322e-10, -1.1463697544004925e-10, 1.9984503206165e-11,    1.9688328275443008e-11};
static constexpr double kTanh[] = {0.9524575912557062,     -0.044833940027854256,  0.0025522538268837177,
                                   -0.00014719356404328853, 8.500274872113128e-06,  -4.909549770958358e-07,
                                   2.8356927710087073e-08,  -1.6389758949593646e-09, 9.460841352744571e-11,
                                   -4.546263582620074e-12,  3.059895342495671e-13,  -2.982273447650733e-13};

Value codegen::emitExp64(KernelBuilder &b, Value x) {
  Ops o{b};
  x = o.select(o.less(x, o.f(-746.0)), o.f(-746.0), x);
  x = o.select(o.less(o.f(710.0), x), o.f(710.0), x);
  auto [n, integer] = o.round(o.fma(x, o.f(1.4426950408889634), o.f(0x1.8p52)));
  Value r = o.fma(n, o.f(-kLn2Low), o.fma(n, o.f(-kLn2High), x));
  return o.scaleByPower(o.polynomial(r, kExp), integer);
}

Value codegen::emitLog64(KernelBuilder &b, Value x) {
  Ops o{b};
  Value tiny = o.less(x, o.f(0x1p-1022));
  Value bits = o.bits(o.select(tiny, o.mul(x, o.f(0x1p54)), x));
  // The exponent relative to sqrt(1/2), so that the mantissa lies in [sqrt(1/2), sqrt(2)).
  Value exponent = o.sar(b.sub(bits, b.i64(0x3fe6a09e667f3bcd)), 52);
  Value f = o.sub(o.fromBits(b.sub(bits, o.shl(exponent, 52))), o.f(1.0));
  Value n = arith::SIToFPOp::create(b, b.getF64Type(), exponent);
  n = o.select(tiny, o.sub(n, o.f(54.0)), n);
  Value s = o.div(f, o.add(f, o.f(2.0)));
  Value square = o.mul(s, s);
  Value rest = o.mul(square, o.polynomial(square, kLog));
  Value half = o.mul(o.mul(f, f), o.f(0.5));
  Value small = o.fma(s, o.add(half, rest), o.mul(n, o.f(kLn2Low)));
  Value result = o.sub(o.mul(n, o.f(kLn2High)), o.sub(o.sub(half, small), f));
  const double infinity = std::numeric_limits<double>::infinity();
  result = o.select(o.less(x, o.f(infinity)), result, x);
  result = o.select(o.less(x, o.f(0.0)), o.nan(), result);
  return o.select(o.equal(x, o.f(0.0)), o.f(-infinity), result);
}

Value codegen::emitErf64(KernelBuilder &b, Value x) {
  Ops o{b};
  Value a = o.abs(x), square = o.mul(x, x);
  Value small = o.mul(x, o.polynomial(o.fma(square, o.f(8.0), o.f(-1.0)), kErfSmall));
  Value clamped = o.select(o.less(o.f(6.0), a), o.f(6.0), a);
  Value t = o.div(o.sub(clamped, o.f(2.0)), o.add(clamped, o.f(2.0)));
  Value u = o.mul(o.add(t, o.f(0.05)), o.f(1.0 / 0.55));
  Value power = emitExp64(b, o.mul(clamped, o.mul(clamped, o.f(-1.0))));
  Value large = LLVM::CopySignOp::create(b, o.sub(o.f(1.0), o.mul(power, o.polynomial(u, kErfTail))), x);
  return o.select(o.less(a, o.f(0.5)), small, o.select(o.isNaN(x), x, large));
}

Value codegen::emitTanh64(KernelBuilder &b, Value x) {
  Ops o{b};
  Value a = o.abs(x);
  Value u = o.fma(o.mul(x, x), o.f(2.0 / 0.3025), o.f(-1.0));
  Value small = o.mul(x, o.polynomial(u, kTanh));
  Value power = emitExp64(b, o.add(a, a));
  Value large = o.sub(o.f(1.0), o.div(o.f(2.0), o.add(power, o.f(1.0))));
  return o.select(o.less(a, o.f(0.55)), small, LLVM::CopySignOp::create(b, large, x));
}

/// sin(x + quarter * pi / 2).
static Value emitSine(KernelBuilder &b, Value x, int64_t quarter) {
  Ops o{b};
  auto [n, integer] = o.round(o.fma(x, o.f(0.63661977236758134308), o.f(0x1.8p52)));
  Value r = o.fma(n, o.f(-1.57079632679489655800e+00), x);
  r = o.fma(n, o.f(-6.12323399573676603587e-17), r);
  r = o.fma(n, o.f(1.4973849048591833e-33), r);
  Value z = o.mul(r, r);
  Value sine = o.fma(o.mul(r, z), o.polynomial(z, kSin), r);
  Value cosine = o.fma(o.mul(z, z), o.polynomial(z, kCos), o.fma(z, o.f(-0.5), o.f(1.0)));
  Value place = b.add(integer, quarter);
  Value odd = b.equal(o.both(place, b.i64(1)), b.i64(1));
  Value negative = b.equal(o.both(place, b.i64(2)), b.i64(2));
  Value result = o.select(odd, cosine, sine);
  return o.select(negative, arith::NegFOp::create(b, result), result);
}
Value codegen::emitSin64(KernelBuilder &b, Value x) { return emitSine(b, x, 0); }
Value codegen::emitCos64(KernelBuilder &b, Value x) { return emitSine(b, x, 1); }

/// a^|y| for whole y of magnitude up to 1024, by squaring; its inverse for negative y.
static Value emitWholePower(Ops &o, Value x, Value y) {
  KernelBuilder &b = o.b;
  Value count = arith::FPToSIOp::create(b, b.getI64Type(), o.abs(y));
  auto squared = b.loop(b.i64(0), b.i64(11), 1, {o.f(1.0), x, count}, [&](Value, ValueRange v) {
    Value bit = b.equal(o.both(v[2], b.i64(1)), b.i64(1));
    return SmallVector<Value>{o.select(bit, o.mul(v[0], v[1]), v[0]), o.mul(v[1], v[1]), o.shr(v[2], 1)};
  });
  return o.select(o.less(y, o.f(0.0)), o.div(o.f(1.0), squared[0]), squared[0]);
}

Value codegen::emitPow64(KernelBuilder &b, Value x, Value y) {
  Ops o{b};
  const double infinity = std::numeric_limits<double>::infinity();
  Value whole = o.equal(o.floor(y), y);
  Value small = o.both(whole, o.compare(arith::CmpFPredicate::OLE, o.abs(y), o.f(1024.0)));
  Value result;
  auto op = scf::IfOp::create(b, TypeRange{b.getF64Type()}, small, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(op.thenBlock());
    scf::YieldOp::create(b, ValueRange{emitWholePower(o, x, y)});
    b.setInsertionPointToStart(op.elseBlock());
    Value a = o.abs(x);
    Value power = emitExp64(b, o.mul(y, emitLog64(b, a)));
    Value one = o.equal(a, o.f(1.0)), infinite = o.equal(o.abs(y), o.f(infinity));
    power = o.select(o.both(one, infinite), o.f(1.0), power);
    // A whole y of this size is odd only below 2^53, where halving shows it.
    Value halfY = o.mul(y, o.f(0.5));
    Value odd = o.both(whole, o.compare(arith::CmpFPredicate::ONE, o.floor(halfY), halfY));
    Value negative = o.less(x, o.f(0.0));
    power = o.select(o.both(negative, odd), arith::NegFOp::create(b, power), power);
    Value undefined = o.both(o.both(negative, o.compare(arith::CmpFPredicate::UNE, o.floor(y), y)),
                             o.less(o.f(-infinity), x));
    power = o.select(undefined, o.nan(), power);
    scf::YieldOp::create(b, ValueRange{o.select(o.equal(x, o.f(1.0)), o.f(1.0), power)});
  }
  return op.getResult(0);
}

/// Significand (with the implicit bit) and exponent of |x|, so that |x| = m * 2^(e - 1075) and e >= 1.
static std::pair<Value, Value> split(Ops &o, Value x) {
  KernelBuilder &b = o.b;
  Value bits = o.bits(o.abs(x));
  Value exponent = o.shr(bits, 52), fraction = o.both(bits, b.i64((int64_t(1) << 52) - 1));
  Value subnormal = b.equal(exponent, b.i64(0));
  return {b.select(subnormal, fraction, o.any(fraction, b.i64(int64_t(1) << 52))),
          b.select(subnormal, b.i64(1), exponent)};
}

Value codegen::emitFmod64(KernelBuilder &b, Value x, Value y) {
  Ops o{b};
  auto [mx, ex] = split(o, x);
  auto [my, ey] = split(o, y);
  Value divisor = b.select(b.equal(my, b.i64(0)), b.i64(1), my);
  // Long division: the remainder of the significands, then one doubling per binary place between them.
  Value start = arith::RemUIOp::create(b, mx, divisor);
  auto remainder = b.loop(b.i64(0), b.sub(ex, ey), 1, {start}, [&](Value, ValueRange v) {
    Value twice = o.shl(v[0], 1);
    return SmallVector<Value>{b.select(b.less(twice, divisor), twice, b.sub(twice, divisor))};
  });
  Value magnitude = o.scaleByPower(arith::SIToFPOp::create(b, b.getF64Type(), remainder[0]), b.sub(ey, 1075));
  Value result = LLVM::CopySignOp::create(b, magnitude, x);
  result = o.select(o.less(o.abs(x), o.abs(y)), x, result);
  const double infinity = std::numeric_limits<double>::infinity();
  Value undefined = o.any(o.any(o.isNaN(x), o.isNaN(y)),
                          o.any(o.equal(o.abs(x), o.f(infinity)), o.equal(y, o.f(0.0))));
  return o.select(undefined, o.nan(), result);
}
