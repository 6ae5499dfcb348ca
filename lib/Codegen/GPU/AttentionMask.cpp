//===- AttentionMask.cpp - masks of attention on a GPU ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionWarps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static constexpr float kInfinity = std::numeric_limits<float>::infinity();
static constexpr float kLog2e = 1.44269504f;
/// Finite masks are kept above this after the change of base, so that they do not become -inf.
static constexpr float kLowestMask = -2e38f;
/// A mask from here down hides: exp2 of it is 0 beside any score that is not itself hidden.
static constexpr float kHidingMask = -1e30f;

/// The mask of a row, which is one of the head's.
Value AttentionWarps::maskRowOf(Value number) {
  Value head = b.add(b.mul(kvHead, shape.group), remainder(number, b.i64(shape.group)));
  Value base = b.at(b.at(a.mask->base, b.mul(batch, a.mask->batchStride)), b.mul(head, a.mask->headStride));
  return b.at(base, b.mul(quotient(number, b.i64(shape.group)), a.mask->queryStride));
}

/// Keys past the last repeat its mask; they are hidden anyway.
void AttentionWarps::addMask(MutableArrayRef<Value> scores, Value first) {
  Value own = i32(b.add(first, product->key)), last = i32(b.sub(a.keys, 1));
  for (auto [column, offset] : llvm::enumerate(product->keys)) {
    Value key = arith::AddIOp::create(b, own, arith::ConstantOp::create(b, b.getI32IntegerAttr(offset)));
    key = arith::ExtSIOp::create(b, b.getI64Type(), arith::MinSIOp::create(b, key, last));
    for (size_t row = 0; row < lanesRows(); ++row) {
      Value &score = scores[row * product->keys.size() + column];
      Value address = b.at(maskRows[sharesMask() ? 0 : row], b.mul(key, a.mask->keyStride));
      score = masked(score, address); // equal loads are merged
    }
  }
}

Value AttentionWarps::masked(Value score, Value address) {
  if (a.mask->isBool)
    return b.select(ops.load(Element::of(b.getI1Type()), address), score, b.f32(-kInfinity));
  Value mask = ops.load(Element::of(a.maskElement), address);
  Value finite = arith::MaxNumFOp::create(b, b.mulf(mask, b.f32(kLog2e)), b.f32(kLowestMask));
  Value excluded = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, mask, b.f32(-kInfinity));
  return b.addf(score, b.select(excluded, mask, finite));
}

/// Whether the mask at `address` leaves a key some weight beside others that it does not hide.
Value AttentionWarps::attends(Value address) {
  if (a.mask->isBool)
    return ops.load(Element::of(b.getI1Type()), address);
  Value mask = ops.load(Element::of(a.maskElement), address);
  return arith::CmpFOp::create(b, arith::CmpFPredicate::UGT, mask, b.f32(kHidingMask));
}

/// The keys [first, second) outside of which a mask hides all from every query and head: padding. As on CPUs (AttentionParts.cpp),
/// where a finite mask may leave a query nothing but keys that it hides, the range stays open on that side. All threads come by.
std::pair<Value, Value> AttentionWarps::attendedKeys() {
  if (!a.mask || !sharesMask() || (!a.mask->isBool && (a.windowLeft || a.windowRight)))
    return {b.i64(0), a.keys};
  auto number = [&](int32_t value) -> Value { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); };
  Value row = maskRowOf(b.i64(0));
  Values found = b.loop(b.threadInBlock(), a.keys, s.threads(), {number(INT32_MAX), number(-1)}, [&](Value key, ValueRange carried) {
    Value sees = attends(b.at(row, b.mul(key, a.mask->keyStride))), own = i32(key);
    return Values{b.select(sees, b.min(carried[0], own), carried[0]), b.select(sees, own, carried[1])};
  });
  for (int32_t distance = 1; distance < 32; distance *= 2)
    found = {b.min(found[0], warp.shuffleXor(found[0], distance)), b.max(found[1], warp.shuffleXor(found[1], distance))};
  Value place = b.at(shared, b.mul(warpNumber, 8));
  b.ifThen(b.equal(b.rem(b.threadInBlock(), 32), b.i64(0)), [&] {
    b.store(found[0], place);
    b.store(found[1], b.at(place, 4));
  });
  warp.barrier();
  for (int64_t other = 0; other < s.warps; ++other) {
    auto load = [&](int64_t offset) { return b.load(b.getI32Type(), b.at(shared, other * 8 + offset)); };
    found = {b.min(found[0], load(0)), b.max(found[1], load(4))};
  }
  warp.barrier(); // queries go there next
  auto wide = [&](Value value) { return arith::ExtSIOp::create(b, b.getI64Type(), value).getResult(); };
  Value first = wide(found[0]), last = wide(found[1]), some = b.less(b.i64(-1), last);
  bool isClosedLeft = a.mask->isBool || !a.causal;
  return {isClosedLeft ? b.select(some, first, b.i64(0)) : b.i64(0), b.select(some, b.add(last, 1), a.keys)};
}
