//===- FmaProduct.cpp - a block of a matrix product by FMA -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FmaProduct.h"
#include "FmaStaging.h"
#include "Tfm/Panels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

std::string codegen::whyNotFmaTile(const FmaTile &s, const ProductWeight &weight,
                                   int64_t sharedBytes) {
  if (s.threadRows < 1 || s.blockRows % s.warpRows() || s.blockColumns % 32 || s.blockRows < 1 ||
      s.blockColumns < 32)
    return "a block is no whole number of warps of " + std::to_string(s.warpRows()) + " x 32";
  if (s.blockSteps != 16 && s.blockSteps != 32)
    return "a stage has 16 or 32 steps";
  if (s.threads() > 512 || s.threads() < 64 || s.threadRows > 8)
    return "the threads of a block do not fit: " + std::to_string(s.threads());
  if (int64_t chunks = std::min(s.blockRows, s.blockColumns) * s.blockSteps / 4;
      chunks % s.threads())
    return "the threads do not share the copies evenly";
  if (s.stages < 2 || s.sharedBytes() > sharedBytes)
    return "the stages need " + std::to_string(s.sharedBytes()) +
           " bytes of shared memory; there are " + std::to_string(sharedBytes);
  if (s.splitK < 1 || s.splitK > kSplitBlocks)
    return "split_k must be between 1 and " + std::to_string(kSplitBlocks);
  return s.splitK > 1 && s.splitK > s.tilesOf(weight) ? "split_k is more than the tiles of K" : "";
}

/// Small blocks where there are few columns: more multiprocessors have one. 128 threads of 8 x 8 results take up to 168 registers:
/// three blocks on a multiprocessor, where one of 128 x 128 would be alone.
FmaTile FmaTile::choose(const ProductWeight &weight, std::optional<int64_t> rows) {
  FmaTile tile;
  tile.blockColumns = 64;
  if (weight.n < 2048)
    tile.blockRows = 64, tile.threadRows = 4;
  int64_t down = llvm::divideCeil(rows.value_or(1), tile.blockRows);
  tile.splitK = chooseSplit(tile.tilesOf(weight), down * fmaColumnBlocks(weight, tile));
  return tile;
}

int64_t codegen::fmaColumnBlocks(const ProductWeight &weight, const FmaTile &tile) {
  return llvm::divideCeil(weight.n, tile.blockColumns);
}

namespace {

class Emitter {
public:
  Emitter(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile, Value columnBlock,
          Value shared, SplitK *split)
      : b(b), warp(b), p(product), w(product.weight), s(tile), columnBlock(columnBlock),
        shared(shared), split(split), staging(b, product, tile, columnBlock, shared) {}
  void run();

private:
  void placeThread();
  void multiply(Value stage, MutableArrayRef<Value> sums);
  void store(ArrayRef<Value> sums);

  Type resultType() { return w.isIntegral() ? Type(b.getI32Type()) : Type(b.getF32Type()); }
  SmallVector<Value> load(Value pointer, int64_t count) {
    SmallVector<Value> result;
    Value loaded = b.load(VectorType::get(count, resultType()), pointer, 4 * count);
    for (int64_t i = 0; i < count; ++i)
      result.push_back(vector::ExtractOp::create(b, loaded, i));
    return result;
  }
  size_t sumAt(int64_t row, int64_t panel) const { return (row * 2 + panel) * 4; }

  GpuBuilder &b;
  WarpBuilder warp;
  const BlockProduct &p;
  const ProductWeight &w;
  const FmaTile &s;
  Value columnBlock, shared;
  SplitK *split;
  FmaStaging staging;
  Value firstRow;             ///< of the thread in the block
  Value warpPanel, ownColumn; ///< first panel of the warp in the block; the thread's column of it
  Value rowRead, columnRead;  ///< of the thread, in a stage
  Value swizzle;              ///< of its rows, in bytes
};

} // namespace

void Emitter::placeThread() {
  Value lane = b.rem(b.threadInBlock(), 32), number = b.div(b.threadInBlock(), 32);
  int64_t across = s.blockColumns / 32;
  Value y = b.div(lane, 4), x = b.rem(lane, 4);
  firstRow = b.add(b.mul(b.div(number, across), s.warpRows()), y);
  warpPanel = b.mul(b.rem(number, across), 2);
  ownColumn = b.mul(x, 4);
  rowRead = b.mul(firstRow, s.blockSteps * 4);
  swizzle = b.mul(fmaRowSwizzle(b, s, firstRow), 16);
  Value panel = b.mul(warpPanel, s.blockSteps * 64);
  columnRead = b.add(b.add(panel, b.mul(x, 16)), s.rowBytes());
}

