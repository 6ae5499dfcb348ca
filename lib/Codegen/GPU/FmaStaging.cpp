//===- FmaStaging.cpp - how the tiles of FmaProduct come to shared memory -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FmaStaging.h"
#include "../CPU/ElementOps.h"
#include "Tfm/Panels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

static constexpr int64_t kChunkBytes = 16, kSharedRowBytes = kPanelColumns * 4;

Value codegen::fmaRowSwizzle(KernelBuilder &b, const FmaTile &tile, Value row) {
  return tile.blockSteps == 16 ? b.rem(b.div(row, 2), 4) : b.rem(row, 8);
}

FmaStaging::FmaStaging(GpuBuilder &b, const BlockProduct &product, const FmaTile &tile,
                       Value columnBlock, Value shared)
    : b(b), warp(b), p(product), w(product.weight), s(tile), columnBlock(columnBlock),
      shared(shared), reader(b, product.weight),
      steps(w.isIntegral() ? llvm::divideCeil(w.k, 4) : w.k) {}

bool FmaStaging::copiesRows() const {
  bool isPlain = !w.isBlocks() && (w.isIntegral() || p.element.isF32());
  return isPlain && w.k * p.elementBytes() % kChunkBytes == 0;
}

void FmaStaging::begin(Value first, Value behind) {
  last = behind;
  placeRows();
  if (!w.isBlocks())
    placeColumns();
  load(first);
  behindTile(b.i64(0));
  if (!copies())
    return;
  for (int64_t tile = 0; tile < s.stages - 1; ++tile) {
    Value number = b.add(first, tile);
    b.ifThen(b.less(number, last), [&] { copy(number, b.i64(tile * s.stageBytes())); });
    warp.commitCopies();
  }
}

