//===- AttentionScores.cpp - a block of keys: mask, scores, softmax, output -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionEmitter.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy::codegen;
using namespace mlir;

void AttentionEmitter::emitKeyBlock(Value firstKey, Value count) {
  for (unsigned v = 0; v < kQueryVectors; ++v)
    setLanes(lanesAt(layout.maximum, v), layout.newMaximum, v);
  if (a.mask && a.mask->sameForAllQueries)
    fillMaskRow(firstKey, count);
  else if (a.mask)
    fillMaskTile(firstKey, count);
  keyStride = floatStride(a.key);
  valueStride = floatStride(a.value);
  keyBlock =
      asFloat(b.at(keyRows, b.mul(firstKey, a.key.rowStride)), a.key.rowStride, layout.keys, count);
  valueBlock = asFloat(b.at(valueRows, b.mul(firstKey, a.value.rowStride)), a.value.rowStride,
                       layout.values, count);
  emitAllScores(firstKey, count);
  updateMaximum();
  emitWeights(count);
  emitOutput(firstKey, count);
}

/// Whole tiles of rows, then what is left. The last tile may move up to end at the last key: its
/// first rows are computed twice, alike. Where scores start from a mask in place, and where there
/// are fewer keys than a tile has, what is left goes one by one.
void AttentionEmitter::emitAllScores(Value firstKey, Value count) {
  int64_t rows = s.keyRows;
  bool maskInPlace = a.mask && !a.mask->sameForAllQueries;
  auto tile = [&](Value row) { emitScores(rows, firstKey, row); };
  auto single = [&](Value row) { emitScores(1, firstKey, row); };
  Value whole = b.mul(b.div(count, rows), rows);
  b.loop(b.i64(0), whole, rows, tile);
  if (maskInPlace)
    return b.loop(whole, count, 1, single);
  b.ifElse(
      b.less(count, b.i64(rows)), [&] { b.loop(b.i64(0), count, 1, single); },
      [&] { b.loop(whole, count, rows, [&](Value) { tile(b.sub(count, rows)); }); });
}

void AttentionEmitter::fillMaskRow(Value firstKey, Value count) {
  Value row = b.at(maskBase, b.mul(firstKey, a.mask->keyStride));
  b.loop(b.i64(0), count, 1, [&](Value key) {
    Value value = maskValue(b.at(row, b.mul(key, a.mask->keyStride)));
    b.store(value, b.at(part(layout.maskRow), b.mul(key, 4)));
  });
}

/// A mask that differs by query goes, transposed, where the scores will stand.
void AttentionEmitter::fillMaskTile(Value firstKey, Value count) {
  b.loop(b.i64(0), b.i64(width), 1, [&](Value lane) {
    Value query = b.min(lane, b.sub(queryCount, 1));
    Value row =
        b.at(b.at(maskBase, b.mul(query, a.mask->queryStride)), b.mul(firstKey, a.mask->keyStride));
    b.loop(b.i64(0), count, 1, [&](Value key) {
      Value value = maskValue(b.at(row, b.mul(key, a.mask->keyStride)));
      b.store(value, b.at(part(layout.scores), b.add(b.mul(key, rowBytes), b.mul(lane, 4))));
    });
  });
}

/// `score`, or -inf in the lanes whose query may not see `key` (an i64).
Value AttentionEmitter::initialScore(Value score, Value key, unsigned vector) {
  Value numbers = laneNumbers(vector * lanes);
  auto hideUnless = [&](arith::CmpIPredicate predicate, Value lane) {
    lane = b.max(b.min(lane, b.i64(width)), b.i64(-1));
    Value limit = b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), lane));
    Value sees = arith::CmpIOp::create(b, predicate, numbers, limit);
    score = arith::SelectOp::create(b, sees, score, b.splat(-kInfinity));
  };
  // The lane whose query stands at the key's position.
  Value own = b.sub(b.sub(key, b.sub(a.keys, a.queries)), firstQuery);
  if (auto reach = a.reachRight())
    hideUnless(arith::CmpIPredicate::sge, b.sub(own, *reach));
  if (a.windowLeft)
    hideUnless(arith::CmpIPredicate::sle, b.add(own, *a.windowLeft));
  return score;
}

/// What is added to the scores of `rows` keys from `firstRow` on: the mask, and -inf where a key is
/// out of reach.
SmallVector<Value> AttentionEmitter::startScores(unsigned rows, Value firstRow, Value row,
                                                 Value scores) {
  SmallVector<Value> init = zeroTile(b, rows * kQueryVectors);
  if (a.mask && !a.mask->sameForAllQueries)
    init = loadTile(b, rows, kQueryVectors, scores, rowBytes);
  for (unsigned r = 0; r < rows; ++r)
    for (unsigned v = 0; v < kQueryVectors; ++v) {
      Value &score = init[r * kQueryVectors + v];
      if (a.mask && a.mask->sameForAllQueries)
        score = b.broadcast(b.loadF32(b.at(part(layout.maskRow + r * 4), b.mul(row, 4))));
      score = initialScore(score, b.add(firstRow, r), v);
    }
  return init;
}

