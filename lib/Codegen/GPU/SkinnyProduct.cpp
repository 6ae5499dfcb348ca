//===- SkinnyProduct.cpp - a product of few rows -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SkinnyProduct.h"
#include "../CPU/ElementOps.h"
#include "Tfm/Panels.h"
#include "permalloy/Artifact/Format.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

static constexpr int64_t kChunkBytes = 16;
/// Results that a thread finishes at once, and their bytes.
static constexpr int64_t kUnitColumns = 4, kUnitBytes = 16;
static constexpr int64_t kUnitsOfRow = kPanelColumns / kUnitColumns;

int64_t codegen::skinnyGroups(const ProductWeight &weight, const SkinnySchedule &schedule,
                              bool isGated) {
  return llvm::divideCeil(weight.panelCount() / (isGated ? 2 : 1), schedule.panels);
}

static int64_t halves(bool isGated) { return isGated ? 2 : 1; }

/// Sums of all warps, and a word that says whether the block came last.
int64_t codegen::skinnySharedBytes(const SkinnySchedule &schedule, bool isGated) {
  return schedule.warps * halves(isGated) * kSkinnyRows * kPanelColumns * 4 + kChunkBytes;
}

int64_t codegen::skinnyScratchBytes(const ProductWeight &weight, const SkinnySchedule &schedule,
                                    bool isGated) {
  if (schedule.split == 1)
    return 0;
  int64_t ofBlock = schedule.panels * halves(isGated) * kSkinnyRows * kPanelColumns * 4;
  return skinnyGroups(weight, schedule, isGated) * schedule.split * ofBlock;
}

/// Enough warps to fill a large device (132 multiprocessors, 16 warps each), so long as a thread has
/// several loads to do.
SkinnySchedule SkinnySchedule::choose(const ProductWeight &weight, bool isGated, int64_t warps) {
  constexpr int64_t kWantedBlocks = 264, kLeastLoads = 4;
  SkinnySchedule schedule;
  schedule.warps = warps;
  int64_t panels = weight.panelCount() / halves(isGated);
  schedule.panels = panels >= 4 * kWantedBlocks ? 4 : panels >= 2 * kWantedBlocks ? 2 : 1;
  int64_t groups = skinnyGroups(weight, schedule, isGated);
  int64_t rowsAtOnce = 32 / weight.chunksOfRow() * warps / schedule.panels;
  while (groups * schedule.split * 2 <= kWantedBlocks + kWantedBlocks / 2 &&
         weight.depth() >= rowsAtOnce * schedule.split * 2 * kLeastLoads)
    schedule.split *= 2;
  return schedule;
}

std::string codegen::whyNotSkinny(const SkinnySchedule &s, const ProductWeight &weight,
                                  bool isGated) {
  if (s.panels < 1 || s.loads < 1 || s.split < 1 || s.warps % s.panels)
    return "the panels of a block do not share its " + std::to_string(s.warps) + " warps evenly";
  int64_t groups = skinnyGroups(weight, s, isGated);
  return s.split > 1 && groups > int64_t(artifact::kDeviceCounters)
             ? "the blocks that share K need " + std::to_string(groups) + " counters"
             : "";
}

namespace {

/// Emits the product for a number of rows that is known.
class Emitter {
public:
  Emitter(GpuBuilder &b, const BlockProduct &product, const SkinnySchedule &schedule,
          const SkinnyPlace &place)
      : b(b), warp(b), ops(b), p(product), w(product.weight), s(schedule), place(place),
        reader(b, product.weight) {
    parts = s.warps / s.panels;
    panels = halves(p.isGated);
    loadRows = 32 / w.chunksOfRow();
    columns = w.columnsOfChunk();
    stepBytes = w.isIntegral() ? 1 : Element::of(p.element).bytes();
    isOneGroup = w.coded && w.groups() == 1;
    scalesSums = w.coded && !w.roundsCodes();
  }

