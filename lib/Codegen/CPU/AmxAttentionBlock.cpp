//===- AmxAttentionBlock.cpp - a block of queries and one of keys on AMX -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AmxAttention.h"
#include "permalloy/Codegen/CPU/Transpose.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy::codegen;
using namespace mlir;

/// Rows whose maxima are kept in registers together.
static constexpr int64_t kRowGroup = 8;
/// 2^f on [0, 1) with the exact values 1 and 2 at its ends: relative error 1.1e-4.
static constexpr float kExp2[] = {1.0f, 0.6954243779182434f, 0.226307675242424f, 0.07826796919107437f};

/// Those of the block of keys from `firstKey` on that the block of queries sees.
void AmxAttentionEmitter::emitVisibleKeys(Value firstKey, Value count, std::pair<Value, Value> attended) {
  auto [begin, end] = keyRange(attended, firstQuery, queryCount);
  Value seenFirst = b.max(begin, firstKey), seenEnd = b.min(end, b.add(firstKey, count));
  b.ifThen(b.less(seenFirst, seenEnd), [&] {
    firstSub = b.div(b.sub(seenFirst, firstKey), kKeys);
    endSub = b.ceilDiv(b.sub(seenEnd, firstKey), kKeys);
    isFirst = b.equal(seenFirst, begin);
    fillMasks(firstKey, count);
    emitScores();
    emitMaxima(firstKey, count);
    for (unsigned tile = 0; tile < 2; ++tile)
      updateMaxima(tile);
    emitOutput();
  });
}

//===----------------------------------------------------------------------===//
// S = Q' K'
//===----------------------------------------------------------------------===//

/// Q stays in registers where its tiles leave room for two of keys and two of scores.
void AmxAttentionEmitter::emitScores() {
  auto query = [&](unsigned tile, int64_t step) {
    return ofBlock(layout.queries + (tile * steps + step) * AmxTiles::kBytes);
  };
  bool keepsQueries = steps <= 2;
  if (keepsQueries)
    for (unsigned tile = 0; tile < 2; ++tile)
      for (int64_t step = 0; step < steps; ++step)
        tiles.load(tile * 2 + step, query(tile, step), tileStride);
  b.loop(firstSub, endSub, 1, [&](Value sub) {
    Value keys = b.at(part(layout.keys), b.mul(sub, 2 * steps * AmxTiles::kBytes));
    auto key = [&](unsigned tile, int64_t step) { return b.at(keys, (tile * steps + step) * AmxTiles::kBytes); };
    if (keepsQueries)
      for (unsigned keyTile = 0; keyTile < 2; ++keyTile) {
        tiles.zero(6);
        tiles.zero(7);
        for (int64_t step = 0; step < steps; ++step) {
          tiles.loadStream(4 + step, key(keyTile, step), tileStride); // S stays in the first cache
          tiles.multiply(6, step, 4 + step);
          tiles.multiply(7, 2 + step, 4 + step);
        }
        tiles.store(6, scoreTile(sub, keyTile, 0), tileStride);
        tiles.store(7, scoreTile(sub, keyTile, 1), tileStride);
      }
    else
      emitWideScores(sub, query, key);
  });
}

/// Two tiles of queries by two of keys.
void AmxAttentionEmitter::emitWideScores(Value sub, function_ref<Value(unsigned, int64_t)> query,
                                         function_ref<Value(unsigned, int64_t)> key) {
  for (unsigned tile = 0; tile < 4; ++tile)
    tiles.zero(tile);
  for (int64_t step = 0; step < steps; ++step) {
    tiles.load(4, query(0, step), tileStride);
    tiles.load(6, key(0, step), tileStride);
    tiles.multiply(0, 4, 6);
    tiles.load(5, query(1, step), tileStride);
    tiles.multiply(1, 5, 6);
    tiles.load(7, key(1, step), tileStride);
    tiles.multiply(2, 4, 7);
    tiles.multiply(3, 5, 7);
  }
  for (unsigned tile = 0; tile < 4; ++tile)
    tiles.store(tile, scoreTile(sub, tile / 2, tile % 2), tileStride);
}

//===----------------------------------------------------------------------===//
// Masks and maxima
//===----------------------------------------------------------------------===//

/// What loadKeys has not filled: masks that differ by head or query.
void AmxAttentionEmitter::fillMasks(Value firstKey, Value count) {
  if (!a.mask || hasSharedMask() || readsMask())
    return;
  if (!hasMaskTile(a))
    return fillMask(maskRowOf(batch, head, b.i64(0)), firstKey, count, part(layout.maskRow));
  b.loop(b.i64(0), b.i64(kQueries), 1, [&](Value row) {
    Value query = b.add(firstQuery, b.min(row, b.sub(queryCount, 1)));
    Value to = b.at(part(layout.maskTile), b.mul(row, s.keyBlock * 4));
    fillMask(maskRowOf(batch, head, query), firstKey, count, to);
  });
}

