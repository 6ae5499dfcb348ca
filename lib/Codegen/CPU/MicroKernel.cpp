//===- MicroKernel.cpp - emits the register tile ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/MicroKernel.h"

#include "ElementOps.h"
#include "IntegerProduct.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Matchers.h"

using namespace permalloy::codegen;
using namespace mlir;

/// The vectors of B in one step: elements as f32, or two bf16 in each lane.
static SmallVector<Value> loadB(KernelBuilder &b, const TileOperands &tile, Value bStep) {
  ElementOps ops(b);
  Type stored = tile.bElement ? tile.bElement : b.getF32Type();
  Element e = Element::of(stored.isBF16() || tile.integers ? b.getI32Type() : stored);
  unsigned vectors = tile.bVectorOffsets.size();
  SmallVector<Value> bs;
  for (auto [v, offset] : llvm::enumerate(tile.bVectorOffsets)) {
    bool partial = tile.lastVectorLanes != 0 && v + 1 == vectors;
    bs.push_back(ops.loadLanes(e, b.at(bStep, offset),
                               partial ? tile.lastVectorLanes : b.target().lanes()));
  }
  return bs;
}

/// The even or odd step of K of a pair of bf16, as f32.
static Value widenHalfOf(KernelBuilder &b, Value pair, bool odd) {
  auto constant = [&](uint32_t value) {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(b.intVectorType(), static_cast<int32_t>(value)));
  };
  Value bits = odd ? arith::AndIOp::create(b, pair, constant(0xffff0000)).getResult()
                   : arith::ShLIOp::create(b, pair, constant(16)).getResult();
  return arith::BitcastOp::create(b, b.vectorType(), bits);
}

/// accumulators += A's column at `aStep` times `bs`.
static SmallVector<Value> emitOuterProduct(KernelBuilder &b, unsigned rows,
                                           const TileOperands &tile, Value aStep, ValueRange bs,
                                           ValueRange accumulators) {
  SmallVector<Value> result;
  for (unsigned row = 0; row < rows; ++row) {
    Value a = b.broadcast(b.loadF32(b.at(aStep, row * tile.aRowStride)));
    for (auto [v, vector] : llvm::enumerate(bs))
      result.push_back(b.fma(a, vector, accumulators[row * bs.size() + v]));
  }
  return result;
}

/// The step of A, or of B, that belongs to step k.
static Value stepOf(KernelBuilder &b, const TileOperands &tile, Value k, bool ofB) {
  if (!tile.steps || tile.stepsOfB != ofB)
    return k;
  Value number = b.load(b.getI32Type(), b.at(tile.steps, b.mul(k, 4)), 4);
  return arith::ExtUIOp::create(b, b.getI64Type(), number);
}

/// One step of k. The order of operations here is the order in the machine code.
static SmallVector<Value> emitStep(KernelBuilder &b, unsigned rows, const TileOperands &tile,
                                   Value k, ValueRange accumulators) {
  SmallVector<Value> bs = loadB(b, tile, b.at(tile.b, b.mul(stepOf(b, tile, k, true), tile.bStepStride)));
  Value aStep = b.at(tile.a, b.mul(stepOf(b, tile, k, false), tile.aStepStride));
  if (tile.integers)
    return tile.integers->step(rows, tile.aRowStride, aStep, bs, accumulators);
  if (!tile.bElement || !tile.bElement.isBF16())
    return emitOuterProduct(b, rows, tile, aStep, bs, accumulators);
  SmallVector<Value> result(accumulators);
  for (bool odd : {false, true}) {
    auto half = llvm::map_to_vector(bs, [&](Value pair) { return widenHalfOf(b, pair, odd); });
    result = emitOuterProduct(b, rows, tile, b.at(aStep, odd ? 4 : 0), half, result);
  }
  return result;
}

static SmallVector<Value> bitcast(KernelBuilder &b, ValueRange values, Type type) {
  return llvm::map_to_vector(values, [&](Value value) { return LLVM::BitcastOp::create(b, type, value).getResult(); });
}

static SmallVector<Value> emitLoops(KernelBuilder &b, unsigned rows, const TileOperands &tile, Value depth, ValueRange init,
                                    TileLoop loop) {
  auto step = [&](Value k, ValueRange accumulators) {
    return emitStep(b, rows, tile, k, accumulators);
  };
  auto turn = [&](Value first, ValueRange accumulators) {
    SmallVector<Value> values(accumulators);
    for (unsigned index = 0; index < loop.unroll; ++index) {
      if (loop.beforeStep)
        loop.beforeStep(first, index);
      values = step(b.add(first, index), values);
    }
    return values;
  };
  Value whole = b.mul(b.div(depth, loop.unroll), loop.unroll);
  SmallVector<Value> result = b.loop(b.i64(0), whole, loop.unroll, init, turn);
  APInt remainder;
  Value rest = b.sub(depth, whole);
  if (loop.unroll == 1 || (matchPattern(rest, m_ConstantInt(&remainder)) && remainder == 0))
    return result;
  return b.loop(whole, depth, 1, result, step);
}

SmallVector<Value> permalloy::codegen::emitTile(KernelBuilder &b, unsigned rows, const TileOperands &tile, Value depth,
                                                ValueRange init, TileLoop loop) {
  if (!tile.integers)
    return emitLoops(b, rows, tile, depth, init, loop);
  return bitcast(b, emitLoops(b, rows, tile, depth, bitcast(b, init, b.intVectorType()), loop), b.vectorType());
}

SmallVector<Value> permalloy::codegen::zeroTile(KernelBuilder &b, unsigned count) {
  return SmallVector<Value>(count, b.splat(0.0f));
}

SmallVector<Value> permalloy::codegen::loadTile(KernelBuilder &b, unsigned rows, unsigned vectors,
                                                Value memory, int64_t rowStride) {
  SmallVector<Value> tile;
  unsigned bytes = b.target().lanes() * 4;
  for (unsigned row = 0; row < rows; ++row)
    for (unsigned v = 0; v < vectors; ++v)
      tile.push_back(b.loadVector(b.at(memory, row * rowStride + v * bytes), bytes));
  return tile;
}

void permalloy::codegen::storeTile(KernelBuilder &b, ValueRange tile, unsigned rows, Value memory,
                                   int64_t rowStride) {
  unsigned vectors = tile.size() / rows, bytes = b.target().lanes() * 4;
  for (unsigned row = 0; row < rows; ++row)
    for (unsigned v = 0; v < vectors; ++v)
      b.store(tile[row * vectors + v], b.at(memory, row * rowStride + v * bytes), bytes);
}
