//===- RowFolds.cpp - sums and maxima of a row by several threads -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RowFolds.h"
#include "../CPU/RowNorms.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::BinaryKind;
using tfm::DimExprAttr;
using tfm::ReduceKind;

/// Elements that a thread keeps of its row.
static constexpr int64_t kKept = 32;

RowFolds::RowFolds(ValueEmitter &values, RowThreads &threads, Value row, int64_t elements,
                   DimExprAttr whole)
    : values(values), b(values.builder()), ops(values.elements()), threads(threads), row(row),
      elements(elements), whole(whole), f32(Element::of(b.getF32Type())) {}

//===----------------------------------------------------------------------===//
// Parts of a row
//===----------------------------------------------------------------------===//

Site RowFolds::siteAt(Value column, int64_t elements) {
  Site site = Site::rows(row, column);
  site.lane = elements > 1 ? 1 : -1;
  site.aligned = elements > 1;
  return site;
}

/// Rows of whole parts keep every part of every row aligned.
bool RowFolds::hasVectors(DimExprAttr width) const {
  auto fixed = width.asConstant();
  return elements > 1 && (fixed ? *fixed % elements == 0 : width == whole);
}

/// Runs `step` for the thread's parts, one after the other; one that does not exist changes nothing.
SmallVector<Value> RowFolds::walk(DimExprAttr width, ValueRange init, Step step) {
  auto fixed = width.asConstant();
  int64_t inPart = hasVectors(width) ? elements : 1, stride = threads.count() * inPart;
  Value first = b.mul(threads.lane(), inPart);
  if (!fixed || llvm::divideCeil(*fixed, stride) * inPart > kKept)
    return b.loop(first, values.extent(width), stride, init, [&](Value column, ValueRange carried) {
      return step(carried, siteAt(column, inPart));
    });
  SmallVector<Part> &own = parts[*fixed];
  for (int64_t start = own.size() * stride; start < *fixed; start += stride) {
    Value column = b.add(first, start), exists;
    if (start + stride > *fixed) {
      exists = b.less(column, b.i64(*fixed));
      column = b.select(exists, column, b.i64(0));
    }
    own.push_back({column, exists});
  }
  SmallVector<Value> carried(init);
  for (const Part &part : SmallVector<Part>(own)) {
    SmallVector<Value> next = step(carried, siteAt(part.column, inPart));
    for (auto [before, after] : llvm::zip(carried, next))
      before = part.exists ? b.select(part.exists, after, before) : after;
  }
  return carried;
}

void RowFolds::forEachPart(DimExprAttr width, Body body) {
  auto existing = [&](const Site &site) -> Value {
    auto fixed = width.asConstant();
    auto found = fixed ? parts.find(*fixed) : parts.end();
    if (found != parts.end())
      for (const Part &part : found->second)
        if (part.column == site.indices[1])
          return part.exists;
    return {};
  };
  walk(width, {}, [&](ValueRange, const Site &site) {
    body(site, existing(site));
    return SmallVector<Value>();
  });
}

//===----------------------------------------------------------------------===//
// Folds
//===----------------------------------------------------------------------===//

Value RowFolds::combine(ReduceKind kind, Value x, Value y) {
  switch (kind) {
  case ReduceKind::AbsMax: return ops.largerMagnitude(x, y);
  case ReduceKind::Max: return ops.binary(BinaryKind::Max, f32, x, y);
  case ReduceKind::Min: return ops.binary(BinaryKind::Min, f32, x, y);
  case ReduceKind::Prod: return ops.binary(BinaryKind::Mul, f32, x, y);
  default: return ops.binary(BinaryKind::Add, f32, x, y);
  }
}

/// Joins what the lanes of a part, then the threads of the row have.
Value RowFolds::acrossRow(Value own, RowThreads::Combine combine) {
  if (auto vector = dyn_cast<VectorType>(own.getType())) {
    SmallVector<Value> lanes;
    for (int64_t i = 0; i < vector.getNumElements(); ++i)
      lanes.push_back(vector::ExtractOp::create(b, own, i));
    for (size_t stride = 1; stride < lanes.size(); stride *= 2)
      for (size_t i = 0; i + stride < lanes.size(); i += 2 * stride)
        lanes[i] = combine(lanes[i], lanes[i + stride]);
    own = lanes[0];
  }
  return threads.reduce(own, combine);
}

/// A number for each lane of a value, or the number where that has none.
Value RowFolds::like(Value shape, Value scalar) {
  return isa<VectorType>(shape.getType()) ? ops.toVector(scalar) : scalar;
}

