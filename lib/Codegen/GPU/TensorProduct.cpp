//===- TensorProduct.cpp - a block of a matrix product on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TensorBlock.h"

#include "permalloy/Artifact/Format.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

TensorBlock::TensorBlock(GpuBuilder &b, const TensorProduct &p, const TensorSchedule &s)
    : b(b), warp(b), p(p), s(s), layout(p.size, s), rows(b.narrow(p.rows)), number(b.blockIndex()) {
  if (s.splitK > 1)
    placeSplit();
  int64_t across = s.across(p.size), warpsAcross = s.blockColumns / s.warpColumns;
  firstColumn = b.mul(b.rem(number, across), s.blockColumns), firstRow = b.mul(b.div(number, across), s.blockRows);
  thread = b.threadIndex();
  Value lane = b.bitAnd(thread, 31), warpNumber = b.div(thread, 32);
  group = b.div(lane, 4), inGroup = b.bitAnd(lane, 3);
  warpRow = b.mul(b.div(warpNumber, warpsAcross), s.warpRows), warpColumn = b.mul(b.rem(warpNumber, warpsAcross), s.warpColumns);
  shared = warp.sharedMemory();
}

/// As tensorBlocks says it.
void TensorBlock::placeSplit() {
  Value blocks = b.max(b.mul(b.ceilDiv(rows, s.blockRows), s.across(p.size)), b.i32(1));
  parts = b.max(b.min(b.div(b.i32(kSplitBlocks), blocks), b.i32(s.splitK)), b.i32(1));
  part = b.rem(number, parts), number = b.div(number, parts);
}

tfm::DimExprAttr codegen::tensorBlocks(const TensorSize &size, const TensorSchedule &s, tfm::DimExprAttr rows) {
  using tfm::DimExprAttr;
  auto constant = [&](int64_t value) { return DimExprAttr::constant(rows.getContext(), value); };
  DimExprAttr blocks = DimExprAttr::mul(DimExprAttr::ceilDiv(rows, constant(s.blockRows)), constant(s.across(size)));
  if (s.splitK == 1)
    return blocks;
  DimExprAttr parts = DimExprAttr::floorDiv(constant(kSplitBlocks), DimExprAttr::max(blocks, constant(1)));
  return DimExprAttr::mul(blocks, DimExprAttr::max(DimExprAttr::min(parts, constant(s.splitK)), constant(1)));
}

tfm::DimExprAttr codegen::tensorScratch(const TensorSize &size, const TensorSchedule &s, tfm::DimExprAttr rows) {
  auto constant = [&](int64_t value) { return tfm::DimExprAttr::constant(rows.getContext(), value); };
  if (s.splitK == 1)
    return constant(0);
  return tfm::DimExprAttr::mul(tfm::DimExprAttr::min(tensorBlocks(size, s, rows), constant(kSplitBlocks)), constant(s.sumBytes()));
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
  SmallVector<Value> addParts(ArrayRef<Value> sums);
  void storeSums(ArrayRef<Value> sums);
  void store(ArrayRef<Value> sums);
  void storeRow(ArrayRef<Value> sums, int64_t tile, int64_t half);

  int64_t rowTiles() const { return s.warpRows / 16; }
  int64_t columnGroups() const { return s.warpColumns / kGroupColumns; }
  int64_t sumCount() const { return rowTiles() * columnGroups() * 16; }
  Type sumType() { return block.warp.accumulatorType(p.size.type); }
  /// The first of the four results of a product: of rows `tile`, columns `group` and `of` four.
  size_t sumAt(int64_t tile, int64_t group, int64_t of) const { return ((tile * columnGroups() + group) * 4 + of) * 4; }
  /// Where this thread keeps its sums of part `part`, 16 bytes every 16 * threads().
  Value sumsOf(Value part);

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
  Value first = b.i32(0), last = b.i32(s.tilesOfK(p.size));
  if (block.parts) {
    Value each = b.div(b.sub(b.add(last, block.parts), 1), block.parts);
    first = b.mul(block.part, each), last = b.min(b.add(first, each), last);
  }
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
// Several blocks for one block of results
//===----------------------------------------------------------------------===//

Value Emitter::sumsOf(Value part) {
  Value which = b.add(b.mul(block.number, block.parts), part);
  return b.at(p.scratch, b.add(b.mul(b.wide(which), s.sumBytes()), b.mul(b.wide(block.thread), 16)));
}

void Emitter::storeSums(ArrayRef<Value> sums) {
  auto four = VectorType::get(4, sumType());
  Value own = sumsOf(block.part);
  for (int64_t i = 0; i < sumCount(); i += 4)
    b.store(vector::FromElementsOp::create(b, four, sums.slice(i, 4)), b.at(own, i * 4 * s.threads()), 16);
}

/// The sums of all parts, in their order.
SmallVector<Value> Emitter::addParts(ArrayRef<Value> init) {
  auto four = VectorType::get(4, sumType());
  return b.loop(b.i32(0), block.parts, 1, init, [&](Value part, ValueRange carried) {
    SmallVector<Value> sums(carried);
    Value from = sumsOf(part);
    for (int64_t i = 0; i < sumCount(); i += 4) {
      Value loaded = b.load(four, b.at(from, i * 4 * s.threads()), 16);
      for (int64_t j = 0; j < 4; ++j) {
        Value x = vector::ExtractOp::create(b, loaded, j);
        sums[i + j] = sumType().isF32() ? b.addf(sums[i + j], x) : b.add(sums[i + j], x);
      }
    }
    return sums;
  });
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
  if (!block.parts)
    return store(sums);
  SmallVector<Value> zeros(sumCount(), arith::ConstantOp::create(b, b.getZeroAttr(sumType())));
  auto join = [&] {
    storeSums(sums);
    Value counters = b.at(p.scratch, -int64_t(artifact::kDeviceCounters * sizeof(uint32_t)));
    Value isLast = block.warp.arriveLast(b.at(counters, b.mul(b.wide(block.number), 4)), block.parts, block.shared);
    SmallVector<Value> joined = b.choose(isLast, [&] { return addParts(zeros); }, [&] { return zeros; });
    joined.push_back(isLast);
    return joined;
  };
  auto alone = [&] {
    SmallVector<Value> all = sums;
    all.push_back(arith::ConstantOp::create(b, b.getBoolAttr(true)));
    return all;
  };
  SmallVector<Value> joined = b.choose(b.less(b.i32(1), block.parts), join, alone);
  b.ifThen(joined.back(), [&] { store(ArrayRef(joined).drop_back()); });
}

void codegen::emitTensorProduct(GpuBuilder &b, const TensorProduct &product, const TensorSchedule &schedule) {
  Emitter(b, product, schedule).run();
}
