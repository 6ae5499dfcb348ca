//===- MatmulLanes.cpp - products of two tiles by one warp ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "MatmulProduct.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

MatmulLanes::~MatmulLanes() = default;

MatmulLanes::MatmulLanes(GpuBuilder &b, MatmulTile &left, MatmulTile &right, const MatmulSchedule &s)
    : b(b), warp(b), left(left), right(right), s(s) {
  Value number = b.div(b.threadIndex(), 32);
  int64_t across = s.blockColumns / s.warpColumns;
  lane = b.bitAnd(b.threadIndex(), 31);
  warpRow = b.mul(b.div(number, across), s.warpRows), warpColumn = b.mul(b.rem(number, across), s.warpColumns);
}

//===----------------------------------------------------------------------===//
// Tensor cores
//===----------------------------------------------------------------------===//

namespace {

/// Steps of K of one mma, and chunks of 16 bytes that they are.
constexpr int64_t kMmaSteps = 16, kMmaChunks = 2, kMmaRows = 16;

class TensorLanes final : public MatmulLanes {
public:
  TensorLanes(GpuBuilder &b, OperandType type, MatmulTile &left, MatmulTile &right, const MatmulSchedule &s);
  Values multiply(Value stage, Values sums) override;

private:
  /// What this lane tells ldmatrix of the warp's first 16 x 16 elements: its row's first byte, and the number of its chunk there.
  struct Operand {
    MatmulTile &tile;
    Value row, chunk;
  };
  Operand operandOf(MatmulTile &tile, Value first, bool isLeft);
  Values load(const Operand &operand, int64_t index, int64_t step, Value stage);

  OperandType type;
  Operand leftPlace, rightPlace;
};

} // namespace

TensorLanes::TensorLanes(GpuBuilder &b, OperandType type, MatmulTile &left, MatmulTile &right, const MatmulSchedule &s)
    : MatmulLanes(b, left, right, s), type(type), leftPlace(operandOf(left, warpRow, true)),
      rightPlace(operandOf(right, warpColumn, false)) {
  row = b.add(warpRow, b.div(lane, 4)), column = b.add(warpColumn, b.mul(b.bitAnd(lane, 3), 2));
  for (int64_t i = 0; i < s.warpRows; i += 8)
    rows.push_back(i);
  for (int64_t i = 0; i < s.warpColumns; i += 8)
    columns.append({i, i + 1});
}

/// The four 8 x 8 matrices of an ldmatrix come in the order of A: rows of the result first, then K; for two mma side by side in that
/// of B: K first. In memory, rows may be either.
TensorLanes::Operand TensorLanes::operandOf(MatmulTile &tile, Value first, bool isLeft) {
  Value low = b.bitAnd(lane, 7), second = b.bitAnd(b.div(lane, 8), 1), upper = b.div(lane, 16);
  bool rowsFirst = isLeft == tile.alongK();
  Value row = b.add(low, b.mul(rowsFirst ? second : upper, 8)), chunk = rowsFirst ? upper : second;
  Value inBlock = tile.alongK() ? b.add(first, row) : row;
  if (!tile.alongK()) // the warp begins with an even chunk
    chunk = b.bitXor(chunk, b.div(first, 8));
  return {tile, b.at(tile.shared, b.mul(inBlock, tile.rowBytes())), b.bitXor(chunk, tile.turnOf(inBlock))};
}

/// 16 x 16 elements: the `index`-th of the warp along its rows or columns, steps 16 * `step` .. of K.
MatmulLanes::Values TensorLanes::load(const Operand &operand, int64_t index, int64_t step, Value stage) {
  int64_t rowsAhead = (operand.tile.alongK() ? index : step) * kMmaRows, chunksAhead = (operand.tile.alongK() ? step : index) * kMmaChunks;
  Value chunk = b.mul(b.bitXor(operand.chunk, chunksAhead), 16);
  Value from = b.at(b.at(b.at(operand.row, stage), chunk), rowsAhead * operand.tile.rowBytes());
  return operand.tile.alongK() ? warp.loadMatrix(from) : warp.loadTransposed(from);
}

MatmulLanes::Values TensorLanes::multiply(Value stage, Values sums) {
  size_t width = columns.size();
  for (int64_t step = 0; step < s.blockWords * 2 / kMmaSteps; ++step) {
    SmallVector<Values> a;
    for (int64_t tile = 0; tile < s.warpRows / 16; ++tile)
      a.push_back(load(leftPlace, tile, step, stage));
    for (int64_t pair = 0; pair < s.warpColumns / 16; ++pair) {
      Values two = load(rightPlace, pair, step, stage);
      for (int64_t part = 0; part < 2; ++part)
        for (size_t tile = 0; tile < a.size(); ++tile) {
          Value *low = &sums[2 * tile * width + 4 * pair + 2 * part], *high = low + width;
          Values next = warp.multiply(type, a[tile], ArrayRef(two).slice(2 * part, 2), {low[0], low[1], high[0], high[1]});
          low[0] = next[0], low[1] = next[1], high[0] = next[2], high[1] = next[3];
        }
    }
  }
  return sums;
}

std::unique_ptr<MatmulLanes> codegen::tensorLanes(GpuBuilder &b, OperandType type, MatmulTile &left, MatmulTile &right,
                                                  const MatmulSchedule &s) {
  return std::make_unique<TensorLanes>(b, type, left, right, s);
}

