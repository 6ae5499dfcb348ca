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
  return tile.splitK > 1 ? "blocks do not share the K of kept blocks" : "";
}

/// Kept rows of a tile, of one warp.
static int64_t keptBytes(const FmaTile &tile) { return tile.blockSteps * kPanelColumns * 4; }

/// Two stages of A, then two of the kept rows of each warp; at the end all results.
int64_t codegen::sparseSharedBytes(const FmaTile &tile) {
  int64_t stages = 2 * (tile.rowBytes() + tile.blockColumns / kPanelColumns * keptBytes(tile));
  return std::max(stages, kRows * tile.blockColumns * 4);
}

namespace {

class Emitter {
public:
  Emitter(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile, Value columnBlock,
          Value shared)
      : b(b), warp(b), p(product), w(product.weight), s(tile), shared(shared), reader(b, w),
        staging(b, product, tile, columnBlock, shared) {
    lane = b.rem(b.threadInBlock(), kLanes);
    firstColumn = b.mul(b.narrow(columnBlock), s.blockColumns);
    Value number = b.div(b.threadInBlock(), kLanes);
    Value panel = b.add(b.mul(columnBlock, s.blockColumns / kPanelColumns), number);
    keptRows = b.at(shared, b.add(b.mul(number, 2 * keptBytes(s)), 2 * s.rowBytes()));
    known = b.min(panel, b.i64(w.panelCount() - 1));
    values = reader.panel(known);
  }
  void run();

private:
  struct Listed {
    Value number, count;
  };
  Listed listTile(Value at, Value tile);
  void copyValues(Value at, Value parity);
  SmallVector<Value> multiply(const Listed &listed, Value tile, Value parity, ValueRange init);
  Value inStage(Value parity, int64_t bytes) { return b.mul(parity, bytes); }
  void share(ArrayRef<Value> sums);
  Value placeOf(Value chunk, Value column);
  void store();

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
  Value lane;            ///< of the warp
  Value firstColumn;     ///< of the block, i32
  Value known, values;   ///< the warp's panel, or the last one; where its kept rows begin
  Value keptRows;        ///< those of two tiles, in shared memory
};

} // namespace

/// The list's entries from `at` on, one a lane, and how many of them are steps of the tile: at most as
/// many as it has steps.
Emitter::Listed Emitter::listTile(Value at, Value tile) {
  Value own = b.add(at, lane), kept = b.i64(w.sparse->kept);
  Value number = reader.denseRow(known, b.min(own, b.sub(kept, 1)));
  Value end = b.mul(b.add(tile, 1), s.blockSteps);
  Value isHere = arith::AndIOp::create(b, b.less(own, kept), b.less(number, end));
  Value count = arith::ExtUIOp::create(b, b.getI32Type(), isHere);
  for (int32_t distance = 1; distance < kLanes; distance *= 2)
    count = arith::AddIOp::create(b, count, warp.shuffleXor(count, distance));
  return {arith::TruncIOp::create(b, b.getI32Type(), number),
          arith::ExtUIOp::create(b, b.getI64Type(), count)};
}

/// Starts to copy the kept rows from `at` on, as many as a tile may have.
void Emitter::copyValues(Value at, Value parity) {
  constexpr int64_t kRowChunks = 4, kRowsAtOnce = kLanes / kRowChunks;
  Value row = b.div(lane, kRowChunks), part = b.mul(b.rem(lane, kRowChunks), kChunkBytes);
  Value to = b.at(b.at(keptRows, inStage(parity, keptBytes(s))), b.mul(lane, kChunkBytes));
  for (int64_t i = 0; i < s.blockSteps; i += kRowsAtOnce) {
    Value own = b.add(at, b.add(row, i));
    Value from = b.at(values, b.add(b.mul(own, w.rowStride()), part));
    warp.copyAsync(b.at(to, i * kPanelColumns * 4), from, b.less(own, b.i64(w.sparse->kept)));
  }
  warp.commitCopies();
}

/// The tile's kept rows times the lane's rows of A.
SmallVector<Value> Emitter::multiply(const Listed &listed, Value tile, Value parity,
                                     ValueRange init) {
  Value first = b.mul(tile, s.blockSteps);
  Value rows = b.at(shared, inStage(parity, s.rowBytes()));
  Value kept = b.at(keptRows, inStage(parity, keptBytes(s)));
  return b.loop(b.i64(0), listed.count, 1, init, [&](Value i, ValueRange so) {
    SmallVector<Value> sums(so), right;
    Value index = arith::TruncIOp::create(b, b.getI32Type(), i);
    Value number = warp.shuffle(listed.number, index);
    Value step = b.sub(arith::ExtUIOp::create(b, b.getI64Type(), number), first);
    Value chunk = b.createOrFold<arith::XOrIOp>(lane, b.rem(b.div(step, 4), 8));
    Value from = b.at(rows, b.add(b.mul(step, kRows * 4), b.mul(chunk, kChunkBytes)));
    Value left = b.load(fourType(), from, kChunkBytes);
    Value pointer = b.at(kept, b.mul(i, kPanelColumns * 4));
    for (int64_t part = 0; part < 4; ++part) {
      auto words = VectorType::get(4, b.getI32Type());
      llvm::append_range(right, reader.elements(b.load(words, b.at(pointer, part * 16), 16)));
    }
    for (int64_t row = 0; row < kLaneRows; ++row) {
      Value x = vector::ExtractOp::create(b, left, row);
      for (int64_t column = 0; column < kPanelColumns; ++column) {
        Value &sum = sums[row * kPanelColumns + column];
        sum = w.isIntegral() ? warp.dotBytes(x, p.signedRows, right[column],
                                             !w.element.isUnsignedInteger(), sum)
                             : b.fma(x, right[column], sum);
      }
    }
    return sums;
  });
}

