//===- TokenScore.cpp - which tokens merge with which, on a GPU -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bipartite soft matching as CPU/TokenScore.cpp has it, one block for each sequence:
//
//   a warp for each token        its mean over the heads, of length one
//   a warp for 4 sources         lanes are targets; each lane keeps the best of those it sees
//   a thread for each source     how many sources are better, and with that whether it goes
//   a thread for each source     how many before it stay, and with that its position
//
//   rows     [sources][size]     in scratch, of each sequence
//   columns  [size][room]        targets
//   best, to, goes [room]        the largest product, the target that gives it, whether it is merged
//
//===----------------------------------------------------------------------===//
#include "../CPU/ElementOps.h"
#include "TokenKernels.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <limits>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static constexpr int64_t kWarp = 32, kWarps = kScoreThreads / kWarp;
/// Sources that go past the targets together.
static constexpr int64_t kSources = 4;
/// `room` beyond half of the tokens: whole warps of targets.
static constexpr int64_t kBeyondHalf = 1 + kWarp;

static int64_t sizeOf(tfm::TokenScoreOp op) {
  return op.getMetric().getType().getDimSize(2) / int64_t(op.getNumHeads());
}

DimExprAttr codegen::gpuScoreScratch(tfm::TokenScoreOp op, DimExprAttr n) {
  auto number = [&](int64_t value) { return DimExprAttr::constant(op.getContext(), value); };
  DimExprAttr room = DimExprAttr::add(DimExprAttr::floorDiv(n, number(2)), number(kBeyondHalf));
  return DimExprAttr::mul(room, number(4 * (2 * sizeOf(op) + 3)));
}

namespace {

class ScoreBlock {
public:
  ScoreBlock(KernelFrame &frame, GpuBuilder &b, tfm::TokenScoreOp op)
      : frame(frame), b(b), warp(b), ops(b), op(op), element(Element::of(op.getMetric())),
        size(sizeOf(op)), thread(b.threadInBlock()), lane(b.rem(thread, kWarp)),
        ownWarp(b.div(thread, kWarp)) {}

  void emit();

private:
  void placeScratch();
  void average(Value token);
  void findBest(Value source);
  SmallVector<Value> compare(Value source, Value target, ValueRange carried);
  void decide(Value source);
  void place(Value source);
  void writeOthers();

  Value floatAt(Value base, Value index) { return b.at(base, b.mul(index, 4)); }
  Value loadInt(Value base, Value index) { return b.load(b.getI32Type(), floatAt(base, index)); }
  Value toWord(Value index) { return arith::TruncIOp::create(b, b.getI32Type(), index); }
  Value both(Value x, Value y) { return arith::AndIOp::create(b, x, y); }
  Value compareFloats(arith::CmpFPredicate predicate, Value x, Value y) {
    return arith::CmpFOp::create(b, predicate, x, y);
  }
  void storeMap(Value position, Value token) { b.store(position, b.at(map, b.mul(token, 8)), 8); }
  /// Sources stand at even positions from here, targets at odd ones.
  int64_t firstSource() { return llvm::alignTo(op.getProtectedTokens(), 2); }
  int64_t firstTarget() { return op.getProtectedTokens() | 1; }
  /// Positions in [first, n) of one parity.
  Value countFrom(int64_t first) { return b.max(b.div(b.sub(b.add(n, 1), first), 2), b.i64(0)); }

  KernelFrame &frame;
  GpuBuilder &b;
  WarpBuilder warp;
  ElementOps ops;
  tfm::TokenScoreOp op;
  Element element;
  int64_t size;
  Value thread, lane, ownWarp;
  Value n, sources, targets, room, removed, base; ///< counts; base: the position of the first target
  Value input, map;                               ///< of this sequence
  Value rows, columns, best, to, goes;            ///< scratch
};

} // namespace

void ScoreBlock::placeScratch() {
  room = b.add(b.div(n, 2), kBeyondHalf);
  rows = b.at(b.launchScratch(), b.mul(b.blockNumber(), b.mul(room, 4 * (2 * size + 3))));
  columns = floatAt(rows, b.mul(room, size));
  best = floatAt(columns, b.mul(room, size));
  to = floatAt(best, room);
  goes = floatAt(to, room);
}