//===----------------------------------------------------------------------===//
// FMA
//===----------------------------------------------------------------------===//

namespace {

/// Lanes of a warp down and across, and elements of a chunk.
constexpr int64_t kDown = 4, kAcross = 8, kInChunk = 4;
/// Steps of K that are read at once: more take more registers.
constexpr int64_t kSteps = 2;

class FmaLanes final : public MatmulLanes {
public:
  FmaLanes(GpuBuilder &b, MatmulTile &left, MatmulTile &right, const MatmulSchedule &s);
  Values multiply(Value stage, Values sums) override;

private:
  struct Operand {
    MatmulTile &tile;
    int64_t lanes, count; ///< of the warp, and elements of this one
    Value row, chunk;     ///< address and number of this lane's first, its turn included where that is the same for all steps
  };
  Operand operandOf(MatmulTile &tile, Value own, int64_t lanes, Value first, int64_t count);
  SmallVector<Values> load(const Operand &operand, int64_t step, Value stage);

  Operand leftPlace, rightPlace;
};

} // namespace

/// Which elements a lane has, its first left out: see the header.
static SmallVector<int64_t> offsetsOf(bool alongK, int64_t lanes, int64_t count) {
  SmallVector<int64_t> result;
  for (int64_t i = 0; i < count; ++i)
    result.push_back(alongK ? i * lanes : i / kInChunk * lanes * kInChunk + i % kInChunk);
  return result;
}

FmaLanes::FmaLanes(GpuBuilder &b, MatmulTile &left, MatmulTile &right, const MatmulSchedule &s)
    : MatmulLanes(b, left, right, s), leftPlace(operandOf(left, b.div(lane, kAcross), kDown, warpRow, s.warpRows / kDown)),
      rightPlace(operandOf(right, b.rem(lane, kAcross), kAcross, warpColumn, s.warpColumns / kAcross)) {
  auto firstOf = [&](const Operand &o, Value own) { return o.tile.alongK() ? own : b.mul(own, kInChunk); };
  row = b.add(warpRow, firstOf(leftPlace, b.div(lane, kAcross)));
  column = b.add(warpColumn, firstOf(rightPlace, b.rem(lane, kAcross)));
  rows = offsetsOf(left.alongK(), kDown, leftPlace.count), columns = offsetsOf(right.alongK(), kAcross, rightPlace.count);
}

FmaLanes::Operand FmaLanes::operandOf(MatmulTile &tile, Value own, int64_t lanes, Value first, int64_t count) {
  if (tile.alongK()) {
    Value row = b.add(first, own);
    return {tile, lanes, count, b.at(tile.shared, b.mul(row, tile.rowBytes())), tile.turnOf(row)};
  }
  return {tile, lanes, count, tile.shared, b.add(b.div(first, kInChunk), own)};
}

/// kSteps elements of each row (column) of this lane, from step `step` on.
SmallVector<MatmulLanes::Values> FmaLanes::load(const Operand &o, int64_t step, Value stage) {
  SmallVector<Values> result(o.count);
  Value from = b.at(o.row, stage);
  auto read = [&](Value pointer, int64_t count) {
    Value loaded = b.load(VectorType::get(count, b.getF32Type()), pointer, unsigned(4 * count));
    Values parts;
    for (int64_t i = 0; i < count; ++i)
      parts.push_back(vector::ExtractOp::create(b, loaded, i));
    return parts;
  };
  if (o.tile.alongK()) {
    for (int64_t i = 0; i < o.count; ++i) {
      // Rows 8 apart have the same turn, those 4 apart another.
      int64_t turn = o.lanes * i % 8 ? o.tile.turns() / 2 : 0;
      Value chunk = b.mul(b.bitXor(o.chunk, step / kInChunk ^ turn), 16);
      result[i] = read(b.at(b.at(from, chunk), i * o.lanes * o.tile.rowBytes() + step % kInChunk * 4), kSteps);
    }
    return result;
  }
  for (int64_t k = 0; k < kSteps; ++k)
    for (int64_t i = 0; i < o.count; i += kInChunk) {
      int64_t turn = (step + k) / (8 / o.tile.turns()) % o.tile.turns();
      Value chunk = b.mul(b.bitXor(b.add(o.chunk, i / kInChunk * o.lanes), turn), 16);
      Values four = read(b.at(b.at(from, chunk), (step + k) * o.tile.rowBytes()), kInChunk);
      for (int64_t e = 0; e < kInChunk; ++e)
        result[i + e].push_back(four[e]);
    }
  return result;
}

MatmulLanes::Values FmaLanes::multiply(Value stage, Values sums) {
  for (int64_t step = 0; step < s.blockWords; step += kSteps) {
    SmallVector<Values> a = load(leftPlace, step, stage), w = load(rightPlace, step, stage);
    for (int64_t k = 0; k < kSteps; ++k)
      for (size_t i = 0; i < a.size(); ++i)
        for (size_t j = 0; j < w.size(); ++j)
          sums[i * w.size() + j] = b.fma(a[i][k], w[j][k], sums[i * w.size() + j]);
  }
  return sums;
}

std::unique_ptr<MatmulLanes> codegen::fmaLanes(GpuBuilder &b, MatmulTile &left, MatmulTile &right, const MatmulSchedule &s) {
  return std::make_unique<FmaLanes>(b, left, right, s);
}
