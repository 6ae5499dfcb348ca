//===- Contraction.cpp - grid, row blocks and tails -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/Contraction.h"
#include "ContractionBlocks.h"
#include "ElementOps.h"
#include "Tfm/Panels.h"
#include "permalloy/Codegen/CPU/MicroKernel.h"

#include "llvm/ADT/Sequence.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

static constexpr int64_t kLineBytes = 64;

/// The longest K that is done in one go; longer ones accumulate blocks in scratch.
static constexpr int64_t kMaxWholeSteps = 1024, kMaxBlockSteps = 512;

/// The widened block of A of one worker stays below this.
static constexpr int64_t kMaxWidenedBytes = 4 << 20;

/// Tiles that fetch what they read themselves do it so far ahead.
static constexpr int64_t kStreamAheadBytes = 2048;

/// Steps in one turn of the loop over K, where registers suffice.
static constexpr int64_t kUnrolledSteps = 4;

static int64_t panelsOf(int64_t n) { return llvm::divideCeil(n, kPanelColumns); }

static bool isHalf(Type element) { return element && Element::of(element).isHalf(); }

namespace {
/// How the weights of an element type lie in memory.
struct PanelLayout {
  PanelLayout(Type element, int64_t k)
      : pairing(element ? tfm::panelPairing(element) : 1),
        columnBytes(pairing * (element ? Element::of(element).bytes() : 4)),
        rowBytes(kPanelColumns * columnBytes), rows(llvm::divideCeil(k, pairing)),
        bytes(rows * rowBytes) {}
  /// Steps of K in a panel row.
  int64_t pairing;
  /// Bytes of one column in a panel row, and of the row.
  int64_t columnBytes, rowBytes;
  /// Rows of a panel, and its bytes.
  int64_t rows, bytes;
};
} // namespace

/// Bytes of a widened row of A: whole vectors, and an odd number of lines, so that the rows of a tile do not meet in one set
/// of the first cache.
static int64_t widenedRowBytes(int64_t k) { return (llvm::divideCeil(k, 16) | 1) * kLineBytes; }

ContractionSchedule ContractionSchedule::choose(const CpuTarget &target, int64_t n, int64_t k,
                                                Type element) {
  ContractionSchedule schedule;
  int64_t panels = panelsOf(n);
  bool pairs = element && element.isBF16();
  if (!target.isAvx512())
    std::tie(schedule.rows, schedule.panels) = std::pair(pairs ? 5u : 6u, 1u);
  else if (panels == 1)
    std::tie(schedule.rows, schedule.panels) = std::pair(12u, 1u);
  else if (panels % 3 != 0 && panels % 2 == 0)
    std::tie(schedule.rows, schedule.panels) = std::pair(12u, 2u);
  else
    std::tie(schedule.rows, schedule.panels) = std::pair(8u, 3u);
  // Blocks of K of equal length, short enough that 240 rows of A, and the panels of this block and
  // the next, stay in an L2 cache of 2 MB.
  int64_t blocks = k <= kMaxWholeSteps ? 1 : llvm::divideCeil(k, kMaxBlockSteps);
  schedule.blockSteps = llvm::divideCeil(llvm::divideCeil(k, blocks), 16) * 16;
  int64_t blockRows = 240;
  if (isHalf(element))
    blockRows = std::clamp(kMaxWidenedBytes / widenedRowBytes(k), int64_t(schedule.rows), blockRows);
  schedule.blockRows = blockRows / schedule.rows * schedule.rows;
  schedule.prefetchPeriod = target.isAvx512() ? 4 : 8;
  return schedule;
}

bool ContractionSchedule::fits(const CpuTarget &target, Type element) const {
  unsigned vectors = panels * kPanelColumns / target.lanes();
  bool pairs = element && element.isBF16();
  // AVX-512 takes a broadcast from memory as an operand when it has only one use; a register is
  // counted all the same.
  return rows > 0 && panels > 0 &&
         rows * vectors + vectors * (pairs ? 2 : 1) + 1 <= target.vectorRegisters;
}

//===----------------------------------------------------------------------===//
// The space of schedules
//===----------------------------------------------------------------------===//

