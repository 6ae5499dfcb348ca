//===- FusedAttention.cpp - Attention operators of onnxruntime ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// com.microsoft Attention (input, merged weights) and MultiHeadAttention (query, key, value), as
// onnxruntime's optimizer writes encoders. A mask of 0 adds mask_filter_value, -10000 by default,
// to the scores; so a row with no key to see is an ordinary softmax.
//
//===----------------------------------------------------------------------===//

#include "OpTable.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Columns [begin, end) of the last dimension.
Value columns(OpBinder &b, Value x, int64_t begin, int64_t end) {
  if (b.failed())
    return {};
  auto axes = b.builder.getDenseI64ArrayAttr({b.rank(x) - 1});
  return b.create<SliceOp>(b.elementType(x), x, b.ints({begin}), b.ints({end}), Value(), axes,
                           ArrayAttr(), ArrayAttr(), DenseI64ArrayAttr());
}

/// Lengths [batch], or 0 and 1 of [batch, keys] or [batch, queries, keys], as a bool that
/// broadcasts to the scores; null when that fails.
Value attendedKeys(OpBinder &b, Value mask, Value query, Value key) {
  if (b.failed())
    return {};
  int64_t rank = b.rank(mask);
  if (rank == 1 && b.dim(mask, 0) == b.dim(query, 0)) {
    Value length = b.reshape(mask, {Extent(mask, 0), Extent(1), Extent(1), Extent(1)});
    return b.compare(CompareKind::Lt, b.cast(b.iota(Extent(key, 1)), b.elementType(mask)), length);
  }
  if (rank != 2 && rank != 3) {
    (void)b.unsupported("a mask of rank " + Twine(rank) +
                        " that is not one length for each sequence");
    return {};
  }
  Value attended = b.compare(CompareKind::Gt, mask, b.scalar(mask, 0));
  if (rank == 2)
    return b.reshape(attended, {Extent(mask, 0), Extent(1), Extent(1), Extent(mask, 1)});
  return b.reshape(attended, {Extent(mask, 0), Extent(1), Extent(mask, 1), Extent(mask, 2)});
}

struct Projections {
  Value query, key, value;
};

/// `mask` and `bias` may be null.
LogicalResult yieldAttention(OpBinder &b, const Projections &p, Value mask, Value bias) {
  if (b.failed())
    return failure();
  int64_t heads = b.intAttr("num_heads", 0);
  auto width = b.staticDim(p.query, 2);
  if (heads <= 0 || (width && *width % heads != 0))
    return b.error("num_heads " + Twine(heads) + " does not divide the hidden size");
  if (!width)
    return b.unsupported("with a dynamic hidden size");
  bool causal = b.intAttr("unidirectional", 0);
  if (causal && b.dim(p.query, 1) != b.dim(p.key, 1))
    return b.unsupported("unidirectional with other keys than queries");
  Value added = bias;
  if (mask) {
    Value attended = attendedKeys(b, mask, p.query, p.key);
    Value filter = b.scalar(p.query, b.floatAttr("mask_filter_value", -10000));
    Value filtered = b.select(attended, b.scalar(p.query, 0), filter);
    added = bias ? b.add(filtered, bias) : filtered;
  }
  double scale = b.floatAttr("scale", 0);
  if (scale == 0)
    scale = 1 / std::sqrt(double(*width / heads));
  auto count = b.builder.getI64IntegerAttr(heads);
  if (b.failed())
    return failure();
  return b.yield(b.create<AttentionOp>(b.elementType(p.query), p.query, p.key, p.value, added,
                                       count, count, b.builder.getF32FloatAttr(float(scale)),
                                       causal ? b.builder.getUnitAttr() : UnitAttr(),
                                       EmptyRowsAttr(), FloatAttr(), IntegerAttr(), IntegerAttr(),
                                       DimExprAttr()));
}

/// The first input, attribute or output in use that needs a cache or a layout that is not
/// supported.
LogicalResult refuse(OpBinder &b, ArrayRef<size_t> inputs, ArrayRef<const char *> attributes) {
  for (size_t i : inputs)
    if (b.hasInput(i))
      return b.unsupported("input " + Twine(i) + " (past or cache)");
  for (const char *attribute : attributes)
    if (b.intAttr(attribute, 0))
      return b.unsupported(Twine("attribute ") + attribute);
  for (size_t i = 1; i < b.node.outputs.size(); ++i)
    if (b.hasOutput(i))
      return b.unsupported("output " + Twine(i));
  return success();
}

LogicalResult importAttention(OpBinder &b) {
  if (failed(refuse(b, {4, 6}, {"do_rotary", "past_present_share_buffer"})))
    return failure();
  Value x = b.input(0), weights = b.input(1), bias = b.optionalInput(2);
  if (b.failed())
    return failure();
  if (b.rank(x) != 3 || b.rank(weights) != 2 || !b.staticDim(weights, 1))
    return b.error("takes an input of rank 3 and a static matrix of weights");
  int64_t third = *b.staticDim(weights, 1) / 3;
  Ints sizes = b.intsAttr("qkv_hidden_sizes").value_or(Ints{third, third, third});
  if (sizes.size() != 3 || sizes[0] + sizes[1] + sizes[2] != *b.staticDim(weights, 1))
    return b.error("qkv_hidden_sizes do not fit the weights");
  Value parts[3];
  for (int64_t i = 0, begin = 0; i < 3; begin += sizes[i++]) {
    parts[i] = b.matmul(x, columns(b, weights, begin, begin + sizes[i]));
    if (bias)
      parts[i] = b.add(parts[i], columns(b, bias, begin, begin + sizes[i]));
  }
  return yieldAttention(b, {parts[0], parts[1], parts[2]}, b.optionalInput(3), b.optionalInput(5));
}

LogicalResult importMultiHeadAttention(OpBinder &b) {
  if (failed(refuse(b, {6, 7, 8, 9}, {})))
    return failure();
  if (!b.hasInput(1) || !b.hasInput(2))
    return b.unsupported("packed projections");
  Projections p{b.input(0), b.input(1), b.input(2)};
  Value bias = b.optionalInput(3);
  if (b.failed())
    return failure();
  if (b.rank(p.query) != 3 || b.rank(p.key) != 3 || b.rank(p.value) != 3)
    return b.unsupported("projections that are not of rank 3");
  if (bias) {
    auto hidden = b.staticDim(p.query, 2), total = b.staticDim(bias, 0);
    if (!hidden || !total)
      return b.unsupported("with a dynamic hidden size");
    p.query = b.add(p.query, columns(b, bias, 0, *hidden));
    p.key = b.add(p.key, columns(b, bias, *hidden, 2 * *hidden));
    p.value = b.add(p.value, columns(b, bias, 2 * *hidden, *total));
  }
  return yieldAttention(b, p, b.optionalInput(4), b.optionalInput(5));
}

const OpRow rows[] = {
    {"com.microsoft", "Attention", 1, 1, OpClass::Decomposed, importAttention},
    {"com.microsoft", "MultiHeadAttention", 1, 1, OpClass::Decomposed, importMultiHeadAttention},
};

} // namespace

ArrayRef<OpRow> permalloy::fusedAttentionRows() { return rows; }
