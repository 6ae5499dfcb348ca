//===- Contraction.cpp - grid, row blocks and tails -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Long because it is one emitter: the steps of one loop nest in the order in which they stand in the code, on state that they share.
//
//===----------------------------------------------------------------------===//
#include "permalloy/Codegen/CPU/Contraction.h"
#include "ContractionBlocks.h"
#include "ContractionLayout.h"
#include "IntegerProduct.h"
#include "SparseColumns.h"
#include "SparseQuads.h"
#include "permalloy/Codegen/CPU/MicroKernel.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

static constexpr int64_t kLineBytes = 64;

/// Tiles that fetch what they read themselves do it so far ahead.
static constexpr int64_t kStreamAheadBytes = 2048;

/// From how many rows in a block on tiles of the grid are taken together: below, their weights are read too few times.
static constexpr int64_t kLeastRunRows = 256;

/// Steps in one turn of the loop over K, where registers suffice.
static constexpr int64_t kUnrolledSteps = 4;

/// Rows of A in a tile where those of a sparse product are too few for lanes.
static constexpr int64_t kFewRows = 8;

namespace {
/// What a tile of rows fetches while it multiplies: the weights that are read next, a row of a panel every prefetchPeriod steps,
/// every second step where tiles are too few for that, every step where there is one for each panel (more a step than memory
/// gives: then the tiles wait for it); or, where there are fewer tiles than panels, what it reads itself, because it waits for
/// that and not for its arithmetic.
enum class Fetch { Spread, Panel, Own, Pairs };
constexpr int64_t kPairs = 2;

/// Emits one contraction; the members are what all levels of the nest need.
class ContractionEmitter {
public:
  ContractionEmitter(KernelBuilder &b, const Contraction &c, const ContractionSchedule &s)
      : b(b), c(c), s(s), layout(c.element, c.k, c.sparse),
        groups(groupedContractionGroups(s, c.n, c.gated)),
        groupColumns(gridPanels(s, c.gated) * kPanelColumns), rowBytes(groupColumns * 4),
        stepBlock(std::min<int64_t>(llvm::divideCeil(s.blockSteps, layout.pairing), layout.rows)),
        integers(b, c.k, c.signedRows, c.element && !c.element.isUnsignedInteger()),
        aRowBytes(c.isIntegral() ? integerRowBytes(c.k) : c.groups || isHalf(c.element) ? widenedRowBytes(c.k) : c.k * 4),
        accumulates(stepBlock < layout.rows), runTiles(c.groups ? 1 : s.runTiles),
        productRowBytes(accumulates ? runTiles * rowBytes : rowBytes),
        products(accumulates ? b.scratch() : b.stackBuffer(s.rows * rowBytes)) {
    if (c.isIntegral())
      initialSums = b.stackBuffer(rowBytes);
  }
  /// Of blocks of a few rows that are one tile high, all of K at once.
  void takeFewRows() {
    if (c.isIntegral())
      integers.takeSumsBeside();
  }

  void emit();
  void emitGrouped();

private:
  void gatherRows();
  Value runOf(Value index);
  void emitRun(Value from, Value to);
  /// Whether rows of A stand in scratch, in another form.
  bool copiesRows() const { return isHalf(c.element) || c.isIntegral(); }
  void widenRows();
  void widenRow(Value from, Value to);
  void forEachGroup(function_ref<void(int64_t columns)> body);
  void openGroup(Value number);
  void findInitialSums(int64_t columns);
  void zeroProducts();
  void emitStepBlock(Value firstStep);
  void emitTileOfRows(Value row, Value firstStep, int64_t columns);
  void emitProducts(unsigned rows, Value row, Value firstStep, int64_t columns, Fetch fetch);
  void emitProduct(unsigned rows, Value row, Value firstStep, int64_t panel, int64_t columns,
                   Fetch fetch);
  /// Whether the loop over K takes several steps in a turn: LLVM's scheduler then loads B for the next step ahead, and spills
  /// where the registers do not hold both. Widened elements are ahead too, in numbers that it does not count.
  bool unrolls() const {
    int64_t vectors = s.panels * kPanelColumns / b.target().lanes(), wanted = (s.rows + 2) * vectors + 1;
    // 6 x 1 on AVX2 is one register short: LLVM gets by in turns of four steps, and spills in longer ones.
    bool isTight = !b.target().isAvx512() && s.panels == 1 && s.prefetchPeriod <= kUnrolledSteps;
    return !isHalf(c.element) && !(c.isIntegral() && integers.widens()) && wanted - (isTight ? 1 : 0) <= b.target().vectorRegisters;
  }
  void prefetchRow(Value row);
  Value shareOfNext(Value row, int64_t tiles, int64_t firstPanel);
  Value nextRowsOr(Value share, Value row, const TileOperands &operands);
  SmallVector<Value> initialTile(unsigned rows, unsigned vectors, Value tile, int64_t firstPanel);
  /// Where panel `index` of a tile of the grid begins, behind its first one.
  int64_t panelOffset(int64_t index) {
    return (c.gated ? index * (panelsOf(c.n) / 2) : index) * layout.bytes;
  }
  /// Weights that stand between the first panels of two tiles of the grid.
  int64_t tileBytes() { return (c.gated ? 1 : int64_t(s.panels)) * layout.bytes; }
  Value sparseTile(Value number);
  void emitRowEpilogue(Value from, Value row, int64_t columns);
  /// Where the products of a tile of rows stand: the whole block's and run's when they accumulate over blocks
  /// of K, else one tile's, used again and again.
  Value tileAt(Value row) {
    if (!accumulates)
      return products;
    Value inRow = b.mul(b.sub(group, runFirst), rowBytes);
    return b.at(products, b.add(b.mul(b.sub(row, first), productRowBytes), inRow));
  }

