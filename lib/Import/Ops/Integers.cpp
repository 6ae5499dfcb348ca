//===- Integers.cpp - quantized activations and integer products -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Integers are exact, and what stands around them keeps the order of operations of onnxruntime's kernels. With zero points a and b
//
//   sum (A - a)(B - b) = A B - a colsum(B) - rowsum(A) b + K a b
//
// where B is a matrix, so that a stored one is packed as it is; zero points that are known to be 0 cost nothing.
//
//===----------------------------------------------------------------------===//

#include "Integers.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

bool isByte(OpBinder &b, Value value) { return b.elementType(value).isInteger(8); }

/// A scale or zero point as it broadcasts to `like`: one number, or one for each index along `axis`. Null after an error.
Value spread(OpBinder &b, Value value, Value like, int64_t axis, StringRef what) {
  if (b.failed() || !value || b.rank(value) == 0)
    return value;
  if (b.rank(value) > 1) {
    (void)b.unsupported(what + " of rank " + Twine(b.rank(value)) + ", one for each block; supported are one, and one along an axis");
    return {};
  }
  if (b.staticDim(value, 0) == 1)
    return b.reshape(value, {});
  axis = b.normalizeAxis(axis, b.rank(like));
  return b.failed() ? Value() : b.alongAxis(value, axis, b.rank(like));
}

bool isZero(OpBinder &b, Value value) {
  auto known = value ? b.constantInts(value) : std::nullopt;
  return !value || (known && llvm::all_of(*known, [](int64_t x) { return x == 0; }));
}

Value quantize(OpBinder &b, Value x, Value scale, Value zero, Type element) {
  return b.failed() ? Value() : b.create<QuantizeOp>(element, x, scale, zero, false);
}

//===----------------------------------------------------------------------===//
// One tensor
//===----------------------------------------------------------------------===//

/// The type of the codes: the zero point's, or output_dtype (a TensorProto number), or ui8.
std::optional<Type> codeType(OpBinder &b, Value zero) {
  auto byte = [&](bool isSigned) {
    return IntegerType::get(b.builder.getContext(), 8, isSigned ? IntegerType::Signless : IntegerType::Unsigned);
  };
  int64_t number = b.intAttr("output_dtype", 0);
  if (b.failed())
    return std::nullopt;
  if (zero && isByte(b, zero) && bitsOf(zero) == 8)
    return b.elementType(zero);
  if (!zero && (number == 0 || number == onnx::TensorProto::UINT8 || number == onnx::TensorProto::INT8))
    return byte(number == onnx::TensorProto::INT8);
  (void)b.unsupported("codes other than int8 and uint8");
  return std::nullopt;
}

LogicalResult importQuantizeLinear(OpBinder &b) {
  Value x = b.input(0), scale = b.input(1), zero = b.optionalInput(2);
  int64_t axis = b.intAttr("axis", 1), block = b.intAttr("block_size", 0);
  auto element = codeType(b, zero);
  if (!element)
    return failure();
  if (block != 0)
    return b.unsupported("block_size");
  if (!b.isFloat(x) || b.elementType(x).isF64())
    return b.unsupported("an input that is no float32, float16 or bfloat16");
  return b.yield(quantize(b, x, spread(b, scale, x, axis, "a scale"), spread(b, zero, x, axis, "a zero point"), *element));
}

/// (x - zero) * scale in f32; the difference is exact.
Value dequantize(OpBinder &b, Value x, Value scale, Value zero) {
  Type i32 = b.builder.getI32Type(), f32 = b.builder.getF32Type();
  x = b.cast(x, i32);
  if (!isZero(b, zero))
    x = b.sub(x, b.cast(zero, i32));
  return b.mul(b.cast(x, f32), b.cast(scale, f32));
}

} // namespace

LogicalResult permalloy::importDequantizedValues(OpBinder &b) {
  Value x = b.input(0), scale = b.input(1), zero = b.optionalInput(2);
  int64_t axis = b.intAttr("axis", 1), block = b.intAttr("block_size", 0);
  if (b.failed())
    return failure();
  Type element = b.elementType(x);
  if (!(element.isInteger(8) || element.isInteger(16) || element.isInteger(32)))
    return b.unsupported("codes other than integers of 8, 16 and 32 bits");
  if (block != 0)
    return b.unsupported("block_size");
  Value y = dequantize(b, x, spread(b, scale, x, axis, "a scale"), spread(b, zero, x, axis, "a zero point"));
  return b.yield(b.cast(y, b.elementType(scale)));
}

