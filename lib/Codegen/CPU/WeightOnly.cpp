//===- WeightOnly.cpp - few rows: codes become f32 in registers --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "WeightOnlyEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

static constexpr int64_t kRowBytes = 64;

WeightOnlyEmitter::WeightOnlyEmitter(KernelBuilder &b, const Contraction &c, const WeightOnlySchedule &s)
    : b(b), c(c), s(s), weight(*c.coded), layout(weight.format, c.k), scratch(s, weight.format, c.k, c.element, !b.target().isAvx512()),
      reader(b, weight), inPlace(reader.takesInPlace()), panels(s.panels), allPanels(panelsOf(c.n)), groups(weightOnlyGroups(s, c.n)),
      productRowBytes(panels * kPanelColumns * 4), laneBytes(b.target().lanes() * 4) {
  unsigned rows = std::max(fewTileRows(), denseRows());
  products = b.stackBuffer(rows * productRowBytes);
}

void WeightOnlyEmitter::emit() {
  Value isFew = b.less(c.rows, b.i64(kFewCodedRows + 1));
  b.ifElse(isFew, [&] { emitFew(); }, [&] { emitMany(); });
}

//===----------------------------------------------------------------------===//
// Both ways
//===----------------------------------------------------------------------===//

/// One row of A as f32, zeros behind it.
void WeightOnlyEmitter::stageRow(Value from, Value to) {
  ElementOps ops(b);
  Element e = Element::of(c.element ? c.element : b.getF32Type());
  int64_t lanes = b.target().lanes(), whole = c.k / lanes * lanes;
  auto move = [&](Value column, unsigned count) {
    Value value = ops.loadLanes(e, b.at(from, b.mul(column, e.bytes())), count);
    b.store(value, b.at(to, b.mul(column, 4)), laneBytes);
  };
  b.loop(b.i64(0), b.i64(whole), lanes, [&](Value column) { move(column, lanes); });
  if (whole < c.k)
    move(b.i64(whole), c.k - whole);
}

/// Runs `stage` unless an earlier range of this launch's tiles left the rows `number` in the worker's scratch.
void WeightOnlyEmitter::stageOnce(Value number, llvm::function_ref<void()> stage) {
  Value wanted = b.add(number, 1);
  b.ifElse(b.equal(b.load(b.getI64Type(), b.scratch(), 8), wanted), [] {}, [&] {
    b.store(wanted, b.scratch(), 8);
    stage();
  });
}

/// The tile of the grid whose first panel is `tile` * panels. The last one may begin earlier, so that it is whole; its first
/// columns are then computed a second time and not stored.
void WeightOnlyEmitter::openTile(Value tile) {
  firstPanel = b.mul(tile, panels);
  column = b.mul(firstPanel, kPanelColumns);
  startPanel = b.min(firstPanel, b.i64(allPanels - panels));
  isLast = b.equal(tile, b.i64(groups - 1));
}

/// Epilogues of `count` rows from `row` on, whose products stand on the stack.
void WeightOnlyEmitter::emitEpilogues(Value row, Value count) {
  int64_t columns = panels * kPanelColumns, last = c.n - (groups - 1) * columns, lanes = b.target().lanes();
  Value from = b.at(products, b.mul(b.sub(firstPanel, startPanel), kRowBytes));
  auto emitRow = [&](Value r, int64_t width) {
    for (int64_t col = 0; col < width; col += lanes) {
      Value product = b.loadVector(b.at(b.at(from, b.mul(r, productRowBytes)), col * 4), laneBytes);
      c.epilogue({b.add(row, r), b.add(column, col), unsigned(std::min(lanes, width - col))}, product);
    }
  };
  b.loop(b.i64(0), count, 1, [&](Value r) {
    if (last == columns)
      return emitRow(r, columns);
    b.ifElse(isLast, [&] { emitRow(r, last); }, [&] { emitRow(r, columns); });
  });
}

//===----------------------------------------------------------------------===//
// Few rows
//===----------------------------------------------------------------------===//