  KernelBuilder &b;
  const Contraction &c;
  const ContractionSchedule &s;
  PanelLayout layout;
  /// `stepBlock` counts rows of a panel: steps of K, or pairs of them.
  int64_t groups, groupColumns, rowBytes, stepBlock;
  IntegerProduct integers;
  int64_t aRowBytes;
  bool accumulates;
  int64_t runTiles, productRowBytes;
  Value products;
  /// Of integers: what the sums of the columns of the group begin at.
  Value initialSums;

  // Groups that are taken together, and runs of them in each block of rows.
  Value together, runs;
  // The run at hand: its rows, A from the first of them on as f32, their weights and the number of these, its groups, how whole
  // tiles of rows fetch what is read next (a Fetch), and the first tile of rows that does.
  Value first, last, a, weights, weight, runFirst, runLast, fetchForm, fetchFrom;
  // The group at hand: its column and panels, the panels that are read in its place in the next run, and what is read after the
  // block of K at hand.
  Value group, column, panels, nextPanels, next;
  // Sparse weights: the numbers of their rows.
  Value steps;
};
} // namespace

void ContractionEmitter::emit() {
  // Blocks of equal height rather than whole ones and a rest: 256 rows are 128 + 128, not 240 + 16.
  Value blocks = b.max(b.ceilDiv(c.rows, s.blockRows), b.i64(1));
  Value blockTiles = b.ceilDiv(b.div(b.add(c.rows, b.sub(blocks, 1)), blocks), s.rows);
  Value height = b.mul(blockTiles, s.rows);
  weights = c.weights;
  together = b.i64(1);
  if (runTiles > 1)
    together = b.select(b.less(blockTiles, b.i64(kLeastRunRows / s.rows)), together, b.i64(runTiles));
  runs = b.div(b.sub(b.add(together, groups), 1), together);
  Value begin = runOf(b.tileBegin());
  Value end = b.select(b.less(b.tileBegin(), b.tileEnd()), b.add(runOf(b.sub(b.tileEnd(), 1)), 1), begin);
  // `widened` is the block of rows that stands in scratch.
  b.loop(begin, end, 1, {b.i64(-1)}, [&](Value run, ValueRange widened) {
    Value block = b.div(run, runs), tile = b.mul(block, groups), group = b.mul(b.rem(run, runs), together);
    first = b.mul(block, height);
    last = b.min(b.add(first, height), c.rows);
    a = b.at(c.a, b.mul(first, c.k * 4));
    if (copiesRows()) {
      a = b.at(b.scratch(), accumulates ? s.blockRows * productRowBytes : 0);
      Value isOther = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, block, widened[0]);
      b.ifThen(isOther, [&] { widenRows(); });
    }
    emitRun(b.max(group, b.sub(b.tileBegin(), tile)),
            b.min(b.min(b.add(group, together), b.i64(groups)), b.sub(b.tileEnd(), tile)));
    return SmallVector<Value>{block};
  });
}

/// The run that a tile of the grid belongs to.
Value ContractionEmitter::runOf(Value index) {
  if (runTiles == 1)
    return index;
  return b.add(b.mul(b.div(index, groups), runs), b.div(b.rem(index, groups), together));
}

