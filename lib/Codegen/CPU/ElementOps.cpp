//===- ElementOps.cpp - loads, constants and conversions of elements -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ElementOps.h"

#include <limits>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

Element Element::of(Value tensor) { return {getElementTypeOrSelf(tensor.getType())}; }

Type Element::registerType() const {
  MLIRContext *context = stored.getContext();
  if (isHalf())
    return Float32Type::get(context);
  if (auto integer = dyn_cast<IntegerType>(stored))
    return IntegerType::get(context, integer.getWidth());
  return stored;
}

bool Element::hasVectors() const {
  return stored.isF32() || isHalf() || (stored.isIntOrIndex() && stored.getIntOrFloatBitWidth() <= 32);
}

//===----------------------------------------------------------------------===//
// Shapes: a scalar, or a native vector
//===----------------------------------------------------------------------===//

Type ElementOps::like(Type scalar, Value shape) {
  return isa<VectorType>(shape.getType()) ? Type(VectorType::get(b.target().lanes(), scalar)) : scalar;
}

Value ElementOps::splat(Type type, Value scalar) {
  return isa<VectorType>(type) ? vector::BroadcastOp::create(b, type, scalar).getResult() : scalar;
}

Value ElementOps::toVector(Value x) { return isa<VectorType>(x.getType()) ? x : b.broadcast(x); }

void ElementOps::match(Value &x, Value &y) {
  if (isa<VectorType>(x.getType()) || isa<VectorType>(y.getType())) {
    x = toVector(x);
    y = toVector(y);
  }
}

/// An integer constant of the type (scalar or vector) of `shape`.
Value ElementOps::integer(Value shape, int64_t value) {
  Type scalar = getElementTypeOrSelf(shape.getType());
  APInt bits(scalar.getIntOrFloatBitWidth(), value, /*isSigned=*/true, /*implicitTrunc=*/true);
  TypedAttr attr = IntegerAttr::get(scalar, bits);
  if (auto vector = dyn_cast<VectorType>(shape.getType()))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  return arith::ConstantOp::create(b, attr);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

Value ElementOps::halfToFloat(Element e, Value bits) {
  if (e.stored.isBF16()) {
    Value wide = arith::ExtUIOp::create(b, like(b.getI32Type(), bits), bits);
    return arith::BitcastOp::create(b, like(b.getF32Type(), bits), arith::ShLIOp::create(b, wide, integer(wide, 16)));
  }
  Value half = arith::BitcastOp::create(b, like(b.getF16Type(), bits), bits); // vcvtph2ps
  return arith::ExtFOp::create(b, like(b.getF32Type(), bits), half);
}

Value ElementOps::floatToHalf(Element e, Value value) {
  Type bitsType = like(b.getI16Type(), value);
  if (!e.stored.isBF16())
    return arith::BitcastOp::create(b, bitsType, arith::TruncFOp::create(b, like(b.getF16Type(), value), value));
  if (b.target().isGpuThread()) // cvt.rn.bf16x2.f32
    return arith::BitcastOp::create(b, bitsType, arith::TruncFOp::create(b, like(b.getBF16Type(), value), value));
  if (b.target().hasAmx() && isa<VectorType>(value.getType())) { // subnormals become zero
    auto type = VectorType::get(b.target().lanes(), b.getBF16Type());
    auto name = b.getStringAttr("llvm.x86.avx512bf16.cvtneps2bf16.512");
    Value narrow = LLVM::CallIntrinsicOp::create(b, type, name, ValueRange{value}).getResult(0);
    return arith::BitcastOp::create(b, bitsType, narrow);
  }
  // Round to nearest even in integers; a NaN keeps its upper bits and becomes quiet.
  Value bits = arith::BitcastOp::create(b, like(b.getI32Type(), value), value);
  Value upper = arith::ShRUIOp::create(b, bits, integer(bits, 16));
  Value odd = arith::AndIOp::create(b, upper, integer(bits, 1));
  Value sum = arith::AddIOp::create(b, arith::AddIOp::create(b, bits, integer(bits, 0x7fff)), odd);
  Value rounded = arith::ShRUIOp::create(b, sum, integer(bits, 16));
  Value quiet = arith::OrIOp::create(b, upper, integer(bits, 0x40));
  Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, value, value);
  return arith::TruncIOp::create(b, bitsType, arith::SelectOp::create(b, isNaN, quiet, rounded));
}

