//===- RowThreads.cpp - threads that share a row ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RowThreads.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

RowThreads::RowThreads(GpuBuilder &b, int64_t perRow, int64_t rowsPerBlock)
    : b(b), warp(b), perRow(perRow) {
  ownLane = b.rem(b.threadInBlock(), perRow);
  ownRow = b.add(b.mul(b.blockNumber(), rowsPerBlock), b.div(b.threadInBlock(), perRow));
  if (perRow > kWarp)
    shared = warp.sharedMemory();
}

/// Each warp leaves its value in shared memory, and every thread takes one of them. Reductions take
/// turns between two places: one barrier each is enough, because who writes the third time has come by
/// the second barrier, behind which the first one's values were read.
Value RowThreads::reduceWarps(Value own, Combine combine) {
  int64_t warps = perRow / kWarp;
  Value place = b.at(shared, reductions++ % 2 * warps * 4);
  Value number = b.div(b.threadInBlock(), kWarp), inWarp = b.rem(b.threadInBlock(), kWarp);
  b.ifThen(b.equal(inWarp, b.i64(0)), [&] { b.store(own, b.at(place, b.mul(number, 4))); });
  warp.barrier();
  Value value = b.load(own.getType(), b.at(place, b.mul(b.rem(inWarp, warps), 4)));
  for (int64_t distance = 1; distance < warps; distance *= 2)
    value = combine(value, warp.shuffleXor(value, distance));
  return value;
}

Value RowThreads::reduce(Value own, Combine combine) {
  for (int64_t distance = 1; distance < std::min(perRow, kWarp); distance *= 2)
    own = combine(own, warp.shuffleXor(own, distance));
  return perRow > kWarp ? reduceWarps(own, combine) : own;
}