void FmaStaging::beforeTile(Value number, Value writing) {
  if (copies())
    warp.waitCopies(s.stages - 2);
  warp.barrier(); // the tile is there, and all have read the one whose stage is written now
  if (copies()) {
    Value ahead = b.add(number, s.stages - 1);
    b.ifThen(b.less(ahead, last), [&] { copy(ahead, writing); });
    warp.commitCopies();
  }
  load(b.min(b.add(number, 1), b.sub(last, 1)));
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

/// Chunks are numbered along K, then rows; each thread brings every threads()-th one.
void FmaStaging::placeRows() {
  int64_t chunks = s.blockSteps / 4, rowsAtOnce = s.threads() / chunks;
  Value row = b.div(b.threadInBlock(), chunks), chunk = b.rem(b.threadInBlock(), chunks);
  firstRow = row, rowStep = b.mul(chunk, 4);
  Value place = arith::XOrIOp::create(b, chunk, fmaRowSwizzle(b, s, row));
  rowTo = b.at(shared, b.add(b.mul(row, s.blockSteps * 4), b.mul(place, kChunkBytes)));
  for (int64_t i = 0; i < s.blockRows / rowsAtOnce; ++i) {
    Value own = b.add(row, i * rowsAtOnce);
    Value number = p.rowOf(b.min(own, b.sub(p.count, 1)));
    RowChunk place;
    place.from = b.at(p.a, b.mul(number, w.k * p.elementBytes()));
    place.exists = b.less(own, p.count);
    rowChunks.push_back(place);
  }
}

/// The panel of the weight that is the block's panel `inBlock`; one that exists in any case.
Value FmaStaging::panelNumber(Value inBlock, Value &exists) {
  int64_t halves = p.isGated ? 2 : 1, all = w.panelCount() / halves;
  Value first = b.mul(columnBlock, blockPanels() / halves);
  Value number = b.add(first, p.isGated ? b.div(inBlock, 2) : inBlock);
  exists = {};
  if (all % (blockPanels() / halves)) {
    exists = b.less(number, b.i64(all));
    number = b.min(number, b.i64(all - 1));
  }
  return p.isGated ? b.add(number, b.mul(b.rem(inBlock, 2), all)) : number;
}

/// Chunks are numbered along columns, then rows, then panels.
void FmaStaging::placeColumns() {
  int64_t chunks = w.isQuads() ? 4 : w.chunksOfRow(), ofPanel = tileRows() * chunks;
  int64_t all = blockPanels() * ofPanel, stepsOfRow = s.blockSteps / tileRows();
  for (int64_t first = 0; first < all; first += s.threads()) {
    Value own = b.add(b.threadInBlock(), first);
    ColumnChunk place;
    if (first + s.threads() > all) {
      place.isOwn = b.less(own, b.i64(all));
      own = b.min(own, b.i64(all - 1));
    }
    Value inBlock = b.div(own, ofPanel), rest = b.rem(own, ofPanel);
    place.panel = panelNumber(inBlock, place.exists);
    place.row = b.div(rest, chunks), place.part = b.rem(rest, chunks);
    place.from = b.at(reader.panel(place.panel), b.mul(place.part, kChunkBytes));
    Value line = b.add(b.mul(inBlock, s.blockSteps), b.mul(place.row, stepsOfRow));
    Value column = b.mul(place.part, kPanelColumns / chunks * 4);
    Value to = b.add(b.mul(line, kSharedRowBytes), column);
    place.to = b.at(shared, b.add(to, s.rowBytes()));
    columnChunks.push_back(place);
  }
}

//===----------------------------------------------------------------------===//
// Asynchronous copies
//===----------------------------------------------------------------------===//

/// Both conditions, of which one or both may be null: true.
static Value both(KernelBuilder &b, Value x, Value y) {
  return x && y ? arith::AndIOp::create(b, x, y).getResult() : x ? x : y;
}

void FmaStaging::copy(Value tile, Value stage) {
  if (copiesRows()) {
    Value step = b.add(b.mul(tile, s.blockSteps), rowStep), isInside;
    if (endsWithinTile())
      isInside = b.less(step, b.i64(steps));
    int64_t apart = s.threads() / (s.blockSteps / 4) * s.blockSteps * 4;
    for (auto [i, chunk] : llvm::enumerate(rowChunks))
      warp.copyAsync(b.at(b.at(rowTo, stage), i * apart), b.at(chunk.from, b.mul(step, 4)),
                     both(b, chunk.exists, isInside));
  }
  if (!copiesColumns())
    return;
  for (ColumnChunk &chunk : columnChunks) {
    Value row = b.add(b.mul(tile, s.blockSteps), chunk.row), isInside;
    if (endsWithinTile())
      isInside = b.less(row, b.i64(steps));
    warp.copyAsync(b.at(chunk.to, stage), b.at(chunk.from, b.mul(row, w.rowStride())),
                   both(b, chunk.exists, isInside));
  }
}

//===----------------------------------------------------------------------===//
// Through registers
//===----------------------------------------------------------------------===//

void FmaStaging::load(Value tile) {
  if (!copiesRows())
    for (size_t i = 0; i < rowChunks.size(); ++i)
      loadRow(i, tile);
  if (!copiesColumns())
    for (size_t i = 0; i < columnChunks.size(); ++i)
      loadColumns(i, tile);
}

/// Four steps (of 8-bit integers: words), zeros behind K.
void FmaStaging::loadRow(size_t i, Value tile) {
  RowChunk &chunk = rowChunks[i];
  Value step = b.add(b.mul(tile, s.blockSteps), rowStep);
  chunk.loaded.clear();
  if (w.isIntegral()) {
    for (int64_t word = 0; word < 4; ++word)
      chunk.loaded.push_back(
          loadBytes(b, chunk.from, b.mul(b.add(step, word), 4), w.k, /*isInside=*/false));
    return;
  }
  int64_t bytes = p.elementBytes();
  if (w.k % 4 == 0) {
    Value from = b.at(chunk.from, b.mul(b.min(step, b.i64(w.k - 4)), bytes));
    chunk.loaded =
        loadFloats(b, p.element, from, 4, std::gcd(std::gcd(w.k * bytes, 4 * bytes), kChunkBytes));
    if (endsWithinTile())
      for (Value &value : chunk.loaded)
        value = b.select(b.less(step, b.i64(w.k)), value, b.f32(0));
    return;
  }
  for (int64_t each = 0; each < 4; ++each) {
    Value own = b.add(step, each), from = b.at(chunk.from, b.mul(b.min(own, b.i64(w.k - 1)), bytes));
    Value value = loadFloats(b, p.element, from, 1, bytes)[0];
    chunk.loaded.push_back(b.select(b.less(own, b.i64(w.k)), value, b.f32(0)));
  }
}

/// Rows behind the last one are multiplied by zeros of A: any that exists will do.
void FmaStaging::loadColumns(size_t i, Value tile) {
  ColumnChunk &chunk = columnChunks[i];
  Value row = b.add(b.mul(tile, tileRows()), chunk.row);
  if (w.isQuads()) {
    row = b.min(row, b.i64(w.k / 4 - 1));
    chunk.kept.clear(), chunk.bits.clear();
    for (int64_t kept = 0; kept < w.sparse->keptOfFour; ++kept) {
      Value own = b.add(b.mul(row, w.sparse->keptOfFour), kept);
      chunk.kept.push_back(
          reader.elements(reader.chunk(b.at(chunk.from, b.mul(own, w.rowStride())))));
      chunk.bits.push_back(reader.quadSteps(chunk.panel, own, b.mul(chunk.part, 4)));
    }
    return;
  }
  row = b.min(row, b.i64(w.depth() - 1));
  chunk.loaded = {reader.chunk(b.at(chunk.from, b.mul(row, w.rowStride())))};
  if (!w.coded)
    return;
  Value group = b.div(row, w.rowsOfGroup()), column = b.mul(chunk.part, w.columnsOfChunk());
  chunk.scales = reader.scales(w.coded->scales, chunk.panel, group, column);
  if (w.coded->zeroPoints)
    chunk.zeroPoints = reader.scales(w.coded->zeroPoints, chunk.panel, group, column);
}

/// The four steps of a quad, of 4 columns each.
SmallVector<Value> FmaStaging::quadRows(size_t i) {
  ColumnChunk &chunk = columnChunks[i];
  auto word = [&](int32_t bits) -> Value {
    return arith::ConstantOp::create(b, b.getI32IntegerAttr(bits));
  };
  SmallVector<Value> result;
  for (int32_t step = 0; step < 4; ++step)
    for (int64_t column = 0; column < 4; ++column) {
      Value value = b.f32(0);
      for (auto [kept, bits] : llvm::zip(chunk.kept, chunk.bits)) {
        Value own = arith::AndIOp::create(b, bits[column], word(3));
        Value isHere = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, own, word(step));
        value = b.select(isHere, kept[column], value);
      }
      result.push_back(value);
    }
  return result;
}

