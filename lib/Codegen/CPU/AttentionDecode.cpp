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

DecodeScratch::DecodeScratch(const CpuTarget &target, const AttentionSchedule &s, int64_t group,
                             int64_t headSize, bool widens) {
  int64_t rows = group * decodeQueries(target), perRow = llvm::alignTo(rows * 4, 64);
  rowBytes = llvm::alignTo(headSize * 4, 64);
  scoreBytes = llvm::alignTo(s.keyBlock * 4, 64);
  output = queries + rows * rowBytes;
  scores = output + rows * rowBytes;
  maskRow = scores + rows * scoreBytes;
  maximum = maskRow + scoreBytes;
  sum = maximum + perRow;
  rescale = sum + perRow;
  values = rescale + perRow;
  end = values + (widens ? s.keyBlock * rowBytes : 0);
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
  bool once = a.mask && a.mask->sameForAllQueries && a.mask->sameForAllHeads;
  if (once)
    fillMask(maskRowOf(batch, firstHead, b.i64(0)), firstKey, count, part(layout.maskRow));
  b.loop(b.i64(0), rows, 1, [&](Value row) {
    if (a.mask && !once)
      fillMask(maskRowOf(batch, b.add(firstHead, b.div(row, a.queries)), b.rem(row, a.queries)), firstKey,
               count, part(layout.maskRow));
    emitRow(row, firstKey, count);
  });
  emitOutputs(firstKey, count);
}

/// The scores of a row become weights in place; its maximum, sum and factor are brought up to date.
void DecodeEmitter::emitRow(Value row, Value firstKey, Value count) {
  Value query = b.rem(row, a.queries), before = b.loadF32(entry(layout.maximum, row));
  Value queryRow = b.at(part(layout.queries), b.mul(row, layout.rowBytes));
  Value scores = b.at(part(layout.scores), b.mul(row, layout.scoreBytes));
  Value whole = b.mul(b.div(count, lanes), lanes);
  auto rowOf = [&](Value key) {
    return b.at(keyRows, b.mul(b.add(firstKey, key), a.key.rowStride));
  };
  auto finish = [&](Value dots, Value key, Value maxima) {
    Value finished = finishScores(dots, query, firstKey, key, count);
    b.store(finished, b.at(scores, b.mul(key, 4)), vectorBytes);
    return SmallVector<Value>{b.maxf(finished, maxima)};
  };
  Value maxima = b.broadcast(before);
  maxima = b.loop(b.i64(0), whole, lanes, {maxima}, [&](Value key, ValueRange carried) {
    return finish(emitDots(queryRow, rowOf(key)), key, carried[0]);
  })[0];
  b.loop(whole, count, 1, [&](Value key) {
    b.store(emitDot(queryRow, rowOf(key)), b.at(scores, b.mul(key, 4)));
  });
  maxima = b.loop(whole, count, lanes, {maxima}, [&](Value key, ValueRange carried) {
    return finish(b.loadVector(b.at(scores, b.mul(key, 4)), vectorBytes), key, carried[0]);
  })[0];
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

/// Dot products of a query with as many keys as there are lanes, from `keyRow` on.
Value DecodeEmitter::emitDots(Value queryRow, Value keyRow) {
  SmallVector<Value> sums(lanes);
  forColumns([&](int64_t column, unsigned valid) {
    Value q = b.loadVector(b.at(queryRow, column * 4), vectorBytes);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      Value from = b.at(keyRow, lane * a.key.rowStride + column * element.bytes());
      Value k = ops.loadLanes(element, from, valid);
      sums[lane] = sums[lane] ? b.fma(k, q, sums[lane]) : b.mulf(k, q);
    }
  });
  sums = emitTranspose(b, sums);
  for (int64_t step = lanes / 2; step > 0; step /= 2)
    for (int64_t i = 0; i < step; ++i)
      sums[i] = b.addf(sums[i], sums[i + step]);
  return sums[0];
}

/// The dot product with one key, added up in the same order.
Value DecodeEmitter::emitDot(Value queryRow, Value keyRow) {
  Value sum;
  forColumns([&](int64_t column, unsigned valid) {
    Value q = b.loadVector(b.at(queryRow, column * 4), vectorBytes);
    Value k = ops.loadLanes(element, b.at(keyRow, column * element.bytes()), valid);
    sum = sum ? b.fma(k, q, sum) : b.mulf(k, q);
  });
  return sumLanes(sum);
}

/// Softcap and mask; -inf in the lanes of keys that are not there or not seen. Lane 0 is the key
/// firstKey + key.
Value DecodeEmitter::finishScores(Value scores, Value query, Value firstKey, Value key,
                                  Value count) {
  scores = capScores(scores);
  if (a.mask)
    scores = b.addf(scores, b.loadVector(b.at(part(layout.maskRow), b.mul(key, 4)), vectorBytes));
  Value sees = visible(query, b.add(firstKey, key), b.sub(count, key));
  return arith::SelectOp::create(b, sees, scores, b.splat(-kInfinity));
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
  if (element.isHalf())
    values = copyRows(values, a.value.rowStride, layout.values, count);
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
    emitOutputColumns(tileRows, row, values, count, b.mul(column, 4), chunk);
  });
  if (whole < a.headSize)
    emitOutputColumns(tileRows, row, values, count, b.i64(whole * 4), a.headSize - whole);
}

/// `columns` of them, from byte `offset` of a row on.
void DecodeEmitter::emitOutputColumns(unsigned tileRows, Value row, Value values, Value count,
                                      Value offset, int64_t columns) {
  TileOperands operands;
  operands.a = b.at(part(layout.scores), b.mul(row, layout.scoreBytes));
  operands.aRowStride = layout.scoreBytes;
  operands.aStepStride = 4;
  operands.b = b.at(values, offset);
  operands.bStepStride = element.isHalf() ? paddedSize * 4 : a.value.rowStride;
  for (int64_t col = 0; col < columns; col += lanes)
    operands.bVectorOffsets.push_back(col * 4);
  operands.lastVectorLanes = columns % lanes;
  unsigned vectors = operands.bVectorOffsets.size();
  Value memory = b.at(part(layout.output), b.add(offset, b.mul(row, layout.rowBytes)));
  SmallVector<Value> init = loadTile(b, tileRows, vectors, memory, layout.rowBytes);
  for (unsigned r = 0; r < tileRows; ++r) {
    Value factor = b.broadcast(b.loadF32(entry(layout.rescale + r * 4, row)));
    for (unsigned v = 0; v < vectors; ++v)
      init[r * vectors + v] = b.mulf(init[r * vectors + v], factor);
  }
  storeTile(b, emitTile(b, tileRows, operands, count, init), tileRows, memory, layout.rowBytes);
}

void DecodeEmitter::storeRows() {
  b.loop(b.i64(0), rows, 1, [&](Value row) {
    Value head = b.add(firstHead, b.div(row, a.queries)), query = b.rem(row, a.queries);
    Value to = b.at(headBase(a.output, batch, head), b.mul(query, a.output.rowStride));
    Value from = b.at(part(layout.output), b.mul(row, layout.rowBytes));
    storeOutputRow(from, to, b.loadF32(entry(layout.sum, row)), valueRows);
  });
}
