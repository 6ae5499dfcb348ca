//===- AmxContraction.cpp - grid, packing and tiles --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Long because it is one emitter: the steps of one loop nest in the order in which they stand in the code, on state that they share.
//
//===----------------------------------------------------------------------===//
#include "AmxContraction.h"
#include "AmxPacking.h"
#include "AmxTiles.h"
#include "ContractionBlocks.h"
#include "Tfm/Panels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

static constexpr int64_t kLineBytes = 64, kTileBytes = AmxTiles::kBytes;
/// Rows and columns of C in registers, and bytes of its rows.
static constexpr int64_t kBlock = AmxSchedule::kBlock, kRowBytes = kBlock * 4;
/// How far ahead a few rows fetch their weights, which come from memory.
static constexpr int64_t kStreamAheadBytes = 2048;
/// Where the four tiles of C, the two of A and the two of B stand.
static constexpr unsigned kC = 0, kA = 4, kB = 6;

static int64_t panelsOf(int64_t n) { return llvm::divideCeil(n, kPanelColumns); }

namespace {
/// A block of C that stands in scratch and waits for its epilogue: `count` rows from `row` on, 32 columns from `column` on
/// (gated: 16 and the same of the other half), the number of their weight.
struct Pending {
  Value row, column, count, group;

  SmallVector<Value> carried() const { return {row, column, count, group}; }
  static Pending of(ValueRange values) { return {values[0], values[1], values[2], values[3]}; }
};

class AmxContractionEmitter {
public:
  AmxContractionEmitter(KernelBuilder &b, const Contraction &c, const AmxSchedule &s)
      : b(b), c(c), s(s), tiles(b), tileSteps(amxSteps(c.element)), elementBytes(c.split ? 4 : kLineBytes / tileSteps),
        memory(s, c.k, tileSteps, c.split), packing(b, c, memory), wholeSteps(c.k / tileSteps), tailSteps(c.k % tileSteps),
        blockSteps(s.blockSteps / tileSteps), panelBytes(llvm::divideCeil(c.k, 4 / elementBytes) * kLineBytes),
        groups(llvm::divideCeil(panelsOf(c.n), 2)),
        secondPanel(c.gated ? panelsOf(c.n) / 2 * panelBytes : panelBytes),
        lastColumns(c.gated ? kBlock : c.n - (groups - 1) * kBlock), groupPairs(s.groupPairs) {}

  void emit();

private:
  void findBlock(Value block, Value height);
  void packRows(Value block);
  void packAllRows();
  Value runOf(Value index);
  Pending emitRun(Value group, Value end, Pending pending);
  Pending emitPair(Value group, Pending pending);
  void openPair(Value group);
  Pending emitRowBlocks(Value step, Pending pending);
  Pending emitBlock(Value step, Value m, Pending pending);
  void startProducts(Value isFirst, Value sums);
  Value emitSteps(Value step, Value m, Value depth, bool wide, const Pending &pending, unsigned pass = 0);
  void emitStep(bool wide, Value aTile, Value panels, Value second, ArrayRef<std::function<void()>> between);
  Value streamed(Value step);
  void fetchNext(Value from, unsigned cacheLevel);
  void emitEpilogue(const Pending &pending, Value from, int64_t columns);
  void emitEpilogueVector(const Pending &pending, Value row, int64_t at, int64_t columns);
  /// Whether some group of panels has all of its columns.
  bool hasWholeGroups() { return groups > 1 || lastColumns == kBlock; }

  KernelBuilder &b;
  const Contraction &c;
  const AmxSchedule &s;
  AmxTiles tiles;
  /// Steps of K in a tile, and bytes of an element.
  int64_t tileSteps, elementBytes;
  AmxScratch memory;
  AmxPacking packing;
  /// Steps of whole tiles, the rest of K, and steps in a block of K.
  int64_t wholeSteps, tailSteps, blockSteps;
  int64_t panelBytes, groups, secondPanel, lastColumns, groupPairs;

  // Pairs that are taken together, and runs of them in each block of rows.
  Value together, runs;
  Value packed, sums, products, lastRows, stride, rowStride;
  // What is at hand: rows, their weight and panels, columns; how many lines each step of K fetches of what
  // comes next, and steps in a block of K.
  Value first, last, weight, panels, second, column, isNarrow, isOnly, lines, depth, ahead;
  llvm::DenseMap<Value, Value> numberOf; ///< rows of what is pending, as rows of the result
};
} // namespace