using Space = ScheduleSpaceOf<ContractionSchedule>;

/// Multiples of the tile's height near these: cuts of the rows for which A stays in some cache.
static Space::Values blockHeights(const ContractionSchedule &s) {
  Space::Values values;
  for (int64_t rows : {32, 64, 128, 240, 480})
    if (int64_t height = std::max<int64_t>(rows / s.rows, 1) * s.rows; !llvm::is_contained(values, height))
      values.push_back(height);
  return values;
}

/// K in 1, 2, 3, ... equal blocks, of 192 steps at least.
static Space::Values blockLengths(int64_t k) {
  Space::Values values;
  for (int64_t blocks : {8, 6, 4, 3, 2, 1}) {
    int64_t steps = llvm::divideCeil(llvm::divideCeil(k, blocks), 16) * 16;
    if ((steps >= 192 || blocks == 1) && !llvm::is_contained(values, steps))
      values.push_back(steps);
  }
  return values;
}

Space permalloy::codegen::contractionSpace(const CpuTarget &target, const ContractionSize &size) {
  using S = ContractionSchedule;
  auto fits = [=, element = size.element](S s, unsigned rows) {
    s.rows = rows;
    return s.fits(target, element);
  };
  Space space;
  int64_t widest = std::min<int64_t>(size.gated ? 2 : 4, panelsOf(size.n));
  space.add("tile_panels", "packed panels of 16 columns side by side in the register tile", &S::panels,
            Space::Values(llvm::to_vector(llvm::seq<int64_t>(1, widest + 1))));
  space.add("tile_rows", "rows of A in the register tile", &S::rows, [=](const S &s) {
    Space::Values values;
    for (unsigned rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28})
      if (fits(s, rows))
        values.push_back(rows);
    return values;
  });
  space.add("block_rows", "rows of A in one tile of the grid", &S::blockRows, blockHeights);
  space.add("block_steps", "steps of K done for all rows of a block before the next ones", &S::blockSteps,
            blockLengths(size.k));
  space.add("prefetch_period", "steps of K between two prefetches of the weights that come next; 0: none",
            &S::prefetchPeriod, {0, 2, 4, 8, 16});
  space.require([=, element = size.element](const S &s) -> std::string {
    if (!s.fits(target, element))
      return "a tile of tile_rows x tile_panels does not fit " + std::to_string(target.vectorRegisters) +
             " registers";
    if (s.blockRows <= 0 || s.blockRows % s.rows != 0)
      return "block_rows must be a multiple of tile_rows";
    if (s.blockSteps <= 0)
      return "block_steps must be positive";
    // A turn of the loop over K has so many steps: a power of two, and no long code.
    bool spreads = s.prefetchPeriod == 0 || (llvm::isPowerOf2_64(s.prefetchPeriod) && s.prefetchPeriod <= 16);
    return spreads ? "" : "prefetch_period must be 0, 1, 2, 4, 8 or 16";
  });
  return space;
}

/// Panels of one tile of the grid: a register tile's, or one of each half.
static int64_t gridPanels(const ContractionSchedule &schedule, bool gated) {
  return gated ? 2 : schedule.panels;
}

int64_t permalloy::codegen::contractionGroups(const ContractionSchedule &schedule, int64_t n) {
  return llvm::divideCeil(panelsOf(n), schedule.panels);
}

namespace {
/// What a tile of rows fetches while it multiplies: the weights that are read next, a row of a panel every prefetchPeriod steps,
/// or every step, where the tiles are fewer, or one of each panel, where there are fewer tiles than panels; or what it reads
/// itself, because it waits for that and not for its arithmetic.
enum class Fetch { Spread, Panel, All, Own };

/// Emits one contraction; the members are what all levels of the nest need.
class ContractionEmitter {
public:
  ContractionEmitter(KernelBuilder &b, const Contraction &c, const ContractionSchedule &s)
      : b(b), c(c), s(s), layout(c.element, c.k),
        groups(groupedContractionGroups(s, c.n, c.gated)),
        groupColumns(gridPanels(s, c.gated) * kPanelColumns), rowBytes(groupColumns * 4),
        stepBlock(std::min<int64_t>(llvm::divideCeil(s.blockSteps, layout.pairing), layout.rows)),
        aRowBytes(c.groups || isHalf(c.element) ? widenedRowBytes(c.k) : c.k * 4),
        accumulates(stepBlock < layout.rows),
        products(accumulates ? b.scratch() : b.stackBuffer(s.rows * rowBytes)) {}

