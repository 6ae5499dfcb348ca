//===- ValueReduce.cpp - row statistics at an index --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Reduction.h"
#include "ValueEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::BinaryKind;
using tfm::DimExprAttr;
using tfm::ReduceKind;

//===----------------------------------------------------------------------===//
// Rows that are remembered in scratch
//===----------------------------------------------------------------------===//

/// Bytes behind the row number: statistics, the weights of one query, or the positions that a top_k chose.
static DimExprAttr statisticsBytes(Operation *op, SymbolicShapes &shapes) {
  MLIRContext *context = op->getContext();
  if (isa<tfm::TopKOp>(op))
    return DimExprAttr::mul(shapes.dims(op->getResult(0))[cast<tfm::TopKOp>(op).getAxis()], DimExprAttr::constant(context, 8));
  auto attention = dyn_cast<tfm::AttentionOp>(op);
  if (!attention)
    return DimExprAttr::constant(context, 16);
  int64_t bytes = Element::of(attention.getResult()).isDouble() ? 8 : 4;
  return DimExprAttr::mul(attention.keys(shapes.dims(attention.getKey())), DimExprAttr::constant(context, bytes));
}

ScratchLayout::ScratchLayout(kern::KernelOp kernel, SymbolicShapes &shapes) {
  MLIRContext *context = kernel.getContext();
  auto constant = [&](int64_t value) { return DimExprAttr::constant(context, value); };
  bytes = constant(0);
  for (Operation &op : kernel.getBlock()) {
    if (!isa<tfm::ReduceOp, tfm::SoftmaxOp, tfm::LayerNormOp, tfm::RmsNormOp, tfm::AttentionOp, tfm::TopKOp>(op))
      continue;
    offsets[&op] = bytes;
    DimExprAttr lines = DimExprAttr::ceilDiv(statisticsBytes(&op, shapes), constant(64));
    bytes = DimExprAttr::add(bytes, DimExprAttr::mul(DimExprAttr::add(lines, constant(1)), constant(64)));
  }
}

/// Where an operation remembers a row; emptied at the entry of the function.
Value ValueEmitter::slotOf(Operation *op) {
  Value &slot = slots[op];
  if (slot)
    return slot;
  if (!layout)
    layout = std::make_unique<ScratchLayout>(frame.kernel(), layoutShapes);
  OpBuilder::InsertionGuard guard(b);
  Value offset = extent(layout->offsets.lookup(op));
  b.setInsertionPoint(anchor);
  slot = b.at(b.scratch(), offset);
  b.store(b.i64(-1), slot, 8);
  return slot;
}

SmallVector<Value> ValueEmitter::remembered(Operation *op, Value row, TypeRange types,
                                            function_ref<SmallVector<Value>()> calculate) {
  Value slot = slotOf(op), memory = b.at(slot, 64);
  Value known = b.load(b.getI64Type(), slot, 8);
  Value isOther = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, known, row);
  b.ifThen(isOther, [&] {
    SmallVector<Value> values = calculate();
    for (auto [i, value] : llvm::enumerate(values))
      b.store(value, b.at(memory, 8 * i), 1);
    b.store(row, slot, 8);
  });
  SmallVector<Value> result;
  for (auto [i, type] : llvm::enumerate(types))
    result.push_back(b.load(type, b.at(memory, 8 * i), 1));
  return result;
}

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

BinaryKind codegen::combinerOf(ReduceKind kind) {
  switch (kind) {
  case ReduceKind::Sum:
  case ReduceKind::Mean: return BinaryKind::Add;
  case ReduceKind::AbsMax: // of magnitudes
  case ReduceKind::Max: return BinaryKind::Max;
  case ReduceKind::Min: return BinaryKind::Min;
  case ReduceKind::Prod: return BinaryKind::Mul;
  case ReduceKind::All: return BinaryKind::And;
  case ReduceKind::Any: return BinaryKind::Or;
  }
  llvm_unreachable("unknown kind");
}

Value codegen::neutralOf(ElementOps &ops, Element e, ReduceKind kind) {
  switch (kind) {
  case ReduceKind::Sum:
  case ReduceKind::Mean:
  case ReduceKind::AbsMax:
  case ReduceKind::Any: return ops.constant(e, 0.0);
  case ReduceKind::Max: return ops.lowest(e);
  case ReduceKind::Min: return ops.highest(e);
  case ReduceKind::Prod:
  case ReduceKind::All: return ops.constant(e, 1.0);
  }
  llvm_unreachable("unknown kind");
}

Element codegen::accumulatorOf(Element e) {
  return e.isHalf() ? Element::of(Float32Type::get(e.stored.getContext())) : e;
}

