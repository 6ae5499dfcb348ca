//===- AttentionSplit.cpp - attention of few rows, split over keys *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionWarps.h"
#include "permalloy/Artifact/Format.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static constexpr float kInfinity = std::numeric_limits<float>::infinity();
/// Columns that a thread merges at once.
static constexpr int64_t kItemColumns = 4;

/// Parts are of equal length, up to whole tiles; the last may be short or empty.
void AttentionWarps::emitFew(Value splits) {
  int64_t rowBytes = shape.rowBytes(), tileBytes = s.fewKeys * rowBytes;
  Value tile = quotient(b.blockNumber(), splits), split = remainder(b.blockNumber(), splits);
  batch = quotient(tile, b.i64(a.kvHeads)), kvHead = remainder(tile, b.i64(a.kvHeads));
  total = b.mul(a.queries, shape.group);
  Value thread = b.threadInBlock(), ofWarps = b.at(shared, s.fewRows * rowBytes);
  Value keys = b.at(ofWarps, b.mul(warpNumber, 2 * tileBytes));
  Tiles tiles{keys, b.at(keys, tileBytes), s.fewKeys, s.warps * s.fewKeys, 1, b.rem(thread, 32), 32, /*ofWarp=*/true};
  if (shape.onTensorCores) {
    product = tensorAttention(b, shape, type, s.fewRows, s.fewKeys, s.keepsQueries(shape, s.fewRows));
  } else {
    Value weights = b.at(ofWarps, s.warps * 2 * tileBytes);
    product = fmaAttention(b, shape, s.fewRows, s.fewKeys, b.at(weights, b.mul(warpNumber, s.weightBytes(shape, s.fewRows, s.fewKeys))));
  }
  placeRows(b.i64(0), s.fewRows, b.i64(0));
  Value length = b.mul(b.ceilDiv(quotient(b.add(a.keys, b.sub(splits, 1)), splits), s.fewKeys), s.fewKeys), from = b.mul(split, length);
  begin = b.max(begin, from);
  end = b.min(end, b.add(from, length)), insideEnd = b.min(insideEnd, end);
  Tiles all = tiles;
  all.thread = thread, all.threads = s.threads();
  copyQueries(all, shared, s.fewRows);
  Value first = b.add(begin, b.mul(warpNumber, s.fewKeys));
  copyTile(tiles, a.key, keyRows, tiles.keys, first);
  warp.waitCopies(0);
  warp.barrier();
  product->takeQueries(shared, b.i64(0));
  Values state = walk(tiles, first);
  mergeWarps(state, splits, split, tile);
}

/// Calls `body` for this thread's share of the rows, by `kItemColumns` columns from `column` on.
void AttentionWarps::forItems(function_ref<void(Value row, Value column)> body) {
  int64_t across = shape.headSize / kItemColumns;
  b.loop(b.threadInBlock(), b.mul(total, across), s.threads(),
         [&](Value item) { body(quotient(item, b.i64(across)), b.mul(remainder(item, b.i64(across)), kItemColumns)); });
}

/// The sum of `count` parts, each of which has its maximum and sum at one address and its outputs at another.
AttentionWarps::Merged AttentionWarps::merge(Value count, function_ref<Value(Value)> statistics, function_ref<Value(Value)> outputs) {
  Value most = b.loop(b.i64(0), count, 1, {b.f32(-kInfinity)}, [&](Value part, ValueRange carried) {
    return Values{arith::MaxNumFOp::create(b, carried[0], b.loadF32(statistics(part)))};
  })[0];
  Value none = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, most, b.f32(-kInfinity)), shift = b.select(none, b.f32(0), most);
  auto four = VectorType::get(kItemColumns, b.getF32Type());
  Values sums = b.loop(b.i64(0), count, 1, Values(1 + kItemColumns, b.f32(0)), [&](Value part, ValueRange carried) {
    Value own = statistics(part), factor = warp.exp2(sub(b.loadF32(own), shift));
    Values next{b.fma(factor, b.loadF32(b.at(own, 4)), carried[0])};
    Value loaded = b.load(four, outputs(part), 16);
    for (int64_t i = 0; i < kItemColumns; ++i)
      next.push_back(b.fma(factor, vector::ExtractOp::create(b, loaded, i), carried[1 + i]));
    return next;
  });
  return {most, sums[0], Values(llvm::drop_begin(sums))};
}

