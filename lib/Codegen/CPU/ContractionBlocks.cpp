//===- ContractionBlocks.cpp - blocks of grouped rows ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ContractionBlocks.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

SmallVector<Value> permalloy::codegen::findGroupedBlock(KernelBuilder &b, const GroupedRows &groups,
                                                        Value block, int64_t blockRows,
                                                        int64_t tileRows) {
  auto offset = [&](Value group) {
    return b.load(b.getI64Type(), b.at(groups.table, b.mul(group, 8)), 8);
  };
  Value zero = b.i64(0);
  auto found = b.loop(
      zero, b.i64(groups.count), 1, {zero, zero, zero, zero}, [&](Value group, ValueRange so) {
        Value begin = offset(group), end = offset(b.add(group, 1)), rows = b.sub(end, begin);
        Value blocks = b.ceilDiv(rows, blockRows), number = b.sub(block, so[3]);
        Value isHere = arith::AndIOp::create(b, b.less(number, blocks), b.less(b.i64(-1), number));
        Value tiles = b.div(b.add(rows, b.sub(blocks, 1)), b.max(blocks, b.i64(1)));
        Value height = b.mul(b.ceilDiv(tiles, tileRows), tileRows);
        Value start = b.add(begin, b.mul(number, height)), stop = b.min(b.add(start, height), end);
        return SmallVector<Value>{b.select(isHere, start, so[0]), b.select(isHere, stop, so[1]),
                                  b.select(isHere, group, so[2]), b.add(so[3], blocks)};
      });
  found.pop_back();
  return found;
}