void WeightOnlyEmitter::emitFew() {
  a = c.a, aRowBytes = c.k * 4;
  if (scratch.stagesFew)
    a = b.at(b.scratch(), scratch.rows), aRowBytes = scratch.rowBytes;
  sums = b.at(b.scratch(), scratch.sums);
  if (scratch.stagesFew || scratch.sumBytes)
    stageOnce(b.i64(0), [&] { stageFew(); });
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value tile) {
    openTile(tile);
    b.loop(b.i64(0), c.rows, fewTileRows(), [&](Value row) {
      Value count = b.min(b.sub(c.rows, row), b.i64(fewTileRows()));
      b.switchOn(b.sub(count, 1), fewTileRows(), [&](unsigned fewer) { emitFewRows(fewer + 1, row); });
      emitEpilogues(row, count);
    });
  });
}

void WeightOnlyEmitter::stageFew() {
  int64_t bytes = Element::of(c.element ? c.element : b.getF32Type()).bytes();
  b.loop(b.i64(0), c.rows, 1, [&](Value row) {
    if (scratch.stagesFew)
      stageRow(b.at(c.a, b.mul(row, c.k * bytes)), b.at(a, b.mul(row, scratch.rowBytes)));
    if (scratch.sumBytes)
      sumGroups(b.at(a, b.mul(row, aRowBytes)), b.at(sums, b.mul(row, scratch.sumBytes)));
    if (inPlace)
      scaleSteps(b.at(a, b.mul(row, aRowBytes)));
  });
}

/// The negative sum of each group of a row.
void WeightOnlyEmitter::sumGroups(Value from, Value to) {
  int64_t lanes = b.target().lanes(), group = layout.groupRows * layout.steps;
  auto sumOf = [&](Value number, int64_t steps) {
    Value begin = b.at(from, b.mul(number, group * 4));
    SmallVector<Value> sum = {b.splat(0)};
    int64_t whole = steps / lanes * lanes;
    sum = b.loop(b.i64(0), b.i64(whole), lanes, sum, [&](Value k, ValueRange so) {
      return SmallVector<Value>{b.addf(so[0], b.loadVector(b.at(begin, b.mul(k, 4))))};
    });
    if (whole < steps)
      sum[0] = b.addf(sum[0], b.loadLanes(b.at(begin, whole * 4), steps - whole));
    Value total = vector::ReductionOp::create(b, vector::CombiningKind::ADD, sum[0]);
    b.store(b.mulf(total, b.f32(-1)), b.at(to, b.mul(number, 4)));
  };
  b.loop(b.i64(0), b.i64(layout.groups - 1), 1, [&](Value number) { sumOf(number, group); });
  sumOf(b.i64(layout.groups - 1), c.k - (layout.groups - 1) * group);
}

/// Steps times what codes in place are too large by.
void WeightOnlyEmitter::scaleSteps(Value row) {
  SmallVector<float> factors = reader.placeFactors();
  Value factor = arith::ConstantOp::create(b, DenseElementsAttr::get(b.vectorType(), ArrayRef(factors)));
  b.loop(b.i64(0), b.i64(layout.rows * layout.steps), b.target().lanes(), [&](Value step) {
    Value place = b.at(row, b.mul(step, 4));
    b.store(b.mulf(b.loadVector(place, laneBytes), factor), place, laneBytes);
  });
}

/// The products of some rows with all panels of the tile: fewer panels at once where the rows leave no registers for more.
void WeightOnlyEmitter::emitFewRows(unsigned rows, Value row) {
  bool takesAll = rows == 1 || (b.target().isAvx512() && rows <= fewTileRows() / 2);
  int64_t width = takesAll ? panels : std::min<int64_t>(panels, b.target().isAvx512() ? 2 : 1);
  b.loop(b.i64(0), b.i64(panels), width, [&](Value panel) {
    Value first = b.add(startPanel, panel);
    Pass pass{rows, width * kPanelColumns / int64_t(b.target().lanes()), width,
              b.at(weight.codes, b.mul(first, layout.bytes)), b.at(weight.scales, b.mul(first, layout.scaleBytes))};
    if (weight.zeroPoints)
      pass.zeroPoints = b.at(weight.zeroPoints, b.mul(first, layout.scaleBytes));
    pass.a = b.at(a, b.mul(row, aRowBytes));
    pass.sums = b.at(sums, b.mul(row, scratch.sumBytes));
    pass.products = b.at(products, b.mul(panel, kRowBytes));
    emitPass(pass);
  });
}