  void run();

private:
  void placeThread();
  void emit(int64_t rows);
  SmallVector<Value> accumulate();
  SmallVector<Value> accumulateStep(Value row, int64_t loads, ValueRange so, bool isTail);
  /// One access of a thread, with what belongs to it.
  struct Load {
    Value row;                     ///< of the panel
    Value first;                   ///< step of K
    SmallVector<Value, 2> chunks;  ///< of each panel
    SmallVector<SmallVector<Value>, 2> scales, zeroPoints, quads;
  };
  Load load(Value row, int64_t number);
  void multiply(const Load &load, MutableArrayRef<Value> sums, bool isTail);
  void multiplyQuads(const Load &load, MutableArrayRef<Value> sums);
  void loadScales(Load &load, size_t panel, Value group);
  void scale(const Load &load, ArrayRef<Value> group, MutableArrayRef<Value> sums);
  SmallVector<Value> steps(int64_t row, Value first, bool isTail);
  void reduce(MutableArrayRef<Value> sums);
  void share(ArrayRef<Value> sums);
  void finish();
  void forEachUnit(function_ref<void(Value unit, Value row, Value panel, Value chunk)> body);
  SmallVector<Value> sumOfWarps(Value row, Value panel, Value chunk);
  void combine();
  void deliver(Value row, Value panel, Value chunk, ArrayRef<Value> results);

  Type resultType() { return w.isIntegral() ? Type(b.getI32Type()) : Type(b.getF32Type()); }
  Value zero() { return arith::ConstantOp::create(b, b.getZeroAttr(resultType())); }
  VectorType fourType() { return VectorType::get(4, resultType()); }
  Value plus(Value x, Value y) {
    return w.isIntegral() ? arith::AddIOp::create(b, x, y).getResult() : b.addf(x, y);
  }
  /// Sums: [row][panel][column of the chunk], then, where zero points want them, those of A's rows.
  size_t sumAt(int64_t row, int64_t panel, int64_t column) const {
    return (row * panels + panel) * columns + column;
  }
  size_t sumCount() const { return rows * panels * columns; }
  bool sumsRows() const { return scalesSums && w.coded->format.hasZeroPoints; }
  int64_t unitCount() const { return rows * s.panels * kUnitsOfRow; }

  GpuBuilder &b;
  WarpBuilder warp;
  ElementOps ops;
  const BlockProduct &p;
  const ProductWeight &w;
  const SkinnySchedule &s;
  const SkinnyPlace &place;
  WeightReader reader;
  int64_t parts;     ///< warps that share the K of a panel
  int64_t panels;    ///< of a warp: 2 where the product is gated
  int64_t loadRows;  ///< rows of a panel that a warp reads at once
  int64_t columns;   ///< of a chunk
  int64_t stepBytes; ///< of an element of A
  bool isOneGroup;   ///< each column has one scale
  bool scalesSums;   ///< scales are applied to the sums of groups, not to each weight

  Value lane, laneRow, laneColumn; ///< of the panel, the latter a multiple of 4
  Value ownPanel, ownPart;         ///< of the warp in the block
  SmallVector<Value> panelNumbers, panelChunks; ///< of the warp; this thread's chunk of the first rows
  Load whole; ///< the scales and zero points of all of K, where there is one group
  int64_t rows = 0;
  SmallVector<Value> rowsOfA; ///< addresses
};

} // namespace