  void emit();
  void emitGrouped();

private:
  void gatherRows();
  void emitTileOfGrid(Value group);
  void widenRows();
  void widenRow(Value from, Value to);
  void emitGroup(int64_t columns);
  void emitStepBlock(Value firstStep, int64_t columns);
  void emitProducts(unsigned rows, Value row, Value firstStep, int64_t columns, Fetch fetch);
  void emitProduct(unsigned rows, Value row, Value firstStep, int64_t panel, int64_t columns,
                   Fetch fetch);
  /// Whether the loop over K takes several steps in a turn: LLVM's scheduler then loads B for the next step ahead, and spills
  /// where the registers do not hold both. Widened elements are ahead too, in numbers that it does not count.
  bool unrolls() const {
    int64_t vectors = s.panels * kPanelColumns / b.target().lanes();
    return !isHalf(c.element) && (s.rows + 2) * vectors + 1 <= b.target().vectorRegisters;
  }
  void prefetchRow(Value row);
  Value shareOfNext(Value row, int64_t tiles, int64_t firstPanel);
  SmallVector<Value> initialTile(unsigned rows, unsigned vectors, Value tile);
  /// Where panel `index` of a tile of the grid begins, behind its first one.
  int64_t panelOffset(int64_t index) {
    return (c.gated ? index * (panelsOf(c.n) / 2) : index) * layout.bytes;
  }
  /// Weights that stand between the first panels of two tiles of the grid.
  int64_t tileBytes() { return (c.gated ? 1 : int64_t(s.panels)) * layout.bytes; }
  void emitRowEpilogue(Value productRow, Value row, int64_t columns);
  /// Where the products of a tile of rows stand: the whole block's when they accumulate over blocks
  /// of K, else one tile's, used again and again.
  Value tileAt(Value row) {
    return accumulates ? b.at(products, b.mul(b.sub(row, first), rowBytes)) : products;
  }

  KernelBuilder &b;
  const Contraction &c;
  const ContractionSchedule &s;
  PanelLayout layout;
  /// `stepBlock` counts rows of a panel: steps of K, or pairs of them.
  int64_t groups, groupColumns, rowBytes, stepBlock, aRowBytes;
  bool accumulates;
  Value products;

  // The tile of the grid at hand: its rows, A from the first of them on as f32, their weights and the number of these, the
  // column and the panels of its group, the panels of the group after it, what is read after the block of K at hand, and how
  // whole tiles of rows fetch that (a Fetch).
  Value first, last, a, weights, weight, column, panels, nextPanels, next, fetchForm;
};
} // namespace

void ContractionEmitter::emit() {
  // Blocks of equal height rather than whole ones and a rest: 256 rows are 128 + 128, not 240 + 16.
  Value blocks = b.max(b.ceilDiv(c.rows, s.blockRows), b.i64(1));
  Value blockTiles = b.ceilDiv(b.div(b.add(c.rows, b.sub(blocks, 1)), blocks), s.rows);
  Value height = b.mul(blockTiles, s.rows);
  weights = c.weights;
  // `widened` is the block of rows that stands in scratch.
  b.loop(b.tileBegin(), b.tileEnd(), 1, {b.i64(-1)}, [&](Value index, ValueRange widened) {
    Value block = b.div(index, groups);
    first = b.mul(block, height);
    last = b.min(b.add(first, height), c.rows);
    a = b.at(c.a, b.mul(first, c.k * 4));
    if (isHalf(c.element)) {
      a = b.at(b.scratch(), accumulates ? s.blockRows * rowBytes : 0);
      Value isOther = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, block, widened[0]);
      b.ifThen(isOther, [&] { widenRows(); });
    }
    emitTileOfGrid(b.rem(index, groups));
    return SmallVector<Value>{block};
  });
}

