//===- AmxPacking.cpp - rows and panels as tiles load them -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AmxPacking.h"
#include "AmxTiles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static constexpr int64_t kLineBytes = 64, kTileBytes = AmxTiles::kBytes;

AmxPacking::AmxPacking(KernelBuilder &b, const Contraction &c, const AmxScratch &memory)
    : b(b), c(c), memory(memory), tileSteps(amxSteps(c.element)), elementBytes(c.split ? 4 : kLineBytes / tileSteps),
      wholeSteps(c.k / tileSteps), tailSteps(c.k % tileSteps) {}

/// 16 numbers of f32 as sums of two of bf16, which stand in the upper halves of lanes of i32: x = high + low, up to 2^-17 of x. The
/// difference before rounding is exact. NaN stays NaN; an infinity gives a low part of NaN.
std::pair<Value, Value> AmxPacking::splitVector(Value value) {
  auto bits = [&](Value x) { return LLVM::BitcastOp::create(b, b.intVectorType(), x); };
  auto lanes = [&](int32_t x) -> Value {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), x));
  };
  auto rounded = [&](Value x) -> Value { // half away from zero; cut off where that would leave the finite numbers
    Value magnitude = arith::AndIOp::create(b, bits(x), lanes(0x7fffffff));
    Value isHuge = arith::CmpIOp::create(b, arith::CmpIPredicate::sge, magnitude, lanes(0x7f7f8000));
    Value half = arith::SelectOp::create(b, isHuge, lanes(0), lanes(0x8000));
    return arith::AndIOp::create(b, arith::AddIOp::create(b, bits(x), half), lanes(int32_t(0xffff0000)));
  };
  Value high = rounded(value);
  Value rest = arith::SubFOp::create(b, value, LLVM::BitcastOp::create(b, b.vectorType(), high));
  return {high, rounded(rest)};
}

/// Two panels of f32 as tiles of bf16: the high parts of both, then the low parts. Two steps of K share a row.
std::pair<Value, Value> AmxPacking::splitPanels(Value panels, Value second) {
  int64_t halfBytes = c.k * kLineBytes / 2;
  Value sixteen = arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), int32_t(16)));
  b.loop(b.i64(0), b.i64(c.k / 2), 1, [&](Value row) {
    for (auto [index, panel] : llvm::enumerate(SmallVector<Value, 2>{panels, second})) {
      Value from = b.at(panel, b.mul(row, 2 * kLineBytes));
      auto even = splitVector(b.loadVector(from, kLineBytes));
      auto odd = splitVector(b.loadVector(b.at(from, kLineBytes), kLineBytes));
      auto pack = [&](Value low, Value high, int64_t part) {
        Value pairs = arith::OrIOp::create(b, high, arith::ShRUIOp::create(b, low, sixteen));
        Value to = b.at(b.scratch(), memory.halves + (part * 2 + int64_t(index)) * halfBytes);
        b.store(pairs, b.at(to, b.mul(row, kLineBytes)), kLineBytes);
      };
      pack(even.first, odd.first, 0);
      pack(even.second, odd.second, 1);
    }
  });
  Value halves = b.at(b.scratch(), memory.halves);
  return {halves, b.at(halves, halfBytes)};
}

/// One row: 64 bytes go to each tile, zeros behind the last.
void AmxPacking::packRow(Value from, Value to) {
  if (c.split) {
    auto narrow = VectorType::get(b.target().lanes(), b.getI16Type());
    Value sixteen = arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), int32_t(16)));
    b.loop(b.i64(0), b.i64(2 * wholeSteps), 1, [&](Value half) {
      auto [high, low] = splitVector(b.loadVector(b.at(from, b.mul(half, kLineBytes))));
      Value place = b.at(to, b.add(b.mul(b.div(half, 2), kTileBytes), b.mul(b.rem(half, 2), kLineBytes / 2)));
      for (auto [part, value] : {std::pair(int64_t(0), high), std::pair(wholeSteps, low)}) {
        Value upper = arith::ShRUIOp::create(b, value, sixteen);
        b.store(arith::TruncIOp::create(b, narrow, upper), b.at(place, part * kTileBytes), kLineBytes / 2);
      }
    });
    return;
  }
  b.loop(b.i64(0), b.i64(wholeSteps), 1, [&](Value step) {
    b.store(b.loadVector(b.at(from, b.mul(step, kLineBytes)), elementBytes), b.at(to, b.mul(step, kTileBytes)), kLineBytes);
  });
  if (tailSteps == 0)
    return;
  auto type = VectorType::get(tileSteps, b.getIntegerType(8 * elementBytes));
  SmallVector<bool> bits(tileSteps);
  std::fill_n(bits.begin(), tailSteps, true);
  auto maskType = VectorType::get(tileSteps, b.getI1Type());
  Value mask = arith::ConstantOp::create(b, DenseElementsAttr::get(maskType, ArrayRef<bool>(bits)));
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  Value rest = LLVM::MaskedLoadOp::create(b, type, b.at(from, wholeSteps * kLineBytes), mask, zero, elementBytes);
  b.store(rest, b.at(to, wholeSteps * kTileBytes), kLineBytes);
}

/// Where K ends within a tile, the panels' last rows are copied, zeros behind them: memory there is not the panels'.
void AmxPacking::keepLastRows(Value panels, Value second, Value lastRows) {
  int64_t rows = llvm::divideCeil(tailSteps, 4 / elementBytes);
  for (auto [index, panel] : llvm::enumerate(SmallVector<Value, 2>{panels, second}))
    for (int64_t row = 0; row < AmxTiles::kRows; ++row) {
      Value value = row < rows ? b.loadVector(b.at(panel, wholeSteps * kTileBytes + row * kLineBytes), kLineBytes)
                               : b.splat(0);
      b.store(value, b.at(lastRows, index * kTileBytes + row * kLineBytes), kLineBytes);
    }
}
