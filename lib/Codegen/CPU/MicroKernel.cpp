//===- MicroKernel.cpp - emits the register tile ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/MicroKernel.h"

#include "mlir/IR/Matchers.h"

using namespace permalloy::codegen;
using namespace mlir;

/// One step of k. The order of operations here is the order in the machine code.
static SmallVector<Value> emitStep(KernelBuilder &b, unsigned rows, const TileOperands &tile,
                                   Value k, ValueRange accumulators) {
  unsigned vectors = tile.bVectorOffsets.size();
  SmallVector<Value> bs, result;
  Value bStep = b.at(tile.b, b.mul(k, tile.bStepStride));
  for (auto [v, offset] : llvm::enumerate(tile.bVectorOffsets)) {
    bool partial = tile.lastVectorLanes != 0 && v + 1 == vectors;
    bs.push_back(
        b.loadLanes(b.at(bStep, offset), partial ? tile.lastVectorLanes : b.target().lanes()));
  }
  Value aStep = b.at(tile.a, b.mul(k, tile.aStepStride));
  for (unsigned row = 0; row < rows; ++row) {
    Value a = b.broadcast(b.loadF32(b.at(aStep, row * tile.aRowStride)));
    for (unsigned v = 0; v < vectors; ++v)
      result.push_back(b.fma(a, bs[v], accumulators[row * vectors + v]));
  }
  return result;
}

SmallVector<Value> permalloy::codegen::emitTile(KernelBuilder &b, unsigned rows,
                                                const TileOperands &tile, Value depth,
                                                ValueRange init, TilePrefetch prefetch) {
  auto step = [&](Value k, ValueRange accumulators) {
    return emitStep(b, rows, tile, k, accumulators);
  };
  if (!prefetch.emit)
    return b.loop(b.i64(0), depth, 1, init, step);
  Value even = b.mul(b.div(depth, prefetch.period), prefetch.period);
  auto chunk = [&](Value first, ValueRange accumulators) {
    prefetch.emit(first);
    return b.loop(first, b.add(first, prefetch.period), 1, accumulators, step);
  };
  SmallVector<Value> result = b.loop(b.i64(0), even, prefetch.period, init, chunk);
  APInt remainder;
  Value rest = b.sub(depth, even);
  if (matchPattern(rest, m_ConstantInt(&remainder)) && remainder == 0)
    return result;
  return b.loop(even, depth, 1, result, step);
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
