//===- TensorProduct.cpp - a block of a matrix product on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TensorProduct.h"
#include "Tfm/Panels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Bytes that one thread copies at once, and that shared memory is permuted in.
static constexpr int64_t kChunkBytes = 16;
static constexpr int64_t kPanelRowBytes = 64;
/// Words of K that one mma takes.
static constexpr int64_t kStepWords = 8;
/// Columns of two panels, which four mma share.
static constexpr int64_t kGroupColumns = 32;

ScheduleSpaceOf<TensorSchedule> codegen::tensorSpace(int64_t words, int64_t sharedBytes) {
  using S = TensorSchedule;
  ScheduleSpaceOf<S> space;
  space.add("block_rows", "rows of A of a block", &S::blockRows, {32, 64, 128});
  space.add("block_columns", "columns of a block", &S::blockColumns, {64, 128});
  space.add("block_words", "words of K in one stage", &S::blockWords, {16, 32});
  space.add("warp_rows", "rows of a warp", &S::warpRows, {16, 32, 64});
  space.add("warp_columns", "columns of a warp", &S::warpColumns, {32, 64});
  space.add("stages", "tiles of K in shared memory", &S::stages, {2, 3, 4});
  space.require([=](const S &s) -> std::string {
    if (s.warpRows <= 0 || s.warpColumns <= 0 || s.warpRows % 16 || s.warpColumns % kGroupColumns)
      return "warp_rows must be a multiple of 16 and warp_columns of 32";
    if (s.blockRows % s.warpRows || s.blockColumns % s.warpColumns)
      return "the warps do not fill the block";
    if (s.blockWords != 16 && s.blockWords != 32)
      return "block_words must be 16 or 32";
    if (words % s.blockWords)
      return "block_words must divide the " + std::to_string(words) + " words of K";
    if (s.stages < 2)
      return "stages must be at least 2";
    return "";
  });
  space.require([](const S &s) -> std::string {
    int64_t chunks = std::min(s.blockRows, s.blockColumns) * s.blockWords * 4 / kChunkBytes;
    if (s.threads() > 1024 || chunks % s.threads())
      return "the threads do not share the copies evenly";
    if (int64_t rows = s.threads() / (s.blockWords / 4); rows % 8) // the period of A's swizzle: a thread's copies lie a constant apart
      return "the threads copy " + std::to_string(rows) + " rows of A at once, which must be a multiple of 8";
    return s.warpRows * s.warpColumns > 64 * 64 ? "the results do not fit the registers" : "";
  });
  space.require([=](const S &s) -> std::string {
    return s.sharedBytes() > sharedBytes ? "the stages need " + std::to_string(s.sharedBytes()) + " bytes of shared memory; there are " +
                                               std::to_string(sharedBytes)
                                         : "";
  });
  return space;
}

namespace {

class Emitter {
public:
  Emitter(GpuBuilder &b, const TensorProduct &product, const TensorSchedule &schedule)
      : b(b), warp(b), p(product), s(schedule) {}

  void run();

private:
  void placeBlock();
  void placeCopies();
  void placeOperands();
  void load(Value tile, Value stage);
  SmallVector<Value> step(int64_t first, Value stage, SmallVector<Value> sums);
  void store(ArrayRef<Value> sums);
  void storeRow(ArrayRef<Value> sums, int64_t tile, int64_t half);

  int64_t tilesOfK() const { return p.words / s.blockWords; }
  int64_t rowTiles() const { return s.warpRows / 16; }
  int64_t columnGroups() const { return s.warpColumns / kGroupColumns; }
  /// The first of the four results of a product: of rows `tile`, columns `group` and `of` four.
  size_t sumAt(int64_t tile, int64_t group, int64_t of) const { return ((tile * columnGroups() + group) * 4 + of) * 4; }
  Value bitXor(Value x, Value y) { return b.createOrFold<arith::XOrIOp>(x, y); }
  Value bitAnd(Value x, int64_t y) { return b.createOrFold<arith::AndIOp>(x, b.i64(y)); }
  Value chunkOfRow(Value row, Value chunk);
  Value chunkOfColumns(Value row, Value chunk) { return bitXor(chunk, bitAnd(row, 2)); }

  GpuBuilder &b;
  WarpBuilder warp;
  const TensorProduct &p;
  const TensorSchedule &s;
  Value firstRow, firstColumn;      ///< of the block
  Value warpRow, warpColumn, group, inGroup; ///< of the warp in the block; lane = 4 group + inGroup
  Value shared;
  Value rowFrom, rowTo, rowNumber;  ///< this thread's first chunk of A: global and shared address, row of A
  Value columnFrom, columnTo, panel; ///< and of B
  Value rowRead, columnRead;        ///< this lane's operands
};

} // namespace

