//===- AttentionScores.cpp - a block of keys: mask, scores, softmax, output -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionEmitter.h"
#include "permalloy/Codegen/CPU/Transpose.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy::codegen;
using namespace mlir;

/// Into which cache the next block of keys is fetched.
static constexpr unsigned kPrefetchLevel = 2;

/// Those of the block of keys at hand, from `firstKey` on, that the block of queries sees.
void AttentionEmitter::emitVisibleKeys(Value firstKey, Value count, std::pair<Value, Value> attended) {
  if (!hasReach())
    return emitKeyBlock(firstKey, count);
  auto [begin, end] = keyRange(attended, firstQuery, queryCount);
  begin = b.max(begin, firstKey);
  end = b.min(end, b.add(firstKey, count));
  b.ifThen(b.less(begin, end), [&] {
    Value keys = keyBlock, values = valueBlock, mask = maskRow, skipped = b.sub(begin, firstKey);
    keyBlock = b.at(keys, b.mul(skipped, keyStride));
    valueBlock = b.at(values, b.mul(skipped, valueStride));
    maskRow = b.at(mask, b.mul(skipped, 4));
    emitKeyBlock(begin, b.sub(end, begin));
    keyBlock = keys;
    valueBlock = values;
    maskRow = mask;
  });
}

void AttentionEmitter::emitKeyBlock(Value firstKey, Value count) {
  for (unsigned v = 0; v < s.queryVectors; ++v)
    setLanes(lanesAt(ofBlock(layout.maximum), v), part(layout.newMaximum), v);
  if (a.mask && !a.mask->sameForAllQueries)
    fillMaskTile(firstKey, count);
  else if (a.mask && !sharesMask())
    fillMask(maskRowOf(batch, head, b.i64(0)), firstKey, count, maskRow);
  emitAllScores(firstKey, count);
  updateMaximum();
  emitWeights(count);
  emitOutput(firstKey, count);
}

/// Tiles of rows. The last may move up to end at the last key: its first rows are computed twice, alike. Where scores start
/// from a mask in place, and where there are fewer keys than a tile has, what is left goes one by one.
void AttentionEmitter::emitAllScores(Value firstKey, Value count) {
  int64_t rows = s.keyRows;
  auto tile = [&](Value row) { emitScoreTile(firstKey, row); };
  auto single = [&](Value row) { emitScores(1, 0, s.queryVectors, /*border=*/true, firstKey, row); };
  if (a.mask && !a.mask->sameForAllQueries) {
    Value whole = b.mul(b.div(count, rows), rows);
    b.loop(b.i64(0), whole, rows, tile);
    return b.loop(whole, count, 1, single);
  }
  b.ifElse(
      b.less(count, b.i64(rows)), [&] { b.loop(b.i64(0), count, 1, single); },
      [&] { b.loop(b.i64(0), count, rows, [&](Value row) { tile(b.min(row, b.sub(count, rows))); }); });
}

/// Calls `body` with the number of vectors that the queries of the block fill: the last block of a head may be short.
void AttentionEmitter::forUsedVectors(function_ref<void(unsigned)> body) {
  Value used = b.div(b.sub(queryCount, 1), lanes);
  b.switchOn(used, s.queryVectors, [&](unsigned index) { body(index + 1); });
}

/// A tile of scores, which compares positions only where some query may not see some key.
void AttentionEmitter::emitScoreTile(Value firstKey, Value row) {
  prefetchKeys(row);
  auto inside = [&] {
    forUsedVectors([&](unsigned used) { emitScores(s.keyRows, 0, used, /*border=*/false, firstKey, row); });
  };
  if (!hasReach())
    return inside();
  Value position = b.add(firstQuery, offsetOfQueries()), first = b.add(firstKey, row);
  Value border;
  if (auto reach = a.reachRight())
    border = b.less(b.add(position, *reach), b.add(first, s.keyRows - 1));
  if (a.windowLeft) {
    Value left = b.less(first, b.sub(b.add(position, width - 1), *a.windowLeft));
    border = border ? arith::OrIOp::create(b, border, left).getResult() : left;
  }
  b.ifElse(border, [&] { emitBorderTile(firstKey, row); }, inside);
}