/// The mean over the heads of one token, divided by its length, by one warp.
void ScoreBlock::average(Value token) {
  int64_t heads = op.getNumHeads();
  Value from = b.mul(token, heads * size), squares = b.f32(0);
  SmallVector<std::pair<Value, Value>> own; // columns and means
  for (int64_t first = 0; first < size; first += kWarp) {
    Value column = b.add(lane, first), isColumn = b.less(column, b.i64(size));
    Value readable = b.select(isColumn, column, b.i64(0));
    Value sum = b.loop(b.i64(0), b.i64(heads), 1, {b.f32(0)}, [&](Value head, ValueRange carried) {
      Value index = b.add(from, b.add(b.mul(head, size), readable));
      return SmallVector<Value>{
          b.addf(carried[0], ops.load(element, b.at(input, b.mul(index, element.bytes()))))};
    })[0];
    Value mean = b.mulf(sum, b.f32(1.0f / float(heads)));
    squares = b.select(isColumn, b.fma(mean, mean, squares), squares);
    own.push_back({column, mean});
  }
  for (int64_t distance = 1; distance < kWarp; distance *= 2)
    squares = b.addf(squares, warp.shuffleXor(squares, distance));
  Value length = ops.unary(tfm::UnaryKind::Sqrt, Element::of(b.getF32Type()), squares);
  Value isZero = compareFloats(arith::CmpFPredicate::OEQ, length, b.f32(0));
  Value scale = b.select(isZero, b.f32(0), arith::DivFOp::create(b, b.f32(1), length));
  Value isSource = b.equal(b.rem(token, 2), b.i64(0));
  Value source = b.div(b.sub(token, firstSource()), 2), target = b.div(b.sub(token, firstTarget()), 2);
  for (auto [column, mean] : own)
    b.ifThen(b.less(column, b.i64(size)), [&, column = column, mean = mean] {
      Value inRow = floatAt(rows, b.add(b.mul(source, size), column));
      Value inColumn = floatAt(columns, b.add(b.mul(column, room), target));
      b.store(b.mulf(mean, scale), b.select(isSource, inRow, inColumn));
    });
}

/// The products of some sources with a target; `carried` holds the best of this lane, then whose they are.
SmallVector<Value> ScoreBlock::compare(Value source, Value target, ValueRange carried) {
  Value isTarget = b.less(target, targets), last = b.sub(sources, 1);
  Value column = floatAt(columns, b.select(isTarget, target, b.i64(0)));
  SmallVector<Value> from, sums(kSources, b.f32(0));
  for (int64_t r = 0; r < kSources; ++r)
    from.push_back(floatAt(rows, b.mul(b.min(b.add(source, r), last), size)));
  sums = b.loop(b.i64(0), b.i64(size), 1, sums, [&](Value j, ValueRange sums) {
    Value x = b.loadF32(floatAt(column, b.mul(j, room)));
    SmallVector<Value> next;
    for (int64_t r = 0; r < kSources; ++r)
      next.push_back(b.fma(b.loadF32(floatAt(from[r], j)), x, sums[r]));
    return next;
  });
  SmallVector<Value> next(carried);
  for (int64_t r = 0; r < kSources; ++r) {
    // False for NaN.
    Value isLarger = compareFloats(arith::CmpFPredicate::OGT, sums[r], carried[r]);
    Value wins = both(isLarger, isTarget);
    next[r] = b.select(wins, sums[r], carried[r]);
    next[kSources + r] = b.select(wins, toWord(target), carried[kSources + r]);
  }
  return next;
}

/// The first target among those with the largest product, for some sources by one warp.
void ScoreBlock::findBest(Value source) {
  SmallVector<Value> found(kSources, b.f32(-std::numeric_limits<float>::infinity()));
  found.append(kSources, arith::ConstantOp::create(b, b.getI32IntegerAttr(0)));
  found = b.loop(b.i64(0), targets, kWarp, found, [&](Value first, ValueRange carried) {
    return compare(source, b.add(first, lane), carried);
  });
  for (int64_t r = 0; r < kSources; ++r) {
    Value value = found[r], target = found[kSources + r];
    for (int64_t distance = 1; distance < kWarp; distance *= 2) {
      Value other = warp.shuffleXor(value, distance), its = warp.shuffleXor(target, distance);
      Value isLarger = compareFloats(arith::CmpFPredicate::OGT, other, value);
      Value isSame = compareFloats(arith::CmpFPredicate::OEQ, other, value);
      Value isBefore = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, its, target);
      Value wins = arith::OrIOp::create(b, isLarger, both(isSame, isBefore));
      value = b.select(wins, other, value);
      target = b.select(wins, its, target);
    }
    Value own = b.add(source, r);
    b.ifThen(both(b.equal(lane, b.i64(0)), b.less(own, sources)), [&] {
      b.store(value, floatAt(best, own));
      b.store(target, floatAt(to, own));
    });
  }
}