void FmaStaging::storeColumns(size_t i, Value stage) {
  ColumnChunk &chunk = columnChunks[i];
  int64_t columns = w.isQuads() ? 4 : w.columnsOfChunk();
  SmallVector<Value> values = w.isQuads() ? quadRows(i) : reader.elements(chunk.loaded[0]);
  if (w.coded)
    values = reader.decode(values, chunk.scales, chunk.zeroPoints);
  auto type = VectorType::get(4, b.getF32Type());
  for (size_t at = 0; at < values.size(); at += 4) {
    Value four = vector::FromElementsOp::create(b, type, ArrayRef(values).slice(at, 4));
    int64_t offset = at / columns * kSharedRowBytes + at % columns * 4;
    b.store(four, b.at(b.at(chunk.to, stage), offset), 16);
  }
}

/// Chunks of A at their places, or, of kept blocks, each step in a row of its own.
void FmaStaging::storeRow(size_t i, Value stage) {
  ArrayRef<Value> loaded = rowChunks[i].loaded;
  int64_t chunks = s.blockSteps / 4, rowsAtOnce = s.threads() / chunks;
  if (!w.isBlocks()) {
    auto type = VectorType::get(4, loaded[0].getType());
    Value four = vector::FromElementsOp::create(b, type, loaded);
    b.store(four, b.at(b.at(rowTo, stage), i * rowsAtOnce * s.blockSteps * 4), 16);
    return;
  }
  Value row = b.add(firstRow, i * rowsAtOnce);
  Value place = arith::XOrIOp::create(b, b.div(row, 4), b.rem(b.div(rowStep, 4), 8));
  Value offset = b.add(b.add(b.mul(place, 16), b.mul(b.rem(row, 4), 4)),
                       b.mul(rowStep, s.blockRows * 4));
  for (auto [step, value] : llvm::enumerate(loaded))
    b.store(value, b.at(b.at(b.at(shared, stage), offset), step * s.blockRows * 4), 4);
}

void FmaStaging::behindTile(Value stage) {
  if (!copiesRows())
    for (size_t i = 0; i < rowChunks.size(); ++i)
      storeRow(i, stage);
  if (copiesColumns())
    return;
  for (size_t i = 0; i < columnChunks.size(); ++i) {
    if (Value isOwn = columnChunks[i].isOwn)
      b.ifThen(isOwn, [&] { storeColumns(i, stage); });
    else
      storeColumns(i, stage);
  }
}
