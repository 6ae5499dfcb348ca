//===- ShapesOfTransformer.cpp - shape rules of the transformer concepts -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

LogicalResult MatmulOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims lhs = oracle.dims(getLhs()), rhs = oracle.dims(getRhs());
  if (lhs.empty() || rhs.empty() || (getTransposeA() && lhs.size() < 2) || (getTransposeB() && rhs.size() < 2))
    return fail(error, "ranks " + Twine(lhs.size()) + " and " + Twine(rhs.size()) + " are too low for a matrix product (matmul_c2)");
  bool vectorLhs = lhs.size() == 1, vectorRhs = rhs.size() == 1;
  if (vectorLhs)
    lhs.insert(lhs.begin(), cst(getContext(), 1));
  if (vectorRhs)
    rhs.push_back(cst(getContext(), 1));
  if (getTransposeA())
    std::swap(lhs[lhs.size() - 2], lhs.back());
  if (getTransposeB())
    std::swap(rhs[rhs.size() - 2], rhs.back());
  if (differ(lhs.back(), rhs[rhs.size() - 2]))
    return fail(error, "inner dimensions " + lhs.back().str() + " and " + rhs[rhs.size() - 2].str() + " differ (matmul_c3)");
  auto batch = broadcastDims(ArrayRef(lhs).drop_back(2), ArrayRef(rhs).drop_back(2));
  if (!batch)
    return fail(error, "batch dimensions of " + str(lhs) + " and " + str(rhs) + " do not broadcast (matmul_c3)");
  dims = *batch;
  if (!vectorLhs)
    dims.push_back(lhs[lhs.size() - 2]);
  if (!vectorRhs)
    dims.push_back(rhs.back());
  return success();
}

// What these give is rounded to whatever the result declares; the verifier says what it may be.
Type LinearOp::inferElementType() { return {}; }
Type RotaryOp::inferElementType() { return {}; }
Type AttentionOp::inferElementType() { return {}; }

LogicalResult LinearOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  Dims weight = oracle.dims(getWeight());
  if (weight.size() != 2 || dims.empty())
    return fail(error, "a linear layer takes an input of rank 1 or more and a weight of rank 2, not " + str(dims) + " and " + str(weight) + " (linear_c1)");
  if (differ(dims.back(), weight[0]))
    return fail(error, "the input has " + dims.back().str() + " features but the weight takes " + weight[0].str() + " (linear_c1)");
  if (getBias()) {
    Dims bias = oracle.dims(getBias());
    if (bias.size() != 1 || differ(bias[0], weight[1]))
      return fail(error, "the bias must be " + str({weight[1]}) + ", not " + str(bias) + " (linear_c2)");
  }
  dims.back() = weight[1];
  return success();
}

Type QuantizeOp::inferElementType() { return {}; }
int64_t QuantizeOp::lowest() { return getElementTypeOrSelf(getType()).isUnsignedInteger() ? 0 : getSymmetric() ? -127 : -128; }
int64_t QuantizeOp::highest() { return getElementTypeOrSelf(getType()).isUnsignedInteger() ? 255 : 127; }

LogicalResult QuantizeOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  for (Value operand : {getScale(), getZeroPoint()})
    if (Dims other = operand ? oracle.dims(operand) : Dims(); !broadcastsTo(other, dims))
      return fail(error, "scale or zero point " + str(other) + " does not broadcast to the input " + str(dims) + " (quantize_c1)");
  return success();
}

LogicalResult LayerNormOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(dims.size()))
    return fail(error, "axis " + Twine(axis) + " is outside of rank " + Twine(dims.size()) + " (layer_norm_c1)");
  ArrayRef<DimExprAttr> normalised = ArrayRef(dims).drop_front(axis);
  for (Value operand : {getScale(), getBias()}) {
    if (!operand)
      continue;
    Dims other = oracle.dims(operand);
    if (!broadcastsTo(other, normalised))
      return fail(error, "scale or bias " + str(other) + " does not broadcast to the normalised dimensions " + str(normalised) + " (layer_norm_c2)");
  }
  return success();
}

