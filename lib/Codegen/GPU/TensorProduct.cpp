//===- TensorProduct.cpp - a block of a matrix product on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TensorBlock.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

TensorBlock::TensorBlock(GpuBuilder &b, const TensorProduct &p, const TensorSchedule &s)
    : b(b), warp(b), p(p), s(s), layout(p.size, s), rows(b.narrow(p.rows)),
      split(b, b.mul(b.ceilDiv(rows, s.blockRows), s.across(p.size)), s.splitK) {
  int64_t across = s.across(p.size), warpsAcross = s.blockColumns / s.warpColumns;
  firstColumn = b.mul(b.rem(split.number, across), s.blockColumns), firstRow = b.mul(b.div(split.number, across), s.blockRows);
  thread = b.threadIndex();
  Value lane = b.bitAnd(thread, 31), warpNumber = b.div(thread, 32);
  group = b.div(lane, 4), inGroup = b.bitAnd(lane, 3);
  warpRow = b.mul(b.div(warpNumber, warpsAcross), s.warpRows), warpColumn = b.mul(b.rem(warpNumber, warpsAcross), s.warpColumns);
  shared = warp.sharedMemory();
}

static tfm::DimExprAttr resultBlocks(const TensorSize &size, const TensorSchedule &s, tfm::DimExprAttr rows) {
  using tfm::DimExprAttr;
  auto constant = [&](int64_t value) { return DimExprAttr::constant(rows.getContext(), value); };
  return DimExprAttr::mul(DimExprAttr::ceilDiv(rows, constant(s.blockRows)), constant(s.across(size)));
}

tfm::DimExprAttr codegen::tensorBlocks(const TensorSize &size, const TensorSchedule &s, tfm::DimExprAttr rows) {
  return splitBlocks(resultBlocks(size, s, rows), s.splitK);
}

tfm::DimExprAttr codegen::tensorScratch(const TensorSize &size, const TensorSchedule &s, tfm::DimExprAttr rows) {
  return splitScratch(resultBlocks(size, s, rows), s.splitK, s.sumBytes());
}

//===----------------------------------------------------------------------===//
// The product
//===----------------------------------------------------------------------===//

namespace {

class Emitter {
public:
  Emitter(GpuBuilder &b, const TensorProduct &product, const TensorSchedule &schedule)
      : b(b), p(product), s(schedule), block(b, product, schedule), left(block), right(block) {}

  void run();

private:
  SmallVector<Value> multiply();
  SmallVector<Value> step(int64_t first, Value stage, SmallVector<Value> sums);
  void store(ArrayRef<Value> sums);
  void storeRow(ArrayRef<Value> sums, int64_t tile, int64_t half);

  int64_t rowTiles() const { return s.warpRows / 16; }
  int64_t columnGroups() const { return s.warpColumns / kGroupColumns; }
  int64_t sumCount() const { return rowTiles() * columnGroups() * 16; }
  Type sumType() { return block.warp.accumulatorType(p.size.type); }
  /// The first of the four results of a product: of rows `tile`, columns `group` and `of` four.
  size_t sumAt(int64_t tile, int64_t group, int64_t of) const { return ((tile * columnGroups() + group) * 4 + of) * 4; }

  GpuBuilder &b;
  const TensorProduct &p;
  const TensorSchedule &s;
  TensorBlock block;
  TensorRows left;
  TensorColumns right;
};

} // namespace

/// Multiplies the 8 words from `first` on of a stage.
SmallVector<Value> Emitter::step(int64_t first, Value stage, SmallVector<Value> sums) {
  SmallVector<SmallVector<Value>> a;
  for (int64_t tile = 0; tile < rowTiles(); ++tile)
    a.push_back(left.read(tile, first, stage));
  for (int64_t group = 0; group < columnGroups(); ++group) {
    TensorColumns::Words words = right.read(group, first, stage);
    for (int64_t of = 0; of < 4; ++of)
      for (int64_t tile = 0; tile < rowTiles(); ++tile) {
        Value *sum = &sums[sumAt(tile, group, of)];
        SmallVector<Value> next = block.warp.multiply(p.size.type, a[tile], {words.low[of], words.high[of]}, ArrayRef(sum, 4),
                                                         p.size.unsignedRows, p.size.unsignedColumns);
        llvm::copy(next, sum);
      }
  }
  return sums;
}

