//===- Contraction.cpp - grid, row blocks and tails -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/Contraction.h"
#include "permalloy/Codegen/CPU/MicroKernel.h"

using namespace permalloy::codegen;
using namespace mlir;

static constexpr int64_t kPanelColumns = 16;
static constexpr int64_t kPanelRowBytes = 64;

static int64_t panelsOf(int64_t n) { return llvm::divideCeil(n, kPanelColumns); }

ContractionSchedule ContractionSchedule::choose(const CpuTarget &target, int64_t n, int64_t k) {
  ContractionSchedule schedule;
  int64_t panels = panelsOf(n);
  if (!target.isAvx512())
    std::tie(schedule.rows, schedule.panels) = std::pair(6u, 1u);
  else if (panels == 1)
    std::tie(schedule.rows, schedule.panels) = std::pair(12u, 1u);
  else if (panels % 3 != 0 && panels % 2 == 0)
    std::tie(schedule.rows, schedule.panels) = std::pair(12u, 2u);
  else
    std::tie(schedule.rows, schedule.panels) = std::pair(8u, 3u);
  // A block of A of at most 1 MB, and at least a few tiles.
  int64_t rows = std::clamp<int64_t>((1 << 18) / k, 64, 240);
  schedule.blockRows = llvm::divideCeil(rows, schedule.rows) * schedule.rows;
  schedule.prefetchPeriod = 8;
  return schedule;
}

bool ContractionSchedule::fits(const CpuTarget &target) const {
  unsigned vectors = panels * kPanelColumns / target.lanes();
  // AVX-512 takes a broadcast from memory as an operand when it has only one use; a register is
  // counted all the same.
  return rows > 0 && panels > 0 && rows * vectors + vectors + 1 <= target.vectorRegisters;
}

int64_t permalloy::codegen::contractionGroups(const ContractionSchedule &schedule, int64_t n) {
  return llvm::divideCeil(panelsOf(n), schedule.panels);
}

namespace {
/// Emits one contraction; the members are what all levels of the nest need.
class ContractionEmitter {
public:
  ContractionEmitter(KernelBuilder &b, const Contraction &c, const ContractionSchedule &s)
      : b(b), c(c), s(s), groups(contractionGroups(s, c.n)), groupColumns(s.panels * kPanelColumns),
        rowBytes(groupColumns * 4), tile(b.stackBuffer(s.rows * rowBytes)) {}

  void emit() {
    // Blocks of equal height rather than whole ones and a rest: 256 rows are 128 + 128, not 240 + 16.
    Value blocks = b.max(b.ceilDiv(c.rows, s.blockRows), b.i64(1));
    Value blockTiles = b.ceilDiv(b.div(b.add(c.rows, b.sub(blocks, 1)), blocks), s.rows);
    Value height = b.mul(blockTiles, s.rows);
    b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value index) {
      Value group = b.rem(index, groups);
      Value first = b.mul(b.div(index, groups), height);
      Value last = b.min(b.add(first, height), c.rows);
      int64_t lastColumns = c.n - (groups - 1) * groupColumns;
      if (lastColumns == groupColumns)
        return emitGroup(group, groupColumns, first, last);
      if (groups == 1)
        return emitGroup(group, lastColumns, first, last);
      // The last group is narrower: its own code, with its own register tile.
      b.ifElse(
          b.less(group, b.i64(groups - 1)), [&] { emitGroup(group, groupColumns, first, last); },
          [&] { emitGroup(group, lastColumns, first, last); });
    });
  }

private:
  /// All rows [first, last) of one group of panels, of which `columns` columns exist.
  void emitGroup(Value group, int64_t columns, Value first, Value last) {
    Value panels = b.at(c.weights, b.mul(group, s.panels * c.k * kPanelRowBytes));
    Value column = b.mul(group, groupColumns);
    b.loop(first, last, s.rows, [&](Value row) {
      Value count = b.min(b.sub(last, row), b.i64(s.rows));
      Value ahead = prefetchStart(panels, b.sub(row, first));
      // A tile of fewer rows has its own code: no masks in the loop over K.
      b.switchOn(b.sub(b.i64(s.rows), count), s.rows, [&](unsigned missing) {
        emitProduct(s.rows - missing, panels, columns, row, missing == 0 ? ahead : Value());
      });
      b.loop(b.i64(0), count, 1, [&](Value r) { emitRowEpilogue(r, b.add(row, r), column, columns); });
    });
  }

  unsigned vectorsOf(int64_t columns) const { return llvm::divideCeil(columns, b.target().lanes()); }

  /// The product of one register tile, into the tile buffer. The buffer costs one store and one load
  /// of each accumulator, and buys one copy of the epilogue for all heights of the tile.
  void emitProduct(unsigned rows, Value panels, int64_t columns, Value row, Value ahead) {
    TileOperands operands;
    operands.a = b.at(c.a, b.mul(row, c.k * 4));
    operands.aRowStride = c.k * 4;
    operands.aStepStride = 4;
    operands.b = panels;
    operands.bStepStride = kPanelRowBytes;
    int64_t lanes = b.target().lanes();
    for (int64_t col = 0; col < columns; col += lanes)
      operands.bVectorOffsets.push_back(col / kPanelColumns * c.k * kPanelRowBytes + col % kPanelColumns * 4);
    TilePrefetch prefetch{s.prefetchPeriod};
    auto fetch = [&](Value step) {
      Value line = b.at(ahead, b.mul(b.div(step, s.prefetchPeriod), kPanelRowBytes));
      for (int64_t panel = 0; panel < panelsOf(columns); ++panel)
        b.prefetch(b.at(line, panel * c.k * kPanelRowBytes));
    };
    if (ahead && s.prefetchPeriod)
      prefetch.emit = fetch;
    SmallVector<Value> zero = zeroTile(b, rows * operands.bVectorOffsets.size());
    storeTile(b, emitTile(b, rows, operands, b.i64(c.k), zero, prefetch), rows, tile, rowBytes);
  }

  /// Each tile of rows fetches its share of the next group's panels: K / period lines of each.
  Value prefetchStart(Value panels, Value blockRow) {
    if (!s.prefetchPeriod)
      return {};
    Value next = b.at(panels, s.panels * c.k * kPanelRowBytes);
    int64_t share = c.k / s.prefetchPeriod;
    return b.at(next, b.mul(b.div(blockRow, s.rows), share * kPanelRowBytes));
  }

  void emitRowEpilogue(Value tileRow, Value row, Value column, int64_t columns) {
    int64_t lanes = b.target().lanes();
    Value products = b.at(tile, b.mul(tileRow, rowBytes));
    for (int64_t col = 0; col < columns; col += lanes) {
      unsigned valid = std::min(lanes, columns - col);
      Value product = b.loadVector(b.at(products, col * 4), lanes * 4);
      c.epilogue({row, b.add(column, col), valid}, product);
    }
  }

  KernelBuilder &b;
  const Contraction &c;
  const ContractionSchedule &s;
  int64_t groups, groupColumns, rowBytes;
  Value tile;
};
} // namespace

void permalloy::codegen::emitContraction(KernelBuilder &b, const Contraction &contraction,
                                         const ContractionSchedule &schedule) {
  ContractionEmitter(b, contraction, schedule).emit();
}