void AmxContractionEmitter::emit() {
  tiles.configure();
  packed = b.at(b.scratch(), memory.packed);
  sums = b.at(b.scratch(), memory.sums);
  products = b.at(b.scratch(), memory.products);
  lastRows = b.at(b.scratch(), memory.lastRows);
  stride = b.i64(kLineBytes);
  rowStride = b.i64(kRowBytes);
  Value none = b.i64(0), height;
  if (!c.groups) { // blocks of equal height rather than whole ones and a rest
    Value blocks = b.max(b.ceilDiv(c.rows, s.blockRows), b.i64(1));
    height = b.mul(b.ceilDiv(b.div(b.add(c.rows, b.sub(blocks, 1)), blocks), kBlock), kBlock);
  }
  SmallVector<Value> carried = {b.i64(-1), none, none, none, none, none, none, none};
  together = b.i64(1);
  if (groupPairs > 1)
    together = b.select(b.less(b.i64(AmxSchedule::kFewRows), b.min(height, c.rows)), b.i64(groupPairs), together);
  runs = b.div(b.sub(b.add(together, groups), 1), together);
  Value begin = runOf(b.tileBegin());
  Value end = b.select(b.less(b.tileBegin(), b.tileEnd()), b.add(runOf(b.sub(b.tileEnd(), 1)), 1), begin);
  carried = b.loop(begin, end, 1, carried, [&](Value run, ValueRange known) {
    Value block = b.div(run, runs);
    Value isNew = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, block, known[0]);
    SmallVector<Value> found = b.choose(
        isNew,
        [&] {
          findBlock(block, height);
          packRows(block);
          return SmallVector<Value>{first, last, weight};
        },
        [&] { return SmallVector<Value>{known[1], known[2], known[3]}; });
    first = found[0], last = found[1], weight = found[2];
    Value tile = b.mul(block, groups), group = b.mul(b.rem(run, runs), together);
    Value from = b.max(group, b.sub(b.tileBegin(), tile));
    Value to = b.min(b.min(b.add(group, together), b.i64(groups)), b.sub(b.tileEnd(), tile));
    Pending pending = emitRun(from, to, Pending::of(known.drop_front(4)));
    SmallVector<Value> next = {block, first, last, weight};
    llvm::append_range(next, pending.carried());
    return next;
  });
  if (hasWholeGroups())
    emitEpilogue(Pending::of(ArrayRef(carried).drop_front(4)), none, kBlock);
  tiles.release();
}

/// The run that a tile of the grid belongs to.
Value AmxContractionEmitter::runOf(Value index) {
  return b.add(b.mul(b.div(index, groups), runs), b.div(b.rem(index, groups), together));
}

