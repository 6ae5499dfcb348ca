//===- TokenScore.cpp - which tokens merge with which -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Bipartite soft matching, one tile for each sequence. The matrix of products never stands in memory: a few sources at a time
// go past all targets, which lie in panels of one vector of targets, and each source keeps its best.
//
//   rows     [sources, then targets][size]    means over the heads, of length one
//   panels   [ceil(targets / lanes)][size][lanes]
//   best, to [sources]                        the largest product, and the target that gives it
//
// A source goes when fewer than r others are better, which is counted rather than sorted: (tokens / 2)^2 / lanes comparisons.
//
//===----------------------------------------------------------------------===//
#include "ElementOps.h"
#include "TokenKernels.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>
#include <numeric>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

namespace {

/// Sizes of scratch, in bytes from its beginning, for n tokens. `Number` is an expression, or a value that is emitted.
struct ScoreLayout {
  int64_t size = 0;     ///< elements of a head
  int64_t stride = 0;   ///< the same, whole vectors
  int64_t first = 0;    ///< protected tokens
  int64_t lanes = 0;
  int64_t rowsAtOnce = 0; ///< sources that go past the targets together

  ScoreLayout(tfm::TokenScoreOp op, const CpuTarget &target) : first(op.getProtectedTokens()), lanes(target.lanes()) {
    size = op.getMetric().getType().getDimSize(2) / int64_t(op.getNumHeads());
    stride = llvm::alignTo(size, lanes);
    rowsAtOnce = target.isAvx512() ? 8 : 4;
  }
  /// Sources stand at even positions, targets at odd ones.
  int64_t firstSource() const { return llvm::alignTo(first, 2); }
  int64_t firstTarget() const { return first | 1; }
};

class ScoreEmitter {
public:
  ScoreEmitter(KernelFrame &frame, tfm::TokenScoreOp op)
      : frame(frame), b(frame.builder()), ops(b), op(op), element(Element::of(op.getMetric())), layout(op, b.target()) {}

  void emit();

private:
  void placeScratch();
  void average(Value token, Value row);
  void averageAll();
  void packTargets();
  void findBest();
  SmallVector<Value> compareWithPanel(Value source, Value panel, ValueRange carried);
  void keepBest(Value source, ValueRange carried);
  Value countBetter(Value source);
  void writeMap();

  Value floatAt(Value base, Value index) { return b.at(base, b.mul(index, 4)); }
  Value lanesFrom(Value start);
  Value padded(Value count, int64_t to) { return b.mul(b.ceilDiv(count, to), to); }
  /// Positions in [first, n) of one parity.
  Value countFrom(int64_t start) { return b.max(b.div(b.sub(b.add(n, 1), start), 2), b.i64(0)); }

  KernelFrame &frame;
  KernelBuilder &b;
  ElementOps ops;
  tfm::TokenScoreOp op;
  Element element;
  ScoreLayout layout;

  Value n, sources, targets, panels;       ///< counts
  Value input, map;                        ///< of this sequence
  Value sourceRows, targetRows, packed, best, to; ///< scratch
};

} // namespace

/// What ScoreEmitter::placeScratch takes for at most `n` tokens: half of them, rounded up, and whole blocks of each.
static DimExprAttr scratchBytes(const ScoreLayout &layout, DimExprAttr n) {
  MLIRContext *context = n.getContext();
  auto number = [&](int64_t value) { return DimExprAttr::constant(context, value); };
  DimExprAttr half = DimExprAttr::add(DimExprAttr::floorDiv(n, number(2)), number(1 + 2 * 16));
  // Rows of sources and targets, panels, best and to.
  return DimExprAttr::mul(half, number(4 * (3 * layout.stride + 2)));
}

void ScoreEmitter::placeScratch() {
  Value sourceRoom = padded(sources, 16), targetRoom = padded(targets, 16), row = b.i64(4 * layout.stride);
  sourceRows = b.scratch();
  targetRows = b.at(sourceRows, b.mul(sourceRoom, row));
  packed = b.at(targetRows, b.mul(targetRoom, row));
  best = b.at(packed, b.mul(targetRoom, row));
  to = b.at(best, b.mul(sourceRoom, 4));
}

/// The numbers start, start + 1, ... as a vector of i32.
Value ScoreEmitter::lanesFrom(Value start) {
  SmallVector<int32_t> lanes(layout.lanes);
  std::iota(lanes.begin(), lanes.end(), 0);
  Value numbers = arith::ConstantOp::create(b, b.getI32VectorAttr(lanes));
  return arith::AddIOp::create(b, numbers, b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), start)));
}