/// The rows [first, last) of A as f32.
void ContractionEmitter::widenRows() {
  int64_t bytes = c.k * Element::of(c.element).bytes();
  b.loop(first, last, 1, [&](Value row) {
    widenRow(b.at(c.a, b.mul(row, bytes)), b.at(a, b.mul(b.sub(row, first), aRowBytes)));
  });
}

void ContractionEmitter::widenRow(Value from, Value to) {
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
  a = b.at(b.scratch(), accumulates ? s.blockRows * rowBytes : 0);
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
      emitTileOfGrid(group);
    });
    return SmallVector<Value>(found.getResults());
  });
}

SmallVector<Value> permalloy::codegen::findGroupedBlock(KernelBuilder &b, const GroupedRows &groups,
                                                        Value block, int64_t blockRows,
                                                        int64_t tileRows) {
  auto offset = [&](Value group) {
    return b.load(b.getI64Type(), b.at(groups.table, b.mul(group, 8)), 8);
  };
  Value zero = b.i64(0);
  auto found = b.loop(
      zero, b.i64(groups.count), 1, {zero, zero, zero, zero}, [&](Value group, ValueRange so) {
        Value begin = offset(group), end = offset(b.add(group, 1)), rows = b.sub(end, begin);
        Value blocks = b.ceilDiv(rows, blockRows), number = b.sub(block, so[3]);
        Value isHere = arith::AndIOp::create(b, b.less(number, blocks), b.less(b.i64(-1), number));
        Value tiles = b.div(b.add(rows, b.sub(blocks, 1)), b.max(blocks, b.i64(1)));
        Value height = b.mul(b.ceilDiv(tiles, tileRows), tileRows);
        Value start = b.add(begin, b.mul(number, height)), stop = b.min(b.add(start, height), end);
        return SmallVector<Value>{b.select(isHere, start, so[0]), b.select(isHere, stop, so[1]),
                                  b.select(isHere, group, so[2]), b.add(so[3], blocks)};
      });
  found.pop_back();
  return found;
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
// One tile of the grid
//===----------------------------------------------------------------------===//

void ContractionEmitter::emitTileOfGrid(Value group) {
  column = b.mul(group, c.gated ? kPanelColumns : groupColumns);
  panels = b.at(weights, b.mul(group, tileBytes()));
  // After the last group comes the first one of the next block of rows: of the next weight, where they are grouped.
  Value wrapped = c.groups ? b.at(weights, panelsOf(c.n) * layout.bytes) : weights;
  nextPanels = b.select(b.less(group, b.i64(groups - 1)), b.at(panels, tileBytes()), wrapped);
  Value wholeTiles = b.div(b.sub(last, first), s.rows);
  auto fewerThan = [&](int64_t tiles, Value value, Value otherwise) {
    return b.select(b.less(wholeTiles, b.i64(tiles)), value, otherwise);
  };
  fetchForm = fewerThan(s.panels, b.i64(int64_t(Fetch::All)),
                        fewerThan(s.panels * s.prefetchPeriod, b.i64(int64_t(Fetch::Panel)),
                                  b.i64(int64_t(Fetch::Spread))));
  int64_t lastColumns = c.gated ? groupColumns : c.n - (groups - 1) * groupColumns;
  if (groups == 1 || lastColumns == groupColumns)
    return emitGroup(lastColumns);
  // The last group is narrower: its own code, with its own register tile.
  b.ifElse(
      b.less(group, b.i64(groups - 1)), [&] { emitGroup(groupColumns); },
      [&] { emitGroup(lastColumns); });
}

/// All rows [first, last) of one group of panels, of which `columns` columns exist.
void ContractionEmitter::emitGroup(int64_t columns) {
  if (!accumulates)
    return emitStepBlock(b.i64(0), columns);
  b.loop(b.i64(0), b.mul(b.sub(last, first), rowBytes), b.target().lanes() * 4, [&](Value offset) {
    b.store(b.splat(0), b.at(products, offset), b.target().lanes() * 4);
  });
  b.loop(b.i64(0), b.i64(layout.rows), stepBlock, [&](Value step) { emitStepBlock(step, columns); });
  b.loop(first, last, 1, [&](Value row) { emitRowEpilogue(b.sub(row, first), row, columns); });
}

/// The products of one block of K, for all rows; with the epilogue, where that is all of K.
void ContractionEmitter::emitStepBlock(Value firstStep, int64_t columns) {
  Value nextStep = b.add(firstStep, stepBlock);
  next = b.select(b.less(nextStep, b.i64(layout.rows)),
                  b.at(panels, b.mul(nextStep, layout.rowBytes)), nextPanels);
  b.loop(first, last, s.rows, [&](Value row) {
    Value count = b.min(b.sub(last, row), b.i64(s.rows));
    // A tile of fewer rows has its own code: no masks in the loop over K.
    b.switchOn(b.sub(b.i64(s.rows), count), s.rows, [&](unsigned missing) {
      if (missing != 0 || !s.prefetchPeriod)
        return emitProducts(s.rows - missing, row, firstStep, columns, Fetch::Own);
      b.switchOn(fetchForm, 3, [&](unsigned form) {
        emitProducts(s.rows, row, firstStep, columns, static_cast<Fetch>(form));
      });
    });
    if (!accumulates)
      b.loop(b.i64(0), count, 1, [&](Value r) { emitRowEpilogue(r, b.add(row, r), columns); });
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
  operands.aStepStride = layout.pairing * 4;
  operands.aRowStride = aRowBytes;
  operands.a = b.at(b.at(a, b.mul(b.sub(row, first), aRowBytes)),
                    b.mul(firstStep, operands.aStepStride));
  operands.b = b.at(panels, b.mul(firstStep, layout.rowBytes));
  operands.bStepStride = layout.rowBytes;
  operands.bElement = c.element;
  for (int64_t col = 0; col < columns; col += b.target().lanes())
    operands.bVectorOffsets.push_back(panelOffset(firstPanel + col / kPanelColumns) +
                                      col % kPanelColumns * layout.columnBytes);
  int64_t period = fetch == Fetch::Spread ? s.prefetchPeriod : 1;
  unsigned fetchedPanels = fetch == Fetch::Own ? panelsOf(columns) : s.panels;
  Value ahead = fetch == Fetch::Own ? b.at(operands.b, kStreamAheadBytes) : next;
  if (fetch == Fetch::Spread || fetch == Fetch::Panel)
    ahead = shareOfNext(row, period, firstPanel);
  TileLoop loop{unrolls() ? unsigned(std::max<int64_t>(kUnrolledSteps, period)) : 1};
  auto prefetch = [&](Value step, unsigned index) {
    // Where one tile fetches all there are as many misses as the core keeps track of; every second line brings its neighbour.
    if (index % period != 0 || (fetch == Fetch::All && index % 2 != 0))
      return;
    // A loop of single steps asks for a row of a panel several times; that costs less than a loop inside the loop.
    Value line = b.at(b.at(ahead, b.mul(step, layout.rowBytes / period)),
                      index / period * layout.rowBytes);
    if (fetch == Fetch::Spread || fetch == Fetch::Panel)
      return prefetchRow(line);
    for (unsigned panel = 0; panel < fetchedPanels; ++panel)
      prefetchRow(b.at(line, panelOffset(firstPanel + panel)));
  };
  if (s.prefetchPeriod)
    loop.beforeStep = prefetch;
  bool divides = layout.rows % stepBlock == 0;
  Value depth =
      divides ? b.i64(stepBlock) : b.min(b.sub(b.i64(layout.rows), firstStep), b.i64(stepBlock));
  Value tile = b.at(tileAt(row), firstPanel * kPanelColumns * 4);
  SmallVector<Value> init = initialTile(rows, operands.bVectorOffsets.size(), tile);
  storeTile(b, emitTile(b, rows, operands, depth, init, loop), rows, tile, rowBytes);
}

void ContractionEmitter::prefetchRow(Value row) {
  for (int64_t offset = 0; offset < layout.rowBytes; offset += kLineBytes)
    b.prefetch(b.at(row, offset));
}

/// The rows of the panels read next that a tile of rows fetches, where `tiles` of them share a panel; those behind the last
/// panel's share fetch it again, out of the cache.
Value ContractionEmitter::shareOfNext(Value row, int64_t tiles, int64_t firstPanel) {
  Value tile = b.div(b.sub(row, first), s.rows);
  Value panel = b.min(b.div(tile, tiles), b.i64(s.panels - 1));
  Value offset = b.add(b.mul(panel, panelOffset(1)),
                       b.mul(b.rem(tile, tiles), stepBlock / tiles * layout.rowBytes));
  return b.at(b.at(next, panelOffset(firstPanel)), offset);
}

SmallVector<Value> ContractionEmitter::initialTile(unsigned rows, unsigned vectors, Value tile) {
  if (!accumulates)
    return zeroTile(b, rows * vectors);
  return loadTile(b, rows, vectors, tile, rowBytes);
}

void ContractionEmitter::emitRowEpilogue(Value productRow, Value row, int64_t columns) {
  int64_t lanes = b.target().lanes(), half = columns / 2;
  Value from = b.at(products, b.mul(productRow, rowBytes));
  if (c.groups)
    row = b.load(b.getI64Type(), b.at(c.groups->table, b.mul(b.add(row, c.groups->count + 1), 8)), 8);
  for (int64_t col = 0; col < (c.gated ? half : columns); col += lanes) {
    unsigned valid = std::min(lanes, columns - col);
    auto productAt = [&](int64_t at) { return b.loadVector(b.at(from, at * 4), lanes * 4); };
    Value second = c.gated ? productAt(half + col) : Value();
    c.epilogue({row, b.add(column, col), valid, second, weight}, productAt(col));
  }
}

int64_t permalloy::codegen::contractionScratchBytes(const ContractionSchedule &schedule,
                                                    int64_t k, Type element) {
  int64_t steps = llvm::alignTo(schedule.blockSteps, element ? tfm::panelPairing(element) : 1);
  int64_t products = steps < k ? schedule.blockRows * schedule.panels * kPanelColumns * 4 : 0;
  return products + (isHalf(element) ? schedule.blockRows * widenedRowBytes(k) : 0);
}

/// Gathered rows of one block: half of a second-level cache of 2 MB at most, where a block has several register tiles.
static constexpr int64_t kMaxGatheredBytes = 1 << 20;

ContractionSchedule permalloy::codegen::chooseGroupedSchedule(const CpuTarget &target, int64_t n,
                                                              int64_t k, bool gated, Type element) {
  ContractionSchedule schedule = ContractionSchedule::choose(target, n, k, element);
  if (gated && target.isAvx512())
    std::tie(schedule.rows, schedule.panels) = std::pair(12u, 2u);
  int64_t rows = std::clamp<int64_t>(kMaxGatheredBytes / widenedRowBytes(k), 1, 240);
  schedule.blockRows = std::max<int64_t>(rows / schedule.rows, 1) * schedule.rows;
  return schedule;
}

int64_t permalloy::codegen::groupedContractionGroups(const ContractionSchedule &schedule, int64_t n,
                                                     bool gated) {
  return gated ? panelsOf(n) / 2 : contractionGroups(schedule, n);
}

int64_t permalloy::codegen::groupedScratchBytes(const ContractionSchedule &schedule, int64_t k,
                                                bool gated, Type element) {
  int64_t steps = llvm::alignTo(schedule.blockSteps, element ? tfm::panelPairing(element) : 1);
  int64_t products = steps < k ? gridPanels(schedule, gated) * kPanelColumns * 4 : 0;
  return schedule.blockRows * (products + widenedRowBytes(k));
}

void permalloy::codegen::emitContraction(KernelBuilder &b, const Contraction &contraction,
                                         const ContractionSchedule &schedule) {
  ContractionEmitter emitter(b, contraction, schedule);
  if (contraction.groups)
    emitter.emitGrouped();
  else
    emitter.emit();
}
