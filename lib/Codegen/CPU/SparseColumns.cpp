//===- SparseColumns.cpp - products with lanes along the rows of A -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SparseColumns.h"
#include "ContractionLayout.h"
#include "IntegerProduct.h"
#include "SparseQuads.h"
#include "permalloy/Codegen/CPU/MicroKernel.h"
#include "permalloy/Codegen/CPU/Transpose.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

/// Steps in one turn of the loop over the kept rows.
static constexpr unsigned kTurn = 2;

/// From how many steps of K on the columns of a tile that is not cut are fetched ahead, by how many kept rows: no prefetcher follows the
/// gaps of a list, and of 600 KB too few lines are near. A C++ prototype of 128 x 768 x 3072 takes 2.65 ms without, 2.23 with, and at
/// 768 steps the same either way.
static constexpr int64_t kLongDepth = 1024, kColumnsAhead = 8;

/// Where columns stand in the scratch, behind the number, plus one, of the block of rows that they are of: the runtime sets it to 0
/// when a worker begins with a launch.
static constexpr int64_t kColumnsOffset = 64;

static constexpr int64_t kLineBytes = 64, kRowBytes = kPanelColumns * 4;

namespace {

/// Steps of a cut; of quads, whole words of them.
int64_t cutOf(const ContractionSchedule &s, int64_t k, int64_t quads) {
  int64_t steps = std::min(s.blockSteps, k);
  return quads && steps < k ? std::min<int64_t>(llvm::alignTo(steps, quadsWordSteps(quads)), k) : steps;
}

/// Emits one product; the members are what all levels of the nest need.
class ColumnsEmitter {
public:
  ColumnsEmitter(KernelBuilder &b, const Contraction &c, const ContractionSchedule &s)
      : b(b), c(c), s(s), kept(c.sparse->kept), steps(c.isIntegral() ? c.k / 4 : c.k), groups(panelsOf(c.n)), quads(c.sparse->keptOfFour),
        cut(cutOf(s, steps, quads)), cuts(llvm::divideCeil(steps, cut)),
        numbersBytes(quads ? llvm::divideCeil(kept, kQuadsWord) * kRowBytes : kept * 4), lanes(b.target().lanes()), tileBytes(s.rows * kRowBytes), columns(b.at(b.scratch(), kColumnsOffset)),
        sums(b.at(columns, s.blockRows * steps * 4)), rowsOfTile(b.stackBuffer(tileBytes)),
        integers(b, c.k, c.signedRows, /*signedWeights=*/true), laneIntegers(b, c.k, /*signedRows=*/true, /*signedWeights=*/false) {
    if (c.isIntegral())
      corrections = b.stackBuffer(s.runTiles * kRowBytes);
    if (cuts > 1)
      ranges = quads ? Value() : b.stackBuffer(s.runTiles * (cuts + 1) * 8);
    else
      sums = b.stackBuffer(tileBytes);
  }
  void emit();

private:
  void packRows(Value block);
  void packSquare(Value row, Value step, unsigned width, Value to);
  void emitRun();
  void findRanges(Value panel);
  Value findStep(Value numbers, Value step);
  void emitTile(Value number, Value tile, Value panel);
  void openCut(Value number, Value tile, Value panel, Value tiles);
  void findNext(Value number, Value tile, Value panel, Value tiles);
  void emitPasses(unsigned vectors);
  void emitPass(int64_t firstColumn, int64_t width, unsigned vectors);
  void emitQuadsPass(Value firstColumn, unsigned vectors);
  SmallVector<Value> initialSums(int64_t width, unsigned vectors, Value from);
  void prefetch(Value step, unsigned index, bool isFirst, ArrayRef<int64_t> vectorOffsets);
  void finishTile(Value row, Value panel);
  void finishRows(Value row, Value panel, int64_t width);
  Value corrected(Value sums, Value panel);
  Value valuesOf(Value panel) { return b.at(c.weights, b.mul(panel, kept * kRowBytes)); }
  Value numbersOf(Value panel) { return b.at(c.sparse->numbers, b.mul(panel, numbersBytes)); }