/// The sums over this block's tiles of K.
SmallVector<Value> Emitter::multiply() {
  auto [first, last] = block.split.tilesOf(s.tilesOfK(p.size));
  int64_t bytes = block.layout.stageBytes, all = s.stages * bytes;
  for (int64_t i = 0; i < s.stages - 1; ++i) {
    Value tile = b.add(first, i), stage = b.i32(i * bytes);
    b.ifThen(b.less(tile, last), [&] {
      left.copy(tile, stage);
      right.copy(tile, stage);
      left.store(left.compute(tile), stage);
    });
    block.warp.commitCopies();
  }
  SmallVector<Value> init(sumCount(), arith::ConstantOp::create(b, b.getZeroAttr(sumType())));
  init.push_back(b.i32(0));
  init.push_back(b.i32((s.stages - 1) * bytes));
  auto next = [&](Value stage) {
    Value after = b.add(stage, bytes);
    return b.select(b.equal(after, b.i32(all)), b.i32(0), after);
  };
  SmallVector<Value> results = b.loop(first, last, 1, init, [&](Value tile, ValueRange carried) {
    SmallVector<Value> sums(carried.drop_back(2));
    Value reading = carried[carried.size() - 2], writing = carried.back();
    block.warp.waitCopies(s.stages - 2);
    block.warp.barrier(); // copies of all threads are there, and all have read the stage that is written now
    Value ahead = b.add(tile, s.stages - 1);
    b.ifThen(b.less(ahead, last), [&] {
      left.copy(ahead, writing);
      right.copy(ahead, writing);
    });
    block.warp.commitCopies();
    SmallVector<Value> computed = left.compute(ahead); // loads are under way while tensor cores work
    for (int64_t first = 0; first < s.blockWords; first += kStepWords)
      sums = step(first, reading, sums);
    left.store(computed, writing);
    sums.push_back(next(reading));
    sums.push_back(next(writing));
    return sums;
  });
  results.truncate(sumCount());
  return results;
}

//===----------------------------------------------------------------------===//
// Results
//===----------------------------------------------------------------------===//

void Emitter::storeRow(ArrayRef<Value> sums, int64_t tile, int64_t half) {
  Value row = b.add(b.add(block.firstRow, block.warpRow), b.add(block.group, tile * 16 + half * 8));
  b.ifThen(b.less(row, block.rows), [&] {
    for (int64_t group = 0; group < columnGroups(); ++group)
      for (int64_t part = 0; part < 2; ++part) {
        Value column = b.add(b.add(block.firstColumn, block.warpColumn), b.add(b.mul(block.inGroup, 8), group * kGroupColumns + part * 4));
        SmallVector<Value> four;
        for (int64_t of = 0; of < 4; ++of)
          four.push_back(sums[sumAt(tile, group, of) + half * 2 + part]);
        if (p.size.columns % s.blockColumns == 0)
          p.epilogue(b.wide(row), b.wide(column), four);
        else
          b.ifThen(b.less(column, p.size.columns), [&] { p.epilogue(b.wide(row), b.wide(column), four); });
      }
  });
}

void Emitter::store(ArrayRef<Value> sums) {
  for (int64_t tile = 0; tile < rowTiles(); ++tile)
    for (int64_t half = 0; half < 2; ++half)
      storeRow(sums, tile, half);
}

void Emitter::run() {
  SmallVector<Value> sums = multiply();
  block.split.finish(sums, s.threads(), p.scratch, block.shared, [&](ArrayRef<Value> all) { store(all); });
}

void codegen::emitTensorProduct(GpuBuilder &b, const TensorProduct &product, const TensorSchedule &schedule) {
  Emitter(b, product, schedule).run();
}