/// The whole reduction at `site` of its result (in full form), in a nest of loops.
Value ValueEmitter::reduceAll(tfm::ReduceOp op, const Site &site) {
  tfm::Dims input = dims(op.getInput()), reduced;
  Element e = Element::of(op.getInput()), sumType = accumulatorOf(e);
  for (int64_t axis : op.getAxes())
    reduced.push_back(input[axis]);
  auto sourceAt = [&](ArrayRef<Value> inner) {
    Site source = site;
    source.indices.clear();
    source.lane = -1;
    unsigned outer = 0, next = 0;
    for (int64_t i = 0, rank = input.size(); i < rank; ++i) {
      bool isReduced = llvm::is_contained(op.getAxes(), i);
      if (site.isVector() && !isReduced && site.lane == int(outer))
        source.lane = i;
      source.indices.push_back(isReduced ? inner[next++] : site.indices[outer]);
      outer += !isReduced || op.getKeepDims();
    }
    return source;
  };
  Value init = neutralOf(ops, sumType, op.getKind());
  if (site.isVector())
    init = ops.toVector(init);
  Value total = nest(reduced, {init}, [&](ArrayRef<Value> inner, ValueRange carried) {
    Value element = vectorAt(op.getInput(), sourceAt(inner));
    if (op.getKind() == ReduceKind::AbsMax)
      element = ops.unary(tfm::UnaryKind::Abs, sumType, element);
    return SmallVector<Value>{ops.binary(combinerOf(op.getKind()), sumType, carried[0], element)};
  })[0];
  if (op.getKind() != ReduceKind::Mean)
    return ops.round(e, total);
  Value divisor = ops.cast(Element::of(b.getI64Type()), sumType,
                           extent(DimExprAttr::product(op.getContext(), reduced)));
  return ops.round(e, ops.binary(BinaryKind::Div, sumType, total, divisor));
}

Value ValueEmitter::emit(tfm::ReduceOp op, const Site &site) {
  tfm::Dims own = dims(op.getResult());
  Site full = toFull(site, own);
  if (full.isVector())
    return reduceAll(op, full);
  Type type = Element::of(op.getResult()).registerType();
  Value row = linearize(full.indices, own);
  bool isBool = type.isInteger(1); // kept as a byte
  Type kept = isBool ? Type(b.getI8Type()) : type;
  Value value = remembered(op, row, {kept}, [&] {
    Value result = reduceAll(op, full);
    return SmallVector<Value>{isBool ? arith::ExtUIOp::create(b, kept, result).getResult() : result};
  })[0];
  return isBool ? arith::TruncIOp::create(b, type, value).getResult() : value;
}

//===----------------------------------------------------------------------===//
// Softmax and layer norm
//===----------------------------------------------------------------------===//

Value ValueEmitter::emit(tfm::SoftmaxOp op, const Site &site) {
  tfm::Dims own = dims(op.getInput());
  Site full = toFull(site, own);
  unsigned axis = op.getAxis();
  if (full.isVector() && full.lane != int(axis))
    return lose(op, site);
  Element e = Element::of(op.getInput()), sumType = accumulatorOf(e);
  Type type = sumType.registerType();
  tfm::Dims others = own;
  others[axis] = DimExprAttr::constant(op.getContext(), 1);
  auto inputAt = [&](Value position) {
    Index indices = full.indices;
    indices[axis] = position;
    return at(op.getInput(), Site::full(indices));
  };
  auto statistics = remembered(op, linearize(full.indices, others), {type, type}, [&] {
    Value max = nest({own[axis]}, {ops.lowest(sumType)}, [&](ArrayRef<Value> j, ValueRange carried) {
      return SmallVector<Value>{ops.binary(BinaryKind::Max, sumType, carried[0], inputAt(j[0]))};
    })[0];
    Value sum = nest({own[axis]}, {ops.constant(sumType, 0.0)}, [&](ArrayRef<Value> j, ValueRange carried) {
      Value shifted = ops.binary(BinaryKind::Sub, sumType, inputAt(j[0]), max);
      Value power = ops.unary(tfm::UnaryKind::Exp, sumType, shifted);
      return SmallVector<Value>{ops.binary(BinaryKind::Add, sumType, carried[0], power)};
    })[0];
    return SmallVector<Value>{max, sum};
  });
  Value shifted = ops.binary(BinaryKind::Sub, sumType, at(op.getInput(), full), statistics[0]);
  Value power = ops.unary(tfm::UnaryKind::Exp, sumType, shifted);
  return ops.round(e, ops.binary(BinaryKind::Div, sumType, power, statistics[1]));
}

