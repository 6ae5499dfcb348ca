//===- SparseProduct.cpp - a block of a product with kept blocks -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SparseProduct.h"
#include "FmaStaging.h"
#include "Tfm/Panels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

static constexpr int64_t kLanes = 32, kLaneRows = 4, kRows = kLanes * kLaneRows;
static constexpr int64_t kChunkBytes = 16;

FmaTile codegen::chooseSparseTile(const ProductWeight &weight) {
  FmaTile tile;
  tile.blockRows = kRows, tile.blockColumns = weight.n < 2048 ? 64 : 128;
  tile.blockSteps = 32, tile.threadRows = 8, tile.stages = 2;
  return tile;
}

std::string codegen::whyNotSparseTile(const FmaTile &tile) {
  if (tile.blockRows != kRows || tile.threadRows != 8 || tile.stages != 2)
    return "with kept blocks a block has 128 rows of A, 8 rows a thread and 2 stages";
  return "";
}

int64_t codegen::sparseSharedBytes(const FmaTile &tile) { return 2 * tile.rowBytes(); }

namespace {

class Emitter {
public:
  Emitter(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile, Value columnBlock,
          Value shared)
      : b(b), warp(b), p(product), w(product.weight), s(tile), shared(shared), reader(b, w),
        staging(b, product, tile, columnBlock, shared) {
    lane = b.rem(b.threadInBlock(), kLanes);
    Value first = b.mul(columnBlock, s.blockColumns / kPanelColumns);
    panel = b.add(first, b.div(b.threadInBlock(), kLanes));
    values = reader.panel(b.min(panel, b.i64(w.panelCount() - 1)));
  }
  void run();

private:
  struct Listed {
    Value number, count;
  };
  Listed listTile(Value at, Value tile);
  SmallVector<Value> multiply(const Listed &listed, Value at, Value tile, Value stage,
                              ValueRange init);
  void multiplyRow(Value row, Value step, Value exists, Value stage, MutableArrayRef<Value> sums);
  void store(ArrayRef<Value> sums);

  Type resultType() { return w.isIntegral() ? Type(b.getI32Type()) : Type(b.getF32Type()); }
  VectorType fourType() { return VectorType::get(4, resultType()); }
  Value zero() { return arith::ConstantOp::create(b, b.getZeroAttr(resultType())); }

  GpuBuilder &b;
  WarpBuilder warp;
  const BlockProduct &p;
  const ProductWeight &w;
  const FmaTile &s;
  Value shared;
  WeightReader reader;
  FmaStaging staging;
  Value lane, panel, values;
};

} // namespace

/// The list's entries from `at` on, one a lane, and how many of them are steps of the tile: at most as
/// many as it has steps.
Emitter::Listed Emitter::listTile(Value at, Value tile) {
  Value own = b.add(at, lane), kept = b.i64(w.sparse->kept);
  Value known = b.min(panel, b.i64(w.panelCount() - 1));
  Value number = reader.denseRow(known, b.min(own, b.sub(kept, 1)));
  Value end = b.mul(b.add(tile, 1), s.blockSteps);
  Value isHere = arith::AndIOp::create(b, b.less(own, kept), b.less(number, end));
  Value count = arith::ExtUIOp::create(b, b.getI32Type(), isHere);
  for (int32_t distance = 1; distance < kLanes; distance *= 2)
    count = arith::AddIOp::create(b, count, warp.shuffleXor(count, distance));
  return {arith::TruncIOp::create(b, b.getI32Type(), number),
          arith::ExtUIOp::create(b, b.getI64Type(), count)};
}