bool AmxAttentionEmitter::readsMask() const {
  APInt stride;
  return hasMaskTile(a) && matchPattern(a.mask->keyStride, m_ConstantInt(&stride)) &&
         stride == (a.mask->isBool ? 1 : maskElement.bytes());
}

/// Row maxima of S, a vector each, in scratch. Scores are finished on the way: see finishes(), and -inf where a key is
/// out of reach or does not exist. Only subs at the borders ask which these are.
void AmxAttentionEmitter::emitMaxima(Value firstKey, Value count) {
  Value offset = b.sub(b.add(firstQuery, b.sub(a.keys, a.queries)), firstKey); // own position of row 0, in the block
  Value endRight = count, firstLeft = b.i64(0);
  if (auto reach = a.reachRight())
    endRight = b.max(b.i64(0), b.min(count, b.add(offset, *reach + 1)));
  if (a.windowLeft)
    firstLeft = b.max(b.i64(0), b.add(offset, kQueries - 1 - *a.windowLeft));
  Value firstWhole = b.min(b.max(b.ceilDiv(firstLeft, kKeys), firstSub), endSub);
  Value endWhole = b.min(b.max(b.div(endRight, kKeys), firstWhole), endSub);
  b.loop(b.i64(0), b.i64(kQueries / kRowGroup), 1, [&](Value group) {
    RowGroup rows{b.mul(group, kRowGroup), {}, {}, {}};
    for (int64_t row = 0; row < kRowGroup; ++row) {
      if (readsMask()) {
        Value query = b.add(firstQuery, b.min(b.add(rows.first, row), b.sub(queryCount, 1)));
        rows.masks.push_back(b.at(maskRowOf(batch, head, query), b.mul(firstKey, a.mask->keyStride)));
      }
      Value own = b.add(b.add(offset, rows.first), row);
      auto reach = a.reachRight();
      rows.lastKey.push_back(reach ? b.min(b.sub(count, 1), b.add(own, *reach)) : b.sub(count, 1));
      rows.firstKey.push_back(a.windowLeft ? b.sub(own, *a.windowLeft) : Value());
    }
    SmallVector<Value> maxima(kRowGroup, b.splat(-kInfinity));
    auto visit = [&](Value begin, Value end, bool border) {
      maxima = b.loop(begin, end, 1, maxima, [&](Value sub, ValueRange carried) {
        return emitSubMaxima(sub, rows, carried, border);
      });
    };
    if (a.windowLeft)
      visit(firstSub, firstWhole, /*border=*/true);
    visit(firstWhole, endWhole, /*border=*/false);
    visit(endWhole, endSub, /*border=*/true);
    Value to = b.at(part(layout.rowMaxima), b.mul(rows.first, 64));
    for (auto [row, maximum] : llvm::enumerate(maxima))
      b.store(maximum, b.at(to, row * 64), 64);
  });
}

SmallVector<Value> AmxAttentionEmitter::emitSubMaxima(Value sub, const RowGroup &rows, ValueRange maxima,
                                                      bool border) {
  SmallVector<Value> next(maxima);
  Value first = b.mul(sub, kKeys);
  for (unsigned half = 0; half < 2; ++half) {
    Value scores = b.at(scoreTile(sub, half, 0), b.mul(rows.first, 64));
    for (int64_t row = 0; row < kRowGroup; ++row) {
      Value address = b.at(scores, row * 64), score = b.load(b.vectorType(), address, 64);
      Value lastKey = border ? b.sub(rows.lastKey[row], first) : Value();
      if (finishes())
        score = finishScore(score, a.mask ? maskOf(sub, rows, row, half, lastKey) : Value());
      if (border)
        score = hideScore(score, half, lastKey, rows.firstKey[row] ? b.sub(rows.firstKey[row], first) : Value());
      if (finishes() || border)
        b.store(score, address, 64);
      next[row] = b.maxf(score, next[row]);
    }
  }
  return next;
}

/// The mask in powers of two of 16 keys of a sub; `lastKey` (null: all are) is the last of them that is read.
Value AmxAttentionEmitter::maskOf(Value sub, const RowGroup &rows, int64_t row, unsigned half, Value lastKey) {
  if (readsMask()) {
    int64_t bytes = a.mask->isBool ? 1 : maskElement.bytes();
    Value place = b.at(b.at(rows.masks[row], b.mul(sub, kKeys * bytes)), half * 16 * bytes);
    return maskValue(place, /*isVector=*/true, lastKey ? seesUpTo(lastKey, half) : Value());
  }
  Value place = part(layout.maskRow);
  if (hasMaskTile(a))
    place = b.at(part(layout.maskTile), b.mul(b.add(rows.first, row), s.keyBlock * 4));
  return b.load(b.vectorType(), b.at(b.at(place, b.mul(sub, kKeys * 4)), half * 64), 64);
}