/// The mean over the heads of one token, divided by its length; zeros behind it.
void ScoreEmitter::average(Value token, Value row) {
  int64_t heads = op.getNumHeads(), bytes = element.bytes();
  Value from = b.at(input, b.mul(token, heads * layout.size * bytes));
  auto chunk = [&](Value column, unsigned lanes, Value squares) {
    Value sum = b.loop(b.i64(0), b.i64(heads), 1, {b.splat(0)}, [&](Value head, ValueRange carried) {
      Value at = b.at(from, b.mul(b.add(b.mul(head, layout.size), column), bytes));
      return SmallVector<Value>{b.addf(carried[0], ops.loadLanes(element, at, lanes))};
    })[0];
    Value mean = b.mulf(sum, b.splat(1.0f / float(heads)));
    b.store(mean, floatAt(row, column));
    return b.fma(mean, mean, squares);
  };
  int64_t whole = layout.size / layout.lanes * layout.lanes;
  Value squares = b.loop(b.i64(0), b.i64(whole), layout.lanes, {b.splat(0)}, [&](Value column, ValueRange carried) {
    return SmallVector<Value>{chunk(column, layout.lanes, carried[0])};
  })[0];
  if (whole < layout.size)
    squares = chunk(b.i64(whole), layout.size - whole, squares);
  Value sum = vector::ReductionOp::create(b, vector::CombiningKind::ADD, squares);
  Value length = ops.unary(tfm::UnaryKind::Sqrt, Element::of(b.getF32Type()), sum);
  Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, length, b.f32(0));
  Value scale = b.select(isZero, b.f32(0), arith::DivFOp::create(b, b.f32(1), length));
  b.loop(b.i64(0), b.i64(layout.stride), layout.lanes, [&](Value column) {
    Value at = floatAt(row, column);
    b.store(b.mulf(b.loadVector(at), b.broadcast(scale)), at);
  });
}

void ScoreEmitter::averageAll() {
  auto rows = [&](Value base, Value count, int64_t start) {
    b.loop(b.i64(0), count, 1, [&](Value i) {
      average(b.add(b.mul(i, 2), start), b.at(base, b.mul(i, 4 * layout.stride)));
    });
  };
  rows(sourceRows, sources, layout.firstSource());
  rows(targetRows, targets, layout.firstTarget());
  // Sources of the last block that do not exist.
  b.loop(b.mul(sources, layout.stride), b.mul(padded(sources, layout.rowsAtOnce), layout.stride), layout.lanes,
         [&](Value i) { b.store(b.splat(0), floatAt(sourceRows, i)); });
}

/// Lanes of the last panel without a target keep what memory holds: they are left out when they are compared.
void ScoreEmitter::packTargets() {
  b.loop(b.i64(0), targets, 1, [&](Value target) {
    Value panel = b.div(target, layout.lanes), lane = b.rem(target, layout.lanes);
    Value place = floatAt(packed, b.add(b.mul(panel, layout.size * layout.lanes), lane));
    Value row = b.at(targetRows, b.mul(target, 4 * layout.stride));
    b.loop(b.i64(0), b.i64(layout.size), 1, [&](Value j) {
      b.store(b.loadF32(floatAt(row, j)), b.at(place, b.mul(j, 4 * layout.lanes)));
    });
  });
}

/// The products of a block of sources with a panel; `carried` holds the best of each lane, then whose they are.
SmallVector<Value> ScoreEmitter::compareWithPanel(Value source, Value panel, ValueRange carried) {
  int64_t rows = layout.rowsAtOnce;
  Value columns = floatAt(packed, b.mul(panel, layout.size * layout.lanes));
  Value from = b.at(sourceRows, b.mul(source, 4 * layout.stride));
  SmallVector<Value> sums(rows, b.splat(0));
  sums = b.loop(b.i64(0), b.i64(layout.size), 1, sums, [&](Value j, ValueRange sums) {
    Value column = b.loadVector(b.at(columns, b.mul(j, 4 * layout.lanes)));
    SmallVector<Value> next;
    for (int64_t r = 0; r < rows; ++r) {
      Value element = b.loadF32(floatAt(from, b.add(j, r * layout.stride)));
      next.push_back(b.fma(b.broadcast(element), column, sums[r]));
    }
    return next;
  });
  Value numbers = lanesFrom(b.mul(panel, layout.lanes));
  Value limit = b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), targets));
  Value exists = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, numbers, limit);
  SmallVector<Value> next(2 * rows);
  for (int64_t r = 0; r < rows; ++r) {
    // False for NaN.
    Value larger = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, sums[r], carried[r]);
    Value wins = arith::AndIOp::create(b, larger, exists);
    next[r] = b.select(wins, sums[r], carried[r]);
    next[rows + r] = b.select(wins, numbers, carried[rows + r]);
  }
  return next;
}

/// Joins the lanes: the first target among those with the largest product.
void ScoreEmitter::keepBest(Value source, ValueRange carried) {
  int64_t rows = layout.rowsAtOnce;
  Value none = b.broadcast(arith::ConstantOp::create(b, b.getI32IntegerAttr(std::numeric_limits<int32_t>::max())));
  for (int64_t r = 0; r < rows; ++r) {
    Value largest = vector::ReductionOp::create(b, vector::CombiningKind::MAXNUMF, carried[r]);
    Value isLargest = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, carried[r], b.broadcast(largest));
    Value candidates = b.select(isLargest, carried[rows + r], none);
    Value target = vector::ReductionOp::create(b, vector::CombiningKind::MINSI, candidates);
    Value index = b.add(source, r);
    b.store(largest, floatAt(best, index));
    b.store(target, floatAt(to, index));
  }
}

