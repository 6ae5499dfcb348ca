//===- TfmVerifiers.cpp - verifiers of the operations ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The shape rule of an operation carries most constraints; what is left stands here, under the labels of TfmOps.td.
//
//===----------------------------------------------------------------------===//

#include "ShapeRules.h"
#include "Tfm/PrecisionAttr.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace permalloy::tfm;

/// Declared result type against the shape rule.
LogicalResult permalloy::tfm::verifyShape(Operation *op) {
  auto shaped = cast<ShapeOpInterface>(op);
  TypeOracle oracle;
  Dims inferred;
  std::string error;
  if (failed(shaped.inferDims(oracle, inferred, error)))
    return op->emitOpError(error);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  Dims declared = dimsOfType(type);
  bool fits = declared.size() == inferred.size();
  for (size_t i = 0; fits && i < declared.size(); ++i)
    fits = !(declared[i] && inferred[i] && inferred[i].asConstant() && declared[i] != inferred[i]);
  if (!fits)
    return op->emitOpError("declares result ") << str(declared) << " but its operands give " << str(inferred);
  if (Type element = shaped.inferElementType(); element && element != type.getElementType())
    return op->emitOpError("declares elements ") << type.getElementType() << " but its operands give " << element;
  return success();
}

static Type elementType(Value value) { return getElementTypeOrSelf(value.getType()); }

/// Computed in f32, whatever stands in memory.
static bool isComputedInF32(Type element) { return element.isF16() || element.isBF16() || element.isF32(); }

/// What is computed from elements `operand` may meet, and be rounded to, elements `other`.
static bool meets(Type operand, Type other) {
  return operand == other || (isComputedInF32(operand) && isComputedInF32(other));
}

/// Operands that are `equal` to `first` in their element type, and others that only meet it; null ones are absent.
static LogicalResult verifyElements(Operation *op, Value first, ArrayRef<Value> equal, ArrayRef<Value> meeting, StringRef label) {
  Type element = elementType(first);
  for (Value value : equal)
    if (value && elementType(value) != element)
      return op->emitOpError("mixes element types ") << element << " and " << elementType(value) << " (" << label << ")";
  for (Value value : meeting)
    if (value && !meets(element, elementType(value)))
      return op->emitOpError("mixes element types ") << element << " and " << elementType(value) << " (" << label << ")";
  return success();
}

LogicalResult ConstantOp::verify() { return verifyShape(*this); }
LogicalResult ShapeOfOp::verify() { return verifyShape(*this); }
LogicalResult TransposeOp::verify() { return verifyShape(*this); }
LogicalResult GatherOp::verify() { return verifyShape(*this); }
LogicalResult GatherNDOp::verify() { return verifyShape(*this); }
LogicalResult LayerNormOp::verify() { return verifyShape(*this); }
LogicalResult SoftmaxOp::verify() { return verifyShape(*this); }
LogicalResult NonZeroOp::verify() { return verifyShape(*this); }
LogicalResult MoeWeightsOp::verify() { return verifyShape(*this); }
LogicalResult GroupByOp::verify() { return verifyShape(*this); }
LogicalResult PrefixCountOp::verify() { return verifyShape(*this); }
LogicalResult TokenScoreOp::verify() { return verifyShape(*this); }
LogicalResult TokenMergeOp::verify() { return verifyShape(*this); }
LogicalResult TokenUnmergeOp::verify() { return verifyShape(*this); }
LogicalResult PruneWeightOp::verify() { return verifyShape(*this); }
LogicalResult BlockRowsOp::verify() { return verifyShape(*this); }
LogicalResult CompactBlocksOp::verify() { return verifyShape(*this); }
LogicalResult ExpandBlocksOp::verify() { return verifyShape(*this); }
LogicalResult QuadStepsOp::verify() { return verifyShape(*this); }
LogicalResult CompactQuadsOp::verify() { return verifyShape(*this); }
LogicalResult ExpandQuadsOp::verify() { return verifyShape(*this); }

LogicalResult CastOp::verify() {
  Type from = elementType(getInput()), to = elementType(getResult());
  if ((isa<QuantType>(from) && !isa<IntegerType>(to)) || (isa<QuantType>(to) && !isa<IntegerType>(from)))
    return emitOpError("makes elements ") << to << " of " << from << "; codes become integers, and integers codes (cast_c1)";
  return verifyShape(*this);
}