/// The rows [first, last) of A as f32.
void ContractionEmitter::widenRows() {
  int64_t bytes = c.k * Element::of(c.element).bytes();
  b.loop(first, last, 1, [&](Value row) {
    widenRow(b.at(c.a, b.mul(row, bytes)), b.at(a, b.mul(b.sub(row, first), aRowBytes)));
  });
}

void ContractionEmitter::widenRow(Value from, Value to) {
  if (c.isIntegral())
    return integers.packRow(from, to);
  ElementOps ops(b);
  Element e = Element::of(c.element ? c.element : b.getF32Type());
  int64_t lanes = b.target().lanes(), whole = c.k / lanes * lanes;
  auto move = [&](Value column, unsigned count) {
    Value value = ops.loadLanes(e, b.at(from, b.mul(column, e.bytes())), count);
    b.store(value, b.at(to, b.mul(column, 4)), lanes * 4);
  };
  b.loop(b.i64(0), b.i64(whole), lanes, [&](Value column) { move(column, lanes); });
  if (whole < c.k) // zeros behind, which the last pair of an odd K reads
    move(b.i64(whole), c.k - whole);
}

//===----------------------------------------------------------------------===//
// Grouped rows
//===----------------------------------------------------------------------===//

/// A worker keeps the rows of its block in scratch while it goes through the groups of panels.
void ContractionEmitter::emitGrouped() {
  a = b.at(b.scratch(), accumulates ? s.blockRows * productRowBytes : 0);
  together = b.i64(1);
  Value none = b.i64(0);
  b.loop(b.tileBegin(), b.tileEnd(), 1, {none, none, none}, [&](Value index, ValueRange known) {
    Value group = b.rem(index, groups);
    Value isNew = arith::OrIOp::create(b, b.equal(group, none), b.equal(index, b.tileBegin()));
    auto branch = [&](function_ref<SmallVector<Value>()> part) {
      return [&, part](OpBuilder &nested, Location) {
        OpBuilder::InsertionGuard guard(b);
        b.setInsertionPoint(nested.getInsertionBlock(), nested.getInsertionPoint());
        scf::YieldOp::create(b, part());
      };
    };
    auto find = [&] {
      SmallVector<Value> block = findGroupedBlock(b, *c.groups, b.div(index, groups), s.blockRows, s.rows);
      std::tie(first, last, weight) = std::tie(block[0], block[1], block[2]);
      gatherRows();
      return block;
    };
    auto found = scf::IfOp::create(b, isNew, branch(find),
                                   branch([&] { return SmallVector<Value>(known); }));
    first = found.getResult(0), last = found.getResult(1), weight = found.getResult(2);
    b.ifThen(b.less(first, last), [&] {
      weights = b.at(c.weights, b.mul(weight, panelsOf(c.n) * layout.bytes));
      emitRun(group, b.add(group, 1));
    });
    return SmallVector<Value>(found.getResults());
  });
}

void ContractionEmitter::gatherRows() {
  int64_t bytes = c.k * Element::of(c.element ? c.element : b.getF32Type()).bytes();
  Value numbers = b.at(c.groups->table, (c.groups->count + 1) * 8);
  b.loop(first, last, 1, [&](Value position) {
    Value number = b.load(b.getI64Type(), b.at(numbers, b.mul(position, 8)), 8);
    widenRow(b.at(c.a, b.mul(b.div(number, c.groups->repeat), bytes)),
             b.at(a, b.mul(b.sub(position, first), aRowBytes)));
  });
}

//===----------------------------------------------------------------------===//
// One run of tiles of the grid
//===----------------------------------------------------------------------===//