void ScoreEmitter::findBest() {
  int64_t rows = layout.rowsAtOnce;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  Value zeros = arith::ConstantOp::create(b, b.getZeroAttr(b.intVectorType()));
  SmallVector<Value> start(rows, b.splat(-infinity));
  start.append(rows, zeros);
  b.loop(b.i64(0), sources, rows, [&](Value source) {
    auto carried = b.loop(b.i64(0), panels, 1, start, [&](Value panel, ValueRange carried) {
      return compareWithPanel(source, panel, carried);
    });
    keepBest(source, carried);
  });
  // Behind the last one, for countBetter to read.
  b.loop(sources, padded(sources, 16), 1, [&](Value i) { b.store(b.f32(-infinity), floatAt(best, i)); });
}

/// How many sources are merged before this one: those with a larger product, and earlier ones with the same.
Value ScoreEmitter::countBetter(Value source) {
  Value own = b.broadcast(b.loadF32(floatAt(best, source)));
  Value limit = b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), source));
  Value zeros = arith::ConstantOp::create(b, b.getZeroAttr(b.intVectorType()));
  Value ones = b.broadcast(arith::ConstantOp::create(b, b.getI32IntegerAttr(1)));
  Value count = b.loop(b.i64(0), sources, layout.lanes, {zeros}, [&](Value i, ValueRange carried) {
    Value other = b.loadVector(floatAt(best, i));
    Value larger = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, other, own);
    Value same = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, other, own);
    Value earlier = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, lanesFrom(i), limit);
    Value counts = arith::OrIOp::create(b, larger, arith::AndIOp::create(b, same, earlier));
    return SmallVector<Value>{arith::AddIOp::create(b, carried[0], b.select(counts, ones, zeros))};
  })[0];
  return arith::ExtSIOp::create(b, b.getI64Type(), vector::ReductionOp::create(b, vector::CombiningKind::ADD, count));
}

void ScoreEmitter::writeMap() {
  auto place = [&](Value token) { return b.at(map, b.mul(token, 8)); };
  Value zero = b.i64(0), first = b.i64(layout.first), most = b.div(b.max(b.sub(n, first), zero), 2);
  Value removed = b.min(b.max(b.sub(n, frame.emit(op.getTokens())), zero), most);
  Value base = b.add(first, b.sub(sources, removed)); // of targets
  b.loop(zero, b.min(first, n), 1, [&](Value i) { b.store(i, place(i), 8); });
  b.loop(zero, sources, 1, {first}, [&](Value source, ValueRange carried) {
    Value goes = b.less(countBetter(source), removed);
    Value target = arith::ExtSIOp::create(b, b.getI64Type(), b.load(b.getI32Type(), floatAt(to, source)));
    Value there = op.getPrune() ? b.i64(-1) : b.add(base, target);
    b.store(b.select(goes, there, carried[0]), place(b.add(b.mul(source, 2), layout.firstSource())), 8);
    return SmallVector<Value>{b.add(carried[0], b.select(goes, zero, b.i64(1)))};
  });
  b.loop(zero, targets, 1, [&](Value target) {
    b.store(b.add(base, target), place(b.add(b.mul(target, 2), layout.firstTarget())), 8);
  });
}

void ScoreEmitter::emit() {
  n = frame.dim(op.getMetric(), 1);
  sources = countFrom(layout.firstSource());
  targets = countFrom(layout.firstTarget());
  panels = b.ceilDiv(targets, layout.lanes);
  placeScratch();
  Value tokens = frame.argument(op.getMetric()), maps = frame.result(0);
  int64_t width = op.getMetric().getType().getDimSize(2) * element.bytes();
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value sequence) {
    Value token = b.mul(sequence, n);
    input = b.at(tokens, b.mul(token, width));
    map = b.at(maps, b.mul(token, 8));
    averageAll();
    packTargets();
    findBest();
    writeMap();
  });
}

std::string codegen::whyNotTokenScore(tfm::TokenScoreOp op) {
  Element element = Element::of(op.getMetric());
  if (!element.isFloat() || element.isDouble())
    return "its metric is not of f32, f16 or bf16";
  return op.getMetric().getType().isDynamicDim(2) ? "the size of its heads is not known" : "";
}

DimExprAttr codegen::tokenScoreScratch(tfm::TokenScoreOp op, DimExprAttr n, const CpuTarget &target) {
  return scratchBytes(ScoreLayout(op, target), n);
}

void codegen::emitTokenScore(KernelFrame &frame, tfm::TokenScoreOp op) { ScoreEmitter(frame, op).emit(); }