  KernelBuilder &b;
  const Contraction &c;
  const ContractionSchedule &s;
  int64_t kept;
  /// Of K; of 8-bit integers, four of K that stand side by side in each lane.
  int64_t steps;
  int64_t groups;
  /// Of each four steps, so many are kept; 0: the list of each panel says which are.
  int64_t quads;
  int64_t cut, cuts, numbersBytes, lanes, tileBytes;
  /// A as [tiles][K][rows of a tile]; sums of a run as [tiles][panels of a run][16][rows of a tile], or of
  /// one tile where K is not cut; those of one tile as rows.
  Value columns, sums, rowsOfTile;
  /// Of K cut: i64 [panels of a run][cuts + 1], where a cut begins in a panel's list.
  Value ranges;
  /// Of 8-bit integers: how rows of A are stored and what the sums of columns lack then, i32 [panels of a run][16]; and the product with
  /// the factors exchanged, unsigned rows in the lanes and signed weights broadcast.
  IntegerProduct integers, laneIntegers;
  Value corrections;
  // The run at hand: its rows and panels.
  Value first, last, from, to;
  // The tile at hand: its columns, the kept rows of the panel that lie in the cut, its rows and sums; what is fetched meanwhile: bytes
  // from one kept row to the next of the weights, and the columns that come next.
  Value tileColumns, values, numbers, depth, count, tileSums, isLast, nextValues, nextNumbers, nextStride, nextColumns;
};

} // namespace

void ColumnsEmitter::emit() {
  // Blocks of equal height rather than whole ones and a rest.
  Value blocks = b.max(b.ceilDiv(c.rows, s.blockRows), b.i64(1));
  Value height = b.mul(b.ceilDiv(b.div(b.add(c.rows, b.sub(blocks, 1)), blocks), s.rows), s.rows);
  b.loop(b.div(b.tileBegin(), groups), b.ceilDiv(b.tileEnd(), groups), 1, [&](Value block) {
    Value tile = b.mul(block, groups), end = b.min(b.sub(b.tileEnd(), tile), b.i64(groups));
    first = b.mul(block, height);
    last = b.min(b.add(first, height), c.rows);
    b.ifThen(b.less(first, last), [&] {
      packRows(block);
      b.loop(b.max(b.sub(b.tileBegin(), tile), b.i64(0)), end, s.runTiles, [&](Value panel) {
        from = panel, to = b.min(b.add(panel, s.runTiles), end);
        emitRun();
      });
    });
  });
}

//===----------------------------------------------------------------------===//
// Rows of A as columns
//===----------------------------------------------------------------------===//

/// The rows [first, last), unless a call before this one in the same launch left them in the scratch. Lanes behind `last` hold its last
/// row.
void ColumnsEmitter::packRows(Value block) {
  Value number = b.add(block, 1);
  int64_t whole = steps / lanes * lanes;
  b.ifElse(b.equal(b.load(b.getI64Type(), b.scratch(), 8), number), [] {}, [&] {
    b.store(number, b.scratch(), 8);
    b.loop(first, last, lanes, [&](Value row) {
      Value within = b.rem(b.sub(row, first), s.rows);
      Value lane = b.at(columns, b.add(b.mul(b.sub(b.sub(row, first), within), steps * 4), b.mul(within, 4)));
      b.loop(b.i64(0), b.i64(whole), lanes, [&](Value step) { packSquare(row, step, lanes, b.at(lane, b.mul(step, s.rows * 4))); });
      if (whole < steps)
        packSquare(row, b.i64(whole), steps - whole, b.at(lane, whole * s.rows * 4));
    });
  });
}

/// Transposes as many rows as a vector has lanes, from `row` on, `width` steps from `step` on.
void ColumnsEmitter::packSquare(Value row, Value step, unsigned width, Value to) {
  SmallVector<Value> rows;
  for (int64_t i = 0; i < lanes; ++i) {
    Value own = b.min(b.add(row, i), b.sub(last, 1));
    rows.push_back(b.loadLanes(b.at(b.at(c.a, b.mul(own, steps * 4)), b.mul(step, 4)), width));
  }
  SmallVector<Value> turned = emitTranspose(b, rows);
  turned.truncate(width);
  for (auto [i, column] : llvm::enumerate(turned))
    b.store(c.isIntegral() ? integers.stored(column) : column, b.at(to, i * s.rows * 4), lanes * 4);
}

//===----------------------------------------------------------------------===//
// A run of panels
//===----------------------------------------------------------------------===//