/// Sums over groups stay in registers where there are some left from the sums within a group, else in memory.
void WeightOnlyEmitter::emitPass(const Pass &pass) {
  auto memory = [&](unsigned index) {
    return b.at(pass.products, index / pass.vectors * productRowBytes + index % pass.vectors * laneBytes);
  };
  SmallVector<Value> totals;
  bool inRegisters = pass.rows == 1 && b.target().isAvx512();
  for (unsigned index = 0; index < pass.rows * pass.vectors; ++index)
    if (inRegisters)
      totals.push_back(b.splat(0));
    else
      b.store(b.splat(0), memory(index), laneBytes);
  auto take = [&](Value group, int64_t groupRows, ValueRange so) {
    SmallVector<Value> within = emitGroup(pass, group, groupRows), next;
    for (auto [index, sum] : llvm::enumerate(within)) {
      Value total = inRegisters ? so[index] : b.loadVector(memory(index), laneBytes);
      total = b.fma(sum, scaleAt(pass.scales, group, index % pass.vectors), total);
      if (inRegisters)
        next.push_back(total);
      else
        b.store(total, memory(index), laneBytes);
    }
    return next;
  };
  int64_t whole = layout.groups - (layout.lastRows != layout.groupRows);
  totals = b.loop(b.i64(0), b.i64(whole), 1, totals,
                  [&](Value group, ValueRange so) { return take(group, layout.groupRows, so); });
  if (whole < layout.groups)
    totals = take(b.i64(whole), layout.lastRows, totals);
  for (auto [index, total] : llvm::enumerate(totals))
    b.store(total, memory(index), laneBytes);
}

/// A vector of scales or zero points of a group.
Value WeightOnlyEmitter::scaleAt(Value base, Value group, int64_t vector) {
  int64_t perPanel = kRowBytes / laneBytes, bytes = layout.scaleRowBytes / perPanel;
  return reader.scales(b.at(b.at(base, b.mul(group, layout.scaleRowBytes)),
                            vector / perPanel * layout.scaleBytes + vector % perPanel * bytes));
}

/// Rows of a panel in one turn of the loop within a group: few where registers are, as LLVM's scheduler would move the decoding
/// of one row before the products of another, and spill.
int64_t WeightOnlyEmitter::rowsOfTurn(unsigned rows) const {
  if (rows == 1)
    return 4;
  return b.target().isAvx512() && rows <= fewTileRows() / 2 ? 2 : 1;
}

/// Sums of code * x over one group, minus zero * sum of x.
SmallVector<Value> WeightOnlyEmitter::emitGroup(const Pass &pass, Value group, int64_t groupRows) {
  int64_t turnRows = rowsOfTurn(pass.rows), turns = groupRows / turnRows;
  Value first = b.mul(group, layout.groupRows);
  fetchScales(pass, group);
  SmallVector<Value> within;
  auto turn = [&](Value row, int64_t count, ArrayRef<Value> so) {
    fetchCodes(pass, row, count);
    return emitRows(pass, row, count, so);
  };
  if (turns == 1 || (turns == 2 && pass.rows == 1)) {
    for (int64_t index = 0; index < turns; ++index)
      within = turn(b.add(first, index * turnRows), turnRows, within);
  } else {
    within.assign(pass.rows * pass.vectors, b.splat(0));
    within = b.loop(b.i64(0), b.i64(turns * turnRows), turnRows, within, [&](Value row, ValueRange so) {
      return turn(b.add(first, row), turnRows, SmallVector<Value>(so));
    });
  }
  if (int64_t rest = groupRows % turnRows)
    within = turn(b.add(first, turns * turnRows), rest, within);
  if (!scratch.sumBytes)
    return within;
  Value offset = b.splat(reader.placeOffset());
  auto zeroAt = [&](int64_t v) {
    if (!weight.zeroPoints)
      return offset;
    Value zero = scaleAt(pass.zeroPoints, group, v);
    return reader.placeOffset() != 0 ? b.addf(zero, offset) : zero;
  };
  for (unsigned row = 0; row < pass.rows; ++row) {
    Value sum = b.broadcast(b.loadF32(b.at(b.at(pass.sums, b.mul(group, 4)), row * scratch.sumBytes)));
    for (int64_t v = 0; v < pass.vectors; ++v) {
      Value &value = within[row * pass.vectors + v];
      value = b.fma(sum, zeroAt(v), value);
    }
  }
  return within;
}