/// In powers of two, with softcap and mask.
Value AmxAttentionEmitter::finishScore(Value score, Value mask) {
  Value factor = b.splat(a.scale * kLog2e);
  if (a.softcap == 0 && mask)
    return b.fma(score, factor, mask);
  score = capScores(b.mulf(score, factor));
  return mask ? b.addf(score, mask) : score;
}

static Value compareKeys(KernelBuilder &b, arith::CmpIPredicate predicate, Value numbers, Value key) {
  Value limit = b.max(b.min(key, b.i64(AmxAttentionEmitter::kKeys)), b.i64(-1));
  limit = b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), limit));
  return arith::CmpIOp::create(b, predicate, numbers, limit);
}

Value AmxAttentionEmitter::seesUpTo(Value lastKey, unsigned half) {
  return compareKeys(b, arith::CmpIPredicate::sle, laneNumbers(half * 16), lastKey);
}

/// -inf outside of the keys [first, last] of the sub; `first` may be null.
Value AmxAttentionEmitter::hideScore(Value score, unsigned half, Value last, Value first) {
  score = arith::SelectOp::create(b, seesUpTo(last, half), score, b.splat(-kInfinity));
  if (!first)
    return score;
  Value sees = compareKeys(b, arith::CmpIPredicate::sge, laneNumbers(half * 16), first);
  return arith::SelectOp::create(b, sees, score, b.splat(-kInfinity));
}

/// combine of all lanes of row r in lane r. Each step halves the rows and the lanes that belong to one.
Value AmxAttentionEmitter::reduceRows(SmallVector<Value> rows, function_ref<Value(Value, Value)> combine) {
  for (int64_t size = 1; size < lanes; size *= 2) {
    auto [low, high] = ExchangeMasks(lanes, size);
    for (int64_t row = 0; row < lanes; row += 2 * size)
      rows[row] = combine(vector::ShuffleOp::create(b, rows[row], rows[row + size], low),
                          vector::ShuffleOp::create(b, rows[row], rows[row + size], high));
  }
  return rows[0];
}

/// m' of 16 rows and what is subtracted from their scores: m', or 0 where no key has been seen. O and l follow.
void AmxAttentionEmitter::updateMaxima(unsigned tile) {
  SmallVector<Value> rows;
  for (int64_t row = 0; row < AmxTiles::kRows; ++row)
    rows.push_back(b.load(b.vectorType(), part(layout.rowMaxima + (tile * AmxTiles::kRows + row) * 64), 64));
  Value maximum = reduceRows(rows, [&](Value x, Value y) { return b.maxf(x, y); });
  if (!finishes())
    maximum = b.mulf(maximum, b.splat(a.scale * kLog2e));
  Value place = ofBlock(layout.maxima + tile * 64), before = b.load(b.vectorType(), place, 64);
  maximum = b.maxf(maximum, before);
  b.store(maximum, place, 64);
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, maximum, b.splat(-kInfinity));
  Value shift = arith::SelectOp::create(b, none, b.splat(0), maximum);
  b.store(arith::SubFOp::create(b, b.splat(0), shift), part(layout.shifts + tile * 64), 64);
  Value grows = arith::CmpFOp::create(b, arith::CmpFPredicate::UNE, maximum, before);
  Value bits = LLVM::BitcastOp::create(b, b.getI16Type(), grows);
  Value some = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, bits,
                                     arith::ConstantOp::create(b, b.getI16IntegerAttr(0)));
  b.ifThen(b.select(isFirst, arith::ConstantOp::create(b, b.getBoolAttr(false)), some), [&] {
    b.store(emitExp2(arith::SubFOp::create(b, before, shift), kExp2), part(layout.factors + tile * 64), 64);
    rescale(tile);
  });
}

/// O and l times exp2(m - m').
void AmxAttentionEmitter::rescale(unsigned tile) {
  b.loop(b.i64(0), b.i64(AmxTiles::kRows), 1, [&](Value row) {
    Value factor = b.broadcast(b.loadF32(b.at(part(layout.factors + tile * 64), b.mul(row, 4))));
    auto scale = [&](int64_t offset) {
      Value place = b.at(ofBlock(offset + tile * AmxTiles::kBytes), b.mul(row, 64));
      b.store(b.mulf(b.load(b.vectorType(), place, 64), factor), place, 64);
    };
    scale(layout.sums);
    for (int64_t column = 0; column < columnTiles; ++column)
      scale(layout.output + column * 2 * AmxTiles::kBytes);
  });
}