void AttentionWarps::storeItem(Value row, Value column, const Merged &merged) {
  Value factor = inverse(merged.sum);
  Values values;
  for (Value output : merged.outputs)
    values.push_back(b.mulf(output, factor));
  if (a.noKeys == NoKeys::MeanOfValues)
    values = b.choose(isZero(merged.sum), [&] { return meanOfValues(column, {0, 1, 2, 3}); }, [&] { return values; });
  Element element = Element::of(a.outputElement);
  Value to = b.at(rowOf(a.output, row), b.mul(column, element.bytes()));
  for (int64_t i = 0; i < kItemColumns; ++i)
    ops.store(element, values[i], b.at(to, i * element.bytes()));
}

/// Whether this block is the last of the head's that comes here. Everything the others stored is then seen.
Value AttentionWarps::isLastOf(Value splits, Value tile, Value word) {
  Value counters = b.at(b.launchScratch(), -int64_t(artifact::kDeviceCounters * sizeof(uint32_t)));
  return warp.arriveLast(b.at(counters, b.mul(tile, 4)), b.narrow(splits), word);
}

void AttentionWarps::mergeWarps(MutableArrayRef<Value> state, Value splits, Value split, Value tile) {
  size_t count = lanesRows(), width = product->columns.size();
  int64_t rowBytes = shape.headSize * 4, all = s.warps * s.fewRows;
  Value outputs = b.at(shared, all * 8), word = b.at(outputs, all * rowBytes), ofWarp = b.mul(warpNumber, s.fewRows);
  warp.waitCopies(0);
  warp.barrier(); // the tiles are read
  for (size_t row = 0; row < count; ++row) {
    Value sum = sumOfLanes(state[count + row]), place = b.add(ofWarp, numbers[row]), statistics = b.at(shared, b.mul(place, 8));
    b.ifThen(b.equal(product->column, b.i64(0)), [&] {
      b.store(toScale(state[row]), statistics);
      b.store(sum, b.at(statistics, 4));
    });
    product->store(Element::of(b.getF32Type()), state.slice(2 * count + row * width, width), b.at(outputs, b.mul(place, rowBytes)),
                   b.less(numbers[row], total));
  }
  warp.barrier();
  auto ofWarps = [&](Value row, Value column) {
    auto at = [&](Value part) { return b.add(b.mul(part, s.fewRows), row); };
    return merge(
        b.i64(s.warps), [&](Value part) { return b.at(shared, b.mul(at(part), 8)); },
        [&](Value part) { return b.at(outputs, b.add(b.mul(at(part), rowBytes), b.mul(column, 4))); });
  };
  int64_t partBytes = attentionPartBytes(shape);
  Value parts = b.at(b.launchScratch(), b.mul(tile, b.mul(splits, s.fewRows * partBytes)));
  auto partOf = [&](Value part, Value row) { return b.at(parts, b.mul(b.add(b.mul(part, s.fewRows), row), partBytes)); };
  b.ifElse(
      b.equal(splits, b.i64(1)),
      [&] { forItems([&](Value row, Value column) { storeItem(row, column, ofWarps(row, column)); }); },
      [&] {
        forItems([&](Value row, Value column) {
          Merged merged = ofWarps(row, column);
          Value part = partOf(split, row);
          b.ifThen(b.equal(column, b.i64(0)), [&] {
            b.store(merged.maximum, part);
            b.store(merged.sum, b.at(part, 4));
          });
          Value four = vector::FromElementsOp::create(b, VectorType::get(kItemColumns, b.getF32Type()), merged.outputs);
          b.store(four, b.at(b.at(part, 16), b.mul(column, 4)), 16);
        });
        b.ifThen(isLastOf(splits, tile, word), [&] {
          forItems([&](Value row, Value column) {
            storeItem(row, column,
                      merge(splits, [&](Value part) { return partOf(part, row); },
                            [&](Value part) { return b.at(b.at(partOf(part, row), 16), b.mul(column, 4)); }));
          });
        });
      });
}
