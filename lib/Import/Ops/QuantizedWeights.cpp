//===- QuantizedWeights.cpp - weights that stand as codes --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes, scales and zero points of a model keep their values: the weight is tfm.dequantize of them, laid out as [K, N] with
// groups along K, and a matrix product with it is a layer like any other. What is moved and unpacked is recorded on weights and
// happens when the artifact is written.
//
//===----------------------------------------------------------------------===//

#include "Integers.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

/// Operations of one body, on static tensors.
struct Body {
  OpBuilder &builder;
  Location loc;

  RankedTensorType type(ArrayRef<int64_t> shape, Type element) { return RankedTensorType::get(shape, element); }
  ArrayAttr dims(ArrayRef<int64_t> extents) {
    Dims list;
    for (int64_t extent : extents)
      list.push_back(DimExprAttr::constant(builder.getContext(), extent));
    return dimArray(builder.getContext(), list);
  }
  Value reshape(Value x, ArrayRef<int64_t> shape) {
    return ReshapeOp::create(builder, loc, type(shape, typeOf(x).getElementType()), x, Value(), dims(shape), UnitAttr());
  }
  Value cast(Value x, Type element) {
    return typeOf(x).getElementType() == element ? x : CastOp::create(builder, loc, type(typeOf(x).getShape(), element), x).getResult();
  }
  Value unpack(Value x, int64_t bits) {
    SmallVector<int64_t> shape(typeOf(x).getShape());
    shape.back() *= 8 / bits;
    return UnpackBitsOp::create(builder, loc, type(shape, typeOf(x).getElementType()), x, builder.getI64IntegerAttr(bits));
  }
  /// The first `columns` columns of a matrix.
  Value take(Value x, int64_t columns) {
    int64_t rows = typeOf(x).getDimSize(0);
    if (typeOf(x).getDimSize(1) == columns)
      return x;
    return SliceOp::create(builder, loc, type({rows, columns}, typeOf(x).getElementType()), x, Value(), Value(), Value(),
                           DenseI64ArrayAttr(), dims({0, 0}), dims({rows, columns}), builder.getDenseI64ArrayAttr({1, 1}));
  }
  Value transpose(Value x) {
    ArrayRef<int64_t> shape = typeOf(x).getShape();
    return TransposeOp::create(builder, loc, type({shape[1], shape[0]}, typeOf(x).getElementType()), x, ArrayRef<int64_t>{1, 0});
  }
  Value broadcast(Value x, ArrayRef<int64_t> shape) {
    if (typeOf(x).getShape() == shape)
      return x;
    return BroadcastOp::create(builder, loc, type(shape, typeOf(x).getElementType()), x, Value(), dims(shape));
  }
  /// `x` of ui8 less `offset`, as i8.
  Value signedBytes(Value x, int64_t offset) {
    Type byte = builder.getIntegerType(8);
    auto scalar = DenseElementsAttr::get(RankedTensorType::get({}, byte), APInt(8, offset));
    Value signedX = cast(x, byte), by = ConstantOp::create(builder, loc, scalar);
    return BinaryOp::create(builder, loc, typeOf(signedX), BinaryKind::Sub, signedX, by);
  }
};

/// Scales as tfm.dequantize takes them.
Type scaleElement(OpBinder &b, Type element) { return element.isF16() ? element : Type(b.builder.getF32Type()); }

} // namespace

unsigned permalloy::bitsOf(Value weight) {
  auto use = weight.getDefiningOp<GetWeightOp>();
  auto stored = use ? SymbolTable::lookupNearestSymbolFrom<WeightOp>(use, use.getWeightAttr()) : WeightOp();
  auto cast = stored && !stored.getBody().empty() ? stored.getBody().front().getTerminator()->getOperand(0).getDefiningOp<CastOp>() : CastOp();
  auto code = cast ? dyn_cast<QuantType>(getElementTypeOrSelf(cast.getInput().getType())) : QuantType();
  return code ? code.getBits() : 8;
}