/// Scores of `rows` keys from firstKey + row on, and their part of the new maximum.
void AttentionEmitter::emitScores(unsigned rows, Value firstKey, Value row) {
  Value scores = b.at(part(layout.scores), b.mul(row, rowBytes));
  Value firstRow = b.add(firstKey, row);
  TileOperands operands;
  operands.a = b.at(keyBlock, b.mul(row, keyStride));
  operands.aRowStride = keyStride;
  operands.aStepStride = 4;
  operands.b = part(layout.queries);
  operands.bStepStride = rowBytes;
  for (unsigned v = 0; v < kQueryVectors; ++v)
    operands.bVectorOffsets.push_back(v * vectorBytes);
  auto startTile = [&] { return startScores(rows, firstRow, row, scores); };
  SmallVector<Value> tile = permalloy::codegen::emitTile(
      b, rows, operands, b.i64(a.headSize),
      a.softcap == 0 ? startTile() : zeroTile(b, rows * kQueryVectors));
  if (a.softcap != 0)
    for (auto [score, start] : llvm::zip(tile, startTile()))
      score = b.addf(capScores(score), start);
  storeTile(b, tile, rows, scores, rowBytes);
  for (unsigned v = 0; v < kQueryVectors; ++v) {
    Value maximum = lanesAt(layout.newMaximum, v);
    for (unsigned r = 0; r < rows; ++r)
      maximum = b.maxf(tile[r * kQueryVectors + v], maximum);
    setLanes(maximum, layout.newMaximum, v);
  }
}

/// m' and exp2(m - m'), with m' = 0 where no key has been seen.
void AttentionEmitter::updateMaximum() {
  for (unsigned v = 0; v < kQueryVectors; ++v) {
    Value maximum = lanesAt(layout.newMaximum, v);
    Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, b.splat(-kInfinity));
    Value shift = arith::SelectOp::create(b, none, b.splat(0), maximum);
    Value change = arith::SubFOp::create(b, lanesAt(layout.maximum, v), shift);
    Value rescale = emitExp2NonPositive(b, change);
    setLanes(rescale, layout.rescale, v);
    setLanes(b.mulf(lanesAt(layout.sum, v), rescale), layout.sum, v);
    setLanes(maximum, layout.maximum, v);
    setLanes(shift, layout.newMaximum, v);
  }
}

/// Scores become weights in place; their sums join l. With 16 registers, one vector of queries at a
/// time: the coefficients of the exponential take half of them.
void AttentionEmitter::emitWeights(Value count) {
  unsigned together = b.target().vectorRegisters >= 32 ? kQueryVectors : 1;
  for (unsigned first = 0; first < kQueryVectors; first += together) {
    SmallVector<Value> shifts, sums;
    for (unsigned v = first; v < first + together; ++v) {
      shifts.push_back(lanesAt(layout.newMaximum, v));
      sums.push_back(lanesAt(layout.sum, v));
    }
    sums = b.loop(b.i64(0), count, 1, sums, [&](Value key, ValueRange carried) {
      Value row = b.at(part(layout.scores + first * vectorBytes), b.mul(key, rowBytes));
      SmallVector<Value> next;
      for (unsigned v = 0; v < together; ++v)
        next.push_back(b.addf(carried[v], emitWeight(b.at(row, v * vectorBytes), shifts[v])));
      return next;
    });
    for (unsigned v = 0; v < together; ++v)
      setLanes(sums[v], layout.sum, first + v);
  }
}

/// Replaces the score at `address` by exp2(score - shift), and returns that.
Value AttentionEmitter::emitWeight(Value address, Value shift) {
  Value score = b.loadVector(address, vectorBytes);
  Value weight = emitExp2NonPositive(b, arith::SubFOp::create(b, score, shift));
  b.store(weight, address, vectorBytes);
  return weight;
}

/// O = rescale O + P^T V, by tiles of queryRows queries and two registers of columns (three where
/// that divides better).
void AttentionEmitter::emitOutput(Value firstKey, Value count) {
  int64_t vectors = paddedSize / lanes, chunk = vectors % 2 != 0 && vectors >= 3 ? 3 : 2;
  if ((s.queryRows * chunk + chunk + 1) > b.target().vectorRegisters)
    chunk = 2;
  b.loop(b.i64(0), queryCount, s.queryRows, [&](Value query) {
    for (int64_t column = 0; column < a.headSize; column += chunk * lanes)
      emitOutputTile(firstKey, count, query, column, std::min(chunk * lanes, a.headSize - column));
  });
}

void AttentionEmitter::emitOutputTile(Value firstKey, Value count, Value query, int64_t column,
                                      int64_t columns) {
  TileOperands operands;
  operands.a = b.at(part(layout.scores), b.mul(query, 4));
  operands.aRowStride = 4;
  operands.aStepStride = rowBytes;
  operands.b = b.at(valueBlock, column * 4);
  operands.bStepStride = valueStride;
  for (int64_t col = 0; col < columns; col += lanes)
    operands.bVectorOffsets.push_back(col * 4);
  operands.lastVectorLanes = columns % lanes;
  unsigned vectors = operands.bVectorOffsets.size();
  Value memory = b.at(part(layout.output + column * 4), b.mul(query, paddedSize * 4));
  SmallVector<Value> init = loadTile(b, s.queryRows, vectors, memory, paddedSize * 4);
  for (unsigned row = 0; row < s.queryRows; ++row) {
    Value factor = b.loadF32(b.at(part(layout.rescale + row * 4), b.mul(query, 4)));
    for (unsigned v = 0; v < vectors; ++v)
      init[row * vectors + v] = b.mulf(init[row * vectors + v], b.broadcast(factor));
  }
  SmallVector<Value> tile = permalloy::codegen::emitTile(b, s.queryRows, operands, count, init);
  storeTile(b, tile, s.queryRows, memory, paddedSize * 4);
}