/// The rows of a block: equal shares of all, or positions of one group.
void AmxContractionEmitter::findBlock(Value block, Value height) {
  if (c.groups) {
    SmallVector<Value> found = findGroupedBlock(b, *c.groups, block, s.blockRows, kBlock);
    first = found[0], last = found[1], weight = found[2];
    return;
  }
  first = b.mul(block, height);
  last = b.min(b.add(first, height), c.rows);
  weight = b.i64(0);
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// The rows of the block as tiles, unless an earlier range of this launch's tiles left them in the worker's scratch. Rows that a
/// tile lacks are left as they are: their products are not stored.
void AmxContractionEmitter::packRows(Value block) {
  Value number = b.add(block, 1);
  b.ifElse(b.equal(b.load(b.getI64Type(), b.scratch(), 8), number), [] {}, [&] {
    b.store(number, b.scratch(), 8);
    packAllRows();
  });
}

void AmxContractionEmitter::packAllRows() {
  b.loop(first, last, 1, [&](Value position) {
    Value local = b.sub(position, first), row = position;
    if (c.groups)
      row = b.div(b.load(b.getI64Type(), b.at(c.groups->table, b.mul(b.add(position, c.groups->count + 1), 8)), 8),
                  c.groups->repeat);
    Value tile = b.mul(b.div(local, AmxTiles::kRows), memory.tiles * kTileBytes);
    Value to = b.at(b.at(packed, tile), b.mul(b.rem(local, AmxTiles::kRows), kLineBytes));
    packing.packRow(b.at(c.a, b.mul(row, c.k * elementBytes)), to);
  });
}

//===----------------------------------------------------------------------===//
// Pairs of panels
//===----------------------------------------------------------------------===//

/// The pairs [group, end) for the rows at hand: one pair, or several, 32 rows after another. Then pieces of a row of C are
/// written one soon after the other, while its page and the line that two of them share are at hand.
Pending AmxContractionEmitter::emitRun(Value group, Value end, Pending pending) {
  Value rowBlocks = b.max(b.ceilDiv(b.sub(last, first), kBlock), b.i64(1));
  lines = b.div(b.add(rowBlocks, AmxTiles::kRows - 1), rowBlocks);
  isOnly = b.equal(rowBlocks, b.i64(1));
  if (groupPairs == 1)
    return emitPair(group, pending);
  // The panels of several pairs leave no room in the L2 cache for the next ones.
  lines = b.select(b.equal(together, b.i64(1)), lines, b.i64(0));
  auto carried = b.loop(b.i64(0), b.sub(last, first), kBlock, pending.carried(), [&](Value m, ValueRange so) {
    return b.loop(group, end, 1, SmallVector<Value>(so), [&](Value pair, ValueRange before) {
      openPair(pair);
      return emitBlock(b.i64(0), m, Pending::of(before)).carried();
    });
  });
  return Pending::of(carried);
}

/// Finds the panels and columns of a pair.
void AmxContractionEmitter::openPair(Value group) {
  int64_t groupBytes = (c.gated ? 1 : 2) * panelBytes;
  panels = b.at(b.at(c.weights, b.mul(weight, panelsOf(c.n) * panelBytes)), b.mul(group, groupBytes));
  second = b.at(panels, secondPanel);
  column = b.mul(group, c.gated ? kPanelColumns : kBlock);
  isNarrow = {};
  if (lastColumns < kBlock) {
    isNarrow = b.equal(group, b.i64(groups - 1));
    if (lastColumns <= kPanelColumns) // there is no second panel: the first one twice
      second = b.select(isNarrow, panels, second);
  }
  ahead = b.at(panels, (c.gated ? 1 : 2) * panelBytes);
  if (c.split)
    std::tie(panels, second) = packing.splitPanels(panels, second);
  if (tailSteps)
    packing.keepLastRows(panels, second, lastRows);
}

Pending AmxContractionEmitter::emitPair(Value group, Pending pending) {
  openPair(group);
  if (!memory.accumulates)
    return emitRowBlocks(b.i64(0), pending);
  // A single block of rows reads its weights once: nothing to keep in a cache.
  depth = b.select(isOnly, b.i64(wholeSteps), b.i64(blockSteps));
  Value blocks = b.select(isOnly, b.i64(1), b.i64(llvm::divideCeil(wholeSteps, blockSteps)));
  auto carried = b.loop(b.i64(0), blocks, 1, pending.carried(), [&](Value block, ValueRange so) {
    return emitRowBlocks(b.mul(block, depth), Pending::of(so)).carried();
  });
  return Pending::of(carried);
}

/// All rows, for the block of K that begins at `step`.
Pending AmxContractionEmitter::emitRowBlocks(Value step, Pending pending) {
  // What comes next: the next block of K, or the next group's first one.
  if (memory.accumulates) {
    Value next = b.add(step, depth), beyond = b.i64((c.gated ? 1 : 2) * panelBytes);
    ahead = b.at(panels, b.select(b.less(next, b.i64(wholeSteps)), b.mul(next, kTileBytes), beyond));
  }
  auto carried = b.loop(b.i64(0), b.sub(last, first), kBlock, pending.carried(), [&](Value m, ValueRange so) {
    return emitBlock(step, m, Pending::of(so)).carried();
  });
  return Pending::of(carried);
}

/// 32 rows and 32 columns for one block of K, while the epilogue of `pending` is done. Gives what is pending then.
Pending AmxContractionEmitter::emitBlock(Value step, Value m, Pending pending) {
  Value count = b.min(b.sub(b.sub(last, first), m), b.i64(kBlock));
  Value block = b.at(sums, b.mul(m, kRowBytes)), yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
  Value isFirst = yes, isLast = yes, steps = b.i64(std::min(blockSteps, wholeSteps));
  if (memory.accumulates) {
    isFirst = b.equal(step, b.i64(0));
    isLast = b.less(b.i64(wholeSteps - 1), b.add(step, depth));
    steps = wholeSteps % blockSteps == 0 ? depth : b.min(b.sub(b.i64(wholeSteps), step), depth);
  }
  startProducts(isFirst, block);
  Value isWide = b.less(b.i64(AmxTiles::kRows), count);
  auto products = [&](bool wide) {
    return [&, wide] {
      Value done = emitSteps(step, m, steps, wide, pending);
      for (unsigned pass = 1; c.split && pass < 3; ++pass)
        emitSteps(step, m, steps, wide, pending, pass);
      if (tailSteps)
        b.ifThen(isLast, [&] {
          Value aTile = b.at(packed, b.add(b.mul(m, memory.tiles * kLineBytes), wholeSteps * kTileBytes));
          emitStep(wide, aTile, lastRows, b.at(lastRows, kTileBytes), {});
        });
      return SmallVector<Value>{done};
    };
  };
  Value done = b.choose(isWide, products(true), products(false)).front();
  if (hasWholeGroups())
    emitEpilogue(pending, done, kBlock);
  Value to = memory.accumulates ? b.select(isLast, this->products, block) : this->products;
  for (unsigned tile = 0; tile < 4; ++tile)
    tiles.store(kC + tile, b.at(to, (tile / 2) * AmxTiles::kRows * kRowBytes + (tile % 2) * kLineBytes), rowStride);
  Value left = b.select(isLast, count, b.i64(0));
  Pending next{b.add(first, m), column, left, weight};
  if (isNarrow) { // its columns have masks: at once, by code of their own
    b.ifThen(isNarrow, [&] { emitEpilogue(next, b.i64(0), lastColumns); });
    next.count = b.select(isNarrow, b.i64(0), left);
  }
  return next;
}

void AmxContractionEmitter::startProducts(Value isFirst, Value block) {
  auto zero = [&] {
    for (unsigned tile = 0; tile < 4; ++tile)
      tiles.zero(kC + tile);
  };
  if (!memory.accumulates)
    return zero();
  b.ifElse(isFirst, zero, [&] {
    for (unsigned tile = 0; tile < 4; ++tile)
      tiles.load(kC + tile, b.at(block, (tile / 2) * AmxTiles::kRows * kRowBytes + (tile % 2) * kLineBytes), rowStride);
  });
}

/// The loop over `depth` steps of K, first with rows of the epilogue in it. Gives how many rows of it were done. A split product
/// is three passes: high times high, low times high, high times low.
Value AmxContractionEmitter::emitSteps(Value step, Value m, Value depth, bool wide, const Pending &pending, unsigned pass) {
  Value from = b.mul(step, kTileBytes);
  Value a = b.at(b.at(packed, b.mul(m, memory.tiles * kLineBytes)), from);
  Value b0 = b.at(panels, from), b1 = b.at(second, from);
  if (pass == 1)
    a = b.at(a, wholeSteps * kTileBytes);
  if (pass == 2)
    b0 = b.at(b0, panelBytes), b1 = b.at(b1, panelBytes); // two halves of a panel of f32
  Value share = b.mul(b.mul(b.div(m, kBlock), lines), b.mul(depth, kLineBytes));
  // Two passes fetch a half of the panels of f32 each, which are twice as long.
  Value fetched = b.at(b.at(ahead, share), pass == 1 ? panelBytes / 2 : 0);
  auto run = [&](Value k, ArrayRef<std::function<void()>> between) {
    if (s.prefetch && pass < 2) {
      Value next = b.at(fetched, b.mul(b.mul(k, lines), kLineBytes));
      if (wide)
        fetchNext(next, 2);
      else
        fetchNext(c.split ? next : b.select(isOnly, streamed(b.add(step, k)), next), 1);
    }
    Value at = b.mul(k, kTileBytes);
    emitStep(wide, b.at(a, at), b.at(b0, at), b.at(b1, at), between);
  };
  Value hosted = b.i64(0);
  if (wide && hasWholeGroups() && pass == 0) {
    hosted = b.min(b.div(pending.count, s.epilogueRows), depth);
    b.loop(b.i64(0), hosted, 1, [&](Value k) {
      SmallVector<Value> rows;
      for (int64_t row = 0; row < s.epilogueRows; ++row)
        rows.push_back(b.add(b.mul(k, s.epilogueRows), row));
      // Its vectors are spread over the four places between products.
      std::array<std::function<void()>, 4> between;
      for (int64_t place = 0; place < 4; ++place)
        between[place] = [&, place] {
          int64_t vectors = 2 * s.epilogueRows;
          for (int64_t i = place * vectors / 4; i < (place + 1) * vectors / 4; ++i)
            emitEpilogueVector(pending, rows[i / 2], i % 2 * kPanelColumns, kBlock);
        };
      run(k, between);
    });
  }
  b.loop(hosted, depth, 1, [&](Value k) { run(k, {}); });
  return b.mul(hosted, s.epilogueRows);
}

/// What a single block of rows fetches in a step: 16 lines of the first panel, a little ahead; behind the panel's end those of
/// the next group.
Value AmxContractionEmitter::streamed(Value step) {
  Value offset = b.add(b.mul(step, kTileBytes), kStreamAheadBytes);
  if (!c.gated)
    offset = b.add(offset, b.select(b.less(offset, b.i64(panelBytes)), b.i64(0), b.i64(panelBytes)));
  return b.at(panels, offset);
}

/// One step of tiles along K: one or two of A times two of B.
void AmxContractionEmitter::emitStep(bool wide, Value aTile, Value panel0, Value panel1,
                                     ArrayRef<std::function<void()>> between) {
  auto host = [&](unsigned place) {
    if (!between.empty())
      between[place]();
  };
  auto multiply = [&](unsigned c, unsigned a, unsigned b) {
    if (this->c.isIntegral())
      return tiles.multiplyIntegers(c, a, b, this->c.signedRows, !this->c.element.isUnsignedInteger());
    tiles.multiply(c, a, b);
  };
  tiles.load(kB, panel0, stride);
  tiles.loadStream(kA, aTile, stride);
  multiply(kC, kA, kB);
  host(0);
  tiles.load(kB + 1, panel1, stride);
  multiply(kC + 1, kA, kB + 1);
  host(1);
  if (!wide)
    return;
  tiles.loadStream(kA + 1, b.at(aTile, memory.tiles * kTileBytes), stride);
  multiply(kC + 2, kA + 1, kB);
  host(2);
  multiply(kC + 3, kA + 1, kB + 1);
  host(3);
}

/// Each block of rows fetches its share of both panels.
void AmxContractionEmitter::fetchNext(Value from, unsigned cacheLevel) {
  b.loop(b.i64(0), lines, 1, [&](Value line) {
    Value pointer = b.at(from, b.mul(line, kLineBytes));
    b.prefetch(pointer, cacheLevel);
    b.prefetch(b.at(pointer, secondPanel), cacheLevel);
  });
}

//===----------------------------------------------------------------------===//
// Epilogue
//===----------------------------------------------------------------------===//

/// The rows [from, count) of what is pending, of which `columns` columns exist.
void AmxContractionEmitter::emitEpilogue(const Pending &pending, Value from, int64_t columns) {
  b.loop(from, pending.count, 1, [&](Value row) {
    for (int64_t at = 0; at < std::min(columns, kBlock); at += kPanelColumns)
      emitEpilogueVector(pending, row, at, columns);
  });
}

/// Columns [at, at + 16) of one row. Of a gated product both halves are done at once.
void AmxContractionEmitter::emitEpilogueVector(const Pending &pending, Value row, int64_t at, int64_t columns) {
  if (c.gated && at > 0)
    return;
  Value from = b.at(products, b.mul(row, kRowBytes));
  Value &number = numberOf[row]; // the same value for both vectors, so that what is read of a row is read once
  if (!number) {
    number = b.add(pending.row, row);
    if (c.groups)
      number = b.load(b.getI64Type(), b.at(c.groups->table, b.mul(b.add(number, c.groups->count + 1), 8)), 8);
  }
  EpilogueSite site{number, b.add(pending.column, at), unsigned(std::min(kPanelColumns, columns - at))};
  if (c.gated)
    site.second = b.loadVector(b.at(from, kLineBytes), kLineBytes);
  if (c.groups)
    site.group = pending.group;
  Type type = c.isIntegral() ? b.intVectorType() : b.vectorType();
  c.epilogue(site, b.load(type, b.at(from, at * 4), kLineBytes));
}

void permalloy::codegen::emitAmxContraction(KernelBuilder &b, const Contraction &contraction,
                                            const AmxSchedule &schedule) {
  AmxContractionEmitter(b, contraction, schedule).emit();
}