LogicalResult WeightOp::verify() {
  if (getSource().has_value() == !getBody().empty())
    return emitOpError("needs either a source or a body, not both or none (weight_c1)");
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape())
    return emitOpError("must have a static type, not ") << type << " (weight_c2)";
  if (getBody().empty()) {
    if (!isa<FileAttr, SeededAttr>(*getSource()))
      return emitOpError("source must be #tfm.file or #tfm.seeded, not ") << *getSource() << " (weight_c4)";
    if (isa<SeededAttr>(*getSource()) && !isa<FloatType>(type.getElementType()))
      return emitOpError("a seeded weight must have floating-point elements, not ") << type.getElementType() << " (weight_c4)";
    return success();
  }
  auto yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!yield || yield.getValue().getType() != type)
    return emitOpError("body must yield one value of type ") << type << " (weight_c3)";
  return success();
}

LogicalResult GetWeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight = symbols.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError("refers to ") << getWeightAttr() << ", which is no tfm.weight (get_weight_c1)";
  if (weight.getType() != getType()) {
    InFlightDiagnostic diagnostic = emitOpError("has type ") << getType() << " but the weight is " << weight.getType() << " (get_weight_c1)";
    diagnostic.attachNote(weight.getLoc()) << "weight declared here";
    return diagnostic;
  }
  return success();
}

LogicalResult DimValuesOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!type.getElementType().isInteger() || type.getRank() > 1 || !type.hasStaticShape() ||
      type.getNumElements() != int64_t(getValues().size()))
    return emitOpError("of ") << getValues().size() << " values cannot have type " << type << " (dim_values_c1)";
  return success();
}

LogicalResult RangeOp::verify() {
  bool resolved = getSize().has_value() && getFrom().has_value();
  if (getBounds().size() != (resolved ? 0u : 3u))
    return emitOpError("takes start, limit and delta, or from and size (range_c1)");
  if (resolved && !isa<IntegerType>(elementType(getResult())))
    return emitOpError("with from and size must have integer elements, not ") << elementType(getResult()) << " (range_c1)";
  for (Value bound : getBounds())
    if (cast<RankedTensorType>(bound.getType()).getRank() != 0 || elementType(bound) != elementType(getResult()))
      return emitOpError("takes scalars of type ") << elementType(getResult()) << ", not " << bound.getType() << " (range_c1)";
  return verifyShape(*this);
}

LogicalResult ReshapeOp::verify() {
  if (bool(getShape()) == getDims().has_value())
    return emitOpError("needs either a shape operand or dims (reshape_c1)");
  auto from = cast<RankedTensorType>(getInput().getType()), to = cast<RankedTensorType>(getType());
  if (from.hasStaticShape() && to.hasStaticShape() && from.getNumElements() != to.getNumElements())
    return emitOpError("from ") << from << " to " << to << " changes the number of elements (reshape_c2)";
  return verifyShape(*this);
}

LogicalResult BroadcastOp::verify() {
  if (bool(getShape()) == getDims().has_value())
    return emitOpError("needs either a shape operand or dims (broadcast_c1)");
  return verifyShape(*this);
}

LogicalResult SliceOp::verify() {
  int64_t rank = cast<RankedTensorType>(getInput().getType()).getRank();
  if (getSizes()) {
    bool complete = getOffsets() && getStrides() && int64_t(getOffsets()->size()) == rank &&
                    int64_t(getSizes()->size()) == rank && int64_t(getStrides()->size()) == rank;
    if (!complete || getStarts() || getAxes())
      return emitOpError("needs offsets, sizes and strides of length ") << rank << " and no operands (slice_c1)";
    if (llvm::is_contained(*getStrides(), 0))
      return emitOpError("has a stride of 0 (slice_c2)");
  } else if (!getStarts() || !getEnds() || !getAxes()) {
    return emitOpError("needs starts, ends and axes, or offsets, sizes and strides (slice_c1)");
  }
  return verifyShape(*this);
}

LogicalResult ConcatOp::verify() {
  for (Value input : getInputs())
    if (elementType(input) != elementType(getResult()))
      return emitOpError("joins elements ") << elementType(input) << " into " << elementType(getResult()) << " (concat_c3)";
  return verifyShape(*this);
}