Value RowFolds::fold(Value tensor, ReduceKind kind, Term term) {
  DimExprAttr width = values.dims(tensor).back();
  Value neutral = kind == ReduceKind::Max    ? ops.lowest(f32)
                  : kind == ReduceKind::Min  ? ops.highest(f32)
                  : kind == ReduceKind::Prod ? ops.constant(f32, 1.0)
                                             : ops.constant(f32, 0.0);
  Value init = hasVectors(width) ? ops.toVector(neutral) : neutral;
  Value own = walk(width, {init}, [&](ValueRange carried, const Site &site) {
    return SmallVector<Value>{term(carried[0], values.vectorAt(tensor, site))};
  })[0];
  return acrossRow(own, [&](Value x, Value y) { return combine(kind, x, y); });
}

//===----------------------------------------------------------------------===//
// Statistics
//===----------------------------------------------------------------------===//

bool RowFolds::isHere(const Site &site) const {
  return site.form == Site::Form::Rows && site.indices[0] == row;
}

Value RowFolds::widthOf(Value tensor) {
  return ops.cast(Element::of(b.getI64Type()), f32, values.extent(values.dims(tensor).back()));
}

void RowFolds::prepare(Operation *op) {
  llvm::TypeSwitch<Operation *>(op)
      .Case<tfm::SoftmaxOp, tfm::LayerNormOp, tfm::RmsNormOp, tfm::ReduceOp, tfm::OutlierLimitOp,
            tfm::OutlierPositionsOp, tfm::OutlierValuesOp>([&](auto own) { prepare(own); });
}

/// A statistic of one number for each row.
void RowFolds::bindNumber(Value tensor, Value number) {
  values.bind(tensor, [this, number, tensor](const Site &site) -> Value {
    bool sameIndices = site.form == Site::Form::Full &&
                       site.indices == values.split(row, values.dims(tensor));
    return isHere(site) || sameIndices ? number : Value();
  });
}

void RowFolds::prepare(tfm::ReduceOp op) {
  Value total = fold(op.getInput(), op.getKind(),
                     [&](Value sum, Value x) { return combine(op.getKind(), sum, x); });
  if (op.getKind() == ReduceKind::Mean)
    total = ops.binary(BinaryKind::Div, f32, total, widthOf(op.getInput()));
  bindNumber(op.getResult(), total);
}

void RowFolds::prepare(tfm::SoftmaxOp op) {
  Value input = op.getInput();
  Value max = fold(input, ReduceKind::Max,
                   [&](Value most, Value x) { return combine(ReduceKind::Max, most, x); });
  auto power = [this, max](Value x) {
    return emitExp(b, arith::SubFOp::create(b, x, like(x, max)));
  };
  Value sum = fold(input, ReduceKind::Sum, [&](Value sum, Value x) { return b.addf(sum, power(x)); });
  Value factor = arith::DivFOp::create(b, b.f32(1.0f), sum);
  // The same powers once more, which LLVM finds in registers.
  values.bind(op.getResult(), [this, input, power, factor](const Site &site) -> Value {
    if (!isHere(site))
      return {};
    return ops.binary(BinaryKind::Mul, f32, power(values.at(input, site)), factor);
  });
}

void RowFolds::prepare(tfm::LayerNormOp op) {
  Value input = op.getInput(), size = widthOf(input);
  Value sum = fold(input, ReduceKind::Sum, [&](Value sum, Value x) { return b.addf(sum, x); });
  Value mean = arith::DivFOp::create(b, sum, size);
  Value squares = fold(input, ReduceKind::Sum, [&](Value sum, Value x) {
    Value distance = arith::SubFOp::create(b, x, like(x, mean));
    return b.fma(distance, distance, sum);
  });
  Value epsilon = ops.constant(f32, APFloat(op.getEpsilon()));
  Value variance = b.addf(arith::DivFOp::create(b, squares, size), epsilon);
  Value scale = arith::DivFOp::create(b, b.f32(1.0f), LLVM::SqrtOp::create(b, variance));
  values.bind(op.getResult(), [this, op, mean, scale](const Site &site) {
    return isHere(site) ? layerNormAt(values, op, site, mean, scale) : Value();
  });
}

void RowFolds::prepare(tfm::RmsNormOp op) {
  Value input = op.getInput();
  Value squares =
      fold(input, ReduceKind::Sum, [&](Value sum, Value x) { return b.fma(x, x, sum); });
  Value epsilon = ops.constant(f32, APFloat(op.getEpsilon()));
  Value mean = b.addf(arith::DivFOp::create(b, squares, widthOf(input)), epsilon);
  Value factor = arith::DivFOp::create(b, b.f32(1.0f), LLVM::SqrtOp::create(b, mean));
  values.bind(op.getResult(), [this, op, factor](const Site &site) {
    return isHere(site) ? rmsNormAt(values, op, site, factor) : Value();
  });
}
