//===- QuantizationOps.cpp - codes: type, shape rules, verifiers -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ShapeRules.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace permalloy::tfm;

//===----------------------------------------------------------------------===//
// !tfm.q
//===----------------------------------------------------------------------===//

LogicalResult QuantType::verify(function_ref<InFlightDiagnostic()> emitError, bool, unsigned bits, int64_t group) {
  if (bits < 2 || bits > 8)
    return emitError() << "a code has 2 to 8 bits, not " << bits;
  if (group < 1)
    return emitError() << "a group has at least one step of K, not " << group;
  return success();
}

Type QuantType::parse(AsmParser &parser) {
  StringRef kind;
  SMLoc loc = parser.getCurrentLocation();
  int64_t group;
  if (parser.parseLess() || parser.parseKeyword(&kind) || parser.parseComma() || parser.parseKeyword("group") ||
      parser.parseInteger(group) || parser.parseGreater())
    return {};
  bool isSigned = kind.starts_with("s");
  unsigned bits;
  if ((!isSigned && !kind.starts_with("u")) || kind.drop_front().getAsInteger(10, bits)) {
    parser.emitError(loc, "expected s or u and a number of bits, such as u4, not '") << kind << "'";
    return {};
  }
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(), isSigned, bits, group);
}

void QuantType::print(AsmPrinter &printer) const {
  printer << '<' << (getIsSigned() ? 's' : 'u') << getBits() << ", group " << getGroup() << '>';
}

//===----------------------------------------------------------------------===//
// Shape rules
//===----------------------------------------------------------------------===//

/// Dimensions of the scales of codes [.., K, N].
static Dims scaleDims(QuantType code, Dims dims) {
  DimExprAttr &k = dims[dims.size() - 2];
  k = DimExprAttr::ceilDiv(k, cst(code.getContext(), code.getGroup()));
  return dims;
}

static bool agree(const Dims &a, const Dims &b) {
  return a.size() == b.size() && llvm::none_of(llvm::zip(a, b), [](auto pair) { return differ(std::get<0>(pair), std::get<1>(pair)); });
}

/// The result declares what the product is rounded to.
Type DequantizeOp::inferElementType() { return {}; }

LogicalResult DequantizeOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getCodes());
  if (dims.size() != 2 && dims.size() != 3)
    return fail(error, "codes must be a matrix or a stack of them, not " + str(dims) + " (dequantize_c1)");
  auto code = cast<QuantType>(getElementTypeOrSelf(getCodes().getType()));
  Dims expected = scaleDims(code, dims);
  for (Value part : {Value(getScales()), Value(getZeroPoints())})
    if (part && !agree(oracle.dims(part), expected))
      return fail(error, "scales and zero points must be " + str(expected) + ", not " + str(oracle.dims(part)) + " (dequantize_c1)");
  if (getCodebook() && !agree(oracle.dims(getCodebook()), {cst(getContext(), int64_t(1) << code.getBits())}))
    return fail(error, "the codebook of " + Twine(code.getBits()) + " bits must have " + Twine(int64_t(1) << code.getBits()) +
                           " elements, not " + str(oracle.dims(getCodebook())) + " (dequantize_c3)");
  return success();
}

LogicalResult UnpackBitsOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  int64_t bits = getBits();
  if (dims.empty() || (bits != 1 && bits != 2 && bits != 4 && bits != 8))
    return fail(error, "unpacks 1, 2, 4 or 8 bits along the last axis, not " + Twine(bits) + " of rank " + Twine(dims.size()) + " (unpack_bits_c1)");
  dims.back() = DimExprAttr::mul(dims.back(), cst(getContext(), 8 / bits));
  return success();
}

//===----------------------------------------------------------------------===//
// Verifiers
//===----------------------------------------------------------------------===//

static bool isScaleElement(Type element) { return element.isF16() || element.isF32(); }

LogicalResult DequantizeOp::verify() {
  Type scale = getElementTypeOrSelf(getScales().getType());
  if (!isScaleElement(scale))
    return emitOpError("takes scales of f16 or f32, not ") << scale << " (dequantize_c2)";
  if (getZeroPoints()) {
    Type zero = getElementTypeOrSelf(getZeroPoints().getType());
    if (zero != scale && !(isa<IntegerType>(zero) && zero.getIntOrFloatBitWidth() == 8))
      return emitOpError("takes zero points of ") << scale << ", i8 or ui8, not " << zero << " (dequantize_c2)";
  }
  auto code = cast<QuantType>(getElementTypeOrSelf(getCodes().getType()));
  if (getCodebook() && (code.getIsSigned() || getZeroPoints()))
    return emitOpError("takes a codebook for unsigned codes without zero points (dequantize_c3)");
  return verifyShape(*this);
}

LogicalResult UnpackBitsOp::verify() { return verifyShape(*this); }

LogicalResult QuantizeWeightOp::verify() {
  auto weight = cast<RankedTensorType>(getWeight().getType()), codes = cast<RankedTensorType>(getCodes().getType());
  bool isMatrix = weight.hasStaticShape() && (weight.getRank() == 2 || weight.getRank() == 3);
  if (!isMatrix || weight.getEncoding() || codes.getEncoding() || codes.getShape() != weight.getShape())
    return emitOpError("makes codes ") << codes << " of a weight " << weight << ", which must be a static matrix of one shape with them (quantize_weight_c1)";
  auto code = cast<QuantType>(codes.getElementType());
  int64_t k = weight.getShape().take_back(2)[0];
  SmallVector<int64_t> expected(weight.getShape());
  expected[expected.size() - 2] = code.groups(k);
  auto scales = cast<RankedTensorType>(getScales().getType());
  if (!isScaleElement(scales.getElementType()) || scales.getShape() != ArrayRef(expected) ||
      (getZeroPoints() && getZeroPoints().getType() != scales))
    return emitOpError("makes scales ") << scales << "; they must be f16 or f32 with " << expected[expected.size() - 2]
                                        << " groups, and zero points the same (quantize_weight_c2)";
  bool isUnsigned = getZeroPoints() || getCodebook();
  if (isUnsigned == code.getIsSigned() || (getZeroPoints() && getCodebook()))
    return emitOpError("makes codes ") << Type(code) << "; they are signed without zero points and codebook, unsigned with one of them (quantize_weight_c3)";
  auto fits = [](Value value, ArrayRef<int64_t> shape) {
    return !value || cast<RankedTensorType>(value.getType()).getShape() == shape;
  };
  if (!fits(getGram(), {k, k}) || !fits(getSecond(), {k}) || !fits(getCodebook(), {int64_t(1) << code.getBits()}))
    return emitOpError("takes a gram of ") << k << "x" << k << ", a second moment of " << k << " and a codebook of "
                                           << (int64_t(1) << code.getBits()) << " elements (quantize_weight_c4)";
  return success();
}