void Emitter::placeThread() {
  Value thread = b.threadInBlock();
  lane = b.rem(thread, 32);
  laneRow = b.div(lane, w.chunksOfRow());
  laneColumn = b.mul(b.rem(lane, w.chunksOfRow()), columns);
  Value number = b.div(thread, 32);
  ownPanel = b.div(number, parts), ownPart = b.rem(number, parts);
  // Behind the last panel the last one is read again.
  int64_t half = w.panelCount() / panels;
  Value panel = b.add(b.mul(place.group, s.panels), ownPanel);
  if (half % s.panels)
    panel = b.min(panel, b.i64(half - 1));
  Value chunk = b.add(b.mul(laneRow, w.rowStride()), b.mul(b.rem(lane, w.chunksOfRow()), kChunkBytes));
  for (int64_t i = 0; i < panels; ++i) {
    panelNumbers.push_back(b.add(panel, i * half));
    panelChunks.push_back(b.at(reader.panel(panelNumbers.back()), chunk));
  }
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Scales and zero points of a group of one of the warp's panels.
void Emitter::loadScales(Load &load, size_t panel, Value group) {
  auto read = [&](Value base) { return reader.scales(base, panelNumbers[panel], group, laneColumn); };
  load.scales.push_back(read(w.coded->scales));
  load.zeroPoints.emplace_back();
  if (w.coded->format.hasZeroPoints)
    load.zeroPoints.back() = read(w.coded->zeroPoints);
}

Emitter::Load Emitter::load(Value row, int64_t number) {
  Load load;
  load.row = b.add(b.add(row, laneRow), number * loadRows);
  Value offset = b.mul(row, w.rowStride());
  for (int64_t i = 0; i < panels; ++i) {
    load.chunks.push_back(
        reader.chunk(b.at(b.at(panelChunks[i], offset), number * loadRows * w.rowStride())));
    if (w.isQuads())
      load.quads.push_back(reader.quadSteps(panelNumbers[i], load.row, laneColumn));
    if (w.coded && !isOneGroup)
      loadScales(load, i, b.div(load.row, w.rowsOfGroup()));
  }
  Value denseRow = load.row;
  if (w.isBlocks())
    denseRow = reader.denseRow(panelNumbers[0], load.row);
  load.first = w.isQuads() ? b.mul(b.div(load.row, w.sparse->keptOfFour), 4)
                           : b.mul(denseRow, w.stepsOfRow());
  return load;
}

/// The steps of a row of a panel of row `row` of A, as f32; zeros behind K.
SmallVector<Value> Emitter::steps(int64_t row, Value first, bool isTail) {
  int64_t count = w.isQuads() ? 4 : w.stepsOfRow();
  if (!isTail || !w.hasPartialRow()) {
    int64_t alignment = std::gcd(std::gcd(w.k * stepBytes, count * stepBytes), kChunkBytes);
    return loadFloats(b, p.element, b.at(rowsOfA[row], b.mul(first, stepBytes)), count, alignment);
  }
  SmallVector<Value> result;
  for (int64_t i = 0; i < count; ++i) {
    Value step = b.add(first, i), exists = b.less(step, b.i64(w.k));
    Value at = b.mul(b.min(step, b.i64(w.k - 1)), stepBytes);
    Value value = ops.load(Element::of(p.element), b.at(rowsOfA[row], at));
    result.push_back(b.select(exists, value, b.f32(0)));
  }
  return result;
}

void Emitter::multiply(const Load &load, MutableArrayRef<Value> sums, bool isTail) {
  SmallVector<SmallVector<Value>, 2> elements;
  const Load &scales = isOneGroup ? whole : load;
  for (auto [i, chunk] : llvm::enumerate(load.chunks)) {
    elements.push_back(reader.elements(chunk));
    if (w.roundsCodes())
      elements.back() = reader.decode(elements.back(), scales.scales[i], scales.zeroPoints[i]);
  }
  for (int64_t row = 0; row < rows; ++row) {
    if (w.isIntegral()) {
      Value word = loadBytes(b, rowsOfA[row], load.first, w.k, !isTail);
      for (int64_t i = 0; i < panels; ++i)
        for (int64_t column = 0; column < columns; ++column) {
          Value &sum = sums[sumAt(row, i, column)];
          sum = warp.dotBytes(word, p.signedRows, elements[i][column],
                              !w.element.isUnsignedInteger(), sum);
        }
      continue;
    }
    SmallVector<Value> xs = steps(row, load.first, isTail);
    for (int64_t i = 0; i < panels; ++i)
      for (auto [step, x] : llvm::enumerate(xs))
        for (int64_t column = 0; column < columns; ++column) {
          Value &sum = sums[sumAt(row, i, column)];
          sum = b.fma(elements[i][step * columns + column], x, sum);
        }
    if (sumsRows())
      for (Value x : xs)
        sums[sumCount() + row] = b.addf(sums[sumCount() + row], x);
  }
}

/// Each column takes one of the four steps.
void Emitter::multiplyQuads(const Load &load, MutableArrayRef<Value> sums) {
  Value none = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
  auto has = [&](Value bits, int32_t bit) -> Value {
    Value mask = arith::ConstantOp::create(b, b.getI32IntegerAttr(bit));
    Value own = arith::AndIOp::create(b, bits, mask);
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ne, own, none);
  };
  for (int64_t i = 0; i < panels; ++i) {
    SmallVector<Value> values = reader.elements(load.chunks[i]), isOdd, isUpper;
    for (Value bits : load.quads[i])
      isOdd.push_back(has(bits, 1)), isUpper.push_back(has(bits, 2));
    for (int64_t row = 0; row < rows; ++row) {
      SmallVector<Value> xs = steps(row, load.first, false);
      for (int64_t column = 0; column < columns; ++column) {
        Value upper = b.select(isOdd[column], xs[3], xs[2]);
        Value x = b.select(isUpper[column], upper, b.select(isOdd[column], xs[1], xs[0]));
        Value &sum = sums[sumAt(row, i, column)];
        sum = b.fma(values[column], x, sum);
      }
    }
  }
}