/// All rows [first, last) of the groups [from, to).
void ContractionEmitter::emitRun(Value from, Value to) {
  runFirst = from, runLast = to;
  Value wholeTiles = b.div(b.sub(last, first), s.rows);
  auto fewerThan = [&](int64_t tiles, Value value, Value otherwise) {
    return b.select(b.less(wholeTiles, b.i64(tiles)), value, otherwise);
  };
  int64_t sharing = s.panels * s.prefetchPeriod;
  fetchForm = b.i64(int64_t(Fetch::Spread));
  if (s.prefetchPeriod > kPairs)
    fetchForm = fewerThan(sharing, b.i64(int64_t(Fetch::Pairs)), fetchForm);
  fetchForm = fewerThan(s.panels + 1, b.i64(int64_t(Fetch::Panel)), fetchForm);
  fetchForm = fewerThan(s.panels, b.i64(int64_t(Fetch::Own)), fetchForm);
  fetchFrom = b.i64(0);
  if (runTiles > 1) // late: what is fetched early would not stay in the cache beside this run's weights
    fetchFrom = b.select(b.less(b.i64(1), together), b.max(b.sub(wholeTiles, sharing), fetchFrom), fetchFrom);
  if (c.isIntegral() && !integers.takesSumsBeside())
    forEachGroup([&](int64_t columns) { findInitialSums(columns); });
  if (!accumulates)
    return emitStepBlock(b.i64(0));
  zeroProducts();
  b.loop(b.i64(0), b.i64(layout.rows), stepBlock, [&](Value step) { emitStepBlock(step); });
  b.loop(first, last, 1, [&](Value row) {
    forEachGroup([&](int64_t columns) { emitRowEpilogue(tileAt(row), row, columns); });
  });
}

/// Calls `body` with each group of the run open, for the columns that it has; the last group's may be fewer: they have their own
/// code, with their own register tile.
void ContractionEmitter::forEachGroup(function_ref<void(int64_t columns)> body) {
  int64_t lastColumns = c.gated ? groupColumns : c.n - (groups - 1) * groupColumns;
  auto visit = [&](Value number) {
    openGroup(number);
    if (groups == 1 || lastColumns == groupColumns)
      return body(lastColumns);
    b.ifElse(b.less(number, b.i64(groups - 1)), [&] { body(groupColumns); }, [&] { body(lastColumns); });
  };
  if (runTiles == 1)
    return visit(runFirst);
  b.loop(runFirst, runLast, 1, visit);
}

void ContractionEmitter::openGroup(Value number) {
  group = number;
  column = b.mul(group, c.gated ? kPanelColumns : groupColumns);
  panels = c.sparse ? sparseTile(group) : b.at(weights, b.mul(group, tileBytes()));
  // After the last group comes the first one of the next block of rows: of the next weight, where they are grouped.
  Value wrapped = c.groups ? b.at(weights, panelsOf(c.n) * layout.bytes) : weights;
  Value isInside = b.less(b.add(group, together), b.i64(groups));
  Value following = c.sparse ? sparseTile(b.add(group, 1)) : b.at(panels, b.mul(together, tileBytes()));
  nextPanels = b.select(isInside, following, wrapped);
  if (c.sparse)
    steps = b.at(c.sparse->numbers, b.mul(b.div(b.mul(group, s.panels), c.sparse->panels), c.sparse->kept * 4));
}

/// The weights of tile `number` of the grid, which lies within a slab.
Value ContractionEmitter::sparseTile(Value number) {
  Value panel = b.mul(number, s.panels), slab = b.div(panel, layout.slabPanels);
  return b.at(b.at(weights, b.mul(slab, layout.slabBytes)), b.mul(b.rem(panel, layout.slabPanels), layout.bytes));
}

void ContractionEmitter::findInitialSums(int64_t columns) {
  int64_t lanes = b.target().lanes();
  for (int64_t col = 0; col < columns; col += lanes) {
    Value panel = b.at(panels, panelOffset(col / kPanelColumns) + col % kPanelColumns * layout.columnBytes);
    b.store(integers.initial(panel, layout.rows), b.at(initialSums, col * 4), lanes * 4);
  }
}

void ContractionEmitter::zeroProducts() {
  int64_t vectorBytes = b.target().lanes() * 4;
  Value used = b.mul(b.sub(runLast, runFirst), rowBytes);
  b.loop(first, last, 1, [&](Value row) {
    Value to = b.at(products, b.mul(b.sub(row, first), productRowBytes));
    b.loop(b.i64(0), used, vectorBytes, [&](Value offset) {
      Value start = c.isIntegral() ? b.loadVector(b.at(initialSums, offset), vectorBytes) : b.splat(0);
      b.store(start, b.at(to, offset), vectorBytes);
    });
  });
}

/// The products of one block of K, for all rows; with the epilogue, where that is all of K.
void ContractionEmitter::emitStepBlock(Value firstStep) {
  Value nextStep = b.add(firstStep, stepBlock);
  auto findNext = [&] {
    next = b.select(b.less(nextStep, b.i64(layout.rows)), b.at(panels, b.mul(nextStep, layout.stepBytes)), nextPanels);
  };
  if (runTiles == 1)
    return forEachGroup([&](int64_t columns) {
      findNext();
      b.loop(first, last, s.rows, [&](Value row) { emitTileOfRows(row, firstStep, columns); });
    });
  b.loop(first, last, s.rows, [&](Value row) {
    forEachGroup([&](int64_t columns) {
      findNext();
      emitTileOfRows(row, firstStep, columns);
    });
  });
}

