//===- AttentionDecode.cpp - attention of few queries -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionDecode.h"
#include "permalloy/Codegen/CPU/Transpose.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy::codegen;
using namespace mlir;

/// Rows of a register tile of the output.
static constexpr unsigned kTileRows = 4;
/// Vectors of a head's columns that scores are written out for; more go in a loop.
static constexpr int64_t kUnrolledColumns = 8;
/// How far ahead rows are fetched, and into which cache.
static constexpr int64_t kPrefetchBytes = 2048;
static constexpr unsigned kPrefetchLevel = 2;

DecodeScratch::DecodeScratch(const CpuTarget &target, const AttentionSchedule &s, int64_t group,
                             int64_t headSize) {
  int64_t rows = group * decodeQueries(target), perRow = llvm::alignTo(rows * 4, 64);
  rowBytes = llvm::alignTo(headSize * 4, 64);
  scoreBytes = llvm::alignTo(s.keyBlock * 4, 64);
  output = queries + rows * rowBytes;
  scores = output + rows * rowBytes;
  maskRow = scores + rows * scoreBytes;
  maxima = maskRow + scoreBytes; // lane by lane
  rest = maxima + rows * 64;     // dot products of the last keys
  maximum = rest + rows * 64;
  sum = maximum + perRow;
  rescale = sum + perRow;
  keys = rescale + perRow; // as f32, as many as there are lanes
  end = keys + target.lanes() * rowBytes;
}

int64_t permalloy::codegen::decodeQueries(const CpuTarget &target) { return target.lanes() / 2; }

void DecodeEmitter::emit(Value batchIndex, Value kvHead) {
  batch = batchIndex;
  firstHead = b.mul(kvHead, group);
  rows = b.mul(a.queries, group);
  keyRows = headBase(a.key, batch, kvHead);
  valueRows = headBase(a.value, batch, kvHead);
  packQueries();
  auto [begin, end] = keyRange(attendedRange(batch), b.i64(0), a.queries);
  b.loop(begin, b.min(end, b.add(begin, keysAhead(a.value))), 1,
         [&](Value key) { prefetchColumns(b.at(valueRows, b.mul(key, a.value.rowStride)), a.headSize); });
  b.loop(begin, end, s.keyBlock,
         [&](Value key) { emitKeyBlock(key, b.min(b.sub(end, key), b.i64(s.keyBlock))); });
  storeRows();
}

/// Q times scale * log2(e), zeros up to whole vectors; empty sums.
void DecodeEmitter::packQueries() {
  Value factor = b.splat(a.scale * kLog2e);
  b.loop(b.i64(0), rows, 1, [&](Value row) {
    Value head = b.add(firstHead, b.div(row, a.queries)), query = b.rem(row, a.queries);
    Value from = b.at(headBase(a.query, batch, head), b.mul(query, a.query.rowStride));
    Value offset = b.mul(row, layout.rowBytes);
    forColumns([&](int64_t column, unsigned valid) {
      Value value = ops.loadLanes(element, b.at(from, column * element.bytes()), valid);
      b.store(b.mulf(value, factor), b.at(part(layout.queries + column * 4), offset), vectorBytes);
      b.store(b.splat(0), b.at(part(layout.output + column * 4), offset), vectorBytes);
    });
    b.store(b.f32(-kInfinity), entry(layout.maximum, row));
    b.store(b.f32(0), entry(layout.sum, row));
  });
}

void DecodeEmitter::emitKeyBlock(Value firstKey, Value count) {
  startRows(firstKey, count);
  emitScores(firstKey, count);
  b.loop(b.i64(0), rows, 1, [&](Value row) { finishRow(row, count); });
  emitOutputs(firstKey, count);
}

/// The masks and the maxima so far.
void DecodeEmitter::startRows(Value firstKey, Value count) {
  if (sharesMask())
    fillMask(maskRowOf(batch, firstHead, b.i64(0)), firstKey, count, part(layout.maskRow));
  b.loop(b.i64(0), rows, 1, [&](Value row) {
    if (a.mask && !sharesMask())
      fillMask(maskRowOf(batch, b.add(firstHead, b.div(row, a.queries)), b.rem(row, a.queries)), firstKey,
               count, scoresOf(row));
    b.store(b.broadcast(b.loadF32(entry(layout.maximum, row))), laneEntry(layout.maxima, row), vectorBytes);
  });
}

