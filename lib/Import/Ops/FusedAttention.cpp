//===- FusedAttention.cpp - Attention operators of onnxruntime ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// com.microsoft Attention (input, merged weights) and MultiHeadAttention (query, key, value), as
// onnxruntime's optimizer writes them; the meaning is that of its CPU kernels. A mask of 0 adds
// mask_filter_value, -10000 by default, to the scores; so a row with no key to see is an ordinary
// softmax.
//
//===----------------------------------------------------------------------===//

#include "AttentionParts.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Elements `i` of axis `axis`, which goes away.
Value element(OpBinder &b, Value x, int64_t i, int64_t axis) {
  return b.gather(x, b.scalar(b.builder.getI64Type(), double(i)), axis);
}

/// Lengths [batch], ends and starts [2 * batch], or 0 and 1 of [batch, keys] or [batch, queries,
/// keys], as a bool that broadcasts to the scores; null when that fails.
Value attendedKeys(OpBinder &b, Value mask, const AttentionParts &p) {
  if (b.failed())
    return {};
  int64_t rank = b.rank(mask);
  Extent batch(p.query, 0);
  if (rank == 2 || rank == 3) {
    Value attended = b.compare(CompareKind::Gt, mask, b.scalar(mask, 0));
    Extent queries = rank == 2 ? Extent(1) : Extent(mask, 1);
    return b.reshape(attended, {Extent(mask, 0), Extent(1), queries, Extent(mask, rank - 1)});
  }
  DimExprAttr sequences = b.dim(p.query, 0), count = rank == 1 ? b.dim(mask, 0) : DimExprAttr();
  bool both = count && count == DimExprAttr::add(sequences, sequences);
  if (!count || (!both && count != sequences)) {
    (void)b.unsupported(
        "a mask of rank " + Twine(rank) +
        "; accepted are [batch], [2 * batch], [batch, keys], [batch, queries, keys]");
    return {};
  }
  Value position = b.cast(b.iota(Extent(p.key, p.keyAxis())), b.elementType(mask));
  SmallVector<Extent> column = {batch, Extent(1), Extent(1), Extent(1)};
  if (!both)
    return b.compare(CompareKind::Lt, position, b.reshape(mask, column));
  Value limits = b.reshape(mask, {Extent(2), batch});
  Value end = b.reshape(element(b, limits, 0, 0), column),
        start = b.reshape(element(b, limits, 1, 0), column);
  return b.binary(BinaryKind::And, b.compare(CompareKind::Lt, position, end),
                  b.compare(CompareKind::Ge, position, start));
}

/// Scale, causality, mask and bias; `past` (or null) tells where the queries stand.
LogicalResult finish(OpBinder &b, AttentionParts &p, Value mask, Value bias, Value past,
                     size_t scoresOutput) {
  if (b.failed())
    return failure();
  auto width = b.staticDim(p.query, 2);
  if (p.queryHeads <= 0 || (width && *width % p.queryHeads != 0))
    return b.error("num_heads " + Twine(p.queryHeads) + " does not divide the hidden size");
  if (!width)
    return b.unsupported("with a dynamic hidden size");
  p.scale = b.floatAttr("scale", 0);
  if (p.scale == 0)
    p.scale = 1 / std::sqrt(double(*width / p.queryHeads));
  if (mask) {
    Value filter = b.scalar(p.query, b.floatAttr("mask_filter_value", -10000));
    mask = b.select(attendedKeys(b, mask, p), b.scalar(p.query, 0), filter);
  }
  p.mask = mask && bias ? b.add(mask, bias) : mask ? mask : bias;
  p.causal = b.intAttr("unidirectional", 0);
  Extent queries(p.query, p.queryAxis()), keys(p.key, p.keyAxis());
  if (b.failed())
    return failure();
  DimExprAttr offset = past ? b.dim(past, 2) : DimExprAttr::constant(b.builder.getContext(), 0);
  if (p.causal && DimExprAttr::sub(b.dim(p.key, p.keyAxis()), b.dim(p.query, 1)) != offset) {
    Value start = past ? b.shapeTensor(Extent(past, 2)) : Value();
    Value distance = queryMinusKey(b, queries, start, keys);
    restrictMask(b, p.mask, b.compare(CompareKind::Ge, distance, b.scalar(distance, 0)));
    p.mask = maskOfRank4(b, p.mask);
    p.causal = false;
  }
  if (b.hasOutput(scoresOutput)) { // onnxruntime hides later keys by the lowest number, not by -inf
    Value scores = makeScores(b, p, ScoreStage::Masked);
    Value lowest = b.scalar(scores, -double(std::numeric_limits<float>::max()));
    if (failed(b.yield(scoresOutput, b.binary(BinaryKind::Max, scores, lowest))))
      return failure();
  }
  return b.yield(makeAttention(b, p));
}