/// On the diagonal, keys are not multiplied with vectors of queries that see none of them.
void AttentionEmitter::emitBorderTile(Value firstKey, Value row) {
  auto from = [&](unsigned vector) {
    emitScores(s.keyRows, vector, s.queryVectors, /*border=*/true, firstKey, row);
  };
  if (!a.reachRight())
    return from(0);
  Value position = b.add(b.add(firstQuery, offsetOfQueries()), *a.reachRight());
  Value hidden = b.div(b.max(b.sub(b.add(firstKey, row), position), b.i64(0)), lanes);
  b.switchOn(b.min(hidden, b.i64(s.queryVectors - 1)), s.queryVectors, from);
}

/// The blocks of queries of a tile fetch the next block of keys and values into the second cache, each its share while it
/// computes the scores of the rows from `row` on: rows of packed heads are far apart, so that nothing else would.
void AttentionEmitter::prefetchKeys(Value row) {
  Value first = b.mul(blockIndex, fetchedRows);
  b.loop(first, b.min(b.add(first, fetchedRows), b.i64(s.keyRows)), 1, [&](Value index) {
    Value key = b.add(row, index);
    for (int64_t line = 0; line < a.headSize * element.bytes(); line += 64) {
      b.prefetch(b.at(b.at(nextKeys, b.mul(key, a.key.rowStride)), line), kPrefetchLevel);
      b.prefetch(b.at(b.at(nextValues, b.mul(key, a.value.rowStride)), line), kPrefetchLevel);
    }
  });
}

/// A mask that differs by query goes, transposed, where the scores will stand. Lanes past the last query repeat it.
void AttentionEmitter::fillMaskTile(Value firstKey, Value count) {
  Value row = b.at(maskRowOf(batch, head, firstQuery), b.mul(firstKey, a.mask->keyStride));
  for (unsigned v = 0; v < s.queryVectors; ++v)
    fillMaskSquares(row, count, v);
  b.loop(vectorKeys(count), count, 1, [&](Value key) {
    b.loop(b.i64(0), b.i64(width), 1, [&](Value lane) {
      Value query = b.min(lane, b.sub(queryCount, 1));
      Value address = b.at(b.at(row, b.mul(query, a.mask->queryStride)), b.mul(key, a.mask->keyStride));
      Value to = b.at(part(layout.scores), b.add(b.mul(key, rowBytes), b.mul(lane, 4)));
      b.store(maskValue(address), to);
    });
  });
}