/// All rows take some keys before the next ones are read, so that memory sees one even stream.
void DecodeEmitter::emitScores(Value firstKey, Value count) {
  auto keyRow = [&](Value key) { return b.at(keyRows, b.mul(b.add(firstKey, key), a.key.rowStride)); };
  auto queryRow = [&](Value row) { return b.at(part(layout.queries), b.mul(row, layout.rowBytes)); };
  auto forRows = [&](KernelBuilder::Body body) { b.loop(b.i64(0), rows, 1, body); };
  Value whole = b.mul(b.div(count, lanes), lanes);
  b.loop(b.i64(0), whole, lanes, [&](Value key) {
    Value keys = keyRow(key), next = keys;
    int64_t stride = a.key.rowStride;
    if (element.isHalf()) {
      keys = copyRows(keys, stride, layout.keys, b.i64(lanes));
      stride = paddedSize * 4;
    }
    forRows([&](Value row) {
      prefetchKeys(row, next);
      finishScores(row, emitDots(queryRow(row), keys, stride), firstKey, key, count);
    });
  });
  b.loop(whole, count, 1, [&](Value key) {
    Value place = b.mul(b.sub(key, whole), 4);
    forRows([&](Value row) {
      b.store(emitDot(queryRow(row), keyRow(key)), b.at(laneEntry(layout.rest, row), place));
    });
  });
  b.ifThen(b.less(whole, count), [&] {
    forRows([&](Value row) {
      Value dots = b.loadVector(laneEntry(layout.rest, row), vectorBytes);
      finishScores(row, dots, firstKey, whole, count);
    });
  });
}

/// Rows of a tensor that kPrefetchBytes are.
int64_t DecodeEmitter::keysAhead(const HeadTensor &tensor) const {
  return std::max<int64_t>(1, kPrefetchBytes / (a.headSize * element.bytes()));
}

/// Row `row` fetches its share of the keys that come kPrefetchBytes after those at `keys`.
void DecodeEmitter::prefetchKeys(Value row, Value keys) {
  int64_t share = llvm::divideCeil(lanes, group);
  Value first = b.mul(b.rem(row, std::min(group, lanes)), share);
  Value from = b.at(keys, b.mul(b.add(first, keysAhead(a.key)), a.key.rowStride));
  for (int64_t r = 0; r < share; ++r)
    prefetchColumns(b.at(from, r * a.key.rowStride), a.headSize);
}

void DecodeEmitter::prefetchColumns(Value row, int64_t columns) {
  for (int64_t line = 0; line < columns * element.bytes(); line += 64)
    b.prefetch(b.at(row, line), kPrefetchLevel);
}

/// Dot products of a query with as many keys as there are lanes, rows of f32 from `keyRow` on.
Value DecodeEmitter::emitDots(Value queryRow, Value keyRow, int64_t keyStride) {
  bool padded = element.isHalf();
  auto multiply = [&](Value column, unsigned valid, ValueRange sums) {
    Value q = b.loadVector(b.at(queryRow, b.mul(column, 4)), vectorBytes), keys = b.at(keyRow, b.mul(column, 4));
    SmallVector<Value> result;
    for (int64_t lane = 0; lane < lanes; ++lane)
      result.push_back(b.fma(b.loadLanes(b.at(keys, lane * keyStride), padded ? lanes : valid), q, sums[lane]));
    return result;
  };
  SmallVector<Value> sums(lanes, b.splat(0));
  int64_t whole = a.headSize / lanes * lanes;
  if (whole / lanes > kUnrolledColumns)
    sums = b.loop(b.i64(0), b.i64(whole), lanes, sums,
                  [&](Value column, ValueRange carried) { return multiply(column, lanes, carried); });
  else
    for (int64_t column = 0; column < whole; column += lanes)
      sums = multiply(b.i64(column), lanes, sums);
  if (whole < a.headSize)
    sums = multiply(b.i64(whole), a.headSize - whole, sums);
  return sumRows(sums);
}

/// Lane i is the sum of the lanes of rows[i], by halves. Each step joins two rows that have the same half to sum up, which
/// takes 30 shuffles for 16 rows, where transposing them takes 64.
Value DecodeEmitter::sumRows(SmallVector<Value> rows) {
  for (int64_t step = lanes / 2; step > 0; step /= 2) {
    auto [low, high] = ExchangeMasks(lanes, step);
    for (int64_t i = 0; i < step; ++i) {
      Value x = rows[i], y = rows[i + step];
      rows[i] = b.addf(vector::ShuffleOp::create(b, x, y, low), vector::ShuffleOp::create(b, x, y, high));
    }
  }
  return rows[0];
}