void ContractionEmitter::emitTileOfRows(Value row, Value firstStep, int64_t columns) {
  Value count = b.min(b.sub(last, row), b.i64(s.rows));
  // A tile of fewer rows has its own code: no masks in the loop over K.
  b.switchOn(b.sub(b.i64(s.rows), count), s.rows, [&](unsigned missing) {
    if (missing != 0 || !s.prefetchPeriod)
      return emitProducts(s.rows - missing, row, firstStep, columns, Fetch::Own);
    b.switchOn(fetchForm, s.prefetchPeriod > kPairs ? 4 : 3, [&](unsigned form) {
      emitProducts(s.rows, row, firstStep, columns, static_cast<Fetch>(form));
    });
  });
  if (!accumulates)
    b.loop(b.i64(0), count, 1, [&](Value r) {
      emitRowEpilogue(b.at(products, b.mul(r, rowBytes)), b.add(row, r), columns);
    });
}

/// The register tiles side by side in a tile of the grid: one, or one for each half where two do not fit.
void ContractionEmitter::emitProducts(unsigned rows, Value row, Value firstStep, int64_t columns,
                                      Fetch fetch) {
  for (int64_t panel = 0; panel < panelsOf(columns); panel += s.panels)
    emitProduct(rows, row, firstStep, panel,
                std::min<int64_t>(columns - panel * kPanelColumns, s.panels * kPanelColumns),
                fetch);
}

/// The product of one register tile, by way of memory: that costs one store and one load of each
/// accumulator, and buys one copy of the epilogue for all heights of the tile.
void ContractionEmitter::emitProduct(unsigned rows, Value row, Value firstStep, int64_t firstPanel,
                                     int64_t columns, Fetch fetch) {
  TileOperands operands;
  operands.aStepStride = c.isIntegral() ? 4 : layout.pairing * 4;
  operands.integers = c.isIntegral() ? &integers : nullptr;
  operands.aRowStride = aRowBytes;
  operands.a = b.at(a, b.mul(b.sub(row, first), aRowBytes));
  if (c.sparse)
    operands.steps = b.at(steps, b.mul(firstStep, 4));
  else
    operands.a = b.at(operands.a, b.mul(firstStep, operands.aStepStride));
  operands.b = b.at(panels, b.mul(firstStep, layout.stepBytes));
  operands.bStepStride = layout.stepBytes;
  operands.bElement = c.element;
  for (int64_t col = 0; col < columns; col += b.target().lanes())
    operands.bVectorOffsets.push_back(panelOffset(firstPanel + col / kPanelColumns) +
                                      col % kPanelColumns * layout.columnBytes);
  int64_t period = fetch == Fetch::Spread ? s.prefetchPeriod : fetch == Fetch::Pairs ? kPairs : 1;
  Value ahead = fetch == Fetch::Own ? b.at(operands.b, kStreamAheadBytes * layout.slabPanels) : shareOfNext(row, period, firstPanel);
  if (fetch == Fetch::Spread && runTiles > 1)
    ahead = nextRowsOr(ahead, row, operands);
  TileLoop loop{unrolls() ? unsigned(std::max<int64_t>(kUnrolledSteps, period)) : 1};
  auto prefetch = [&](Value step, unsigned index) {
    if (index % period != 0)
      return;
    // A loop of single steps asks for a row of a panel several times; that costs less than a loop inside the loop.
    Value line = b.at(b.at(ahead, b.mul(step, layout.stepBytes / period)),
                      index / period * layout.stepBytes);
    if (fetch != Fetch::Own)
      return prefetchRow(line);
    for (unsigned panel = 0; panel < panelsOf(columns); ++panel)
      prefetchRow(b.at(line, panelOffset(firstPanel + panel)));
  };
  if (s.prefetchPeriod)
    loop.beforeStep = prefetch;
  bool divides = layout.rows % stepBlock == 0;
  Value depth =
      divides ? b.i64(stepBlock) : b.min(b.sub(b.i64(layout.rows), firstStep), b.i64(stepBlock));
  Value tile = b.at(tileAt(row), firstPanel * kPanelColumns * 4);
  SmallVector<Value> init = initialTile(rows, operands.bVectorOffsets.size(), tile, firstPanel);
  SmallVector<Value> sums = emitTile(b, rows, operands, depth, init, loop);
  storeTile(b, integers.takesSumsBeside() ? integers.withSums(rows, sums) : sums, rows, tile, productRowBytes);
}