LogicalResult TopKOp::verify() {
  if (bool(getCount()) == getK().has_value())
    return emitOpError("needs either a count operand or k (top_k_c2)");
  if (elementType(getInput()).isInteger(1))
    return emitOpError("does not order elements ") << elementType(getInput()) << " (top_k_c4)";
  return verifyShape(*this);
}

LogicalResult ScatterOp::verify() {
  Type element = elementType(getData());
  bool isBool = element.isInteger(1) && getReduction() != ScatterReduction::None;
  if (element != elementType(getUpdates()) || isBool)
    return emitOpError() << stringifyScatterReduction(getReduction()) << " does not take elements " << element << " and "
                         << elementType(getUpdates()) << " (scatter_c1)";
  return verifyShape(*this);
}

LogicalResult UnaryOp::verify() {
  Type element = elementType(getInput());
  bool ok = isa<FloatType>(element);
  if (getKind() == UnaryKind::Not)
    ok = element.isInteger(1);
  else if (llvm::is_contained({UnaryKind::Neg, UnaryKind::Abs, UnaryKind::Sign, UnaryKind::Relu}, getKind()))
    ok = !element.isInteger(1);
  if (!ok)
    return emitOpError() << stringifyUnaryKind(getKind()) << " does not take elements " << element << " (unary_c1)";
  return verifyShape(*this);
}

LogicalResult BinaryOp::verify() {
  Type element = elementType(getLhs());
  bool logical = llvm::is_contained({BinaryKind::And, BinaryKind::Or, BinaryKind::Xor}, getKind());
  if (element != elementType(getRhs()) || logical != element.isInteger(1))
    return emitOpError() << stringifyBinaryKind(getKind()) << " does not take elements " << element << " and "
                         << elementType(getRhs()) << " (binary_c1)";
  return verifyShape(*this);
}

LogicalResult CompareOp::verify() {
  if (elementType(getLhs()) != elementType(getRhs()))
    return emitOpError("compares elements ") << elementType(getLhs()) << " and " << elementType(getRhs()) << " (compare_c1)";
  return verifyShape(*this);
}

LogicalResult SelectOp::verify() {
  if (elementType(getOnTrue()) != elementType(getOnFalse()))
    return emitOpError("chooses between elements ") << elementType(getOnTrue()) << " and " << elementType(getOnFalse()) << " (select_c1)";
  return verifyShape(*this);
}

LogicalResult ReduceOp::verify() {
  bool logical = getKind() == ReduceKind::All || getKind() == ReduceKind::Any;
  if (logical != elementType(getInput()).isInteger(1))
    return emitOpError() << stringifyReduceKind(getKind()) << " does not take elements " << elementType(getInput()) << " (reduce_c2)";
  if (getKind() == ReduceKind::AbsMax && !isa<FloatType>(elementType(getInput())))
    return emitOpError("absmax does not take elements ") << elementType(getInput()) << " (reduce_c2)";
  return verifyShape(*this);
}

LogicalResult MatmulOp::verify() {
  if (elementType(getLhs()) != elementType(getRhs()) || elementType(getLhs()).isInteger(1))
    return emitOpError("multiplies elements ") << elementType(getLhs()) << " and " << elementType(getRhs()) << " (matmul_c1)";
  return verifyShape(*this);
}

/// What PrecisionAttr.h names; others would be taken for f32 in silence.
static LogicalResult verifyPrecision(Operation *op) {
  static constexpr StringLiteral kPrecisions[] = {"f32", "bf16", permalloy::kSplitPrecision, permalloy::kTf32Precision};
  Attribute attribute = op->getAttr(permalloy::kPrecisionAttr);
  auto precision = dyn_cast_or_null<StringAttr>(attribute);
  if (!attribute || (precision && llvm::is_contained(kPrecisions, precision.getValue())))
    return success();
  return op->emitOpError("has ") << permalloy::kPrecisionAttr << " " << attribute << "; there are \"" << llvm::join(ArrayRef(kPrecisions), "\", \"") << "\"";
}

