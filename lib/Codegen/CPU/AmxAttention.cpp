//===- AmxAttention.cpp - blocks, packing and output of attention on AMX -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AmxAttention.h"
#include "permalloy/Codegen/CPU/Transpose.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy::codegen;
using namespace mlir;

/// Features in a row of a tile of Q, and in two tiles of V.
static constexpr int64_t kFeatures = AmxTiles::kSteps;

AmxAttentionScratch::AmxAttentionScratch(const AttentionSchedule &s, int64_t headSize, bool maskTiles) {
  constexpr int64_t queries32 = AmxAttentionEmitter::kQueries, tile = AmxTiles::kBytes;
  int64_t rowTiles = llvm::divideCeil(headSize, kFeatures), outputTiles = llvm::divideCeil(headSize, 16);
  maskRow = scores + s.keyBlock * queries32 * 4;
  maskTile = maskRow + s.keyBlock * 4;
  rowMaxima = maskTile + (maskTiles ? s.keyBlock * queries32 * 4 : 0);
  shifts = rowMaxima + queries32 * 64;
  factors = shifts + queries32 * 4;
  keys = factors + queries32 * 4;
  values = keys + s.keyBlock / 16 * rowTiles * tile;
  blocks = values + s.keyBlock / kFeatures * outputTiles * tile;
  output = queries + 2 * rowTiles * tile;
  sums = output + 2 * outputTiles * tile;
  maxima = sums + queries32 * 64;
  blockBytes = maxima + queries32 * 4;
  end = blocks + s.queryBlocks * blockBytes;
}

AmxAttentionEmitter::AmxAttentionEmitter(KernelBuilder &b, const Attention &a, const AttentionSchedule &s)
    : AttentionParts(b, a, s), tiles(b), layout(s, a.headSize, hasMaskTile(a)),
      steps(llvm::divideCeil(a.headSize, kFeatures)), columnTiles(llvm::divideCeil(a.headSize, 16)),
      tileStride(b.i64(AmxTiles::kRowBytes)) {}

void AmxAttentionEmitter::emit() {
  tiles.configure();
  forTiles([&](const Attention &one, Value batchIndex, Value kvHeadIndex, Value number) {
    AmxAttentionEmitter emitter(b, one, s);
    emitter.forShare(number, [&](Value first, Value count) { emitter.emitTile(batchIndex, kvHeadIndex, first, count); });
  });
  tiles.release();
}

void AmxAttentionEmitter::emitTile(Value batchIndex, Value kvHead, Value firstBlock, Value blockCount) {
  batch = batchIndex;
  Value keyRows = headBase(a.key, batch, kvHead);
  valueRows = headBase(a.value, batch, kvHead);
  auto eachBlock = [&](function_ref<void()> body) {
    forBlocks(kvHead, firstBlock, blockCount, layout.blocks, layout.blockBytes, body);
  };
  std::pair<Value, Value> attended = attendedRange(batch);
  eachBlock([&] {
    packQueries();
    clearState(attended);
  });
  auto [first, count] = queryRange(firstBlock, blockCount);
  auto [firstKey, endKey] = keyRange(attended, first, count);
  b.loop(firstKey, endKey, s.keyBlock, [&](Value key) {
    Value keys = b.min(b.sub(endKey, key), b.i64(s.keyBlock));
    packKeys(b.at(keyRows, b.mul(key, a.key.rowStride)), keys);
    packValues(b.at(valueRows, b.mul(key, a.value.rowStride)), keys);
    if (hasSharedMask())
      fillMask(maskRowOf(batch, b.i64(0), b.i64(0)), key, keys, part(layout.maskRow));
    eachBlock([&] { emitVisibleKeys(key, keys, attended); });
  });
  eachBlock([&] { storeRows(); });
}