Value ValueEmitter::emit(tfm::LayerNormOp op, const Site &site) {
  tfm::Dims own = dims(op.getInput());
  Site full = toFull(site, own);
  unsigned axis = op.getAxis();
  if (full.isVector() && full.lane < int(axis))
    return lose(op, site);
  Element e = Element::of(op.getInput()), sumType = accumulatorOf(e);
  Type type = sumType.registerType();
  ArrayRef<DimExprAttr> outer = ArrayRef(own).take_front(axis), normalised = ArrayRef(own).drop_front(axis);
  auto binary = [&](BinaryKind kind, Value x, Value y) { return ops.binary(kind, sumType, x, y); };
  auto sumOf = [&](function_ref<Value(Value)> term) {
    return nest(normalised, {ops.constant(sumType, 0.0)}, [&](ArrayRef<Value> inner, ValueRange carried) {
      Index indices(ArrayRef(full.indices).take_front(axis));
      llvm::append_range(indices, inner);
      return SmallVector<Value>{binary(BinaryKind::Add, carried[0], term(at(op.getInput(), Site::full(indices))))};
    })[0];
  };
  DimExprAttr count = DimExprAttr::product(op.getContext(), normalised);
  Value row = linearize(ArrayRef(full.indices).take_front(axis), outer);
  auto statistics = remembered(op, row, {type, type}, [&] {
    Value size = ops.cast(Element::of(b.getI64Type()), sumType, extent(count));
    Value mean = binary(BinaryKind::Div, sumOf([](Value x) { return x; }), size);
    Value variance = sumOf([&](Value x) {
      Value centred = binary(BinaryKind::Sub, x, mean);
      return binary(BinaryKind::Mul, centred, centred);
    });
    variance = binary(BinaryKind::Add, binary(BinaryKind::Div, variance, size), ops.constant(sumType, op.getEpsilon()));
    Value deviation = ops.unary(tfm::UnaryKind::Sqrt, sumType, variance);
    return SmallVector<Value>{mean, binary(BinaryKind::Div, ops.constant(sumType, 1.0), deviation)};
  });
  Value x = binary(BinaryKind::Sub, at(op.getInput(), full), statistics[0]);
  x = binary(BinaryKind::Mul, x, statistics[1]);
  x = binary(BinaryKind::Mul, x, at(op.getScale(), operandSite(full, own, op.getScale())));
  if (op.getBias())
    x = binary(BinaryKind::Add, x, at(op.getBias(), operandSite(full, own, op.getBias())));
  return ops.round(e, x);
}

Value ValueEmitter::emit(tfm::RmsNormOp op, const Site &site) {
  tfm::Dims own = dims(op.getInput());
  Site full = toFull(site, own);
  unsigned axis = op.getAxis();
  if (full.isVector() && full.lane < int(axis))
    return lose(op, site);
  Element e = Element::of(op.getInput()), sumType = accumulatorOf(e);
  ArrayRef<DimExprAttr> outer = ArrayRef(own).take_front(axis), normalised = ArrayRef(own).drop_front(axis);
  auto binary = [&](BinaryKind kind, Value x, Value y) { return ops.binary(kind, sumType, x, y); };
  DimExprAttr count = DimExprAttr::product(op.getContext(), normalised);
  Value row = linearize(ArrayRef(full.indices).take_front(axis), outer);
  Value factor = remembered(op, row, {sumType.registerType()}, [&] {
    Value squares = nest(normalised, {ops.constant(sumType, 0.0)}, [&](ArrayRef<Value> inner, ValueRange carried) {
      Index indices(ArrayRef(full.indices).take_front(axis));
      llvm::append_range(indices, inner);
      Value x = at(op.getInput(), Site::full(indices));
      return SmallVector<Value>{binary(BinaryKind::Add, carried[0], binary(BinaryKind::Mul, x, x))};
    })[0];
    Value mean = binary(BinaryKind::Div, squares, ops.cast(Element::of(b.getI64Type()), sumType, extent(count)));
    mean = binary(BinaryKind::Add, mean, ops.constant(sumType, op.getEpsilon()));
    Value root = ops.unary(tfm::UnaryKind::Sqrt, sumType, mean);
    return SmallVector<Value>{binary(BinaryKind::Div, ops.constant(sumType, 1.0), root)};
  })[0];
  Value x = binary(BinaryKind::Mul, at(op.getInput(), full), factor);
  return ops.round(e, binary(BinaryKind::Mul, x, at(op.getScale(), operandSite(full, own, op.getScale()))));
}