/// The rows [first, last) of the panels [from, to).
void ColumnsEmitter::emitRun() {
  Value tiles = b.ceilDiv(b.sub(last, first), s.rows);
  if (c.isIntegral())
    b.loop(from, to, 1, [&](Value panel) {
      b.store(integers.initial(valuesOf(panel), kept), b.at(corrections, b.mul(b.sub(panel, from), kRowBytes)), lanes * 4);
    });
  if (cuts > 1) {
    if (!quads)
      b.loop(from, to, 1, [&](Value panel) { findRanges(panel); });
    Value bytes = b.mul(tiles, s.runTiles * tileBytes);
    b.loop(b.i64(0), bytes, lanes * 4, [&](Value offset) { b.store(b.splat(0), b.at(sums, offset), lanes * 4); });
  }
  b.loop(b.i64(0), b.i64(cuts), 1, [&](Value number) {
    b.loop(b.i64(0), tiles, 1, [&](Value tile) { b.loop(from, to, 1, [&](Value panel) { emitTile(number, tile, panel); }); });
  });
}

/// Where each cut begins in the list of a panel, and where the last one ends.
void ColumnsEmitter::findRanges(Value panel) {
  Value own = b.at(ranges, b.mul(b.sub(panel, from), (cuts + 1) * 8)), list = numbersOf(panel);
  b.loop(b.i64(0), b.i64(cuts + 1), 1, [&](Value number) { b.store(findStep(list, b.mul(number, cut)), b.at(own, b.mul(number, 8)), 8); });
}

/// How many of the kept rows of a list are below `step`, by bisection without branches.
Value ColumnsEmitter::findStep(Value list, Value step) {
  Value below = b.i64(0);
  for (int64_t width = llvm::PowerOf2Ceil(kept + 1) / 2; width > 0; width /= 2) {
    Value next = b.add(below, width), place = b.sub(b.min(next, b.i64(kept)), 1);
    Value number = arith::ExtUIOp::create(b, b.getI64Type(), b.load(b.getI32Type(), b.at(list, b.mul(place, 4)), 4));
    Value isBelow = arith::AndIOp::create(b, b.less(number, step), b.less(b.sub(next, 1), b.i64(kept)));
    below = b.select(isBelow, next, below);
  }
  return below;
}

/// Adds the products of cut `number` of one tile of rows and one panel to its sums; behind the last cut the tile is complete.
void ColumnsEmitter::emitTile(Value number, Value tile, Value panel) {
  Value row = b.add(first, b.mul(tile, s.rows)), tiles = b.ceilDiv(b.sub(last, first), s.rows);
  count = b.min(b.sub(last, row), b.i64(s.rows));
  isLast = b.equal(number, b.i64(cuts - 1));
  openCut(number, tile, panel, tiles);
  findNext(number, tile, panel, tiles);
  b.switchOn(b.sub(b.ceilDiv(count, lanes), 1), s.rows / lanes, [&](unsigned index) { emitPasses(index + 1); });
  if (cuts == 1)
    return finishTile(row, panel);
  b.ifThen(isLast, [&] { finishTile(row, panel); });
}

/// What the products of a cut read, and where their sums stand.
void ColumnsEmitter::openCut(Value number, Value tile, Value panel, Value tiles) {
  Value begin = b.i64(0);
  depth = b.i64(kept), tileSums = sums, tileColumns = b.at(columns, b.mul(tile, s.rows * steps * 4));
  if (cuts > 1)
    tileSums = b.at(sums, b.mul(b.add(b.mul(tile, s.runTiles), b.sub(panel, from)), tileBytes));
  if (quads) { // steps count from the cut on
    int64_t keptOfCut = cut / 4 * quads;
    begin = b.mul(number, keptOfCut), depth = b.min(b.sub(b.i64(kept), begin), b.i64(keptOfCut));
    tileColumns = b.at(tileColumns, b.mul(number, cut * s.rows * 4));
  } else if (cuts > 1) {
    Value range = b.at(ranges, b.add(b.mul(b.sub(panel, from), (cuts + 1) * 8), b.mul(number, 8)));
    begin = b.load(b.getI64Type(), range, 8), depth = b.sub(b.load(b.getI64Type(), b.at(range, 8), 8), begin);
  }
  values = b.at(valuesOf(panel), b.mul(begin, kRowBytes));
  numbers = b.at(numbersOf(panel), quads ? b.mul(b.div(begin, kQuadsWord), kRowBytes) : b.mul(begin, 4));
}