/// 32 elements as a vector of 16 pairs; those from `valid` on are 0.
Value AmxAttentionEmitter::loadElements(Value address, int64_t valid) {
  if (valid >= kFeatures)
    return b.load(b.vectorType(), address, 2);
  auto type = VectorType::get(kFeatures, b.getI16Type());
  SmallVector<bool> bits(kFeatures);
  std::fill_n(bits.begin(), valid, true);
  auto maskType = VectorType::get(kFeatures, b.getI1Type());
  Value mask = arith::ConstantOp::create(b, DenseElementsAttr::get(maskType, ArrayRef<bool>(bits)));
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value loaded = LLVM::MaskedLoadOp::create(b, type, address, mask, zero, 2);
  return LLVM::BitcastOp::create(b, b.vectorType(), loaded);
}

/// Calls `body` for each 32 features of a head: their number / 32, and how many exist.
void AmxAttentionEmitter::forFeatures(function_ref<void(Value, int64_t)> body) {
  int64_t whole = a.headSize / kFeatures;
  b.loop(b.i64(0), b.i64(whole), 1, [&](Value index) { body(index, kFeatures); });
  if (a.headSize % kFeatures != 0)
    body(b.i64(whole), a.headSize % kFeatures);
}

/// Rows past the last query repeat it.
void AmxAttentionEmitter::packQueries() {
  Value rows = b.at(headBase(a.query, batch, head), b.mul(firstQuery, a.query.rowStride));
  Value lastQuery = b.sub(queryCount, 1);
  for (int64_t tile = 0; tile < 2; ++tile)
    b.loop(b.i64(0), b.i64(AmxTiles::kRows), 1, [&](Value row) {
      Value query = b.min(b.add(row, tile * AmxTiles::kRows), lastQuery);
      Value from = b.at(rows, b.mul(query, a.query.rowStride));
      Value to = b.at(ofBlock(layout.queries + tile * steps * AmxTiles::kBytes), b.mul(row, 64));
      forFeatures([&](Value index, int64_t valid) {
        Value elements = loadElements(b.at(from, b.mul(index, 64)), valid);
        b.store(elements, b.at(to, b.mul(index, AmxTiles::kBytes)), 64);
      });
    });
}

/// m = -inf, l = 0. The first block of keys that is seen clears O; here it is where there is none.
void AmxAttentionEmitter::clearState(std::pair<Value, Value> attended) {
  for (unsigned tile = 0; tile < 2; ++tile)
    b.store(b.splat(-kInfinity), ofBlock(layout.maxima + tile * 64), 64);
  auto clear = [&](int64_t offset, int64_t bytes) {
    b.loop(b.i64(0), b.i64(bytes), 64, [&](Value at) { b.store(b.splat(0), b.at(ofBlock(offset), at), 64); });
  };
  clear(layout.sums, kQueries * 64);
  auto [begin, end] = keyRange(attended, firstQuery, queryCount);
  b.ifElse(b.less(begin, end), [] {}, [&] { clear(layout.output, 2 * columnTiles * AmxTiles::kBytes); });
}

/// Keys past the last repeat it, up to a whole sub; their scores are hidden.
void AmxAttentionEmitter::packKeys(Value rows, Value count) {
  Value last = b.sub(count, 1);
  b.loop(b.i64(0), b.mul(b.ceilDiv(count, kKeys), 2), 1, [&](Value tile) {
    SmallVector<Value> from;
    for (int64_t row = 0; row < AmxTiles::kRows; ++row) {
      Value key = b.min(b.add(b.mul(tile, AmxTiles::kRows), row), last);
      from.push_back(b.at(rows, b.mul(key, a.key.rowStride)));
    }
    Value to = b.at(part(layout.keys), b.mul(tile, steps * AmxTiles::kBytes));
    forFeatures([&](Value index, int64_t valid) {
      SmallVector<Value> square;
      for (Value row : from)
        square.push_back(loadElements(b.at(row, b.mul(index, 64)), valid));
      for (auto [row, pairs] : llvm::enumerate(emitTranspose(b, square)))
        b.store(pairs, b.at(b.at(to, b.mul(index, AmxTiles::kBytes)), row * 64), 64);
    });
  });
}