LogicalResult RmsNormOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(dims.size()))
    return fail(error, "axis " + Twine(axis) + " is outside of rank " + Twine(dims.size()) + " (rms_norm_c1)");
  ArrayRef<DimExprAttr> normalised = ArrayRef(dims).drop_front(axis);
  Dims scale = oracle.dims(getScale());
  if (!broadcastsTo(scale, normalised))
    return fail(error, "scale " + str(scale) + " does not broadcast to the normalised dimensions " + str(normalised) + " (rms_norm_c2)");
  return success();
}

LogicalResult RotaryOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  Dims cos = oracle.dims(getCos()), sin = oracle.dims(getSin());
  bool packed = dims.size() == 3;
  if ((dims.size() != 4 && !packed) || packed != getNumHeads().has_value())
    return fail(error, "the input must have rank 4, or rank 3 and num_heads, not " + str(dims) + " (rotary_c1)");
  DimExprAttr size = dims.back();
  if (packed) {
    int64_t heads = *getNumHeads();
    auto width = size ? size.asConstant() : std::nullopt;
    if (heads <= 0 || (width && *width % heads != 0))
      return fail(error, "num_heads " + Twine(heads) + " does not divide the width of " + str(dims) + " (rotary_c1)");
    size = DimExprAttr::floorDiv(size, cst(getContext(), heads));
  }
  if (cos.size() != 3 || sin.size() != 3 || llvm::any_of(llvm::zip(cos, sin), [](auto p) { return differ(std::get<0>(p), std::get<1>(p)); }))
    return fail(error, "cos and sin must have rank 3 and one shape, not " + str(cos) + " and " + str(sin) + " (rotary_c2)");
  bool oneBatch = cos[0] && cos[0].isConstant(1);
  auto half = cos[2] ? cos[2].asConstant() : std::nullopt, known = size ? size.asConstant() : std::nullopt;
  if ((!oneBatch && differ(cos[0], dims[0])) || differ(cos[1], dims[packed ? 1 : 2]) || (half && known && 2 * *half > *known))
    return fail(error, "tables " + str(cos) + " do not fit the input " + str(dims) + " (rotary_c3)");
  return success();
}

LogicalResult SoftmaxOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(dims.size()))
    return fail(error, "axis " + Twine(axis) + " is outside of rank " + Twine(dims.size()) + " (softmax_c1)");
  return success();
}

/// [batch, heads, sequence, size] of a packed tensor, or of one that has this layout already.
static std::optional<Dims> headDims(MLIRContext *context, const Dims &dims, int64_t heads) {
  if (dims.size() == 4)
    return dims;
  DimExprAttr count = cst(context, heads), size = DimExprAttr::floorDiv(dims[2], count);
  if (differ(DimExprAttr::mul(size, count), dims[2]))
    return std::nullopt;
  return Dims{dims[0], count, dims[1], size};
}

static LogicalResult checkOffsets(AttentionOp op, ShapeOracle &oracle, DimExprAttr queries, DimExprAttr keys, DimExprAttr batch,
                                  std::string &error) {
  if (!op.getOffsets())
    return op.getLongest() ? fail(error, "longest stands without offsets (attention_c8)") : success();
  if (!op.getLongest() || op.getMask() || op.getKvLength())
    return fail(error, "offsets come with longest, and with neither mask nor kv_length (attention_c8)");
  if (differ(batch, cst(op.getContext(), 1)) || differ(queries, keys))
    return fail(error, "offsets take a batch of 1 and as many queries as keys, not a batch of " + str({batch}) + " with " + str({queries}) +
                           " queries and " + str({keys}) + " keys (attention_c8)");
  return success();
}