LogicalResult LinearOp::verify() {
  if (failed(verifyPrecision(*this)))
    return failure();
  if (isIntegral()) {
    Type input = elementType(getInput()), weight = elementType(getWeight());
    if (!input.isInteger(8) || !weight.isInteger(8) || !elementType(getResult()).isInteger(32))
      return emitOpError("multiplies elements ") << input << " and " << weight << " into " << elementType(getResult())
                                                 << "; 8-bit integers give i32 (linear_c4)";
    if (getBias() || getActivation() != Activation::None)
      return emitOpError("of integers has neither bias nor activation (linear_c4)");
    return verifyShape(*this);
  }
  if (failed(verifyElements(*this, getInput(), {getWeight()}, {getBias(), getResult()}, "linear_c3")))
    return failure();
  return verifyShape(*this);
}

LogicalResult QuantizeOp::verify() {
  Type input = elementType(getInput()), code = elementType(getResult());
  if (!isComputedInF32(input) || (getScale() && !isComputedInF32(elementType(getScale()))))
    return emitOpError("takes input and scale of f16, bf16 or f32, not ")
           << input << " and " << (getScale() ? elementType(getScale()) : input) << " (quantize_c3)";
  if (getZeroPoint() && elementType(getZeroPoint()) != code)
    return emitOpError("gives ") << code << " with a zero point of " << elementType(getZeroPoint()) << " (quantize_c2)";
  if (getSymmetric() && (getZeroPoint() || code.isUnsignedInteger()))
    return emitOpError("symmetric goes with i8 and without a zero point (quantize_c2)");
  return verifyShape(*this);
}

LogicalResult RmsNormOp::verify() {
  if (elementType(getInput()) != elementType(getScale()))
    return emitOpError("mixes element types ") << elementType(getInput()) << " and " << elementType(getScale()) << " (rms_norm_c3)";
  return verifyShape(*this);
}

LogicalResult RotaryOp::verify() {
  if (failed(verifyElements(*this, getInput(), {}, {getCos(), getSin(), getResult()}, "rotary_c4")))
    return failure();
  return verifyShape(*this);
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyPrecision(*this)))
    return failure();
  Type element = elementType(getQuery());
  if (failed(verifyElements(*this, getQuery(), {getKey(), getValue()}, {getResult()}, "attention_c5")))
    return failure();
  if (getMask() && !meets(element, elementType(getMask())) && !elementType(getMask()).isInteger(1))
    return emitOpError("takes a mask of bool or ") << element << ", not " << elementType(getMask()) << " (attention_c4)";
  if (getSoftcap() && !(*getSoftcap() > APFloat(0.0f)))
    return emitOpError("softcap must be positive, not ") << getSoftcapAttr() << " (attention_c6)";
  for (IntegerAttr window : {getWindowLeftAttr(), getWindowRightAttr()})
    if (window && window.getInt() < 0)
      return emitOpError("a window must not be negative, but is ") << window.getInt() << " (attention_c6)";
  return verifyShape(*this);
}

LogicalResult MoeOp::verify() {
  if (failed(verifyElements(*this, getInput(), {getUp(), getDown()}, {getLogits(), getUpBias(), getDownBias(), getResult()}, "moe_c4")))
    return failure();
  return verifyShape(*this);
}

LogicalResult GroupedLinearOp::verify() {
  if (failed(verifyElements(*this, getInput(), {getWeight()}, {getBias(), getResult()}, "grouped_linear_c4")))
    return failure();
  if (int64_t(getRepeat()) < 1)
    return emitOpError("repeats each row ") << int64_t(getRepeat()) << " times (grouped_linear_c4)";
  return verifyShape(*this);
}

LogicalResult KvAppendOp::verify() {
  if (elementType(getCache()) != elementType(getRows()))
    return emitOpError("puts elements ") << elementType(getRows()) << " into a cache of " << elementType(getCache()) << " (kv_append_c2)";
  return verifyShape(*this);
}

LogicalResult PackOp::verify() {
  auto from = cast<RankedTensorType>(getInput().getType()), to = cast<RankedTensorType>(getType());
  if ((from.getRank() != 2 && from.getRank() != 3) || !from.hasStaticShape())
    return emitOpError("takes a static matrix or stack of them, not ") << from << " (pack_c1)";
  if (from.getEncoding() || !isa_and_nonnull<PanelsAttr>(to.getEncoding()) || from.getShape() != to.getShape())
    return emitOpError("must turn a plain matrix into the same matrix with #tfm.panels, not ") << from << " into " << to << " (pack_c2)";
  return success();
}