/// Row `row` of the panel, which is step `step` of the tile, times the lane's rows of A; nothing where
/// `exists` (null: true) is false.
void Emitter::multiplyRow(Value row, Value step, Value exists, Value stage,
                          MutableArrayRef<Value> sums) {
  Value swizzle = b.rem(b.div(step, 4), 8);
  Value chunk = b.createOrFold<arith::XOrIOp>(lane, swizzle);
  Value from = b.at(b.at(shared, stage), b.add(b.mul(step, kRows * 4), b.mul(chunk, kChunkBytes)));
  Value left = b.load(fourType(), from, kChunkBytes);
  Value pointer = b.at(values, b.mul(row, w.rowStride()));
  SmallVector<Value> right;
  for (int64_t i = 0; i < 4; ++i)
    llvm::append_range(right, reader.elements(reader.chunk(b.at(pointer, i * kChunkBytes))));
  for (int64_t i = 0; i < kLaneRows; ++i) {
    Value x = vector::ExtractOp::create(b, left, i);
    if (exists)
      x = b.select(exists, x, zero());
    for (int64_t column = 0; column < kPanelColumns; ++column) {
      Value &sum = sums[i * kPanelColumns + column];
      sum = w.isIntegral() ? warp.dotBytes(x, p.signedRows, right[column],
                                           !w.element.isUnsignedInteger(), sum)
                           : b.fma(x, right[column], sum);
    }
  }
}

/// Two rows at a time: what one of them waits for hides behind the other.
SmallVector<Value> Emitter::multiply(const Listed &listed, Value at, Value tile, Value stage,
                                     ValueRange init) {
  Value first = b.mul(tile, s.blockSteps);
  auto stepOf = [&](Value i) {
    Value number = warp.shuffle(listed.number, arith::TruncIOp::create(b, b.getI32Type(), i));
    return b.sub(arith::ExtUIOp::create(b, b.getI64Type(), number), first);
  };
  return b.loop(b.i64(0), listed.count, 2, init, [&](Value i, ValueRange so) {
    SmallVector<Value> sums(so);
    Value next = b.add(i, 1), exists = b.less(next, listed.count);
    Value second = b.select(exists, next, i);
    Value step = stepOf(i), secondStep = stepOf(second);
    multiplyRow(b.add(at, i), step, {}, stage, sums);
    multiplyRow(b.add(at, second), secondStep, exists, stage, sums);
    return sums;
  });
}

void Emitter::store(ArrayRef<Value> sums) {
  b.ifThen(b.less(panel, b.i64(w.panelCount())), [&] {
    for (int64_t i = 0; i < kLaneRows; ++i) {
      Value row = b.add(b.mul(lane, kLaneRows), i);
      b.ifThen(b.less(row, p.count), [&] {
        for (int64_t first = 0; first < kPanelColumns; first += 4) {
          Value column = b.add(b.mul(panel, kPanelColumns), first);
          Value four = vector::FromElementsOp::create(b, fourType(),
                                                      sums.slice(i * kPanelColumns + first, 4));
          if (w.n % kPanelColumns == 0)
            p.epilogue(row, column, four, {});
          else
            b.ifThen(b.less(column, b.i64(w.n)), [&] { p.epilogue(row, column, four, {}); });
        }
      });
    }
  });
}

void Emitter::run() {
  staging.begin();
  SmallVector<Value> init(kLaneRows * kPanelColumns, zero());
  init.append({b.i64(0), b.i64(0)}); // the place in the list, and the stage
  SmallVector<Value> results =
      b.loop(b.i64(0), b.i64(staging.tiles()), 1, init, [&](Value tile, ValueRange carried) {
        Value at = carried[carried.size() - 2], stage = carried.back();
        Value following = b.sub(b.i64(s.rowBytes()), stage);
        staging.beforeTile(tile, following);
        Listed listed = listTile(at, tile);
        SmallVector<Value> sums = multiply(listed, at, tile, stage, carried.drop_back(2));
        staging.behindTile(following);
        sums.append({b.add(at, listed.count), following});
        return sums;
      });
  store(ArrayRef<Value>(results).drop_back(2));
}

void codegen::emitSparseProduct(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile,
                                Value columnBlock, Value shared) {
  Emitter(b, product, tile, columnBlock, shared).run();
}
