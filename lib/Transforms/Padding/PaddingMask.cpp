//===- PaddingMask.cpp - which positions a mask hides ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "PaddingMask.h"
#include "../Rewriting.h"
#include "../Splat.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// A number that is added to scores hides a key from here down: its weight is below exp(-1e4 + 2 |score|) of the largest, 0 in
/// every type. -1e4 itself is the mask of older models.
static constexpr double kHides = -9.9e3;

//===----------------------------------------------------------------------===//
// The function
//===----------------------------------------------------------------------===//

static bool movesOnly(Operation *op) { return isa<ReshapeOp, BroadcastOp>(op); }

/// The one operand that is no number; null when there is none or more than one.
static Value onlyOperand(Operation *op) {
  Value result;
  for (Value operand : op->getOperands()) {
    if (splatNumber(operand))
      continue;
    if (result && result != operand)
      return {};
    result = operand;
  }
  return result;
}

static double applyBinary(BinaryKind kind, double x, double y) {
  switch (kind) {
  case BinaryKind::Add: return x + y;
  case BinaryKind::Sub: return x - y;
  case BinaryKind::Mul: return x * y;
  case BinaryKind::Div: return x / y;
  case BinaryKind::Max: return std::max(x, y);
  case BinaryKind::Min: return std::min(x, y);
  case BinaryKind::And: return x != 0 && y != 0;
  case BinaryKind::Or: return x != 0 || y != 0;
  case BinaryKind::Xor: return (x != 0) != (y != 0);
  default: return std::nan("");
  }
}

static bool applyCompare(CompareKind kind, double x, double y) {
  switch (kind) {
  case CompareKind::Eq: return x == y;
  case CompareKind::Ne: return x != y;
  case CompareKind::Lt: return x < y;
  case CompareKind::Le: return x <= y;
  case CompareKind::Gt: return x > y;
  case CompareKind::Ge: return x >= y;
  }
  llvm_unreachable("a case of the enum");
}

static double applyUnary(UnaryKind kind, double x) {
  switch (kind) {
  case UnaryKind::Neg: return -x;
  case UnaryKind::Abs: return std::abs(x);
  case UnaryKind::Not: return x == 0;
  case UnaryKind::Relu: return std::max(x, 0.0);
  default: return std::nan("");
  }
}

static double applyCast(Type type, double x) {
  if (type.isInteger(1))
    return x != 0;
  if (type.isInteger())
    return std::trunc(x);
  return type.isF64() ? x : double(float(x));
}

/// What `value` holds where the source holds `x`; NaN for a function that is not known.
static double evaluate(Value value, Value source, double x) {
  if (value == source)
    return x;
  if (auto number = splatNumber(value))
    return *number;
  Operation *op = value.getDefiningOp();
  if (!op || (!movesOnly(op) && !isElementwise(op)))
    return std::nan("");
  auto operand = [&](unsigned i) { return evaluate(op->getOperand(i), source, x); };
  if (movesOnly(op))
    return operand(0);
  if (auto cast = dyn_cast<CastOp>(op))
    return applyCast(getElementTypeOrSelf(cast.getType()), operand(0));
  if (auto unary = dyn_cast<UnaryOp>(op))
    return applyUnary(unary.getKind(), operand(0));
  if (auto binary = dyn_cast<BinaryOp>(op))
    return applyBinary(binary.getKind(), operand(0), operand(1));
  if (auto compare = dyn_cast<CompareOp>(op))
    return applyCompare(compare.getKind(), operand(0), operand(1));
  return operand(0) != 0 ? operand(1) : operand(2); // select
}

//===----------------------------------------------------------------------===//
// Where batch and sequence stand
//===----------------------------------------------------------------------===//

/// Positions of the dimensions that are not 1.
static SmallVector<int64_t> wideAxes(ArrayRef<DimExprAttr> dims) {
  SmallVector<int64_t> result;
  for (auto [i, dim] : llvm::enumerate(dims))
    if (!dim.isConstant(1))
      result.push_back(i);
  return result;
}

/// Moves the axes of a function of `op`'s only operand to those of its result. False where they are lost.
static bool follow(MaskFunction &f, Operation *op, Value operand, SymbolicShapes &shapes) {
  Dims from = shapes.dims(operand), to = shapes.dims(op->getResult(0));
  if (isa<ReshapeOp>(op)) {
    SmallVector<int64_t> before = wideAxes(from), after = wideAxes(to);
    if (before.size() != after.size())
      return false;
    for (int64_t *axis : {&f.batchAxis, &f.sequenceAxis})
      if (*axis >= 0)
        *axis = after[llvm::find(before, *axis) - before.begin()];
    return true;
  }
  for (int64_t *axis : {&f.batchAxis, &f.sequenceAxis})
    if (*axis >= 0)
      *axis += int64_t(to.size()) - int64_t(from.size());
  return true;
}