Value Emitter::chunkOfRow(Value row, Value chunk) {
  return bitXor(chunk, s.blockWords == 16 ? bitAnd(b.div(row, 2), 3) : bitAnd(row, 7));
}

void Emitter::placeBlock() {
  int64_t blocks = llvm::divideCeil(p.columns, s.blockColumns), across = s.blockColumns / s.warpColumns;
  firstColumn = b.mul(b.rem(b.blockNumber(), blocks), s.blockColumns);
  firstRow = b.mul(b.div(b.blockNumber(), blocks), s.blockRows);
  Value lane = bitAnd(b.threadInBlock(), 31), number = b.div(b.threadInBlock(), 32);
  group = b.div(lane, 4), inGroup = bitAnd(lane, 3);
  warpRow = b.mul(b.div(number, across), s.warpRows), warpColumn = b.mul(b.rem(number, across), s.warpColumns);
  shared = warp.sharedMemory();
}

/// Chunks are numbered along K, then rows; each thread copies every threads()-th one, which lie a constant apart.
void Emitter::placeCopies() {
  int64_t chunks = s.blockWords / 4, panelChunks = s.blockWords * 4;
  Value row = b.div(b.threadInBlock(), chunks), chunk = b.rem(b.threadInBlock(), chunks);
  rowNumber = b.add(firstRow, row);
  rowFrom = b.at(p.a, b.add(b.mul(rowNumber, p.words * 4), b.mul(chunk, kChunkBytes)));
  rowTo = b.at(shared, b.add(b.mul(row, s.blockWords * 4), b.mul(chunkOfRow(row, chunk), kChunkBytes)));
  Value own = b.div(b.threadInBlock(), panelChunks), line = b.rem(b.div(b.threadInBlock(), 4), s.blockWords);
  Value part = bitAnd(b.threadInBlock(), 3);
  panel = b.add(b.div(firstColumn, tfm::kPanelColumns), own);
  columnFrom = b.at(p.weights, b.add(b.mul(panel, p.words * kPanelRowBytes), b.add(b.mul(line, kPanelRowBytes), b.mul(part, kChunkBytes))));
  Value to = b.add(b.mul(own, s.blockWords * kPanelRowBytes), b.add(b.mul(line, kPanelRowBytes), b.mul(chunkOfColumns(line, part), kChunkBytes)));
  columnTo = b.at(shared, b.add(to, s.rowBytes()));
}

/// Copies tile number `tile` of K to the stage that begins `stage` bytes into shared memory.
void Emitter::load(Value tile, Value stage) {
  int64_t chunks = s.blockWords / 4, panelChunks = s.blockWords * 4, threads = s.threads();
  Value fromA = b.at(rowFrom, b.mul(tile, s.blockWords * 4)), toA = b.at(rowTo, stage);
  for (int64_t i = 0; i < s.blockRows * chunks / threads; ++i) {
    int64_t rows = i * threads / chunks;
    Value exists = b.less(b.add(rowNumber, rows), p.rows);
    warp.copyAsync(b.at(toA, rows * s.blockWords * 4), b.at(fromA, rows * p.words * 4), exists);
  }
  int64_t panels = llvm::divideCeil(p.columns, tfm::kPanelColumns);
  bool isWhole = p.columns % s.blockColumns == 0;
  Value fromB = b.at(columnFrom, b.mul(tile, s.blockWords * kPanelRowBytes)), toB = b.at(columnTo, stage);
  for (int64_t i = 0; i < s.blockColumns / tfm::kPanelColumns * panelChunks / threads; ++i) {
    // Threads are a part or a multiple of a panel's chunks.
    int64_t first = i * threads, ahead = first / panelChunks, lines = first % panelChunks / 4;
    Value exists = isWhole ? Value() : b.less(b.add(panel, ahead), b.i64(panels));
    warp.copyAsync(b.at(toB, (ahead * s.blockWords + lines) * kPanelRowBytes),
                   b.at(fromB, (ahead * p.words + lines) * kPanelRowBytes), exists);
  }
}

void Emitter::placeOperands() {
  Value lane = bitAnd(b.threadInBlock(), 31), row = b.add(warpRow, bitAnd(lane, 15));
  rowRead = b.add(b.mul(row, s.blockWords * 4), b.mul(chunkOfRow(row, b.div(lane, 16)), kChunkBytes));
  Value own = b.add(b.div(warpColumn, tfm::kPanelColumns), b.div(group, 4));
  Value to = b.add(b.mul(own, s.blockWords * kPanelRowBytes), b.mul(inGroup, kPanelRowBytes));
  columnRead = b.at(shared, b.add(b.add(to, b.mul(chunkOfColumns(inGroup, bitAnd(group, 3)), kChunkBytes)), s.rowBytes()));
}