/// Four rows of a column of the block, chunk `chunk` of them (both i32), in shared memory.
Value Emitter::placeOf(Value chunk, Value column) {
  Value place = b.bitXor(chunk, b.bitAnd(b.div(column, 4), 7));
  return b.at(shared, b.add(b.mul(column, kRows * 4), b.mul(place, kChunkBytes)));
}

/// The results to shared memory, by columns: the epilogue of all that a thread has at once would take more registers than there are.
void Emitter::share(ArrayRef<Value> sums) {
  warp.barrier(); // all are through with the tiles
  Value inWarp = b.bitAnd(b.threadIndex(), kLanes - 1), number = b.div(b.threadIndex(), kLanes);
  for (int64_t column = 0; column < kPanelColumns; ++column) {
    SmallVector<Value> rows;
    for (int64_t i = 0; i < kLaneRows; ++i)
      rows.push_back(sums[i * kPanelColumns + column]);
    Value own = b.add(b.mul(number, kPanelColumns), column);
    b.store(vector::FromElementsOp::create(b, fourType(), rows), placeOf(inWarp, own), kChunkBytes);
  }
  warp.barrier();
}

/// A warp takes 4 rows of 32 columns at a time, which are whole lines of memory.
void Emitter::store() {
  constexpr int64_t kDown = 4, kAcross = kLanes / kDown * 4;
  int64_t groups = s.blockColumns / kAcross, warps = s.threads() / kLanes;
  Value inWarp = b.bitAnd(b.threadIndex(), kLanes - 1), number = b.div(b.threadIndex(), kLanes);
  b.loop(number, b.i32(kRows / kDown * groups), warps, [&](Value item) {
    Value inChunk = b.bitAnd(inWarp, kDown - 1), chunk = b.div(item, groups);
    Value row = b.wide(b.add(b.mul(chunk, kDown), inChunk));
    Value own = b.add(b.mul(b.rem(item, groups), kAcross), b.mul(b.div(inWarp, kDown), 4));
    Value column = b.add(firstColumn, own);
    b.ifThen(b.both(b.less(row, p.count), b.less(column, w.n)), [&] {
      SmallVector<Value> four;
      for (int64_t i = 0; i < 4; ++i)
        four.push_back(b.load(resultType(), b.at(placeOf(chunk, b.add(own, i)), b.mul(inChunk, 4)), 4));
      p.epilogue(row, b.wide(column), vector::FromElementsOp::create(b, fourType(), four), {});
    });
  });
}

void Emitter::run() {
  staging.begin(b.i64(0), b.i64(staging.tiles()));
  copyValues(b.i64(0), b.i64(0));
  SmallVector<Value> init(kLaneRows * kPanelColumns, zero());
  init.push_back(b.i64(0)); // the place in the list
  SmallVector<Value> results =
      b.loop(b.i64(0), b.i64(staging.tiles()), 1, init, [&](Value tile, ValueRange carried) {
        Value at = carried.back(), parity = b.rem(tile, 2), other = b.sub(b.i64(1), parity);
        warp.waitCopies(0);
        staging.beforeTile(tile, {});
        Listed listed = listTile(at, tile);
        Value next = b.add(at, listed.count);
        copyValues(next, other);
        SmallVector<Value> sums = multiply(listed, tile, parity, carried.drop_back());
        staging.behindTile(inStage(other, s.rowBytes()));
        sums.push_back(next);
        return sums;
      });
  warp.waitCopies(0);
  share(ArrayRef<Value>(results).drop_back());
  store();
}

static LLVM::LLVMFuncOp functionOf(GpuBuilder &b) {
  Operation *parent = b.getInsertionBlock()->getParentOp();
  auto function = dyn_cast<LLVM::LLVMFuncOp>(parent);
  return function ? function : parent->getParentOfType<LLVM::LLVMFuncOp>();
}

void codegen::emitSparseProduct(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile,
                                Value columnBlock, Value shared) {
  if (tile.threads() == 256) // 128 registers do: two blocks on a multiprocessor
    functionOf(b)->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(2));
  Emitter(b, product, tile, columnBlock, shared).run();
}