/// The steps of one stage, two at a time: A of four at once would take more registers.
void Emitter::multiply(Value stage, MutableArrayRef<Value> sums) {
  Value columns = b.at(b.at(shared, columnRead), stage), rows = b.at(b.at(shared, rowRead), stage);
  for (int64_t first = 0; first < s.blockSteps; first += 2) {
    Value chunk = b.createOrFold<arith::XOrIOp>(swizzle, b.i64(first / 4 * 16));
    Value from = b.at(b.at(rows, chunk), first % 4 * 4);
    SmallVector<SmallVector<Value>> left;
    for (int64_t row = 0; row < s.threadRows; ++row)
      left.push_back(load(b.at(from, row * 8 * s.blockSteps * 4), 2));
    for (int64_t step = 0; step < 2; ++step)
      for (int64_t panel = 0; panel < 2; ++panel) {
        SmallVector<Value> right =
            load(b.at(columns, panel * s.blockSteps * 64 + (first + step) * 64), 4);
        for (int64_t row = 0; row < s.threadRows; ++row)
          for (int64_t column = 0; column < 4; ++column) {
            Value &sum = sums[sumAt(row, panel) + column];
            sum = w.isIntegral() ? warp.dotBytes(left[row][step], p.signedRows, right[column],
                                                 !w.element.isUnsignedInteger(), sum)
                                 : b.fma(left[row][step], right[column], sum);
          }
      }
  }
}

void Emitter::store(ArrayRef<Value> sums) {
  auto type = VectorType::get(4, resultType());
  int64_t panels = s.blockColumns / kPanelColumns / (p.isGated ? 2 : 1);
  Value panel = p.isGated ? b.div(warpPanel, 2) : warpPanel;
  Value column = b.add(b.mul(b.add(b.mul(columnBlock, panels), panel), kPanelColumns), ownColumn);
  int64_t n = p.isGated ? w.n / 2 : w.n;
  auto deliver = [&](Value row, Value at, ArrayRef<Value> first, ArrayRef<Value> second) {
    auto epilogue = [&] {
      Value other;
      if (p.isGated)
        other = vector::FromElementsOp::create(b, type, second);
      p.epilogue(row, at, vector::FromElementsOp::create(b, type, first), other);
    };
    if (n % (panels * kPanelColumns) == 0)
      return epilogue();
    b.ifThen(b.less(at, b.i64(n)), epilogue);
  };
  for (int64_t row = 0; row < s.threadRows; ++row) {
    Value own = b.add(firstRow, row * 8);
    ArrayRef<Value> first = sums.slice(sumAt(row, 0), 4), second = sums.slice(sumAt(row, 1), 4);
    b.ifThen(b.less(own, p.count), [&] {
      deliver(own, column, first, second);
      if (!p.isGated)
        deliver(own, b.add(column, kPanelColumns), second, {});
    });
  }
}

void Emitter::run() {
  placeThread();
  Value first = b.i64(0), last = b.i64(staging.tiles());
  if (split) {
    auto [from, to] = split->tilesOf(staging.tiles());
    first = b.wide(from), last = b.wide(to);
  }
  staging.begin(first, last);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(resultType()));
  SmallVector<Value> init(s.threadRows * 8, zero);
  init.append({b.i64(0), b.i64((s.stages - 1) * s.stageBytes())});
  auto next = [&](Value stage) {
    Value after = b.add(stage, s.stageBytes());
    return b.select(b.equal(after, b.i64(s.sharedBytes())), b.i64(0), after);
  };
  SmallVector<Value> results =
      b.loop(first, last, 1, init, [&](Value number, ValueRange carried) {
        SmallVector<Value> sums(carried.drop_back(2));
        Value reading = carried[carried.size() - 2], writing = carried.back();
        staging.beforeTile(number, writing);
        multiply(reading, sums);
        Value following = next(reading);
        staging.behindTile(following);
        sums.append({following, next(writing)});
        return sums;
      });
  results.truncate(results.size() - 2);
  if (!split)
    return store(results);
  split->finish(results, s.threads(), b.launchScratch(), shared,
                [&](ArrayRef<Value> sums) { store(sums); });
}

void codegen::emitFmaProduct(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile,
                             Value columnBlock, Value shared, SplitK *split) {
  Emitter(b, product, tile, columnBlock, shared, split).run();
}