/// sums += scale * (group - zero * sum of x), with the scales of `load`.
void Emitter::scale(const Load &load, ArrayRef<Value> group, MutableArrayRef<Value> sums) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 0; i < panels; ++i)
      for (int64_t column = 0; column < columns; ++column) {
        size_t at = sumAt(row, i, column);
        Value own = group[at];
        if (sumsRows()) {
          Value minus = arith::NegFOp::create(b, load.zeroPoints[i][column]);
          own = b.fma(minus, group[sumCount() + row], own);
        }
        sums[at] = b.fma(load.scales[i][column], own, sums[at]);
      }
}

/// The rows from `row` on of a panel, `loads` times loadRows of them.
SmallVector<Value> Emitter::accumulateStep(Value row, int64_t loads, ValueRange so, bool isTail) {
  SmallVector<Value> sums(so);
  std::vector<Load> all;
  for (int64_t i = 0; i < loads; ++i)
    all.push_back(load(row, i));
  // Loads that follow each other and share their scales.
  int64_t run = 1;
  bool ownSums = scalesSums && !isOneGroup;
  if (ownSums && w.rowsOfGroup() % loadRows == 0)
    run = std::gcd(loads, w.rowsOfGroup() / loadRows);
  for (int64_t first = 0; first < loads; first += run) {
    SmallVector<Value> group = ownSums ? SmallVector<Value>(sums.size(), zero()) : sums;
    for (int64_t i = first; i < first + run; ++i)
      w.isQuads() ? multiplyQuads(all[i], group) : multiply(all[i], group, isTail);
    if (ownSums)
      scale(all[first], group, sums);
    else
      sums = group;
  }
  return sums;
}