namespace {

/// Codes, scale and zero point of a whole tensor in ui8, whose range holds 0.
struct Dynamic {
  Value codes, scale, zero;
};

Dynamic dynamicCodes(OpBinder &b, Value x) {
  if (b.failed())
    return {};
  Type ui8 = IntegerType::get(b.builder.getContext(), 8, IntegerType::Unsigned);
  Ints axes = llvm::to_vector(llvm::seq<int64_t>(0, b.rank(x)));
  Value nought = b.scalar(x, 0);
  Value most = b.binary(BinaryKind::Max, b.reduce(ReduceKind::Max, x, axes, false), nought);
  Value least = b.binary(BinaryKind::Min, b.reduce(ReduceKind::Min, x, axes, false), nought);
  Value isFlat = b.compare(CompareKind::Eq, most, least);
  Value scale = b.select(isFlat, b.scalar(x, 1), b.div(b.sub(most, least), b.scalar(x, 255)));
  Value zero = b.div(b.sub(nought, least), scale);
  zero = b.unary(UnaryKind::Round, b.binary(BinaryKind::Min, b.binary(BinaryKind::Max, zero, nought), b.scalar(x, 255)));
  zero = b.cast(zero, ui8);
  return {quantize(b, x, scale, zero, ui8), scale, zero};
}

LogicalResult importDynamicQuantizeLinear(OpBinder &b) {
  Dynamic dynamic = dynamicCodes(b, b.input(0));
  if (b.failed() || failed(b.yield(0, dynamic.codes)) || failed(b.yield(1, dynamic.scale)))
    return failure();
  return b.yield(2, dynamic.zero);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// A zero point of A as a column: one number, [M], or a column already.
Value ofRows(OpBinder &b, Value zero, Value a) {
  if (b.failed() || !zero || b.rank(zero) == 0 || b.rank(zero) > 1)
    return zero;
  if (b.staticDim(zero, 0) == 1)
    return b.reshape(zero, {});
  return b.alongAxis(zero, b.rank(a) - 2, b.rank(a));
}

/// A zero point or scale of B's columns: one number, [N], or a row already.
Value ofColumns(OpBinder &b, Value value) {
  if (b.failed() || !value || b.rank(value) != 1 || b.staticDim(value, 0) != 1)
    return value;
  return b.reshape(value, {});
}

/// sum (A - a)(B - b), in i32.
Value integerProduct(OpBinder &b, Value x, Value y, Value zeroX, Value zeroY) {
  if (b.failed())
    return {};
  Type i32 = b.builder.getI32Type();
  if (!isByte(b, x) || !isByte(b, y)) {
    (void)b.error("takes integers of 8 bits");
    return {};
  }
  zeroX = isZero(b, zeroX) ? Value() : b.cast(ofRows(b, zeroX, x), i32);
  zeroY = isZero(b, zeroY) ? Value() : b.cast(ofColumns(b, zeroY), i32);
  auto depth = b.failed() ? std::nullopt : b.staticDim(x, b.rank(x) - 1);
  if (b.failed() || b.rank(y) != 2 || !depth) {
    Value left = b.cast(x, i32), right = b.cast(y, i32);
    left = zeroX ? b.sub(left, zeroX) : left;
    right = zeroY ? b.sub(right, zeroY) : right;
    return b.matmul(left, right);
  }
  Value product = b.create<LinearOp>(i32, x, y, Value(), Activation::None);
  if (zeroX)
    product = b.sub(product, b.mul(zeroX, b.reduce(ReduceKind::Sum, b.cast(y, i32), {0}, /*keepDims=*/false)));
  if (zeroY) {
    Value rows = b.failed() ? Value() : b.reduce(ReduceKind::Sum, b.cast(x, i32), {b.rank(x) - 1}, /*keepDims=*/true);
    product = b.sub(product, b.mul(rows, zeroY));
  }
  if (zeroX && zeroY)
    product = b.add(product, b.mul(b.mul(zeroX, zeroY), b.scalar(i32, double(*depth))));
  return product;
}

LogicalResult importMatMulInteger(OpBinder &b) {
  return b.yield(integerProduct(b, b.input(0), b.input(1), b.optionalInput(2), b.optionalInput(3)));
}

/// Sums to codes: onnxruntime multiplies by the quotient of the scales, as one number of f32.
Value requantize(OpBinder &b, Value sums, Value scaleX, Value scaleY, Value scale, Value zero) {
  if (b.failed())
    return {};
  Value factor = b.div(b.mul(scaleX, scaleY), scale), product = b.mul(b.cast(sums, b.builder.getF32Type()), factor);
  return quantize(b, product, Value(), spread(b, zero, product, 0, "a zero point"), b.elementType(zero));
}

LogicalResult importQLinearMatMul(OpBinder &b) {
  Value x = b.input(0), scaleX = b.input(1), zeroX = b.input(2), y = b.input(3), scaleY = b.input(4), zeroY = b.input(5);
  Value scale = b.input(6), zero = b.input(7);
  if (b.failed())
    return failure();
  Type f32 = b.builder.getF32Type();
  if (!isByte(b, zero))
    return b.unsupported("codes other than int8 and uint8");
  Value sums = integerProduct(b, x, y, zeroX, zeroY);
  Value result = requantize(b, sums, b.cast(ofRows(b, scaleX, x), f32), b.cast(ofColumns(b, scaleY), f32),
                            b.cast(spread(b, scale, x, 0, "a scale of the result"), f32), zero);
  return b.yield(result);
}

/// com.microsoft: sums times scales, and a bias.
Value floatProduct(OpBinder &b, Value sums, Value scaleX, Value scaleY, Value bias) {
  if (b.failed())
    return {};
  Value factor = b.mul(scaleX, ofColumns(b, scaleY));
  Value product = b.mul(b.cast(sums, b.builder.getF32Type()), factor);
  return bias ? b.add(product, bias) : product;
}

LogicalResult importMatMulIntegerToFloat(OpBinder &b) {
  Value x = b.input(0), y = b.input(1), scaleX = b.input(2), scaleY = b.input(3);
  Value sums = integerProduct(b, x, y, b.optionalInput(4), b.optionalInput(5));
  return b.yield(floatProduct(b, sums, b.failed() ? Value() : ofRows(b, scaleX, x), scaleY, b.optionalInput(6)));
}

LogicalResult importDynamicQuantizeMatMul(OpBinder &b) {
  Value x = b.input(0), y = b.input(1), scaleY = b.input(2);
  Dynamic dynamic = dynamicCodes(b, x);
  Value sums = integerProduct(b, dynamic.codes, y, dynamic.zero, b.optionalInput(3));
  return b.yield(floatProduct(b, sums, dynamic.scale, scaleY, b.optionalInput(4)));
}

LogicalResult importQGemm(OpBinder &b) {
  Value x = b.input(0), scaleX = b.input(1), zeroX = b.input(2), y = b.input(3), scaleY = b.input(4), zeroY = b.input(5);
  Value c = b.optionalInput(6), scale = b.optionalInput(7), zero = b.optionalInput(8);
  double alpha = b.floatAttr("alpha", 1);
  if (b.failed())
    return failure();
  x = b.intAttr("transA", 0) ? b.transpose(x, {1, 0}) : x;
  y = b.intAttr("transB", 0) ? b.transpose(y, {1, 0}) : y;
  Value sums = integerProduct(b, x, y, zeroX, zeroY);
  if (c)
    sums = b.add(sums, c);
  Value first = b.failed() ? Value() : spread(b, scaleX, x, 0, "a scale");
  if (alpha != 1)
    first = b.mul(first, b.scalar(first, alpha));
  if (!scale)
    return b.yield(floatProduct(b, sums, first, scaleY, Value()));
  if (b.failed() || !zero || !isByte(b, zero))
    return b.unsupported("codes other than int8 and uint8, or without a zero point");
  return b.yield(requantize(b, sums, first, ofColumns(b, scaleY), spread(b, scale, x, 0, "a scale"), zero));
}

constexpr llvm::StringLiteral kMicrosoft = "com.microsoft";

const OpRow kRows[] = {
    {"", "QuantizeLinear", 10, 28, OpClass::Concept, importQuantizeLinear},
    {"", "DynamicQuantizeLinear", 11, 11, OpClass::Decomposed, importDynamicQuantizeLinear},
    {"", "MatMulInteger", 10, 10, OpClass::Concept, importMatMulInteger},
    {"", "QLinearMatMul", 10, 21, OpClass::Decomposed, importQLinearMatMul},
    {kMicrosoft, "QuantizeLinear", 1, 1, OpClass::Concept, importQuantizeLinear},
    {kMicrosoft, "MatMulIntegerToFloat", 1, 1, OpClass::Decomposed, importMatMulIntegerToFloat},
    {kMicrosoft, "DynamicQuantizeMatMul", 1, 1, OpClass::Decomposed, importDynamicQuantizeMatMul},
    {kMicrosoft, "QGemm", 1, 1, OpClass::Decomposed, importQGemm},
};

} // namespace

ArrayRef<OpRow> permalloy::integerRows() { return kRows; }