/// sums += codes * x for `count` rows of the panels; no sums: nothing yet. The order here is that of the machine code.
SmallVector<Value> WeightOnlyEmitter::emitRows(const Pass &pass, Value row, int64_t count, ArrayRef<Value> so) {
  SmallVector<Value> result(so);
  int64_t perPanel = kRowBytes / laneBytes;
  Value codes = b.at(pass.codes, b.mul(row, kRowBytes)), x = b.at(pass.a, b.mul(row, layout.steps * 4));
  auto read = [&](Value pointer) { return inPlace ? reader.loadInPlace(pointer) : reader.load(pointer); };
  for (int64_t r = 0; r < count; ++r) {
    SmallVector<Value> dwords;
    for (int64_t v = 0; v < pass.vectors; ++v)
      dwords.push_back(read(b.at(codes, v / perPanel * layout.bytes + r * kRowBytes + v % perPanel * laneBytes)));
    for (int64_t step = 0; step < layout.steps; ++step) {
      SmallVector<Value> weights;
      for (Value vector : dwords)
        weights.push_back(inPlace ? reader.valueInPlace(vector, step) : reader.value(vector, step));
      bool isFirst = result.empty();
      for (unsigned m = 0; m < pass.rows; ++m) {
        Value value = b.broadcast(b.loadF32(b.at(x, m * aRowBytes + (r * layout.steps + step) * 4)));
        for (auto [v, weight] : llvm::enumerate(weights))
          if (isFirst)
            result.push_back(b.mulf(value, weight));
          else
            result[m * pass.vectors + v] = b.fma(value, weight, result[m * pass.vectors + v]);
      }
    }
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Prefetch
//===----------------------------------------------------------------------===//

/// `ahead` bytes after `position` in a panel of `bytes`; past its end, in the panel of the next tile, not in its neighbour.
Value WeightOnlyEmitter::aheadOf(const Pass &pass, Value position, int64_t ahead, int64_t bytes) {
  Value isInside = b.less(position, b.i64(bytes - ahead));
  return b.add(position, b.select(isInside, b.i64(ahead), b.i64(ahead + (pass.panels - 1) * bytes)));
}

void WeightOnlyEmitter::fetchCodes(const Pass &pass, Value row, int64_t count) {
  if (!s.aheadBytes)
    return;
  Value from = b.at(pass.codes, aheadOf(pass, b.mul(row, kRowBytes), s.aheadBytes, layout.bytes));
  for (int64_t r = 0; r < count; ++r)
    for (int64_t panel = 0; panel < pass.panels; ++panel)
      b.prefetch(b.at(from, panel * layout.bytes + r * kRowBytes), 1);
}

void WeightOnlyEmitter::fetchScales(const Pass &pass, Value group) {
  if (!s.aheadBytes || layout.groups == 1)
    return;
  int64_t ahead = llvm::alignTo(llvm::divideCeil(s.aheadBytes * layout.scaleRowBytes, layout.groupRows * kRowBytes), kRowBytes);
  Value position = aheadOf(pass, b.mul(group, layout.scaleRowBytes), ahead, layout.scaleBytes);
  for (Value base : {pass.scales, pass.zeroPoints})
    for (int64_t panel = 0; base && panel < pass.panels; ++panel)
      b.prefetch(b.at(b.at(base, position), panel * layout.scaleBytes), 1);
}

void permalloy::codegen::emitWeightOnly(KernelBuilder &b, const Contraction &contraction,
                                        const WeightOnlySchedule &schedule) {
  WeightOnlyEmitter(b, contraction, schedule).emit();
}