Value ElementOps::round(Element e, Value value) {
  return e.isHalf() ? halfToFloat(e, floatToHalf(e, value)) : value;
}

Value ElementOps::load(Element e, Value pointer) {
  if (e.isBool()) {
    Value byte = b.load(b.getI8Type(), pointer, 1);
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, byte, integer(byte, 0));
  }
  if (e.isHalf())
    return halfToFloat(e, b.load(b.getI16Type(), pointer, 2));
  return b.load(e.registerType(), pointer, e.bytes());
}

void ElementOps::store(Element e, Value value, Value pointer) {
  if (e.isBool())
    value = arith::ExtUIOp::create(b, b.getI8Type(), value);
  else if (e.isHalf())
    value = floatToHalf(e, value);
  b.store(value, pointer, e.bytes());
}

Value ElementOps::loadVector(Element e, Value pointer, Value mask) {
  Type scalar = e.isBool() ? Type(b.getI8Type()) : e.isHalf() ? Type(b.getI16Type()) : e.registerType();
  auto type = VectorType::get(b.target().lanes(), scalar);
  Value loaded;
  if (mask) {
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
    loaded = LLVM::MaskedLoadOp::create(b, type, pointer, mask, zero, e.bytes());
  } else {
    loaded = b.load(type, pointer, e.bytes());
  }
  if (e.isBool())
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, loaded, integer(loaded, 0));
  return e.isHalf() ? halfToFloat(e, loaded) : loaded;
}

/// A constant mask of the first lane and no other.
static bool isFirstLane(Value mask) {
  DenseElementsAttr bits;
  if (!mask || !matchPattern(mask, m_Constant(&bits)))
    return false;
  return bits.getValues<bool>()[0] && llvm::count(bits.getValues<bool>(), true) == 1;
}

void ElementOps::storeVector(Element e, Value value, Value pointer, Value mask) {
  // LLVM 22 makes a store of 4 bytes of a narrowed vector under such a mask.
  if (e.bytes() < 4 && isFirstLane(mask))
    return store(e, vector::ExtractOp::create(b, value, 0), pointer);
  if (e.isBool())
    value = arith::ExtUIOp::create(b, like(b.getI8Type(), value), value);
  else if (e.isHalf())
    value = floatToHalf(e, value);
  if (mask)
    LLVM::MaskedStoreOp::create(b, value, pointer, mask, e.bytes());
  else
    b.store(value, pointer, e.bytes());
}

/// The mask of the first `lanes` lanes; null: all.
Value ElementOps::firstLanes(unsigned lanes) {
  if (lanes == b.target().lanes())
    return {};
  SmallVector<bool> bits(b.target().lanes());
  std::fill_n(bits.begin(), lanes, true);
  return arith::ConstantOp::create(b, DenseElementsAttr::get(b.maskType(), ArrayRef<bool>(bits)));
}

Value ElementOps::loadLanes(Element e, Value pointer, unsigned lanes) {
  return loadVector(e, pointer, firstLanes(lanes));
}