void ContractionEmitter::prefetchRow(Value row) {
  for (int64_t offset = 0; offset < layout.rowBytes; offset += kLineBytes)
    b.prefetch(b.at(row, offset));
}

/// The rows of the panels read next that a tile of rows fetches, where `tiles` of them share a panel; those behind the last
/// panel's share fetch it again, out of the cache.
Value ContractionEmitter::shareOfNext(Value row, int64_t tiles, int64_t firstPanel) {
  Value tile = b.max(b.sub(b.div(b.sub(row, first), s.rows), fetchFrom), b.i64(0));
  Value panel = b.min(b.div(tile, tiles), b.i64(s.panels - 1));
  Value offset = b.add(b.mul(panel, panelOffset(1)),
                       b.mul(b.rem(tile, tiles), stepBlock / tiles * layout.stepBytes));
  return b.at(b.at(next, panelOffset(firstPanel)), offset);
}

/// `share` from the tile of rows on that fetches it; before, the rows of A that come after these, a part for each group. Where
/// they are not one behind the other, nothing new.
Value ContractionEmitter::nextRowsOr(Value share, Value row, const TileOperands &operands) {
  Value isEarly = b.less(b.div(b.sub(row, first), s.rows), fetchFrom);
  Value otherwise = operands.b;
  if (!accumulates && !copiesRows())
    otherwise = b.at(b.at(a, b.mul(b.add(b.sub(row, first), s.rows), aRowBytes)),
                     b.mul(b.sub(group, runFirst), layout.bytes / s.prefetchPeriod));
  return b.select(isEarly, otherwise, share);
}

SmallVector<Value> ContractionEmitter::initialTile(unsigned rows, unsigned vectors, Value tile, int64_t firstPanel) {
  if (integers.takesSumsBeside())
    return zeroTile(b, (rows + 1) * vectors);
  if (!accumulates && c.isIntegral()) // each row the same
    return loadTile(b, rows, vectors, b.at(initialSums, firstPanel * kPanelColumns * 4), 0);
  if (!accumulates)
    return zeroTile(b, rows * vectors);
  return loadTile(b, rows, vectors, tile, productRowBytes);
}

/// The epilogue of a row, whose products stand at `from`.
void ContractionEmitter::emitRowEpilogue(Value from, Value row, int64_t columns) {
  int64_t lanes = b.target().lanes(), half = columns / 2;
  if (c.groups)
    row = b.load(b.getI64Type(), b.at(c.groups->table, b.mul(b.add(row, c.groups->count + 1), 8)), 8);
  for (int64_t col = 0; col < (c.gated ? half : columns); col += lanes) {
    unsigned valid = std::min(lanes, columns - col);
    Type type = c.isIntegral() ? b.intVectorType() : b.vectorType();
    auto productAt = [&](int64_t at) { return b.load(type, b.at(from, at * 4), lanes * 4); };
    Value second = c.gated ? productAt(half + col) : Value();
    c.epilogue({row, b.add(column, col), valid, second, weight}, productAt(col));
  }
}

/// Rows of A in the lanes, or one by one, where they are few.
static void emitSparseRows(KernelBuilder &b, const Contraction &c, const ContractionSchedule &schedule) {
  ContractionSchedule few = schedule;
  few.rows = kFewRows, few.panels = 1, few.laneColumns = 0, few.runTiles = 1, few.blockSteps = llvm::alignTo(c.isIntegral() ? 4 * c.sparse->kept : c.sparse->kept, 16);
  auto each = [&] {
    if (c.sparse->keptOfFour)
      return emitFewQuads(b, c);
    ContractionEmitter emitter(b, c, few);
    emitter.takeFewRows();
    emitter.emit();
  };
  b.ifElse(b.less(c.rows, b.i64(kLeastLaneRows)), each, [&] { emitColumnsContraction(b, c, schedule); });
}

void permalloy::codegen::emitContraction(KernelBuilder &b, const Contraction &contraction,
                                         const ContractionSchedule &schedule) {
  if (schedule.laneColumns)
    return emitSparseRows(b, contraction, schedule);
  ContractionEmitter emitter(b, contraction, schedule);
  if (contraction.groups)
    emitter.emitGrouped();
  else
    emitter.emit();
}