/// A source goes when few enough are merged before it: those with a larger product, and earlier ones with
/// the same.
void ScoreBlock::decide(Value source) {
  Value own = b.loadF32(floatAt(best, source));
  Value before = b.loop(b.i64(0), sources, 1, {b.i64(0)}, [&](Value i, ValueRange carried) {
    Value other = b.loadF32(floatAt(best, i));
    Value isLarger = compareFloats(arith::CmpFPredicate::OGT, other, own);
    Value isSame = compareFloats(arith::CmpFPredicate::OEQ, other, own);
    Value counts = arith::OrIOp::create(b, isLarger, both(isSame, b.less(i, source)));
    return SmallVector<Value>{b.add(carried[0], b.select(counts, b.i64(1), b.i64(0)))};
  })[0];
  Value word = arith::ExtUIOp::create(b, b.getI32Type(), b.less(before, removed));
  b.store(word, floatAt(goes, source));
}

void ScoreBlock::place(Value source) {
  auto goesAt = [&](Value i) {
    return arith::ExtSIOp::create(b, b.getI64Type(), loadInt(goes, i)).getResult();
  };
  Value gone = b.loop(b.i64(0), source, 1, {b.i64(0)}, [&](Value i, ValueRange carried) {
    return SmallVector<Value>{b.add(carried[0], goesAt(i))};
  })[0];
  Value stays = b.add(b.sub(source, gone), b.i64(op.getProtectedTokens()));
  Value target = arith::ExtSIOp::create(b, b.getI64Type(), loadInt(to, source));
  Value there = op.getPrune() ? b.i64(-1) : b.add(base, target);
  Value position = b.select(b.equal(goesAt(source), b.i64(0)), stays, there);
  storeMap(position, b.add(b.mul(source, 2), firstSource()));
}

/// Targets stand behind the sources that stay; protected tokens stay where they are.
void ScoreBlock::writeOthers() {
  b.loop(thread, targets, kScoreThreads, [&](Value target) {
    storeMap(b.add(base, target), b.add(b.mul(target, 2), firstTarget()));
  });
  Value first = b.i64(op.getProtectedTokens());
  b.loop(thread, b.min(first, n), kScoreThreads, [&](Value token) { storeMap(token, token); });
}

void ScoreBlock::emit() {
  n = frame.dim(op.getMetric(), 1);
  sources = countFrom(firstSource());
  targets = countFrom(firstTarget());
  Value zero = b.i64(0), first = b.i64(op.getProtectedTokens());
  Value most = b.div(b.max(b.sub(n, first), zero), 2);
  removed = b.min(b.max(b.sub(n, frame.emit(op.getTokens())), zero), most);
  base = b.add(first, b.sub(sources, removed));
  Value token = b.mul(b.blockNumber(), n);
  int64_t width = op.getMetric().getType().getDimSize(2) * element.bytes();
  input = b.at(frame.argument(op.getMetric()), b.mul(token, width));
  map = b.at(frame.result(0), b.mul(token, 8));
  placeScratch();
  b.loop(b.add(ownWarp, first), n, kWarps, [&](Value token) { average(token); });
  warp.barrier();
  b.loop(b.mul(ownWarp, kSources), sources, kWarps * kSources, [&](Value source) { findBest(source); });
  warp.barrier();
  b.loop(thread, sources, kScoreThreads, [&](Value source) { decide(source); });
  warp.barrier();
  b.loop(thread, sources, kScoreThreads, [&](Value source) { place(source); });
  writeOthers();
}

void codegen::emitGpuTokenScore(KernelFrame &frame, GpuBuilder &b, tfm::TokenScoreOp op) {
  ScoreBlock(frame, b, op).emit();
}
