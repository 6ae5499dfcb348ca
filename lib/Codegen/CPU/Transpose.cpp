//===- Transpose.cpp - transposing a square of registers --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/Transpose.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy::codegen;
using namespace mlir;

ExchangeMasks::ExchangeMasks(int64_t lanes, int64_t size) {
  for (int64_t lane = 0; lane < lanes; ++lane) {
    bool second = (lane & size) != 0;
    low.push_back(second ? lanes + lane - size : lane);
    high.push_back(second ? lanes + lane : lane + size);
  }
}

// Exchanges, for each power of two `size`, the off-diagonal squares of that size between the rows i
// and i + size:   a0 a1 | b0 b1  ->  a0 b0 | a1 b1   (in units of `size` lanes)
SmallVector<Value> permalloy::codegen::emitTranspose(KernelBuilder &b, ArrayRef<Value> input) {
  SmallVector<Value> rows(input);
  int64_t lanes = rows.size();
  for (int64_t size = 1; size < lanes; size *= 2) {
    auto [low, high] = ExchangeMasks(lanes, size);
    for (int64_t row = 0; row < lanes; ++row) {
      if (row & size)
        continue;
      Value x = rows[row], y = rows[row + size];
      rows[row] = vector::ShuffleOp::create(b, x, y, low);
      rows[row + size] = vector::ShuffleOp::create(b, x, y, high);
    }
  }
  return rows;
}
