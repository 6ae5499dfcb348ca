//===- AttentionParts.cpp - what both ways of attention share ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionEmitter.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy::codegen;
using namespace mlir;

/// Finite masks are kept above this after the change of base, so that they do not become -inf.
static constexpr float kLowestMask = -2e38f;

std::pair<Value, Value> AttentionParts::keyRange(Value firstQuery, Value count) {
  Value begin = b.i64(0), end = a.keys, offset = b.sub(a.keys, a.queries);
  if (auto reach = a.reachRight())
    end = b.max(begin, b.min(end, b.add(b.add(firstQuery, count), b.add(offset, *reach))));
  if (a.windowLeft)
    begin = b.max(begin, b.sub(b.add(firstQuery, offset), *a.windowLeft));
  return {b.min(begin, end), end};
}

Value AttentionParts::maskValue(Value address) {
  if (a.mask->isBool) {
    Value byte = b.load(b.getI8Type(), address, 1);
    Value zero = arith::ConstantOp::create(b, b.getI8IntegerAttr(0));
    Value attend = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, byte, zero);
    return b.select(attend, b.f32(0), b.f32(-kInfinity));
  }
  Value mask = ops.load(maskElement, address);
  Value scaled = b.maxf(b.f32(kLowestMask), b.mulf(mask, b.f32(kLog2e)));
  Value excluded = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, mask, b.f32(-kInfinity));
  return b.select(excluded, mask, scaled);
}

Value AttentionParts::laneNumbers(int32_t first) {
  SmallVector<int32_t> numbers;
  for (int64_t lane = 0; lane < lanes; ++lane)
    numbers.push_back(first + lane);
  return arith::ConstantOp::create(b,
                                   DenseElementsAttr::get(b.intVectorType(), ArrayRef(numbers)));
}

Value AttentionParts::capScores(Value scores) {
  if (a.softcap == 0)
    return scores;
  float cap = a.softcap * kLog2e;
  return b.mulf(emitTanh(b, b.mulf(scores, b.splat(1 / cap))), b.splat(cap));
}

/// Widening costs 3 instructions for 16 elements, where each takes 2 FMAs of every 16 queries. Rows
/// in scratch are padded to whole vectors.
Value AttentionParts::asFloat(Value rows, int64_t rowStride, int64_t place, Value count) {
  if (!element.isHalf())
    return rows;
  b.loop(b.i64(0), count, 1, [&](Value row) {
    Value from = b.at(rows, b.mul(row, rowStride));
    Value to = b.at(part(place), b.mul(row, paddedSize * 4));
    forColumns([&](int64_t column, unsigned valid) {
      Value value = ops.loadLanes(element, b.at(from, column * element.bytes()), valid);
      b.store(value, b.at(to, column * 4), vectorBytes);
    });
  });
  return part(place);
}

/// The mean of all values, in the columns [column, column + valid), where `sum` says that no key
/// was seen; else `value`.
Value AttentionParts::emptyRow(Value valueRows, Value sum, Value value, int64_t column,
                               unsigned valid) {
  Value empty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.f32(0));
  // A loop over no keys unless the row is empty.
  Value count = b.select(empty, a.keys, b.i64(0));
  SmallVector<Value> total =
      b.loop(b.i64(0), count, 1, {b.splat(0)}, [&](Value key, ValueRange carried) {
        Value address =
            b.at(b.at(valueRows, b.mul(key, a.value.rowStride)), column * element.bytes());
        return SmallVector<Value>{b.addf(carried[0], ops.loadLanes(element, address, valid))};
      });
  Value keys = arith::SIToFPOp::create(b, b.getF32Type(), a.keys);
  Value mean = b.mulf(total[0], b.broadcast(arith::DivFOp::create(b, b.f32(1), keys)));
  return b.select(empty, mean, value);
}

void AttentionParts::storeOutputRow(Value from, Value to, Value sum, Value valueRows) {
  Value inverse = arith::DivFOp::create(b, b.f32(1), sum); // inf where empty: 0 * inf is NaN
  if (a.noKeys == NoKeys::Zero) {
    Value empty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.f32(0));
    inverse = b.select(empty, b.f32(0), inverse);
  }
  Value factor = b.broadcast(inverse);
  forColumns([&](int64_t column, unsigned valid) {
    Value value = b.mulf(b.loadVector(b.at(from, column * 4), vectorBytes), factor);
    if (a.noKeys == NoKeys::MeanOfValues)
      value = emptyRow(valueRows, sum, value, column, valid);
    ops.storeLanes(outputElement, value, b.at(to, column * outputElement.bytes()), valid);
  });
}