namespace {

//===----------------------------------------------------------------------===//
// com.microsoft: MatMulNBits, GatherBlockQuantized
//===----------------------------------------------------------------------===//

/// A weight [K, N] that is stored as N rows of blocks along K.
struct NBits {
  int64_t k, n, bits, block, blocks;
  int64_t stored; ///< bytes of a row; blocks of MatMulNBits are whole

  NBits(int64_t k, int64_t n, int64_t bits, int64_t block, bool wholeBlocks)
      : k(k), n(n), bits(bits), block(block), blocks(block > 0 ? (k + block - 1) / block : 0),
        stored(((wholeBlocks ? blocks * block : k) * bits + 7) / 8) {}
  bool isPossible() const { return k > 0 && n > 0 && block > 0 && k < (1 << 30) && n < (1 << 30) && block < (1 << 30); }
};

bool hasElements(Value value, int64_t count) { return typeOf(value).hasStaticShape() && typeOf(value).getNumElements() == count; }

/// Codes [K, N]: signed where the model has no zero points, since what it then subtracts is half of the range.
Value codesOf(OpBinder &b, Value packed, const NBits &p, bool isSigned) {
  Type code = QuantType::get(b.builder.getContext(), isSigned, p.bits, p.block);
  return b.record(".codes", packed, [&](OpBuilder &builder, ArrayRef<Value> in) {
    Body body{builder, b.loc};
    Value all = body.unpack(body.reshape(in[0], {p.n, p.stored}), p.bits);
    all = body.take(all, p.k);
    if (isSigned)
      all = body.signedBytes(all, int64_t(1) << (p.bits - 1));
    return body.cast(body.transpose(all), code);
  });
}

/// Zero points [blocks, N] in the type of the scales: packed as the codes are, or numbers.
Value zerosOf(OpBinder &b, Value zeros, const NBits &p, Type scale) {
  bool packed = b.elementType(zeros).isUnsignedInteger(8);
  int64_t bytes = (p.blocks * p.bits + 7) / 8;
  if (!hasElements(zeros, p.n * (packed ? bytes : p.blocks)) || (!packed && !b.isFloat(zeros))) {
    (void)b.error("zero points do not fit N " + Twine(p.n) + " and " + Twine(p.blocks) + " blocks");
    return {};
  }
  return b.record(".zeros", zeros, [&](OpBuilder &builder, ArrayRef<Value> in) {
    Body body{builder, b.loc};
    Value all = packed ? body.take(body.unpack(body.reshape(in[0], {p.n, bytes}), p.bits), p.blocks) : body.reshape(in[0], {p.n, p.blocks});
    return body.cast(body.transpose(all), scale);
  });
}

/// tfm.dequantize of packed codes, [K, N]; null after an error.
Value dequantized(OpBinder &b, const NBits &p, Value packed, Value scales, Value zeros, Type element) {
  if (!p.isPossible())
    return (void)b.error("K is " + Twine(p.k) + ", N is " + Twine(p.n) + " and block_size is " + Twine(p.block) + "; they must be positive"), Value();
  if (p.bits != 2 && p.bits != 4 && p.bits != 8)
    return (void)b.unsupported("bits is " + Twine(p.bits) + "; accepted are 2, 4 and 8"), Value();
  if (p.block * p.bits % 8 != 0)
    return (void)b.error("a block of " + Twine(p.block) + " codes of " + Twine(p.bits) + " bits ends within a byte"), Value();
  if (!b.elementType(packed).isUnsignedInteger(8) || !hasElements(packed, p.n * p.stored))
    return (void)b.error("codes must be ui8 of " + Twine(p.n) + " rows of " + Twine(p.stored) + " bytes"), Value();
  if (!b.isFloat(scales) || !hasElements(scales, p.n * p.blocks))
    return (void)b.error("scales must be " + Twine(p.n) + " x " + Twine(p.blocks) + " numbers"), Value();
  Type scale = scaleElement(b, b.elementType(scales));
  Value codes = codesOf(b, packed, p, !zeros), offsets = zeros ? zerosOf(b, zeros, p, scale) : Value();
  Value factors = b.record(".scales", scales, [&](OpBuilder &builder, ArrayRef<Value> in) {
    Body body{builder, b.loc};
    return body.cast(body.transpose(body.reshape(in[0], {p.n, p.blocks})), scale);
  });
  return b.failed() ? Value() : b.create<DequantizeOp>(element, codes, factors, offsets, Value());
}

LogicalResult importMatMulNBits(OpBinder &b) {
  NBits p(b.intAttr("K", 0), b.intAttr("N", 0), b.intAttr("bits", 4), b.intAttr("block_size", 0), true);
  Value x = b.input(0), packed = b.input(1), scales = b.input(2);
  if (b.failed())
    return failure();
  if (b.hasInput(4))
    return b.unsupported("a permutation of K (g_idx)");
  Value weight = dequantized(b, p, packed, scales, b.optionalInput(3), b.elementType(x));
  if (b.failed())
    return failure();
  Value result = b.matmul(x, weight);
  return b.yield(b.hasInput(5) ? b.add(result, b.input(5)) : result);
}

/// A gather of rows from a table whose blocks run along them, as one of columns of the transposed table.
LogicalResult importGatherBlockQuantized(OpBinder &b) {
  Value table = b.input(0), indices = b.input(1), scales = b.input(2), zeros = b.optionalInput(3);
  if (b.failed())
    return failure();
  int64_t gatherAxis = b.intAttr("gather_axis", 0), axis = b.intAttr("quantize_axis", 1), bits = b.intAttr("bits", 4);
  if (b.rank(table) != 2 || !typeOf(table).hasStaticShape() || gatherAxis % 2 != 0 || (axis != 1 && axis != -1))
    return b.unsupported("only rows of matrices in blocks along the rows are gathered");
  if (!b.elementType(table).isUnsignedInteger(8) || bitsOf(table) != 8)
    return b.unsupported("only tables of uint8 are gathered from");
  NBits p(typeOf(table).getDimSize(1) * 8 / std::max<int64_t>(bits, 1), typeOf(table).getDimSize(0), bits, b.intAttr("block_size", 128), false);
  Value taken = b.gather(dequantized(b, p, table, scales, zeros, b.elementType(scales)), indices, 1);
  if (b.failed())
    return failure();
  Ints perm = llvm::to_vector(llvm::seq<int64_t>(1, b.rank(taken)));
  perm.push_back(0);
  return b.yield(b.transpose(taken, perm));
}

//===----------------------------------------------------------------------===//
// DequantizeLinear of stored weights
//===----------------------------------------------------------------------===//

QuantType codeOf(OpBinder &b, Value weight, int64_t group) {
  return QuantType::get(b.builder.getContext(), !b.elementType(weight).isUnsignedInteger(8), bitsOf(weight), group);
}

/// How the scales of a matrix lie: along which axis a group runs, and how long it is.
struct Grouping {
  int64_t axis; ///< that becomes K
  int64_t group;
};

/// Scales of a scalar, of one axis, or of blocks along an axis; nothing for another shape.
std::optional<Grouping> groupingOf(OpBinder &b, ArrayRef<int64_t> weight, ArrayRef<int64_t> scales) {
  int64_t axis = b.intAttr("axis", 1), block = b.intAttr("block_size", 0);
  axis = axis < 0 ? axis + 2 : axis;
  if (axis != 0 && axis != 1)
    return std::nullopt;
  if (scales.empty() || (scales.size() == 1 && scales[0] == 1))
    return Grouping{0, weight[0]};
  if (scales.size() == 1 && scales[0] == weight[axis])
    return Grouping{1 - axis, weight[1 - axis]};
  bool blocked = scales.size() == 2 && block > 0 && scales[1 - axis] == weight[1 - axis] && scales[axis] == (weight[axis] + block - 1) / block;
  return blocked ? std::optional(Grouping{axis, block}) : std::nullopt;
}

/// Scales or zero points as [groups, N] of `element`.
Value grouped(OpBinder &b, StringRef suffix, Value part, Grouping grouping, ArrayRef<int64_t> expected, Type element) {
  return b.record(suffix, part, [&](OpBuilder &builder, ArrayRef<Value> in) {
    Body body{builder, b.loc};
    Value all = body.cast(in[0], element);
    if (typeOf(all).getRank() < 2)
      all = body.broadcast(body.reshape(all, {1, typeOf(all).getNumElements()}), expected);
    else if (grouping.axis == 1)
      all = body.transpose(all);
    return all;
  });
}

LogicalResult importDequantizeLinear(OpBinder &b) {
  Value codes = b.input(0), scales = b.input(1), zeros = b.optionalInput(2);
  if (b.failed())
    return failure();
  bool isByte = b.elementType(codes).getIntOrFloatBitWidth() == 8, isStatic = typeOf(codes).hasStaticShape() && typeOf(scales).hasStaticShape();
  auto isStored = [](Value value) { return !value || isa_and_nonnull<GetWeightOp, ConstantOp>(value.getDefiningOp()); };
  if (!isByte || b.rank(codes) != 2 || !isStatic || typeOf(codes).getNumElements() == 0 || !isStored(codes) || !isStored(scales) || !isStored(zeros))
    return importDequantizedValues(b);
  ArrayRef<int64_t> shape = typeOf(codes).getShape();
  std::optional<Grouping> grouping = groupingOf(b, shape, typeOf(scales).getShape());
  if (!grouping)
    return b.unsupported("scales that are neither one, nor of one axis, nor of blocks along one");
  auto known = zeros ? b.constantInts(zeros) : std::nullopt;
  if (known && llvm::all_of(*known, [](int64_t zero) { return zero == 0; }))
    zeros = Value();
  if (zeros && typeOf(zeros).getShape() != typeOf(scales).getShape())
    return b.error("zero points and scales differ in shape");
  bool transposed = grouping->axis == 1;
  int64_t k = shape[grouping->axis], n = shape[1 - grouping->axis];
  Type scale = scaleElement(b, b.elementType(scales));
  SmallVector<int64_t> expected = {(k + grouping->group - 1) / grouping->group, n};
  QuantType code = codeOf(b, codes, grouping->group);
  Value stored = b.record(".codes", codes, [&](OpBuilder &builder, ArrayRef<Value> in) {
    Body body{builder, b.loc};
    return body.cast(transposed ? body.transpose(in[0]) : in[0], code);
  });
  Value factors = grouped(b, ".scales", scales, *grouping, expected, scale);
  Value offsets = zeros ? grouped(b, ".zeros", zeros, *grouping, expected, scale) : Value();
  if (b.failed())
    return failure();
  Value weight = b.create<DequantizeOp>(b.elementType(scales), stored, factors, offsets, Value());
  return b.yield(transposed ? b.transpose(weight, {1, 0}) : weight);
}

constexpr OpClass C = OpClass::Concept;
const OpRow rows[] = {
    {"", "DequantizeLinear", 10, 28, C, importDequantizeLinear},
    {"com.microsoft", "DequantizeLinear", 1, 1, C, importDequantizeLinear},
    {"com.microsoft", "GatherBlockQuantized", 1, 1, C, importGatherBlockQuantized},
    {"com.microsoft", "MatMulNBits", 1, 1, C, importMatMulNBits},
};

} // namespace

ArrayRef<OpRow> permalloy::quantizedWeightRows() { return rows; }