/// Keys past the last repeat it, up to a whole sub; their weights are 0.
void AmxAttentionEmitter::packValues(Value rows, Value count) {
  Value last = b.sub(count, 1);
  auto elements = VectorType::get(kFeatures, b.getI16Type());
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < 16; ++i) {
    low.append({i, i + kFeatures});
    high.append({i + 16, i + 16 + kFeatures});
  }
  b.loop(b.i64(0), b.ceilDiv(count, kKeys), 1, [&](Value sub) {
    Value to = b.at(part(layout.values), b.mul(sub, columnTiles * AmxTiles::kBytes));
    forFeatures([&](Value index, int64_t valid) {
      Value tile = b.at(to, b.mul(index, 2 * AmxTiles::kBytes)), offset = b.mul(index, 64);
      for (int64_t pair = 0; pair < AmxTiles::kRows; ++pair) {
        auto load = [&](int64_t row) -> Value {
          Value key = b.min(b.add(b.mul(sub, kKeys), 2 * pair + row), last);
          Value address = b.at(b.at(rows, b.mul(key, a.value.rowStride)), offset);
          return LLVM::BitcastOp::create(b, elements, loadElements(address, valid));
        };
        Value first = load(0), second = load(1);
        b.store(vector::ShuffleOp::create(b, first, second, low), b.at(tile, pair * 64), 64);
        if (valid > 16)
          b.store(vector::ShuffleOp::create(b, first, second, high), b.at(tile, AmxTiles::kBytes + pair * 64), 64);
      }
    });
  });
}

/// out = O / l for the queries that exist.
void AmxAttentionEmitter::storeRows() {
  for (unsigned tile = 0; tile < 2; ++tile) {
    SmallVector<Value> rows;
    for (int64_t row = 0; row < AmxTiles::kRows; ++row)
      rows.push_back(b.load(b.vectorType(), ofBlock(layout.sums + tile * AmxTiles::kBytes + row * 64), 64));
    Value sum = reduceRows(rows, [&](Value x, Value y) { return b.addf(x, y); });
    Value factor = arith::DivFOp::create(b, b.splat(1), sum); // inf where empty: 0 * inf is NaN
    if (a.noKeys == NoKeys::Zero) {
      Value empty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.splat(0));
      factor = arith::SelectOp::create(b, empty, b.splat(0), factor);
    }
    b.store(factor, part(layout.factors + tile * 64), 64);
    b.store(sum, part(layout.shifts + tile * 64), 64);
  }
  Value outputRows = b.at(headBase(a.output, batch, head), b.mul(firstQuery, a.output.rowStride));
  b.loop(b.i64(0), queryCount, 1, [&](Value row) {
    Value factor = b.broadcast(b.loadF32(b.at(part(layout.factors), b.mul(row, 4))));
    Value sum = b.loadF32(b.at(part(layout.shifts), b.mul(row, 4)));
    storeRow(b.at(ofBlock(layout.output), b.mul(row, 64)), b.at(outputRows, b.mul(row, a.output.rowStride)), factor,
             sum);
  });
}

/// to = from * factor for the elements of one head; what NoKeys says where `sum` is 0.
void AmxAttentionEmitter::storeRow(Value from, Value to, Value factor, Value sum) {
  auto value = [&](int64_t column, int64_t valid) {
    Value loaded = b.load(b.vectorType(), b.at(from, column / 16 * 2 * AmxTiles::kBytes), 64);
    Value result = b.mulf(loaded, factor);
    return a.noKeys == NoKeys::MeanOfValues ? emptyRow(valueRows, sum, result, column, valid) : result;
  };
  int64_t column = 0;
  if (outputElement.stored.isBF16())
    for (; column + kFeatures <= a.headSize; column += kFeatures)
      b.store(toBf16(value(column, 16), value(column + 16, 16)), b.at(to, column * 2), 2);
  for (; column < a.headSize; column += 16) {
    int64_t valid = std::min<int64_t>(16, a.headSize - column);
    ops.storeLanes(outputElement, value(column, valid), b.at(to, column * outputElement.bytes()), valid);
  }
}
