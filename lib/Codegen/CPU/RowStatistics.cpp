//===- RowStatistics.cpp - sums and maxima of one row in vectors -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RowStatistics.h"
#include "RowGroups.h"
#include "RowNorms.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include <numeric>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::BinaryKind;
using tfm::DimExprAttr;
using tfm::ReduceKind;

//===----------------------------------------------------------------------===//
// Vectors along a row
//===----------------------------------------------------------------------===//

/// The first `count` lanes, a number known at run time or now.
static Value maskOf(KernelBuilder &b, Value count) {
  if (APInt known; matchPattern(count, m_ConstantInt(&known))) {
    SmallVector<bool> bits(b.target().lanes());
    std::fill_n(bits.begin(), known.getZExtValue(), true);
    return arith::ConstantOp::create(b, DenseElementsAttr::get(b.maskType(), ArrayRef<bool>(bits)));
  }
  SmallVector<int32_t> lanes(b.target().lanes());
  std::iota(lanes.begin(), lanes.end(), 0);
  Value numbers = arith::ConstantOp::create(b, b.getI32VectorAttr(lanes));
  Value limit = b.broadcast(arith::TruncIOp::create(b, b.getI32Type(), count));
  return arith::CmpIOp::create(b, arith::CmpIPredicate::slt, numbers, limit);
}

void codegen::forEachVector(ValueEmitter &values, Value first, Value end, std::optional<int64_t> width,
                            function_ref<void(Value column, Value mask)> body) {
  KernelBuilder &b = values.builder();
  int64_t lanes = b.target().lanes();
  Value whole = width ? b.add(first, *width / lanes * lanes)
                      : b.add(first, b.mul(b.div(b.sub(end, first), lanes), lanes));
  b.loop(first, whole, lanes, [&](Value column) { body(column, Value()); });
  if (width && *width % lanes == 0)
    return;
  Value rest = width ? b.i64(*width % lanes) : b.sub(end, whole);
  if (width)
    return body(whole, maskOf(b, rest));
  b.ifThen(b.less(b.i64(0), rest), [&] { body(whole, maskOf(b, rest)); });
}

static BinaryKind combiner(ReduceKind kind) {
  switch (kind) {
  case ReduceKind::AbsMax: // of magnitudes
  case ReduceKind::Max: return BinaryKind::Max;
  case ReduceKind::Min: return BinaryKind::Min;
  case ReduceKind::Prod: return BinaryKind::Mul;
  default: return BinaryKind::Add;
  }
}

static vector::CombiningKind combiningKind(ReduceKind kind) {
  switch (kind) {
  case ReduceKind::AbsMax:
  case ReduceKind::Max: return vector::CombiningKind::MAXIMUMF;
  case ReduceKind::Min: return vector::CombiningKind::MINIMUMF;
  case ReduceKind::Prod: return vector::CombiningKind::MUL;
  default: return vector::CombiningKind::ADD;
  }
}

RowStatistics::RowStatistics(ValueEmitter &values, Value row)
    : values(values), b(values.builder()), ops(values.elements()), row(row), f32(Element::of(b.getF32Type())) {
  kern::KernelOp kernel = values.kernelFrame().kernel();
  offsets = rowScratch(kernel, shapes, ScratchLayout(kernel, shapes).bytes);
}

/// A function that needs many registers stands between `value` and the memory that it comes from.
bool RowStatistics::isLong(Value value) const {
  Operation *op = value.getDefiningOp();
  if (!op || kept.contains(value))
    return false;
  auto unary = dyn_cast<tfm::UnaryOp>(op);
  bool cheap = !unary || llvm::is_contained({tfm::UnaryKind::Neg, tfm::UnaryKind::Abs, tfm::UnaryKind::Relu, tfm::UnaryKind::Sqrt},
                                            unary.getKind());
  return !cheap || llvm::any_of(op->getOperands(), [&](Value operand) { return isLong(operand); });
}

Site RowStatistics::siteAt(Value column) const {
  Site site = Site::rows(row, column);
  site.lane = 1;
  site.aligned = true;
  return site;
}