/// Squares of as many keys as queries, of the mask's rows from `row` on.
void AttentionEmitter::fillMaskSquares(Value row, Value count, unsigned vector) {
  b.loop(b.i64(0), vectorKeys(count), lanes, [&](Value key) {
    SmallVector<Value> square;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      Value query = b.min(b.i64(vector * lanes + lane), b.sub(queryCount, 1));
      Value address = b.at(b.at(row, b.mul(query, a.mask->queryStride)), b.mul(key, a.mask->keyStride));
      square.push_back(maskValue(address, /*isVector=*/true));
    }
    square = emitTranspose(b, square);
    for (int64_t lane = 0; lane < lanes; ++lane)
      setLanes(square[lane], b.at(part(layout.scores), b.mul(b.add(key, lane), rowBytes)), vector);
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
  Value own = b.sub(b.sub(key, offsetOfQueries()), firstQuery);
  if (auto reach = a.reachRight())
    hideUnless(arith::CmpIPredicate::sge, b.sub(own, *reach));
  if (a.windowLeft)
    hideUnless(arith::CmpIPredicate::sle, b.add(own, *a.windowLeft));
  return score;
}

/// What is added to the scores of `rows` keys from `firstRow` on, for the vectors of queries from `firstVector`
/// on: the mask, and at the border -inf where a key is out of reach.
SmallVector<Value> AttentionEmitter::startScores(unsigned rows, unsigned firstVector, unsigned endVector, bool border,
                                                 Value firstRow, Value row, Value scores) {
  SmallVector<Value> init;
  for (unsigned r = 0; r < rows; ++r)
    for (unsigned v = firstVector; v < endVector; ++v) {
      Value score = b.splat(0);
      if (a.mask && a.mask->sameForAllQueries)
        score = b.broadcast(b.loadF32(b.at(b.at(maskRow, r * 4), b.mul(row, 4))));
      else if (a.mask)
        score = lanesAt(b.at(scores, r * rowBytes), v);
      init.push_back(border ? initialScore(score, b.add(firstRow, r), v) : score);
    }
  return init;
}

/// Scores of `rows` keys from firstKey + row on for the vectors of queries [firstVector, endVector), and their part of the new
/// maximum. Queries before see none of the keys; vectors from endVector on have no queries.
void AttentionEmitter::emitScores(unsigned rows, unsigned firstVector, unsigned endVector, bool border, Value firstKey,
                                  Value row) {
  Value scores = b.at(part(layout.scores), b.mul(row, rowBytes));
  TileOperands operands;
  operands.a = b.at(keyBlock, b.mul(row, keyStride));
  operands.aRowStride = keyStride;
  operands.aStepStride = 4;
  operands.b = ofBlock(layout.queries);
  operands.bStepStride = rowBytes;
  unsigned vectors = endVector - firstVector;
  for (unsigned v = firstVector; v < endVector; ++v)
    operands.bVectorOffsets.push_back(v * vectorBytes);
  auto startTile = [&] {
    return startScores(rows, firstVector, endVector, border, b.add(firstKey, row), row, scores);
  };
  SmallVector<Value> tile = permalloy::codegen::emitTile(
      b, rows, operands, b.i64(a.headSize), a.softcap == 0 ? startTile() : zeroTile(b, rows * vectors),
      TileLoop{border ? 1 : unrolled()});
  if (a.softcap != 0)
    for (auto [score, start] : llvm::zip(tile, startTile()))
      score = b.addf(capScores(score), start);
  for (unsigned r = 0; r < rows; ++r)
    for (unsigned v = 0; v < endVector; ++v)
      setLanes(v < firstVector ? b.splat(-kInfinity) : tile[r * vectors + v - firstVector],
               b.at(scores, r * rowBytes), v);
  for (unsigned v = firstVector; v < endVector; ++v) {
    Value maximum = lanesAt(part(layout.newMaximum), v);
    for (unsigned r = 0; r < rows; ++r)
      maximum = b.maxf(tile[r * vectors + v - firstVector], maximum);
    setLanes(maximum, part(layout.newMaximum), v);
  }
}

/// m' and exp2(m - m'), with m' = 0 where no key has been seen.
void AttentionEmitter::updateMaximum() {
  Value newMaximum = part(layout.newMaximum), sum = ofBlock(layout.sum), before = ofBlock(layout.maximum);
  for (unsigned v = 0; v < s.queryVectors; ++v) {
    Value maximum = lanesAt(newMaximum, v);
    Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, b.splat(-kInfinity));
    Value shift = arith::SelectOp::create(b, none, b.splat(0), maximum);
    Value change = arith::SubFOp::create(b, lanesAt(before, v), shift);
    Value rescale = emitExp2NonPositive(b, change);
    setLanes(rescale, part(layout.rescale), v);
    setLanes(b.mulf(lanesAt(sum, v), rescale), sum, v);
    setLanes(maximum, before, v);
    setLanes(shift, newMaximum, v);
  }
}