/// Packed keys or values become rows of a cache: behind the past, where there is one.
Value present(OpBinder &b, Value past, Value fresh, int64_t heads) {
  return past ? appendToPast(b, past, fresh, heads) : splitHeads(b, fresh, heads);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

/// The projections of the input by each third of the weights.
LogicalResult project(OpBinder &b, AttentionParts &p) {
  Value x = b.input(0), weights = b.input(1), bias = b.optionalInput(2);
  if (b.failed())
    return failure();
  if (b.rank(x) != 3 || b.rank(weights) != 2 || !b.staticDim(weights, 1))
    return b.error("takes an input of rank 3 and a static matrix of weights");
  int64_t width = *b.staticDim(weights, 1);
  Ints sizes = b.intsAttr("qkv_hidden_sizes").value_or(Ints(3, width / 3));
  if (sizes.size() != 3 || sizes[0] + sizes[1] + sizes[2] != width)
    return b.error("qkv_hidden_sizes do not fit " + Twine(width) + " columns of weights");
  Value *projections[] = {&p.query, &p.key, &p.value};
  for (int64_t i = 0, begin = 0; i < 3; begin += sizes[i++]) {
    Value part = b.matmul(x, lastColumns(b, weights, begin, begin + sizes[i]));
    *projections[i] = bias ? b.add(part, lastColumns(b, bias, begin, begin + sizes[i])) : part;
  }
  return success(!b.failed());
}

LogicalResult importAttention(OpBinder &b) {
  if (b.hasInput(6) || b.intAttr("past_present_share_buffer", 0))
    return b.unsupported("past_sequence_length and past_present_share_buffer, a cache with rows to "
                         "spare; accepted is a past of exactly its length");
  if (b.intAttr("do_rotary", 0))
    return b.unsupported("do_rotary, which onnxruntime's CPU kernel refuses, too; accepted is 0");
  AttentionParts p;
  p.queryHeads = p.keyHeads = b.intAttr("num_heads", 0);
  if (failed(project(b, p)))
    return failure();
  Value past = b.optionalInput(4), pastKey, pastValue;
  if (past && !b.failed()) {
    if (b.rank(past) != 5)
      return b.error("past must have rank 5, [2, batch, heads, past, size]");
    pastKey = element(b, past, 0, 0);
    pastValue = element(b, past, 1, 0);
  }
  if (past || b.hasOutput(1)) {
    p.key = present(b, pastKey, p.key, p.keyHeads);
    p.value = present(b, pastValue, p.value, p.keyHeads);
  }
  if (b.failed())
    return failure();
  if (b.hasOutput(1)) {
    if (b.staticDim(p.key, 3) != b.staticDim(p.value, 3))
      return b.unsupported("a present of keys and values of different sizes");
    auto stacked = [&](Value x) {
      return b.reshape(x, {Extent(1), Extent(x, 0), Extent(x, 1), Extent(x, 2), Extent(x, 3)});
    };
    SmallVector<Value> both = {stacked(p.key), stacked(p.value)};
    if (failed(b.yield(1, b.concat(both, 0))))
      return failure();
  }
  return finish(b, p, b.optionalInput(3), b.optionalInput(5), pastKey, /*scoresOutput=*/2);
}

//===----------------------------------------------------------------------===//
// MultiHeadAttention
//===----------------------------------------------------------------------===//

/// Splits [batch, sequence, heads, parts, size], several projections in one tensor.
LogicalResult unpack(OpBinder &b, Value packed, ArrayRef<Value *> parts) {
  if (b.failed())
    return failure();
  if (b.rank(packed) != 5 || b.staticDim(packed, 3).value_or(0) != int64_t(parts.size()))
    return b.error("packed projections must be [batch, sequence, heads, " + Twine(parts.size()) +
                   ", size]");
  for (auto [i, part] : llvm::enumerate(parts)) {
    Value x = element(b, packed, int64_t(i), 3);
    *part = b.failed() ? Value() : b.reshape(x, {Extent(x, 0), Extent(x, 1), Extent(x, 2, 4)});
  }
  return success(!b.failed());
}

LogicalResult readProjections(OpBinder &b, AttentionParts &p) {
  p.query = b.input(0);
  if (!b.hasInput(1))
    return unpack(b, p.query, {&p.query, &p.key, &p.value});
  p.key = b.input(1);
  if (!b.hasInput(2))
    return unpack(b, p.key, {&p.key, &p.value});
  p.value = b.input(2);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(p.key);
  if (b.rank(p.query) != 3 || b.rank(p.value) != rank || (rank != 3 && rank != 4))
    return b.error("takes a query of rank 3, and key and value both of rank 3 or both of rank 4");
  return success();
}

/// The bias of the three projections; keys and values of rank 4 have theirs already.
LogicalResult addBias(OpBinder &b, AttentionParts &p, Value bias) {
  if (!bias || b.failed())
    return success(!b.failed());
  auto hidden = b.staticDim(p.query, 2), total = b.staticDim(bias, 0);
  if (!hidden || !total)
    return b.unsupported("with a dynamic hidden size");
  p.query = b.add(p.query, lastColumns(b, bias, 0, *hidden));
  if (!b.failed() && b.rank(p.key) == 3) {
    p.key = b.add(p.key, lastColumns(b, bias, *hidden, 2 * *hidden));
    p.value = b.add(p.value, lastColumns(b, bias, 2 * *hidden, *total));
  }
  return success(!b.failed());
}

LogicalResult importMultiHeadAttention(OpBinder &b) {
  if (b.hasInput(8) || b.hasInput(9))
    return b.unsupported("past_sequence_length and cache_indirection, a cache with rows to spare; "
                         "accepted is a past of exactly its length");
  AttentionParts p;
  p.queryHeads = p.keyHeads = b.intAttr("num_heads", 0);
  if (failed(readProjections(b, p)) || failed(addBias(b, p, b.optionalInput(3))))
    return failure();
  Value pastKey = b.optionalInput(6), pastValue = b.optionalInput(7);
  if (!pastKey != !pastValue)
    return b.error("past_key and past_value come together");
  if (pastKey || b.hasOutput(1) || b.hasOutput(2)) {
    p.key = present(b, pastKey, p.key, p.keyHeads);
    p.value = present(b, pastValue, p.value, p.keyHeads);
  }
  for (auto [i, value] : {std::pair<size_t, Value>(1, p.key), {2, p.value}})
    if (b.hasOutput(i) && failed(b.yield(i, value)))
      return failure();
  return finish(b, p, b.optionalInput(4), b.optionalInput(5), pastKey, /*scoresOutput=*/3);
}

const OpRow rows[] = {
    {"com.microsoft", "Attention", 1, 1, OpClass::Decomposed, importAttention},
    {"com.microsoft", "MultiHeadAttention", 1, 1, OpClass::Decomposed, importMultiHeadAttention},
};

} // namespace

ArrayRef<OpRow> permalloy::fusedAttentionRows() { return rows; }