/// Multiplies the 8 words from `first` on of a stage.
SmallVector<Value> Emitter::step(int64_t first, Value stage, SmallVector<Value> sums) {
  // A step is two chunks of a row; the permutation is an exclusive or, which commutes.
  Value rows = b.at(b.at(shared, bitXor(rowRead, b.i64(first * 4))), stage), columns = b.at(columnRead, stage);
  SmallVector<SmallVector<Value>> left;
  for (int64_t tile = 0; tile < rowTiles(); ++tile)
    left.push_back(warp.loadMatrix(b.at(rows, tile * 16 * s.blockWords * 4)));
  auto words = VectorType::get(4, b.getI32Type());
  for (int64_t group = 0; group < columnGroups(); ++group) {
    Value halves[2];
    for (int64_t half = 0; half < 2; ++half)
      halves[half] = b.load(words, b.at(columns, group * 2 * s.blockWords * kPanelRowBytes + (first + half * 4) * kPanelRowBytes), 16);
    for (int64_t of = 0; of < 4; ++of) {
      Value low = vector::ExtractOp::create(b, halves[0], of), high = vector::ExtractOp::create(b, halves[1], of);
      for (int64_t tile = 0; tile < rowTiles(); ++tile) {
        Value *sum = &sums[sumAt(tile, group, of)];
        SmallVector<Value> next = warp.multiply(p.type, left[tile], {low, high}, ArrayRef(sum, 4));
        llvm::copy(next, sum);
      }
    }
  }
  return sums;
}

void Emitter::storeRow(ArrayRef<Value> sums, int64_t tile, int64_t half) {
  Value row = b.add(b.add(firstRow, warpRow), b.add(group, tile * 16 + half * 8));
  b.ifThen(b.less(row, p.rows), [&] {
    for (int64_t group = 0; group < columnGroups(); ++group)
      for (int64_t part = 0; part < 2; ++part) {
        Value column = b.add(b.add(firstColumn, warpColumn), b.add(b.mul(inGroup, 8), group * kGroupColumns + part * 4));
        SmallVector<Value> four;
        for (int64_t of = 0; of < 4; ++of)
          four.push_back(sums[sumAt(tile, group, of) + half * 2 + part]);
        if (p.columns % s.blockColumns == 0)
          p.epilogue(row, column, four);
        else
          b.ifThen(b.less(column, b.i64(p.columns)), [&] { p.epilogue(row, column, four); });
      }
  });
}

void Emitter::store(ArrayRef<Value> sums) {
  for (int64_t tile = 0; tile < rowTiles(); ++tile)
    for (int64_t half = 0; half < 2; ++half)
      storeRow(sums, tile, half);
}

void Emitter::run() {
  placeBlock();
  placeCopies();
  placeOperands();
  for (int64_t tile = 0; tile < s.stages - 1; ++tile) {
    if (tile < tilesOfK())
      load(b.i64(tile), b.i64(tile * s.stageBytes()));
    warp.commitCopies();
  }
  Type type = warp.accumulatorType(p.type);
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  SmallVector<Value> init(rowTiles() * columnGroups() * 16, zero);
  init.push_back(b.i64(0));
  init.push_back(b.i64((s.stages - 1) * s.stageBytes()));
  auto next = [&](Value stage) {
    Value after = b.add(stage, s.stageBytes());
    return b.select(b.equal(after, b.i64(s.sharedBytes())), b.i64(0), after);
  };
  SmallVector<Value> results = b.loop(b.i64(0), b.i64(tilesOfK()), 1, init, [&](Value tile, ValueRange carried) {
    SmallVector<Value> sums(carried.drop_back(2));
    Value reading = carried[carried.size() - 2], writing = carried.back();
    warp.waitCopies(s.stages - 2);
    warp.barrier(); // copies of all threads are there, and all have read the stage that is written now
    Value ahead = b.add(tile, s.stages - 1);
    b.ifThen(b.less(ahead, b.i64(tilesOfK())), [&] { load(ahead, writing); });
    warp.commitCopies();
    for (int64_t first = 0; first < s.blockWords; first += kStepWords)
      sums = step(first, reading, sums);
    sums.push_back(next(reading));
    sums.push_back(next(writing));
    return sums;
  });
  store(ArrayRef<Value>(results).drop_back(2));
}

void codegen::emitTensorProduct(GpuBuilder &b, const TensorProduct &product, const TensorSchedule &schedule) {
  Emitter(b, product, schedule).run();
}