LogicalResult AttentionOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims q = oracle.dims(getQuery()), k = oracle.dims(getKey()), v = oracle.dims(getValue());
  if ((q.size() != 3 && q.size() != 4) || (k.size() != 3 && k.size() != 4) || v.size() != k.size())
    return fail(error, "the query must have rank 3 or 4, and key and value both rank 3 or both rank 4, not " + str(q) + ", " + str(k) + ", " + str(v) + " (attention_c1)");
  int64_t heads = getNumHeads(), kvHeads = getNumKvHeads();
  if (heads <= 0 || kvHeads <= 0 || heads % kvHeads != 0)
    return fail(error, "num_heads " + Twine(heads) + " must be a positive multiple of num_kv_heads " + Twine(kvHeads) + " (attention_c2)");
  if (getKvLength() && k.size() != 4)
    return fail(error, "kv_length takes a key and a value of rank 4, not " + str(k) + " (attention_c7)");
  auto qh = headDims(getContext(), q, heads), kh = headDims(getContext(), k, kvHeads), vh = headDims(getContext(), v, kvHeads);
  DimExprAttr h = cst(getContext(), heads), g = cst(getContext(), kvHeads);
  if (!qh || !kh || !vh || differ((*qh)[1], h) || differ((*kh)[1], g) || differ((*vh)[1], g) || differ((*qh)[3], (*kh)[3]))
    return fail(error, "head counts or sizes of " + str(q) + ", " + str(k) + ", " + str(v) + " do not fit " + Twine(heads) + " heads over " + Twine(kvHeads) + " (attention_c3)");
  if (differ(q[0], k[0]) || differ(k[0], v[0]) || differ((*kh)[2], (*vh)[2]))
    return fail(error, "batch or key counts of " + str(q) + ", " + str(k) + ", " + str(v) + " differ (attention_c3)");
  if (LogicalResult fits = checkOffsets(*this, oracle, (*qh)[2], (*kh)[2], q[0], error); failed(fits))
    return fits;
  dims = q;
  dims.back() = q.size() == 4 ? (*vh)[3] : DimExprAttr::mul((*vh)[3], h);
  if (getMask()) {
    Dims mask = oracle.dims(getMask());
    Dims scores = {q[0], h, (*qh)[2], keys(k)};
    if (mask.size() != 4 || !broadcastsTo(mask, scores))
      return fail(error, "mask " + str(mask) + " does not broadcast to the scores " + str(scores) + " (attention_c4)");
  }
  return success();
}

void AttentionOp::build(OpBuilder &builder, OperationState &state, Type type, Value query, Value key, Value value, Value mask,
                        int64_t heads, int64_t kvHeads, float scale, bool causal, EmptyRows emptyRows) {
  build(builder, state, type, query, key, value, mask, Value(), heads, kvHeads, APFloat(scale), causal, emptyRows, FloatAttr(),
        IntegerAttr(), IntegerAttr(), DimExprAttr(), DimExprAttr());
}

AttentionOp AttentionOp::cloneWith(OpBuilder &builder, Type type, Value query, Value key, Value value, Value mask) {
  auto clone = cast<AttentionOp>(builder.clone(**this));
  clone.getQueryMutable().assign(query);
  clone.getKeyMutable().assign(key);
  clone.getValueMutable().assign(value);
  mask ? clone.getMaskMutable().assign(mask) : clone.getMaskMutable().clear();
  clone.getResult().setType(cast<RankedTensorType>(type));
  return clone;
}

LogicalResult KvAppendOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getCache());
  Dims rows = oracle.dims(getRows());
  if (dims.size() != 4 || rows.size() != 4 || differ(dims[0], rows[0]) || differ(dims[1], rows[1]) || differ(dims[3], rows[3]))
    return fail(error, "cache and rows must have rank 4 and agree in all dimensions but the third, not " + str(dims) + " and " + str(rows) + " (kv_append_c1)");
  auto at = getAt().asConstant(), count = rows[2] ? rows[2].asConstant() : std::nullopt, capacity = dims[2] ? dims[2].asConstant() : std::nullopt;
  if (at && (*at < 0 || (count && capacity && *at + *count > *capacity)))
    return fail(error, "rows " + str(rows) + " at " + Twine(*at) + " do not fit the cache " + str(dims) + " (kv_append_c3)");
  return success();
}

LogicalResult PrefixCountOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &) {
  dims = {DimExprAttr::add(DimExprAttr::product(getContext(), oracle.dims(getInput())),
                           cst(getContext(), 1))};
  return success();
}
Type PrefixCountOp::inferElementType() { return IntegerType::get(getContext(), 64); }

LogicalResult PackOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &) {
  dims = oracle.dims(getInput());
  return success();
}