/// What a tile fetches.
void ColumnsEmitter::findNext(Value number, Value tile, Value panel, Value tiles) {
  // The weights that come next are the same panel's in the next cut, or those of the panel in its place in the next run: each tile
  // of rows fetches a part of them.
  Value following = b.min(b.add(panel, s.runTiles), b.i64(groups - 1));
  nextStride = b.div(b.i64(kRowBytes), tiles);
  Value share = b.mul(b.mul(tile, nextStride), depth);
  nextValues = b.at(b.select(isLast, valuesOf(following), b.at(values, b.mul(depth, kRowBytes))), share);
  nextNumbers = b.select(isLast, numbersOf(following), b.at(numbers, quads ? b.mul(depth, kRowBytes / kQuadsWord) : b.mul(depth, 4)));
  // And the columns that come next are the next tile's in this cut, or the first one's in the next: each panel fetches a part.
  Value isLastTile = b.equal(b.add(tile, 1), tiles);
  Value step = b.add(b.mul(b.select(isLastTile, b.add(number, 1), number), cut), b.select(isLastTile, b.i64(0), b.mul(b.add(tile, 1), steps)));
  int64_t part = llvm::alignTo(cut * s.rows * 4 / s.runTiles, kLineBytes);
  nextColumns = b.at(b.at(columns, b.mul(step, s.rows * 4)), b.mul(b.sub(panel, from), part));
}

/// All columns of the panel, for the first `vectors` vectors of rows.
void ColumnsEmitter::emitPasses(unsigned vectors) {
  if (quads)
    return b.loop(b.i64(0), b.i64(kPanelColumns), s.laneColumns, [&](Value column) { emitQuadsPass(column, vectors); });
  // One vector of rows has registers, and chains of products to hide their latency, for the whole panel.
  bool isWhole = vectors == 1 && kPanelColumns + 2 <= b.target().vectorRegisters;
  int64_t width = isWhole ? kPanelColumns : s.laneColumns;
  for (int64_t column = 0; column < kPanelColumns; column += width)
    emitPass(column, std::min(width, kPanelColumns - column), vectors);
}

SmallVector<Value> ColumnsEmitter::initialSums(int64_t width, unsigned vectors, Value from) {
  return cuts > 1 ? loadTile(b, width, vectors, from, s.rows * 4) : zeroTile(b, width * vectors);
}

/// `width` columns of the panel from `firstColumn` on, for the first `vectors` vectors of rows.
void ColumnsEmitter::emitPass(int64_t firstColumn, int64_t width, unsigned vectors) {
  TileOperands operands;
  operands.a = b.at(values, firstColumn * 4);
  operands.aRowStride = 4;
  operands.aStepStride = kRowBytes;
  operands.b = tileColumns;
  operands.bStepStride = s.rows * 4;
  operands.steps = numbers;
  operands.stepsOfB = true;
  operands.integers = c.isIntegral() ? &laneIntegers : nullptr;
  for (unsigned v = 0; v < vectors; ++v)
    operands.bVectorOffsets.push_back(v * lanes * 4);
  auto fetch = [&](Value step, unsigned index) { prefetch(step, index, firstColumn == 0, operands.bVectorOffsets); };
  TileLoop loop{kTurn};
  if (s.prefetchPeriod)
    loop.beforeStep = fetch;
  Value to = b.at(tileSums, firstColumn * s.rows * 4);
  storeTile(b, codegen::emitTile(b, width, operands, depth, initialSums(width, vectors, to), loop), width, to, s.rows * 4);
}

/// The columns of a quads' panel from `firstColumn` on that are done at a time.
void ColumnsEmitter::emitQuadsPass(Value firstColumn, unsigned vectors) {
  int64_t width = s.laneColumns, rest = kept % kQuadsWord;
  QuadsTile tile{tileColumns, s.rows * 4, b.at(values, b.mul(firstColumn, 4)), b.at(numbers, b.mul(firstColumn, 4)), b.div(depth, kQuadsWord)};
  tile.rest = rest, tile.hasRest = isLast, tile.keptOfFour = quads;
  // Over all passes, so often as a column has kept weights.
  auto fetch = [&](Value word, unsigned part) {
    Value pass = b.div(firstColumn, width), index = b.add(b.mul(b.add(b.mul(pass, tile.wholeWords), word), width), part);
    b.prefetch(b.at(nextValues, b.mul(index, nextStride)));
    if (part == 0) // the words once for each pass, of which one would do
      b.prefetch(b.at(nextNumbers, b.mul(word, kRowBytes)));
    if (cuts > 1)
      b.prefetch(b.at(nextColumns, b.mul(index, kLineBytes)));
  };
  if (s.prefetchPeriod)
    tile.fetch = fetch;
  Value to = b.at(tileSums, b.mul(firstColumn, s.rows * 4));
  storeTile(b, emitQuadsTile(b, tile, width, vectors, initialSums(width, vectors, to)), width, to, s.rows * 4);
}