/// What a mask may be a function of: bools, or numbers that the caller gives.
static bool isSource(Value value, SymbolicShapes &shapes) {
  return shapes.dims(value).size() == 2 && (isa<BlockArgument>(value) || getElementTypeOrSelf(value.getType()).isInteger(1));
}

/// The operations from `value` up to `source`, or to the farthest value that may be one when that is null.
static std::optional<MaskFunction> functionOf(Value value, Value source, SymbolicShapes &shapes) {
  SmallVector<std::pair<Operation *, Value>> chain;
  size_t length = 0;
  bool found = isSource(value, shapes) && (!source || source == value);
  Value best = found ? value : Value();
  for (Value at = value; at != source || !source;) {
    Operation *op = at.getDefiningOp();
    Value operand = op && (movesOnly(op) || isElementwise(op)) ? onlyOperand(op) : Value();
    if (!operand)
      break;
    chain.push_back({op, operand});
    at = operand;
    if (source ? at == source : isSource(at, shapes)) {
      best = at;
      length = chain.size();
    }
  }
  if (!best)
    return std::nullopt;
  Dims dims = shapes.dims(best);
  MaskFunction f{best, dims[0].isConstant(1) ? -1 : 0, dims[1].isConstant(1) ? -1 : 1};
  for (auto [op, operand] : llvm::reverse(ArrayRef(chain).take_front(length)))
    if (!follow(f, op, operand, shapes))
      return std::nullopt;
  return f;
}

/// 0, 1, and what the source is compared with on the way to `value`.
static void collectValues(Value value, Value source, std::set<double> &values) {
  values.insert({0, 1});
  for (Value at = value; at != source;) {
    Operation *op = at.getDefiningOp();
    if (isa<CompareOp>(op))
      for (Value operand : op->getOperands())
        if (auto number = splatNumber(operand))
          values.insert(*number);
    at = onlyOperand(op);
  }
}

//===----------------------------------------------------------------------===//
// PaddingMask
//===----------------------------------------------------------------------===//

std::optional<PaddingMask> PaddingMask::of(AttentionOp attention, SymbolicShapes &shapes, std::string &reason) {
  auto no = [&](const Twine &why) {
    reason = why.str();
    return std::nullopt;
  };
  Value mask = attention.getMask();
  if (!mask)
    return no("it has no mask over keys");
  auto f = functionOf(mask, Value(), shapes);
  if (!f)
    return no("its mask follows from no value [batch, sequence] element by element");
  Dims dims = shapes.dims(mask), of = shapes.dims(f->source);
  PaddingMask result;
  result.batch = of[0], result.sequence = of[1], result.source = f->source, result.mask = mask;
  if (f->sequenceAxis != 3 || (f->batchAxis != 0 && f->batchAxis != -1) || !dims[1].isConstant(1) || !dims[2].isConstant(1))
    return no("its mask is none over keys alone");
  bool isBool = getElementTypeOrSelf(mask.getType()).isInteger(1);
  std::set<double> values;
  collectValues(mask, f->source, values);
  for (double x : values) {
    double y = evaluate(mask, f->source, x);
    bool real = isBool ? y != 0 : y == 0;
    if (std::isnan(y) || (!real && !isBool && y > kHides))
      return no("its mask adds other numbers than 0 and those that hide a key");
    (real ? result.seen : result.hidden).insert(x);
  }
  if (result.seen.empty() || result.hidden.empty())
    return no("its mask hides all keys or none");
  return result;
}

bool PaddingMask::agreesWith(AttentionOp attention, SymbolicShapes &shapes) const {
  if (attention.getMask() == mask)
    return true;
  std::string reason;
  auto other = of(attention, shapes, reason);
  return other && other->source == source && other->hidden == hidden && other->seen == seen;
}

bool PaddingMask::isAtPadding(Value value, double expected, SymbolicShapes &shapes) const {
  auto f = functionOf(value, source, shapes);
  if (!f || (f->batchAxis != 0 && !batch.isConstant(1)) || f->sequenceAxis != 1)
    return false;
  return llvm::all_of(hidden, [&](double x) { return evaluate(value, source, x) == expected; });
}
