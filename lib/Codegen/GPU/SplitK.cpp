//===- SplitK.cpp - several blocks for one block of results -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SplitK.h"

#include "permalloy/Artifact/Format.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static DimExprAttr constant(DimExprAttr like, int64_t value) {
  return DimExprAttr::constant(like.getContext(), value);
}

static_assert(kSplitBlocks <= int64_t(artifact::kDeviceCounters));

/// How many blocks share one block of results.
static DimExprAttr partsOf(DimExprAttr blocks, int64_t split) {
  DimExprAttr most = DimExprAttr::max(blocks, constant(blocks, 1));
  DimExprAttr parts = DimExprAttr::min(DimExprAttr::floorDiv(constant(blocks, kSplitBlocks), most),
                                       constant(blocks, split));
  return DimExprAttr::max(parts, constant(blocks, 1));
}

DimExprAttr codegen::splitBlocks(DimExprAttr blocks, int64_t split) {
  return split == 1 ? blocks : DimExprAttr::mul(blocks, partsOf(blocks, split));
}

DimExprAttr codegen::splitScratch(DimExprAttr blocks, int64_t split, int64_t sumBytes) {
  if (split == 1)
    return constant(blocks, 0);
  DimExprAttr one = constant(blocks, 1), most = constant(blocks, kSplitBlocks);
  DimExprAttr isShared = DimExprAttr::min(DimExprAttr::sub(partsOf(blocks, split), one), one);
  DimExprAttr shared = DimExprAttr::mul(DimExprAttr::min(splitBlocks(blocks, split), most), isShared);
  return DimExprAttr::mul(shared, constant(blocks, sumBytes));
}

/// At least four tiles each: their loads hide behind those before.
int64_t codegen::chooseSplit(int64_t tiles, int64_t blocks) {
  int64_t split = 1;
  while (split < 16 && split * 2 * 4 <= tiles && split * 2 * blocks <= kSplitBlocks)
    split *= 2;
  return split;
}

/// As splitBlocks says it.
SplitK::SplitK(GpuBuilder &b, Value blocks, int64_t split) : number(b.blockIndex()), b(b) {
  if (split == 1)
    return;
  blocks = b.max(blocks, b.i32(1));
  parts = b.max(b.min(b.div(b.i32(kSplitBlocks), blocks), b.i32(split)), b.i32(1));
  part = b.rem(number, parts), number = b.div(number, parts);
}

std::pair<Value, Value> SplitK::tilesOf(int64_t count) {
  if (!parts)
    return {b.i32(0), b.i32(count)};
  Value all = b.i32(count), each = b.div(b.sub(b.add(all, parts), 1), parts);
  Value first = b.mul(part, each);
  return {first, b.min(b.add(first, each), all)};
}

/// Where this thread keeps its sums of part `which`, 16 bytes every 16 * threads.
Value SplitK::sumsOf(Value which, int64_t count, int64_t threads, Value scratch) {
  Value block = b.add(b.mul(number, parts), which);
  Value own = b.mul(b.wide(b.threadIndex()), 16);
  return b.at(scratch, b.add(b.mul(b.wide(block), count * 4 * threads), own));
}

void SplitK::leave(ArrayRef<Value> sums, int64_t threads, Value scratch) {
  auto four = VectorType::get(4, sums[0].getType());
  Value own = sumsOf(part, sums.size(), threads, scratch);
  for (size_t i = 0; i < sums.size(); i += 4)
    b.store(vector::FromElementsOp::create(b, four, sums.slice(i, 4)),
            b.at(own, int64_t(i) * 4 * threads), 16);
}

/// In their order.
SmallVector<Value> SplitK::addParts(ArrayRef<Value> zeros, int64_t threads, Value scratch) {
  auto four = VectorType::get(4, zeros[0].getType());
  return b.loop(b.i32(0), parts, 1, zeros, [&](Value which, ValueRange carried) {
    SmallVector<Value> sums(carried);
    Value from = sumsOf(which, sums.size(), threads, scratch);
    for (size_t i = 0; i < sums.size(); i += 4) {
      Value loaded = b.load(four, b.at(from, int64_t(i) * 4 * threads), 16);
      for (int64_t j = 0; j < 4; ++j) {
        Value x = vector::ExtractOp::create(b, loaded, j);
        sums[i + j] = x.getType().isF32() ? b.addf(sums[i + j], x) : b.add(sums[i + j], x);
      }
    }
    return sums;
  });
}

void SplitK::finish(ArrayRef<Value> sums, int64_t threads, Value scratch, Value word, Store store) {
  if (!parts)
    return store(sums);
  Type type = sums[0].getType();
  SmallVector<Value> zeros(sums.size(), arith::ConstantOp::create(b, b.getZeroAttr(type)));
  auto join = [&] {
    leave(sums, threads, scratch);
    Value counters = b.at(scratch, -int64_t(artifact::kDeviceCounters * sizeof(uint32_t)));
    Value counter = b.at(counters, b.mul(b.wide(number), 4));
    Value isLast = WarpBuilder(b).arriveLast(counter, parts, word);
    SmallVector<Value> joined = b.choose(isLast, [&] { return addParts(zeros, threads, scratch); },
                                         [&] { return zeros; });
    joined.push_back(isLast);
    return joined;
  };
  auto alone = [&] {
    SmallVector<Value> all(sums);
    all.push_back(arith::ConstantOp::create(b, b.getBoolAttr(true)));
    return all;
  };
  SmallVector<Value> joined = b.choose(b.less(b.i32(1), parts), join, alone);
  b.ifThen(joined.back(), [&] { store(ArrayRef(joined).drop_back()); });
}