/// The dot product with one key, added up in the same order.
Value DecodeEmitter::emitDot(Value queryRow, Value keyRow) {
  Value sum;
  forColumns([&](int64_t column, unsigned valid) {
    Value q = b.loadVector(b.at(queryRow, column * 4), vectorBytes);
    Value k = ops.loadLanes(element, b.at(keyRow, column * element.bytes()), valid);
    sum = b.fma(k, q, sum ? sum : b.splat(0));
  });
  return sumLanes(sum);
}

/// Softcap and mask; -inf in the lanes of keys that are not there or not seen. Lane 0 is the key
/// firstKey + key.
void DecodeEmitter::finishScores(Value row, Value dots, Value firstKey, Value key, Value count) {
  Value scores = capScores(dots), place = b.at(scoresOf(row), b.mul(key, 4));
  if (a.mask) {
    Value mask = sharesMask() ? b.at(part(layout.maskRow), b.mul(key, 4)) : place;
    scores = b.addf(scores, b.loadVector(mask, vectorBytes));
  }
  Value sees = visible(b.rem(row, a.queries), b.add(firstKey, key), b.sub(count, key));
  scores = arith::SelectOp::create(b, sees, scores, b.splat(-kInfinity));
  b.store(scores, place, vectorBytes);
  Value maxima = laneEntry(layout.maxima, row);
  b.store(b.maxf(scores, b.loadVector(maxima, vectorBytes)), maxima, vectorBytes);
}

/// The scores of a row become weights in place; its maximum, sum and factor are brought up to date.
void DecodeEmitter::finishRow(Value row, Value count) {
  Value before = b.loadF32(entry(layout.maximum, row));
  Value maxima = b.loadVector(laneEntry(layout.maxima, row), vectorBytes);
  Value maximum = vector::ReductionOp::create(b, vector::CombiningKind::MAXNUMF, maxima);
  b.store(maximum, entry(layout.maximum, row));
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, b.f32(-kInfinity));
  Value shift = b.select(none, b.f32(0), maximum);
  Value rescale = emitExp2NonPositive(b, arith::SubFOp::create(b, before, shift));
  b.store(rescale, entry(layout.rescale, row));
  Value sum = b.mulf(b.loadF32(entry(layout.sum, row)), rescale);
  b.store(sum, entry(layout.sum, row));
  emitWeights(row, b.broadcast(shift), count);
}

/// The lanes of keys `position` + lane that exist, `left` of them, and that `query` sees.
Value DecodeEmitter::visible(Value query, Value position, Value left) {
  auto compare = [&](arith::CmpIPredicate predicate, Value limit) -> Value {
    limit = b.max(b.min(limit, b.i64(lanes)), b.i64(-1));
    Value bound = b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), limit));
    return arith::CmpIOp::create(b, predicate, laneNumbers(0), bound);
  };
  Value own = b.sub(b.add(query, offsetOfKeys()), position); // lane of the query's own position
  Value last = b.sub(left, 1);
  if (auto reach = a.reachRight())
    last = b.min(last, b.add(own, *reach));
  Value sees = compare(arith::CmpIPredicate::sle, last);
  if (a.windowLeft)
    sees = arith::AndIOp::create(
        b, sees, compare(arith::CmpIPredicate::sge, b.sub(own, *a.windowLeft)));
  return sees;
}

void DecodeEmitter::emitWeights(Value row, Value shift, Value count) {
  Value scores = b.at(part(layout.scores), b.mul(row, layout.scoreBytes));
  Value sums = b.loop(b.i64(0), count, lanes, {b.splat(0)}, [&](Value key, ValueRange carried) {
    Value address = b.at(scores, b.mul(key, 4));
    Value score = b.loadVector(address, vectorBytes);
    Value weight = emitExp2NonPositive(b, arith::SubFOp::create(b, score, shift));
    b.store(weight, address, vectorBytes);
    return SmallVector<Value>{b.addf(carried[0], weight)};
  })[0];
  Value place = entry(layout.sum, row);
  b.store(b.addf(b.loadF32(place), sumLanes(sums)), place);
}