//===----------------------------------------------------------------------===//
// P = exp2(S - m'), O += P V'
//===----------------------------------------------------------------------===//

/// Both vectors as one of bf16, `low` first.
Value AmxAttentionEmitter::toBf16(Value low, Value high) {
  auto type = VectorType::get(32, b.getBF16Type());
  return LLVM::CallIntrinsicOp::create(b, type, b.getStringAttr("llvm.x86.avx512bf16.cvtne2ps2bf16.512"),
                                       ValueRange{high, low})
      .getResult(0);
}

/// The weights of a query's row of a sub replace the first half of its scores; their sums join l, 16 pairs of keys
/// at a time.
void AmxAttentionEmitter::emitWeights(Value sub, Value row) {
  Value offset = b.mul(row, 64), shift = b.broadcast(b.loadF32(b.at(part(layout.shifts), b.mul(row, 4))));
  SmallVector<Value> halves;
  for (unsigned half = 0; half < 2; ++half) {
    Value score = b.load(b.vectorType(), b.at(scoreTile(sub, half, 0), offset), 64);
    halves.push_back(
        emitExp2(finishes() ? b.addf(score, shift) : b.fma(score, b.splat(a.scale * kLog2e), shift), kExp2));
  }
  Value weights = toBf16(halves[0], halves[1]);
  b.store(weights, b.at(scoreTile(sub, 0, 0), offset), 64);
  Value place = b.at(ofBlock(layout.sums), offset), sums = b.load(b.vectorType(), place, 64);
  Value ones = arith::ConstantOp::create(
      b, DenseElementsAttr::get(cast<VectorType>(weights.getType()), b.getFloatAttr(b.getBF16Type(), 1.0).getValue()));
  sums = LLVM::CallIntrinsicOp::create(b, b.vectorType(), b.getStringAttr("llvm.x86.avx512bf16.dpbf16ps.512"),
                                       ValueRange{sums, weights, ones})
             .getResult(0);
  b.store(sums, place, 64);
}

void AmxAttentionEmitter::emitOutput() {
  constexpr int64_t together = 4;
  b.loop(b.i64(0), b.i64(kQueries), together, [&](Value row) {
    for (int64_t i = 0; i < together; ++i)
      emitWeights(firstSub, b.add(row, i));
  });
  emitOutputPass(b.i64(0), std::min<int64_t>(columnTiles, 2), /*weights=*/true);
  int64_t inPairs = columnTiles / 2 * 2;
  b.loop(b.i64(2), b.i64(inPairs), 2, [&](Value column) { emitOutputPass(column, 2, /*weights=*/false); });
  if (inPairs < columnTiles && inPairs > 0)
    emitOutputPass(b.i64(inPairs), 1, /*weights=*/false);
}

/// Adds to one or two tiles of columns. With `weights`, those of the next sub are computed between the products.
void AmxAttentionEmitter::emitOutputPass(Value column, unsigned columns, bool weights) {
  auto output = [&](unsigned tile) {
    return b.at(b.at(ofBlock(layout.output), b.mul(column, 2 * AmxTiles::kBytes)), tile * AmxTiles::kBytes);
  };
  auto forSums = [&](function_ref<void(unsigned)> body) {
    for (unsigned tile = 0; tile < 2 * columns; ++tile)
      body(tile);
  };
  b.ifElse(
      isFirst, [&] { forSums([&](unsigned tile) { tiles.zero(tile); }); },
      [&] { forSums([&](unsigned tile) { tiles.load(tile, output(tile), tileStride); }); });
  auto step = [&](Value sub, bool next) {
    Value values = b.at(part(layout.values), b.mul(b.add(b.mul(sub, columnTiles), column), AmxTiles::kBytes));
    forSums([&](unsigned tile) {
      if (tile % 2 == 0) {
        Value from = b.at(values, tile / 2 * AmxTiles::kBytes);
        weights ? tiles.load(6 + tile / 2, from, tileStride) : tiles.loadStream(6 + tile / 2, from, tileStride);
      }
      if (tile < 2)
        tiles.load(4 + tile, scoreTile(sub, 0, tile), tileStride);
      int64_t share = kQueries / (2 * columns);
      for (int64_t row = 0; next && row < share; ++row)
        emitWeights(b.add(sub, 1), b.i64(tile * share + row));
      tiles.multiply(tile, 4 + tile % 2, 6 + tile / 2);
    });
  };
  Value last = b.sub(endSub, 1);
  b.loop(firstSub, weights ? last : endSub, 1, [&](Value sub) { step(sub, weights); });
  if (weights)
    step(last, /*next=*/false);
  forSums([&](unsigned tile) { tiles.store(tile, output(tile), tileStride); });
}