/// This thread's share of K: steps of several loads, then what is left, one load at a time.
SmallVector<Value> Emitter::accumulate() {
  int64_t all = parts * s.split, depth = w.depth();
  int64_t loads = std::max<int64_t>(1, s.loads / (rows > 4 ? 4 : rows > 1 ? 2 : 1));
  while (loads > 1 && depth < loads * loadRows * all)
    loads /= 2;
  int64_t stepRows = loads * loadRows;
  // Rows whose steps may lie behind K are left for the end.
  int64_t whole = !w.hasPartialRow() ? depth / stepRows
                  : w.isBlocks()     ? 0
                                     : (depth - 1) / stepRows;
  Value own = b.add(b.mul(place.part, parts), ownPart);
  SmallVector<Value> sums(sumCount() + (sumsRows() ? rows : 0), zero());
  sums = b.loop(own, b.i64(whole), all, sums, [&](Value step, ValueRange so) {
    return accumulateStep(b.mul(step, stepRows), loads, so, false);
  });
  int64_t left = depth - whole * stepRows;
  return b.loop(own, b.i64(llvm::divideCeil(left, loadRows)), all, sums,
                [&](Value number, ValueRange so) {
                  Value row = b.add(b.mul(number, loadRows), whole * stepRows);
                  auto take = [&] { return accumulateStep(row, 1, so, true); };
                  if (left % loadRows == 0)
                    return take();
                  return b.choose(b.less(b.add(row, laneRow), b.i64(depth)), take,
                                  [&] { return SmallVector<Value>(so); });
                });
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

/// The sums of all threads that have the same chunk.
void Emitter::reduce(MutableArrayRef<Value> sums) {
  for (int64_t distance = w.chunksOfRow(); distance < 32; distance *= 2)
    for (Value &sum : sums)
      sum = plus(sum, warp.shuffleXor(sum, distance));
}

/// Puts the sums of a warp in shared memory: [warp][half][row][16 columns].
void Emitter::share(ArrayRef<Value> sums) {
  Value number = b.div(b.threadInBlock(), 32);
  int64_t rowBytes = kPanelColumns * 4, halfBytes = kSkinnyRows * rowBytes;
  Value to = b.at(place.shared, b.add(b.mul(number, panels * halfBytes), b.mul(laneColumn, 4)));
  b.ifThen(b.less(lane, b.i64(w.chunksOfRow())), [&] {
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = 0; i < panels; ++i)
        for (int64_t column = 0; column < columns; column += 4) {
          Value four = vector::FromElementsOp::create(
              b, fourType(), sums.slice(sumAt(row, i, column), 4));
          b.store(four, b.at(to, i * halfBytes + row * rowBytes + column * 4), 16);
        }
  });
  warp.barrier();
}

/// Calls `body` in one thread for each 4 results of the block.
void Emitter::forEachUnit(
    function_ref<void(Value unit, Value row, Value panel, Value chunk)> body) {
  for (int64_t first = 0; first < unitCount(); first += s.warps * 32) {
    Value unit = b.add(b.threadInBlock(), first);
    b.ifThen(b.less(unit, b.i64(unitCount())), [&] {
      Value line = b.div(unit, kUnitsOfRow);
      body(unit, b.div(line, s.panels), b.rem(line, s.panels), b.rem(unit, kUnitsOfRow));
    });
  }
}

SmallVector<Value> Emitter::sumOfWarps(Value row, Value panel, Value chunk) {
  int64_t rowBytes = kPanelColumns * 4, halfBytes = kSkinnyRows * rowBytes;
  Value from = b.at(place.shared, b.add(b.mul(panel, parts * panels * halfBytes),
                                        b.add(b.mul(row, rowBytes), b.mul(chunk, kUnitBytes))));
  SmallVector<Value> result;
  for (int64_t i = 0; i < panels; ++i) {
    Value sum;
    for (int64_t part = 0; part < parts; ++part) {
      Value own = b.load(fourType(), b.at(from, (part * panels + i) * halfBytes), 16);
      sum = sum ? plus(sum, own) : own;
    }
    result.push_back(sum);
  }
  return result;
}

