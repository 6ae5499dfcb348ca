//===- AttentionParts.cpp - what all attention operators share ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "AttentionParts.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

Value permalloy::lastColumns(OpBinder &b, Value x, int64_t begin, int64_t end) {
  if (b.failed())
    return {};
  auto axes = b.builder.getDenseI64ArrayAttr({b.rank(x) - 1});
  return b.create<SliceOp>(b.elementType(x), x, b.ints({begin}), b.ints({end}), Value(), axes,
                           ArrayAttr(), ArrayAttr(), DenseI64ArrayAttr());
}

Value permalloy::splitHeads(OpBinder &b, Value x, int64_t heads) {
  if (b.failed() || b.rank(x) != 3)
    return b.failed() ? Value() : x;
  auto width = b.staticDim(x, 2);
  if (!width) {
    (void)b.unsupported("with a dynamic hidden size");
    return {};
  }
  if (heads <= 0 || *width % heads) {
    (void)b.error(Twine(heads) + " heads do not divide the hidden size " + Twine(*width));
    return {};
  }
  Value split = b.reshape(x, {Extent(x, 0), Extent(x, 1), Extent(heads), Extent(*width / heads)});
  return b.transpose(split, {0, 2, 1, 3});
}

Value permalloy::appendToPast(OpBinder &b, Value past, Value fresh, int64_t heads) {
  Value split = splitHeads(b, fresh, heads);
  return b.failed() ? Value() : b.concat({past, split}, 2);
}

void permalloy::restrictMask(OpBinder &b, Value &mask, Value allowed) {
  if (!mask)
    mask = allowed;
  else if (!b.failed() && b.isBool(mask))
    mask = b.binary(BinaryKind::And, mask, allowed);
  else
    mask = b.select(allowed, mask, b.scalar(mask, -INFINITY));
}

Value permalloy::maskOfRank4(OpBinder &b, Value mask) {
  if (!mask || b.failed() || b.rank(mask) == 4)
    return b.failed() ? Value() : mask;
  SmallVector<Extent> extents(4 - b.rank(mask), Extent(1));
  for (int64_t i = 0; i < b.rank(mask); ++i)
    extents.push_back(Extent(mask, i));
  return b.reshape(mask, extents);
}

Value permalloy::queryMinusKey(OpBinder &b, const Extent &queries, Value start,
                               const Extent &keys) {
  Value position = b.alongAxis(b.iota(queries), 0, 2);
  if (start)
    position = b.add(position, start);
  return b.sub(position, b.iota(keys));
}

Value permalloy::makeAttention(OpBinder &b, const AttentionParts &p) {
  if (b.failed())
    return {};
  OpBuilder &builder = b.builder;
  auto window = [&](int64_t size) {
    return size >= 0 ? builder.getI64IntegerAttr(size) : IntegerAttr();
  };
  return b.create<AttentionOp>(
      b.elementType(p.query), p.query, p.key, p.value, p.mask, Value(),
      builder.getI64IntegerAttr(p.queryHeads), builder.getI64IntegerAttr(p.keyHeads),
      builder.getF32FloatAttr(float(p.scale)), p.causal ? builder.getUnitAttr() : UnitAttr(),
      EmptyRowsAttr::get(builder.getContext(), p.emptyRows),
      p.softcap > 0 ? builder.getF32FloatAttr(float(p.softcap)) : FloatAttr(), window(p.left),
      window(p.right), DimExprAttr(), DimExprAttr());
}

/// scale Q K^T. Heads that share a key are rows of one product.
static Value scaledScores(OpBinder &b, const AttentionParts &p) {
  Value query = splitHeads(b, p.query, p.queryHeads), key = splitHeads(b, p.key, p.keyHeads);
  if (b.failed())
    return {};
  Value rows = query;
  if (p.queryHeads != p.keyHeads) {
    Extent grouped(query, 2);
    grouped.constant = p.queryHeads / p.keyHeads;
    rows = b.reshape(query, {Extent(query, 0), Extent(p.keyHeads), grouped, Extent(query, 3)});
  }
  Value scores = b.matmul(rows, key, false, /*transposeY=*/true);
  if (p.queryHeads != p.keyHeads && !b.failed())
    scores = b.reshape(scores,
                       {Extent(query, 0), Extent(p.queryHeads), Extent(query, 2), Extent(key, 2)});
  return b.mul(scores, b.scalar(scores, p.scale));
}

/// Causality and windows, aligned so that the last query stands at the last key.
static Value allowedByPosition(OpBinder &b, const AttentionParts &p) {
  Type i64 = b.builder.getI64Type();
  Extent queries(p.query, p.queryAxis()), keys(p.key, p.keyAxis());
  Value offset = b.sub(b.shapeTensor(keys), b.shapeTensor(queries)), allowed;
  Value distance = queryMinusKey(b, queries, offset, keys);
  int64_t right = p.causal ? 0 : p.right;
  if (right >= 0)
    restrictMask(b, allowed, b.compare(CompareKind::Ge, distance, b.scalar(i64, double(-right))));
  if (p.left >= 0)
    restrictMask(b, allowed, b.compare(CompareKind::Le, distance, b.scalar(i64, double(p.left))));
  return allowed;
}

Value permalloy::makeScores(OpBinder &b, const AttentionParts &p, ScoreStage stage) {
  Value scores = scaledScores(b, p);
  if (stage == ScoreStage::Scaled || b.failed())
    return scores;
  if (p.softcap > 0) {
    Value cap = b.scalar(scores, p.softcap);
    scores = b.mul(b.unary(UnaryKind::Tanh, b.div(scores, cap)), cap);
  }
  if (stage == ScoreStage::Capped)
    return scores;
  Value hidden = b.scalar(scores, -INFINITY);
  if (p.mask)
    scores = b.isBool(p.mask) ? b.select(p.mask, scores, hidden) : b.add(scores, p.mask);
  if (p.causal || p.left >= 0 || p.right >= 0)
    scores = b.select(allowedByPosition(b, p), scores, hidden);
  if (stage == ScoreStage::Masked || b.failed())
    return scores;
  Value weights =
      b.create<SoftmaxOp>(b.elementType(scores), scores, b.builder.getI64IntegerAttr(3));
  if (p.emptyRows != EmptyRows::Zero)
    return weights;
  Value largest = b.reduce(ReduceKind::Max, scores, {3}, /*keepDims=*/true);
  return b.select(b.compare(CompareKind::Eq, largest, hidden), b.scalar(scores, 0), weights);
}