/// The sum of all lanes, by halves.
Value DecodeEmitter::sumLanes(Value vector) {
  for (int64_t step = lanes / 2; step > 0; step /= 2) {
    SmallVector<int64_t> turned;
    for (int64_t lane = 0; lane < lanes; ++lane)
      turned.push_back((lane + step) % lanes);
    vector = b.addf(vector, vector::ShuffleOp::create(b, vector, vector, turned));
  }
  return vector::ExtractOp::create(b, vector, ArrayRef<int64_t>{0});
}

/// O = rescale O + P V, by tiles of rows, which share the loads of V.
void DecodeEmitter::emitOutputs(Value firstKey, Value count) {
  Value values = b.at(valueRows, b.mul(firstKey, a.value.rowStride));
  b.loop(b.i64(0), rows, kTileRows, [&](Value row) {
    Value left = b.min(b.sub(rows, row), b.i64(kTileRows));
    b.switchOn(b.sub(left, 1), kTileRows,
               [&](unsigned index) { emitOutputTile(index + 1, row, values, count); });
  });
}

/// The columns of a tile: a loop over whole chunks of registers, then what is left.
void DecodeEmitter::emitOutputTile(unsigned tileRows, Value row, Value values, Value count) {
  // Few rows have registers for four vectors of columns, which hide the latency of the additions.
  int64_t chunk = (b.target().vectorRegisters >= 32 || tileRows < 3 ? 4 : 2) * lanes;
  int64_t whole = a.headSize / chunk * chunk;
  b.loop(b.i64(0), b.i64(whole), chunk, [&](Value column) {
    emitOutputColumns(tileRows, row, values, count, column, chunk);
  });
  if (whole < a.headSize)
    emitOutputColumns(tileRows, row, values, count, b.i64(whole), a.headSize - whole);
}

/// `columns` of them from `firstColumn` on.
void DecodeEmitter::emitOutputColumns(unsigned tileRows, Value row, Value values, Value count,
                                      Value firstColumn, int64_t columns) {
  Value weights = b.at(part(layout.scores), b.mul(row, layout.scoreBytes));
  Value memory = b.at(part(layout.output), b.add(b.mul(firstColumn, 4), b.mul(row, layout.rowBytes)));
  Value offset = b.mul(firstColumn, element.bytes());
  values = b.at(values, offset);
  unsigned vectors = llvm::divideCeil(columns, lanes);
  SmallVector<Value> init = loadTile(b, tileRows, vectors, memory, layout.rowBytes);
  for (unsigned r = 0; r < tileRows; ++r) {
    Value factor = b.broadcast(b.loadF32(entry(layout.rescale + r * 4, row)));
    for (unsigned v = 0; v < vectors; ++v)
      init[r * vectors + v] = b.mulf(init[r * vectors + v], factor);
  }
  SmallVector<Value> tile = b.loop(b.i64(0), count, 1, init, [&](Value key, ValueRange sums) {
    prefetchColumns(b.at(values, b.mul(b.add(key, keysAhead(a.value)), a.value.rowStride)), columns);
    SmallVector<Value> loaded, result;
    for (unsigned v = 0; v < vectors; ++v) {
      Value from = b.at(values, b.add(b.mul(key, a.value.rowStride), v * lanes * element.bytes()));
      loaded.push_back(ops.loadLanes(element, from, std::min<int64_t>(lanes, columns - v * lanes)));
    }
    for (unsigned r = 0; r < tileRows; ++r) {
      Value weight = b.broadcast(b.loadF32(b.at(weights, b.add(b.mul(key, 4), r * layout.scoreBytes))));
      for (unsigned v = 0; v < vectors; ++v)
        result.push_back(b.fma(weight, loaded[v], sums[r * vectors + v]));
    }
    return result;
  });
  storeTile(b, tile, tileRows, memory, layout.rowBytes);
}

void DecodeEmitter::storeRows() {
  b.loop(b.i64(0), rows, 1, [&](Value row) {
    Value head = b.add(firstHead, b.div(row, a.queries)), query = b.rem(row, a.queries);
    Value to = b.at(headBase(a.output, batch, head), b.mul(query, a.output.rowStride));
    Value from = b.at(part(layout.output), b.mul(row, layout.rowBytes));
    storeOutputRow(from, to, b.loadF32(entry(layout.sum, row)), valueRows);
  });
}