/// Folds a row with several accumulators, which are joined in a fixed order at the end. A long step has one: its own
/// arithmetic hides the latency, and four of them side by side would not fit the registers.
Value RowStatistics::fold(DimExprAttr width, ReduceKind kind, bool isLong, Step step) {
  int64_t lanes = b.target().lanes();
  Value neutral = ops.toVector(kind == ReduceKind::Max    ? ops.lowest(f32)
                               : kind == ReduceKind::Min  ? ops.highest(f32)
                               : kind == ReduceKind::Prod ? ops.constant(f32, 1.0)
                                                          : ops.constant(f32, 0.0));
  auto fixed = width.asConstant();
  int64_t unroll = isLong ? 1 : 4;
  while (fixed && unroll > 1 && (*fixed < lanes || (*fixed / lanes) % unroll != 0))
    --unroll;
  Value count = values.extent(width), whole = b.mul(b.div(count, lanes), lanes);
  Value unrolled = b.mul(b.div(count, lanes * unroll), lanes * unroll);
  SmallVector<Value> sums(unroll, neutral);
  sums = b.loop(b.i64(0), unrolled, lanes * unroll, sums, [&](Value column, ValueRange carried) {
    SmallVector<Value> next;
    for (int64_t i = 0; i < unroll; ++i)
      next.push_back(step(carried[i], siteAt(b.add(column, i * lanes))));
    return next;
  });
  if (!fixed)
    sums[0] = b.loop(unrolled, whole, lanes, {sums[0]}, [&](Value column, ValueRange carried) {
      return SmallVector<Value>{step(carried[0], siteAt(column))};
    })[0];
  auto tail = [&](Value sum) {
    Site site = siteAt(whole);
    site.mask = maskOf(b, b.sub(count, whole));
    return arith::SelectOp::create(b, site.mask, step(sum, site), sum).getResult();
  };
  if (!fixed)
    sums[0] = values.choose(
        b.less(whole, count), [&] { return SmallVector<Value>{tail(sums[0])}; },
        [&] { return SmallVector<Value>{sums[0]}; })[0];
  else if (*fixed % lanes != 0)
    sums[0] = tail(sums[0]);
  for (size_t stride = 1; stride < sums.size(); stride *= 2)
    for (size_t i = 0; i + stride < sums.size(); i += 2 * stride)
      sums[i] = ops.binary(combiner(kind), f32, sums[i], sums[i + stride]);
  return vector::ReductionOp::create(b, combiningKind(kind), sums[0]);
}

//===----------------------------------------------------------------------===//
// Scratch rows
//===----------------------------------------------------------------------===//

bool RowStatistics::isHere(const Site &site) const {
  return site.form == Site::Form::Rows && site.indices[0] == row;
}

/// The input at a site, on its first pass: it goes to scratch as well, unless reading it again is a plain load.
Value RowStatistics::readInput(const Site &site) {
  Value x = values.vectorAt(input, site);
  if (memory)
    b.store(x, b.at(memory, b.mul(site.indices[1], 4)));
  return x;
}

/// After the first pass: from now on the input is read from scratch.
void RowStatistics::keepInput() {
  if (memory)
    bindScratch(input, Value());
  kept.insert(input);
}

/// `tensor` is `factor` (if any) times what stands in `memory`. Lanes that do not exist are whatever stands there.
void RowStatistics::bindScratch(Value tensor, Value factor) {
  KernelBuilder &b = this->b;
  values.bind(tensor, [this, &b, from = memory, factor](const Site &site) -> Value {
    if (!isHere(site))
      return {};
    Value pointer = b.at(from, b.mul(site.indices[1], 4));
    Value x = site.isVector() ? b.loadVector(pointer) : b.loadF32(pointer);
    return factor ? ops.binary(BinaryKind::Mul, f32, x, factor) : x;
  });
}

//===----------------------------------------------------------------------===//
// Statistics
//===----------------------------------------------------------------------===//

