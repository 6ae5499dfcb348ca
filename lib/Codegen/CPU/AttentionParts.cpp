//===- AttentionParts.cpp - what both ways of attention share ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionEmitter.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy::codegen;
using namespace mlir;

/// 2^x on [0, 1) with relative error 1.5e-7, and exactly 1 at 0; fitted as the polynomials of VectorMath.cpp.
static constexpr float kExp2[] = {1.0f,
                                  0.6931512951850891f,
                                  0.24016444385051727f,
                                  0.05579991266131401f,
                                  0.009017029777169228f,
                                  0.001867130515165627f};

/// Finite masks are kept above this after the change of base, so that they do not become -inf.
static constexpr float kLowestMask = -2e38f;
/// A mask from here down hides: exp2 of it is 0 beside any score that is not itself hidden.
static constexpr float kHidingMask = -1e30f;

Value AttentionParts::tilesPerHead() {
  return b.ceilDiv(b.mul(b.ceilDiv(a.queries, attentionQueryBlock(b.target(), s)), group), s.queryBlocks);
}

/// With offsets, the grid is that of sequences of the greatest length.
void AttentionParts::forTiles(TileBody body) {
  Value perHead = tilesPerHead();
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value tile) {
    Value index = b.div(tile, perHead), number = b.rem(tile, perHead);
    Value batch = b.div(index, a.kvHeads), kvHead = b.rem(index, a.kvHeads);
    if (!a.offsets)
      return body(a, batch, kvHead, number);
    Value place = b.at(a.offsets, b.mul(batch, 8));
    Value begin = b.load(b.getI64Type(), place, 8), end = b.load(b.getI64Type(), b.at(place, 8), 8);
    Attention one = a;
    one.offsets = {};
    one.queries = one.keys = b.sub(end, begin);
    for (HeadTensor *tensor : {&one.query, &one.key, &one.value, &one.output})
      tensor->base = b.at(tensor->base, b.mul(begin, tensor->rowStride));
    body(one, b.i64(0), kvHead, number);
  });
}

/// Blocks of queries are numbered by position, then by head of the group: those of a tile see much the same keys. Tiles
/// get equal shares.
void AttentionParts::forShare(Value number, function_ref<void(Value, Value)> body) {
  Value blocks = b.mul(b.ceilDiv(a.queries, attentionQueryBlock(b.target(), s)), group), perHead = tilesPerHead();
  b.ifThen(b.less(number, perHead), [&] {
    Value share = b.div(b.add(blocks, b.sub(perHead, 1)), perHead), first = b.mul(number, share);
    Value count = b.max(b.i64(0), b.min(b.sub(blocks, first), share));
    b.ifThen(b.less(b.i64(0), count), [&] { body(first, count); });
  });
}

void AttentionParts::forBlocks(Value kvHead, Value firstBlock, Value blockCount, int64_t place, int64_t bytes,
                               function_ref<void()> body) {
  int64_t width = attentionQueryBlock(b.target(), s);
  b.loop(b.i64(0), blockCount, 1, [&](Value index) {
    Value number = b.add(firstBlock, index);
    blockIndex = index;
    block = b.at(part(place), b.mul(index, bytes));
    head = b.add(b.mul(kvHead, group), b.rem(number, group));
    firstQuery = b.mul(b.div(number, group), width);
    queryCount = b.min(b.sub(a.queries, firstQuery), b.i64(width));
    body();
  });
}

std::pair<Value, Value> AttentionParts::queryRange(Value firstBlock, Value blockCount) {
  int64_t width = attentionQueryBlock(b.target(), s);
  Value first = b.mul(b.div(firstBlock, group), width);
  Value last = b.div(b.add(firstBlock, b.sub(blockCount, 1)), group);
  Value end = b.min(a.queries, b.mul(b.add(last, 1), width));
  return {first, b.sub(end, first)};
}

std::pair<Value, Value> AttentionParts::keyRange(std::pair<Value, Value> attended, Value firstQuery,
                                                 Value count) {
  auto [begin, end] = attended;
  Value offset = b.sub(a.keys, a.queries);
  if (auto reach = a.reachRight())
    end = b.max(begin, b.min(end, b.add(b.add(firstQuery, count), b.add(offset, *reach))));
  if (a.windowLeft)
    begin = b.max(begin, b.sub(b.add(firstQuery, offset), *a.windowLeft));
  return {b.min(begin, end), end};
}

Value AttentionParts::vectorKeys(Value count) {
  Value dense = b.equal(a.mask->keyStride, b.i64(a.mask->isBool ? 1 : maskElement.bytes()));
  return b.select(dense, b.mul(b.div(count, lanes), lanes), b.i64(0));
}

/// Whether the mask at `address` leaves a key some weight. A finite number that is as good as -inf leaves none where
/// any other key of the query has some.
Value AttentionParts::attends(Value address, bool isVector, Value valid) {
  if (a.mask->isBool) {
    Element e = Element::of(b.getI1Type());
    return isVector ? ops.loadVector(e, address, valid) : ops.load(e, address);
  }
  Value mask = isVector ? ops.loadVector(maskElement, address, {}) : ops.load(maskElement, address);
  Value least = isVector ? b.splat(kHidingMask) : b.f32(kHidingMask);
  return arith::CmpFOp::create(b, arith::CmpFPredicate::UGT, mask, least);
}