void ElementOps::storeLanes(Element e, Value value, Value pointer, unsigned lanes) {
  storeVector(e, value, pointer, firstLanes(lanes));
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

Value ElementOps::constant(Element e, const APFloat &value) {
  APFloat converted = value;
  bool lossy;
  converted.convert(cast<FloatType>(e.registerType()).getFloatSemantics(), APFloat::rmNearestTiesToEven, &lossy);
  return arith::ConstantOp::create(b, b.getFloatAttr(e.registerType(), converted));
}

Value ElementOps::constant(Element e, const APInt &value) {
  return arith::ConstantOp::create(b, b.getIntegerAttr(e.registerType(), value));
}

Value ElementOps::constant(Element e, double value) {
  if (e.isFloat())
    return constant(e, APFloat(value));
  return constant(e, APInt(e.stored.getIntOrFloatBitWidth(), int64_t(value), /*isSigned=*/true, /*implicitTrunc=*/true));
}

Value ElementOps::lowest(Element e) {
  if (e.isFloat())
    return constant(e, -std::numeric_limits<double>::infinity());
  unsigned width = e.stored.getIntOrFloatBitWidth();
  return constant(e, e.isUnsigned() ? APInt::getZero(width) : APInt::getSignedMinValue(width));
}

Value ElementOps::highest(Element e) {
  if (e.isFloat())
    return constant(e, std::numeric_limits<double>::infinity());
  unsigned width = e.stored.getIntOrFloatBitWidth();
  return constant(e, e.isUnsigned() ? APInt::getMaxValue(width) : APInt::getSignedMaxValue(width));
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

/// f64 to f32 rounded to odd, so that rounding to f16 or bf16 afterwards is as if done at once.
Value ElementOps::narrowToOdd(Value value) {
  Value narrow = arith::TruncFOp::create(b, b.getF32Type(), value);
  Value back = arith::ExtFOp::create(b, b.getF64Type(), narrow);
  Value bits = arith::BitcastOp::create(b, b.getI32Type(), narrow);
  Value grew = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, LLVM::FAbsOp::create(b, back),
                                     LLVM::FAbsOp::create(b, value));
  Value towardsZero = arith::SelectOp::create(b, grew, arith::SubIOp::create(b, bits, integer(bits, 1)), bits);
  Value odd = arith::OrIOp::create(b, towardsZero, integer(bits, 1));
  Value inexact = arith::CmpFOp::create(b, arith::CmpFPredicate::ONE, back, value);
  return arith::BitcastOp::create(b, b.getF32Type(), arith::SelectOp::create(b, inexact, odd, bits));
}

/// Truncation towards zero; what no value of the type can hold becomes the nearest end of its range, NaN 0.
Value ElementOps::floatToInt(Element to, Value value) {
  Type type = like(to.registerType(), value);
  StringRef name = to.isUnsigned() ? "llvm.fptoui.sat" : "llvm.fptosi.sat";
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr(name), ValueRange{value}).getResult(0);
}

/// Integers that f32 would round before f16 or bf16 does: these go through f64.
static bool needsDouble(Element from, Element to) {
  return !from.isFloat() && to.isHalf() && from.stored.getIntOrFloatBitWidth() > 16;
}

bool ElementOps::castHasVectorForm(Element from, Element to) {
  return from.hasVectors() && to.hasVectors() && !needsDouble(from, to);
}

Value ElementOps::intToFloat(Element from, Element to, Value value) {
  bool wide = needsDouble(from, to);
  Type type = like(wide ? Type(b.getF64Type()) : to.registerType(), value);
  Value result = from.isUnsigned() || from.isBool() ? arith::UIToFPOp::create(b, type, value).getResult()
                                                    : arith::SIToFPOp::create(b, type, value).getResult();
  return round(to, wide ? narrowToOdd(result) : result);
}

Value ElementOps::cast(Element from, Element to, Value value) {
  if (from.stored == to.stored)
    return value;
  if (to.isBool()) {
    if (!from.isFloat())
      return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, value, integer(value, 0));
    return arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, value, splat(value.getType(), constant(from, 0.0)));
  }
  if (!from.isFloat() && to.isFloat())
    return intToFloat(from, to, value);
  if (from.isFloat() && !to.isFloat())
    return floatToInt(to, value);
  if (from.isFloat()) {
    if (from.isDouble())
      return to.isHalf() ? round(to, narrowToOdd(value)) : arith::TruncFOp::create(b, b.getF32Type(), value).getResult();
    return to.isDouble() ? arith::ExtFOp::create(b, b.getF64Type(), value).getResult() : round(to, value);
  }
  unsigned width = from.stored.getIntOrFloatBitWidth(), wanted = to.stored.getIntOrFloatBitWidth();
  Type type = like(to.registerType(), value);
  if (wanted < width)
    return arith::TruncIOp::create(b, type, value);
  if (wanted == width)
    return value;
  if (from.isUnsigned() || from.isBool())
    return arith::ExtUIOp::create(b, type, value);
  return arith::ExtSIOp::create(b, type, value);
}