void RowStatistics::prepare(Operation *op) {
  input = op->getOperand(0);
  width = values.dims(input).back();
  Operation *producer = input.getDefiningOp();
  bool plain = !producer || kept.contains(input) || (isa<tfm::ReshapeOp>(producer) && isa<BlockArgument>(producer->getOperand(0)));
  Value scratch = b.at(b.scratch(), values.extent(offsets.lookup(op)));
  if (isa<tfm::OutlierPositionsOp, tfm::OutlierValuesOp>(op)) {
    memory = scratch; // of results: the input stays where it is
    if (auto positions = dyn_cast<tfm::OutlierPositionsOp>(op))
      return prepare(positions);
    return prepare(cast<tfm::OutlierValuesOp>(op));
  }
  // A magnitude is what the whole row is then divided by: it is read again.
  auto reduce = dyn_cast<tfm::ReduceOp>(op);
  memory = plain || (reduce && reduce.getKind() != ReduceKind::AbsMax) ? Value() : scratch;
  if (reduce)
    return prepare(reduce);
  if (auto limit = dyn_cast<tfm::OutlierLimitOp>(op))
    return prepare(limit);
  if (auto norm = dyn_cast<tfm::LayerNormOp>(op))
    return prepare(norm);
  if (auto norm = dyn_cast<tfm::RmsNormOp>(op))
    return prepare(norm);
  prepare(cast<tfm::SoftmaxOp>(op));
}

void RowStatistics::prepare(tfm::ReduceOp op) {
  Value total = fold(width, op.getKind(), isLong(input), [&](Value sum, const Site &site) {
    if (op.getKind() == ReduceKind::AbsMax)
      return ops.largerMagnitude(sum, readInput(site));
    return ops.binary(combiner(op.getKind()), f32, sum, readInput(site));
  });
  if (memory)
    keepInput();
  if (op.getKind() == ReduceKind::Mean)
    total = ops.binary(BinaryKind::Div, f32, total, ops.cast(Element::of(b.getI64Type()), f32, values.extent(width)));
  bindNumber(op.getResult(), total);
}

void RowStatistics::prepare(tfm::SoftmaxOp op) {
  Value max = fold(width, ReduceKind::Max, isLong(input), [&](Value sum, const Site &site) {
    return ops.binary(BinaryKind::Max, f32, sum, readInput(site));
  });
  keepInput();
  bool wasKept = bool(memory);
  Value top = b.broadcast(max);
  memory = b.at(b.scratch(), values.extent(offsets.lookup(op)));
  Value sum = fold(width, ReduceKind::Sum, /*isLong=*/true, [&](Value sum, const Site &site) {
    Value power = emitExp(b, arith::SubFOp::create(b, values.vectorAt(input, site), top));
    b.store(power, b.at(memory, b.mul(site.indices[1], 4)));
    return b.addf(sum, power);
  });
  if (wasKept) { // the powers stand where the input stood: who else needs it computes it again
    values.bind(input, [](const Site &) { return Value(); });
    kept.erase(input);
  }
  bindScratch(op.getResult(), arith::DivFOp::create(b, b.f32(1.0f), sum));
}

void RowStatistics::prepare(tfm::LayerNormOp op) {
  Value size = ops.cast(Element::of(b.getI64Type()), f32, values.extent(width));
  Value sum = fold(width, ReduceKind::Sum, isLong(input),
                   [&](Value sum, const Site &site) { return b.addf(sum, readInput(site)); });
  keepInput();
  Value mean = arith::DivFOp::create(b, sum, size), centre = b.broadcast(mean);
  Value squares = fold(width, ReduceKind::Sum, isLong(input), [&](Value sum, const Site &site) {
    Value x = arith::SubFOp::create(b, values.vectorAt(input, site), centre);
    return b.fma(x, x, sum);
  });
  Value variance = b.addf(arith::DivFOp::create(b, squares, size), ops.constant(f32, APFloat(op.getEpsilon())));
  Value scale = arith::DivFOp::create(b, b.f32(1.0f), LLVM::SqrtOp::create(b, variance));
  values.bind(op.getResult(), [this, op, mean, scale](const Site &site) {
    return isHere(site) ? layerNormAt(values, op, site, mean, scale) : Value();
  });
}

void RowStatistics::prepare(tfm::RmsNormOp op) {
  Value squares = fold(width, ReduceKind::Sum, isLong(input), [&](Value sum, const Site &site) {
    Value x = readInput(site);
    return b.fma(x, x, sum);
  });
  keepInput();
  Value size = ops.cast(Element::of(b.getI64Type()), f32, values.extent(width));
  Value mean = b.addf(arith::DivFOp::create(b, squares, size), ops.constant(f32, APFloat(op.getEpsilon())));
  Value factor = arith::DivFOp::create(b, b.f32(1.0f), LLVM::SqrtOp::create(b, mean));
  values.bind(op.getResult(), [this, op, factor](const Site &site) {
    return isHere(site) ? rmsNormAt(values, op, site, factor) : Value();
  });
}