/// Weights and their numbers with the first pass over a panel; where K is cut, the sums of the next panel too, and the columns that come
/// next with the others. Where it is not cut, and is long, the columns that this pass itself reads soon.
void ColumnsEmitter::prefetch(Value step, unsigned index, bool isFirst, ArrayRef<int64_t> vectorOffsets) {
  if (isFirst)
    b.prefetch(b.at(nextValues, b.mul(b.add(step, index), nextStride)));
  if (isFirst && index == 0)
    b.prefetch(b.at(nextNumbers, b.mul(step, 4)));
  if (isFirst && index == 0 && cuts > 1)
    b.prefetch(b.at(tileSums, b.add(b.mul(step, kLineBytes / kTurn), tileBytes)), 1);
  if (!isFirst && cuts > 1)
    b.prefetch(b.at(nextColumns, b.mul(b.add(step, index), kLineBytes)));
  if (cuts > 1 || steps < kLongDepth)
    return;
  Value ahead = b.min(b.add(step, index + kColumnsAhead), b.i64(kept - 1));
  Value number = arith::ExtUIOp::create(b, b.getI64Type(), b.load(b.getI32Type(), b.at(numbers, b.mul(ahead, 4)), 4));
  for (int64_t offset : vectorOffsets)
    b.prefetch(b.at(tileColumns, b.add(b.mul(number, s.rows * 4), offset)), 1);
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

/// Transposes the sums of the tile and hands them to the epilogue, row by row.
void ColumnsEmitter::finishTile(Value row, Value panel) {
  b.loop(b.i64(0), b.ceilDiv(count, lanes), 1, [&](Value v) {
    for (int64_t column = 0; column < kPanelColumns; column += lanes) {
      SmallVector<Value> square;
      for (int64_t i = 0; i < lanes; ++i)
        square.push_back(b.loadVector(b.at(b.at(tileSums, (column + i) * s.rows * 4), b.mul(v, lanes * 4)), lanes * 4));
      Value to = b.at(rowsOfTile, b.mul(v, lanes * kRowBytes));
      square = emitTranspose(b, square);
      for (auto [i, sumsOfRow] : llvm::enumerate(square))
        b.store(sumsOfRow, b.at(to, i * kRowBytes + column * 4), lanes * 4);
    }
  });
  int64_t lastWidth = c.n - (groups - 1) * kPanelColumns;
  if (lastWidth == kPanelColumns)
    return finishRows(row, panel, kPanelColumns);
  b.ifElse(b.less(panel, b.i64(groups - 1)), [&] { finishRows(row, panel, kPanelColumns); }, [&] { finishRows(row, panel, lastWidth); });
}

/// The sums of a row of integers as they are of signed ones.
Value ColumnsEmitter::corrected(Value sums, Value panel) {
  Value lacking = b.at(corrections, b.mul(b.sub(panel, from), kRowBytes));
  return arith::AddIOp::create(b, b.load(b.intVectorType(), sums, lanes * 4), b.load(b.intVectorType(), lacking, lanes * 4));
}

void ColumnsEmitter::finishRows(Value row, Value panel, int64_t width) {
  b.loop(b.i64(0), count, 1, [&](Value r) {
    for (int64_t column = 0; column < width; column += lanes) {
      Value at = b.at(b.at(rowsOfTile, b.mul(r, kRowBytes)), column * 4);
      Value product = c.isIntegral() ? corrected(at, panel) : b.loadVector(at, lanes * 4);
      c.epilogue({b.add(row, r), b.add(b.mul(panel, kPanelColumns), column), unsigned(std::min(lanes, width - column))}, product);
    }
  });
}

int64_t permalloy::codegen::columnsScratchBytes(const ContractionSchedule &schedule, const ContractionSize &size) {
  int64_t steps = size.laneSteps(), sums = schedule.blockSteps < steps ? schedule.runTiles * schedule.blockRows * kRowBytes : 0;
  int64_t few = size.isIntegral() ? kLeastLaneRows * integerRowBytes(size.k) : 0; // which stand there as dense products have them
  return std::max(kColumnsOffset + schedule.blockRows * steps * 4 + sums, few);
}

void permalloy::codegen::emitColumnsContraction(KernelBuilder &b, const Contraction &contraction, const ContractionSchedule &schedule) {
  ColumnsEmitter(b, contraction, schedule).emit();
}