/// Hands 4 results to the epilogue, where they exist.
void Emitter::deliver(Value row, Value panel, Value chunk, ArrayRef<Value> results) {
  Value number = b.add(b.mul(place.group, s.panels), panel);
  Value column = b.add(b.mul(number, kPanelColumns), b.mul(chunk, kUnitColumns));
  Value exists = b.less(column, b.i64(w.n / panels));
  exists = arith::AndIOp::create(b, exists, b.less(row, p.count));
  b.ifThen(exists, [&] {
    p.epilogue(row, column, results[0], panels == 2 ? results[1] : Value());
  });
}

/// Leaves this block's sums in scratch; the last block of a group adds up what all have left.
void Emitter::combine() {
  int64_t unitBytes = panels * kUnitBytes, partBytes = s.panels * kSkinnyRows * kUnitsOfRow * unitBytes;
  Value ofGroup = b.at(place.scratch, b.mul(place.group, s.split * partBytes));
  Value own = b.at(ofGroup, b.mul(place.part, partBytes));
  forEachUnit([&](Value unit, Value row, Value panel, Value chunk) {
    for (auto [i, sum] : llvm::enumerate(sumOfWarps(row, panel, chunk)))
      b.store(sum, b.at(b.at(own, b.mul(unit, unitBytes)), i * kUnitBytes), 16);
  });
  int64_t flagAt = skinnySharedBytes(s, p.isGated) - kChunkBytes;
  Value isLast = warp.arriveLast(b.at(place.counters, b.mul(place.group, 4)), s.split,
                                 b.at(place.shared, flagAt));
  b.ifThen(isLast, [&] {
    forEachUnit([&](Value unit, Value row, Value panel, Value chunk) {
      SmallVector<Value> results;
      for (int64_t i = 0; i < panels; ++i) {
        Value sum;
        for (int64_t part = 0; part < s.split; ++part) {
          Value from = b.at(b.at(ofGroup, b.mul(unit, unitBytes)), part * partBytes + i * kUnitBytes);
          Value left = b.load(fourType(), from, 16);
          sum = sum ? plus(sum, left) : left;
        }
        results.push_back(sum);
      }
      deliver(row, panel, chunk, results);
    });
  });
}

void Emitter::finish() {
  if (s.split > 1)
    return combine();
  forEachUnit([&](Value, Value row, Value panel, Value chunk) {
    deliver(row, panel, chunk, sumOfWarps(row, panel, chunk));
  });
}

//===----------------------------------------------------------------------===//
// Numbers of rows
//===----------------------------------------------------------------------===//

void Emitter::emit(int64_t count) {
  rows = count;
  rowsOfA.clear();
  for (int64_t i = 0; i < rows; ++i) {
    Value row = p.knownCount == rows ? b.i64(i) : b.min(b.i64(i), b.sub(p.count, 1));
    row = p.rowOf ? p.rowOf(row) : row;
    rowsOfA.push_back(b.at(p.a, b.mul(row, w.k * stepBytes)));
  }
  whole = {};
  for (int64_t i = 0; isOneGroup && i < panels; ++i)
    loadScales(whole, i, b.i64(0));
  SmallVector<Value> sums = accumulate();
  if (isOneGroup && scalesSums) {
    SmallVector<Value> scaled(sums.size(), zero());
    scale(whole, sums, scaled);
    sums = scaled;
  }
  sums.truncate(sumCount());
  reduce(sums);
  share(sums);
  finish();
}

void Emitter::run() {
  placeThread();
  if (p.knownCount)
    return emit(*p.knownCount);
  auto atMost = [&](int64_t count) { return b.less(p.count, b.i64(count + 1)); };
  b.ifElse(atMost(1), [&] { emit(1); }, [&] {
    b.ifElse(atMost(2), [&] { emit(2); }, [&] {
      b.ifElse(atMost(4), [&] { emit(4); }, [&] { emit(kSkinnyRows); });
    });
  });
}

void codegen::emitSkinnyProduct(GpuBuilder &b, const BlockProduct &product,
                                const SkinnySchedule &schedule, const SkinnyPlace &place) {
  Emitter(b, product, schedule, place).run();
}