/// Scores become weights in place; their sums join l. With 16 registers, one vector of queries at a
/// time: the coefficients of the exponential take half of them.
void AttentionEmitter::emitWeights(Value count) {
  forUsedVectors([&](unsigned used) {
    unsigned together = b.target().vectorRegisters >= 32 ? used : 1;
    for (unsigned first = 0; first < used; first += together)
      emitWeights(count, first, first + together);
  });
}

void AttentionEmitter::emitWeights(Value count, unsigned firstVector, unsigned endVector) {
  SmallVector<Value> shifts, sums;
  for (unsigned v = firstVector; v < endVector; ++v) {
    shifts.push_back(lanesAt(part(layout.newMaximum), v));
    sums.push_back(lanesAt(ofBlock(layout.sum), v));
  }
  sums = b.loop(b.i64(0), count, 1, sums, [&](Value key, ValueRange carried) {
    Value row = b.at(part(layout.scores), b.mul(key, rowBytes));
    SmallVector<Value> next;
    for (unsigned v = firstVector; v < endVector; ++v)
      next.push_back(b.addf(carried[v - firstVector],
                            emitWeight(b.at(row, v * vectorBytes), shifts[v - firstVector])));
    return next;
  });
  for (unsigned v = firstVector; v < endVector; ++v)
    setLanes(sums[v - firstVector], ofBlock(layout.sum), v);
}

/// O = rescale O + P^T V, by tiles of queryRows queries and as many registers of columns as fit beside them, or of
/// twice as many queries where half of those do (a head of 32). The columns of V that a tile reads stay in the L1 cache
/// for all queries. On the diagonal a tile ends with the last key that one of its queries sees.
void AttentionEmitter::emitOutput(Value firstKey, Value count) {
  int64_t vectors = paddedSize / lanes, most = (b.target().vectorRegisters - 1) / (s.queryRows + 1);
  int64_t chunk = llvm::divideCeil(vectors, llvm::divideCeil(vectors, most));
  bool twice = 2 * chunk <= most && width % (2 * s.queryRows) == 0;
  unsigned rows = twice ? 2 * s.queryRows : s.queryRows;
  for (int64_t column = 0; column < a.headSize; column += chunk * lanes)
    b.loop(b.i64(0), queryCount, rows, [&](Value query) {
      Value seen = count;
      if (auto reach = a.reachRight()) {
        Value last = b.add(b.add(b.add(firstQuery, query), offsetOfQueries()), rows - 1 + *reach);
        seen = b.max(b.i64(0), b.min(count, b.sub(b.add(last, 1), firstKey)));
      }
      emitOutputTile(rows, seen, query, column, std::min(chunk * lanes, a.headSize - column));
    });
}

void AttentionEmitter::emitOutputTile(unsigned rows, Value count, Value query, int64_t column, int64_t columns) {
  TileOperands operands;
  operands.a = b.at(part(layout.scores), b.mul(query, 4));
  operands.aRowStride = 4;
  operands.aStepStride = rowBytes;
  operands.b = b.at(valueBlock, column * 4);
  operands.bStepStride = valueStride;
  for (int64_t col = 0; col < columns; col += lanes)
    operands.bVectorOffsets.push_back(col * 4);
  operands.lastVectorLanes = copiesRows ? 0 : columns % lanes; // copies are padded to whole vectors
  unsigned vectors = operands.bVectorOffsets.size();
  Value memory = b.at(b.at(ofBlock(layout.output), column * 4), b.mul(query, paddedSize * 4));
  SmallVector<Value> init = loadTile(b, rows, vectors, memory, paddedSize * 4);
  for (unsigned row = 0; row < rows; ++row) {
    Value factor = b.loadF32(b.at(part(layout.rescale + row * 4), b.mul(query, 4)));
    for (unsigned v = 0; v < vectors; ++v)
      init[row * vectors + v] = b.mulf(init[row * vectors + v], b.broadcast(factor));
  }
  SmallVector<Value> tile = permalloy::codegen::emitTile(b, rows, operands, count, init, TileLoop{unrolled()});
  storeTile(b, tile, rows, memory, paddedSize * 4);
}