/// Keys without weight may be skipped for a query that sees another key with some. A finite mask gives weights to keys
/// that it hides from a query which sees no other: where it attends to nothing at all, or where a query may see
/// only keys left of those it attends to (causal) or a window of them, the range stays open on that side.
std::pair<Value, Value> AttentionParts::attendedRange(Value batch) {
  Value none = b.i64(0), all = a.keys;
  if (!a.mask || !a.mask->sameForAllQueries || !a.mask->sameForAllHeads)
    return {none, all};
  if (!a.mask->isBool && (a.windowLeft || a.windowRight))
    return {none, all};
  Value row = maskRowOf(batch, none, none);
  Value whole = vectorKeys(a.keys);
  auto at = [&](Value key) { return b.at(row, b.mul(key, a.mask->keyStride)); };
  Type i32 = b.getI32Type();
  auto splat = [&](int32_t value) -> Value {
    return arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), value));
  };
  // Lane by lane: the first and the last key that is attended to.
  SmallVector<Value> found = b.loop(
      none, whole, lanes, {splat(INT32_MAX), splat(-1)}, [&](Value key, ValueRange carried) {
        Value sees = attends(at(key), /*isVector=*/true);
        Value first = b.broadcast(arith::TruncIOp::create(b, i32, key));
        Value number = arith::AddIOp::create(b, laneNumbers(0), first);
        Value atMost = arith::SelectOp::create(b, sees, number, carried[0]);
        Value last = arith::SelectOp::create(b, sees, number, carried[1]);
        return SmallVector<Value>{arith::MinSIOp::create(b, carried[0], atMost), last};
      });
  auto reduce = [&](vector::CombiningKind kind, Value vector) -> Value {
    return arith::ExtSIOp::create(b, b.getI64Type(), vector::ReductionOp::create(b, kind, vector));
  };
  found = {reduce(vector::CombiningKind::MINSI, found[0]), reduce(vector::CombiningKind::MAXSI, found[1])};
  found = b.loop(whole, a.keys, 1, found, [&](Value key, ValueRange carried) {
    Value sees = attends(at(key), /*isVector=*/false);
    return SmallVector<Value>{b.select(sees, b.min(carried[0], key), carried[0]),
                              b.select(sees, key, carried[1])};
  });
  Value some = b.less(b.i64(-1), found[1]);
  bool closedLeft = a.mask->isBool || !a.causal;
  return {closedLeft ? b.select(some, found[0], none) : none, b.select(some, b.add(found[1], 1), all)};
}

Value AttentionParts::maskRowOf(Value batch, Value head, Value query) {
  const AttentionMask &mask = *a.mask;
  Value row = b.at(b.at(mask.base, b.mul(batch, mask.batchStride)), b.mul(head, mask.headStride));
  return b.at(row, b.mul(query, mask.queryStride));
}

Value AttentionParts::maskValue(Value address, bool isVector, Value valid) {
  auto constant = [&](float value) { return isVector ? b.splat(value) : b.f32(value); };
  if (a.mask->isBool)
    return arith::SelectOp::create(b, attends(address, isVector, valid), constant(0), constant(-kInfinity));
  Value mask = isVector ? ops.loadVector(maskElement, address, valid) : ops.load(maskElement, address);
  Value scaled = b.maxf(constant(kLowestMask), b.mulf(mask, constant(kLog2e)));
  Value excluded =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, mask, constant(-kInfinity));
  return arith::SelectOp::create(b, excluded, mask, scaled);
}

void AttentionParts::fillMask(Value row, Value firstKey, Value count, Value to) {
  row = b.at(row, b.mul(firstKey, a.mask->keyStride));
  Value whole = vectorKeys(count);
  auto fill = [&](Value key, bool isVector) {
    Value value = maskValue(b.at(row, b.mul(key, a.mask->keyStride)), isVector);
    b.store(value, b.at(to, b.mul(key, 4)));
  };
  b.loop(b.i64(0), whole, lanes, [&](Value key) { fill(key, /*isVector=*/true); });
  b.loop(whole, count, 1, [&](Value key) { fill(key, /*isVector=*/false); });
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

Value AttentionParts::copyRows(Value rows, int64_t rowStride, int64_t place, Value count) {
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

Value AttentionParts::emitExp2(Value x, ArrayRef<float> coefficients) {
  auto i32 = [&](int32_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); };
  Value all = arith::ConstantOp::create(b, b.getI16IntegerAttr(-1)), zero = b.splat(0);
  constexpr int32_t floor = 1, currentRounding = 4;
  auto call = [&](StringRef name, ValueRange operands) -> Value {
    return LLVM::CallIntrinsicOp::create(b, b.vectorType(), b.getStringAttr(name), operands).getResult(0);
  };
  Value fraction =
      call("llvm.x86.avx512.mask.reduce.ps.512", {x, i32(floor), zero, all, i32(currentRounding)});
  Value power = b.splat(coefficients.back());
  for (float coefficient : llvm::reverse(coefficients.drop_back()))
    power = b.fma(power, fraction, b.splat(coefficient));
  Value normal = arith::CmpFOp::create(b, arith::CmpFPredicate::UGE, x, b.splat(-126));
  normal = LLVM::BitcastOp::create(b, b.getI16Type(), normal);
  return call("llvm.x86.avx512.mask.scalef.ps.512", {power, x, zero, normal, i32(currentRounding)});
}

Value AttentionParts::emitWeight(Value address, Value shift) {
  Value x = arith::SubFOp::create(b, b.loadVector(address, vectorBytes), shift);
  Value weight = b.target().isAvx512() ? emitExp2(x, kExp2) : emitExp2NonPositive(b, x);
  b.store(weight, address, vectorBytes);
  return weight;
}
