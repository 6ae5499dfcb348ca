//===- SparseColumns.cpp - products with lanes along the rows of A -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SparseColumns.h"
#include "Tfm/Panels.h"
#include "permalloy/Codegen/CPU/MicroKernel.h"
#include "permalloy/Codegen/CPU/Transpose.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

/// Steps in one turn of the loop over the kept rows.
static constexpr unsigned kTurn = 2;

/// From how many steps of K on the columns of a tile are fetched ahead, by how many kept rows: no prefetcher follows the gaps of a
/// list, and of 600 KB too few lines are near. A C++ prototype of 128 x 768 x 3072 takes 2.65 ms without, 2.23 with, and at 768
/// steps the same either way.
static constexpr int64_t kLongDepth = 1024, kColumnsAhead = 8;

/// Transposes `lanes` rows of A from row `base` on, `width` steps from step `k` on, to lanes `to` of a tile.
static void packSquare(KernelBuilder &b, const Contraction &c, int64_t tileRows, Value base, Value last, Value k, unsigned width, Value to) {
  int64_t lanes = b.target().lanes();
  SmallVector<Value> rows;
  for (int64_t i = 0; i < lanes; ++i) {
    Value row = b.min(b.add(base, i), b.sub(last, 1));
    rows.push_back(b.loadLanes(b.at(b.at(c.a, b.mul(row, c.k * 4)), b.mul(k, 4)), width));
  }
  SmallVector<Value> columns = emitTranspose(b, rows);
  columns.truncate(width);
  for (auto [i, column] : llvm::enumerate(columns))
    b.store(column, b.at(to, b.mul(b.add(k, i), tileRows * 4)), lanes * 4);
}

void permalloy::codegen::packColumns(KernelBuilder &b, const Contraction &c, int64_t tileRows, Value first, Value last, Value to) {
  int64_t lanes = b.target().lanes(), whole = c.k / lanes * lanes;
  b.loop(first, last, lanes, [&](Value base) {
    Value row = b.sub(base, first), within = b.rem(row, tileRows);
    Value lane = b.at(to, b.add(b.mul(b.sub(row, within), c.k * 4), b.mul(within, 4)));
    b.loop(b.i64(0), b.i64(whole), lanes, [&](Value k) { packSquare(b, c, tileRows, base, last, k, lanes, lane); });
    if (whole < c.k)
      packSquare(b, c, tileRows, base, last, b.i64(whole), c.k - whole, lane);
  });
}

/// `columns` columns of the panel from `firstColumn` on, for the first `vectors` vectors of rows.
static void emitPass(KernelBuilder &b, const ColumnsTile &tile, int64_t kept, int64_t tileRows, int64_t firstColumn, int64_t columns,
                     unsigned vectors, Value to) {
  int64_t vectorBytes = b.target().lanes() * 4;
  TileOperands operands;
  operands.a = b.at(tile.panel, firstColumn * 4);
  operands.aRowStride = 4;
  operands.aStepStride = kPanelColumns * 4;
  operands.b = tile.a;
  operands.bStepStride = tileRows * 4;
  operands.steps = tile.numbers;
  operands.stepsOfB = true;
  for (unsigned v = 0; v < vectors; ++v)
    operands.bVectorOffsets.push_back(v * vectorBytes);
  auto fetch = [&](Value step, unsigned index) {
    if (firstColumn == 0)
      b.prefetch(b.at(tile.next, b.mul(b.add(step, index), tile.nextStride)));
    if (!tile.isLong)
      return;
    Value ahead = b.min(b.add(step, index + kColumnsAhead), b.i64(kept - 1));
    Value number = arith::ExtUIOp::create(b, b.getI64Type(), b.load(b.getI32Type(), b.at(tile.numbers, b.mul(ahead, 4)), 4));
    for (int64_t offset : operands.bVectorOffsets)
      b.prefetch(b.at(tile.a, b.add(b.mul(number, tileRows * 4), offset)), 1);
  };
  TileLoop loop{kTurn};
  loop.beforeStep = fetch;
  SmallVector<Value> sums = emitTile(b, columns, operands, b.i64(kept), zeroTile(b, columns * vectors), loop);
  storeTile(b, sums, columns, b.at(to, firstColumn * tileRows * 4), tileRows * 4);
}

void permalloy::codegen::emitColumnsTile(KernelBuilder &b, const ColumnsTile &tile, int64_t kept, int64_t tileRows, int64_t columns,
                                         Value scratch, Value sums) {
  int64_t lanes = b.target().lanes(), most = tileRows / lanes;
  Value vectors = b.ceilDiv(tile.count, lanes);
  b.switchOn(b.sub(vectors, 1), most, [&](unsigned index) {
    // One vector of rows has registers, and chains of products to hide their latency, for the whole panel.
    bool isWhole = index == 0 && kPanelColumns + 2 <= b.target().vectorRegisters;
    int64_t width = isWhole ? kPanelColumns : columns;
    for (int64_t column = 0; column < kPanelColumns; column += width)
      emitPass(b, tile, kept, tileRows, column, std::min(width, kPanelColumns - column), index + 1, scratch);
  });
  b.loop(b.i64(0), vectors, 1, [&](Value v) {
    for (int64_t column = 0; column < kPanelColumns; column += lanes) {
      SmallVector<Value> square;
      for (int64_t i = 0; i < lanes; ++i)
        square.push_back(b.loadVector(b.at(b.at(scratch, (column + i) * tileRows * 4), b.mul(v, lanes * 4)), lanes * 4));
      Value to = b.at(sums, b.mul(v, lanes * kPanelColumns * 4));
      square = emitTranspose(b, square);
      for (auto [i, row] : llvm::enumerate(square))
        b.store(row, b.at(to, (i * kPanelColumns + column) * 4), lanes * 4);
    }
  });
}

bool permalloy::codegen::isLongTile(int64_t k) { return k >= kLongDepth; }
