//===- IndexFunction.cpp - index tensors as affine functions -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "IndexFunction.h"
#include "DimGroups.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

using Result = std::optional<IndexFunction>;

static DimExprAttr cst(MLIRContext *context, int64_t value) {
  return DimExprAttr::constant(context, value);
}

DimExprAttr IndexFunction::largest() const {
  DimExprAttr result = base, one = cst(base.getContext(), 1);
  for (auto [coefficient, dim] : llvm::zip(coefficients, dims)) {
    if (!coefficient.isNotNegative())
      return {};
    result = DimExprAttr::add(result, DimExprAttr::mul(coefficient, DimExprAttr::sub(dim, one)));
  }
  return result;
}

bool IndexFunction::countsUp() const {
  DimExprAttr stride = cst(base.getContext(), 1);
  for (auto [coefficient, dim] : llvm::zip(llvm::reverse(coefficients), llvm::reverse(dims))) {
    if (dim.isConstant(1))
      continue;
    if (coefficient != stride)
      return false;
    stride = DimExprAttr::mul(stride, dim);
  }
  return true;
}

Result permalloy::regroup(const IndexFunction &function, ArrayRef<DimExprAttr> dims) {
  auto groups = groupDims(function.dims, dims);
  if (!groups)
    return std::nullopt;
  MLIRContext *context = function.base.getContext();
  IndexFunction result{function.base, Dims(dims.size(), cst(context, 0)), Dims(dims)};
  for (const DimGroup &group : *groups) {
    DimExprAttr step = function.coefficients[group.from.back()], stride = step;
    for (unsigned i :
         llvm::reverse(group.from)) { // the joined dimensions must be one long dimension
      if (function.coefficients[i] != stride)
        return std::nullopt;
      stride = DimExprAttr::mul(stride, function.dims[i]);
    }
    for (unsigned j : llvm::reverse(group.to)) {
      result.coefficients[j] = step;
      step = DimExprAttr::mul(step, dims[j]);
    }
  }
  return result;
}

Result permalloy::addScaled(const IndexFunction &a, const IndexFunction &b, DimExprAttr factor) {
  auto dims = broadcastDims(a.dims, b.dims);
  if (!dims)
    return std::nullopt;
  MLIRContext *context = a.base.getContext();
  IndexFunction result{DimExprAttr::add(a.base, DimExprAttr::mul(b.base, factor)),
                       Dims(dims->size(), cst(context, 0)), *dims};
  auto accumulate = [&](const IndexFunction &f, DimExprAttr by) {
    size_t shift = dims->size() - f.dims.size();
    for (size_t i = 0; i < f.dims.size(); ++i) {
      // A dimension that is neither 1 nor that of the result may be repeated or not: unknown.
      if (!f.dims[i].isConstant(1) && f.dims[i] != (*dims)[shift + i])
        return false;
      DimExprAttr &slot = result.coefficients[shift + i];
      slot = DimExprAttr::add(slot, DimExprAttr::mul(f.coefficients[i], by));
    }
    return true;
  };
  if (!accumulate(a, cst(context, 1)) || !accumulate(b, factor))
    return std::nullopt;
  return result;
}

/// Numbers that count evenly in each dimension of `shape`; `at` gives the n-th.
static Result ofNumbers(MLIRContext *context, ArrayRef<int64_t> shape, function_ref<int64_t(int64_t)> at) {
  int64_t base = at(0), count = 1;
  SmallVector<int64_t> strides(shape.size()), steps(shape.size(), 0);
  for (int64_t i = shape.size() - 1; i >= 0; --i) {
    strides[i] = count;
    if (shape[i] > 1)
      steps[i] = at(count) - base;
    count *= shape[i];
  }
  for (int64_t n = 0; n < count; ++n) {
    int64_t expected = base;
    for (size_t i = 0; i < shape.size(); ++i)
      expected += n / strides[i] % shape[i] * steps[i];
    if (at(n) != expected)
      return std::nullopt;
  }
  IndexFunction result{cst(context, base), {}, {}};
  for (auto [step, size] : llvm::zip(steps, shape)) {
    result.coefficients.push_back(cst(context, step));
    result.dims.push_back(cst(context, size));
  }
  return result;
}

static DenseIntElementsAttr integersOf(ConstantOp op) {
  auto dense = dyn_cast<DenseIntElementsAttr>(op.getValue());
  if (!dense || dense.getNumElements() == 0 || dense.getElementType().isInteger(1) || dense.getElementType().isUnsignedInteger())
    return {};
  return dense;
}

static Result ofConstant(ConstantOp op) {
  DenseIntElementsAttr dense = integersOf(op);
  if (!dense)
    return std::nullopt;
  auto values = dense.getValues<APInt>();
  return ofNumbers(op.getContext(), dense.getType().getShape(), [&](int64_t n) { return values[n].getSExtValue(); });
}

Result permalloy::columnOfConstant(ConstantOp op, int64_t column) {
  DenseIntElementsAttr dense = integersOf(op);
  if (!dense || dense.getType().getRank() == 0)
    return std::nullopt;
  auto values = dense.getValues<APInt>();
  ArrayRef<int64_t> shape = dense.getType().getShape();
  return ofNumbers(op.getContext(), shape.drop_back(),
                   [&](int64_t n) { return values[n * shape.back() + column].getSExtValue(); });
}

static Result ofBinary(BinaryOp op, SymbolicShapes &shapes) {
  Result a = indexFunction(op.getLhs(), shapes), b = indexFunction(op.getRhs(), shapes);
  if (!a || !b)
    return std::nullopt;
  MLIRContext *context = op.getContext();
  auto isNumber = [](const IndexFunction &f) {
    return llvm::all_of(f.coefficients, [](DimExprAttr c) { return c.isConstant(0); });
  };
  switch (op.getKind()) {
  case BinaryKind::Add:
    return addScaled(*a, *b, cst(context, 1));
  case BinaryKind::Sub:
    return addScaled(*a, *b, cst(context, -1));
  case BinaryKind::Mul: {
    if (!isNumber(*b))
      std::swap(a, b);
    if (!isNumber(*b))
      return std::nullopt;
    IndexFunction zero{cst(context, 0), b->coefficients, b->dims};
    return addScaled(zero, *a, b->base);
  }
  default:
    return std::nullopt;
  }
}

static Result ofBroadcast(BroadcastOp op, SymbolicShapes &shapes) {
  Result input = indexFunction(op.getInput(), shapes);
  if (!input)
    return std::nullopt;
  Dims dims = shapes.dims(op.getResult());
  IndexFunction zero{cst(op.getContext(), 0), Dims(dims.size(), cst(op.getContext(), 0)), dims};
  Result result = addScaled(zero, *input, cst(op.getContext(), 1));
  return result && result->dims == dims ? result : std::nullopt;
}

static Result ofSlice(SliceOp op, SymbolicShapes &shapes) {
  Result input = indexFunction(op.getInput(), shapes);
  if (!input || !op.getSizes())
    return std::nullopt;
  Dims offsets = dimsOf(*op.getOffsets());
  input->dims = dimsOf(*op.getSizes());
  for (size_t i = 0; i < offsets.size(); ++i) {
    DimExprAttr &coefficient = input->coefficients[i];
    input->base = DimExprAttr::add(input->base, DimExprAttr::mul(coefficient, offsets[i]));
    coefficient = DimExprAttr::mul(coefficient, cst(op.getContext(), (*op.getStrides())[i]));
  }
  return input;
}

Result permalloy::indexFunction(Value value, SymbolicShapes &shapes) {
  Operation *op = value.getDefiningOp();
  MLIRContext *context = value.getContext();
  if (!op || !isa<IntegerType>(getElementTypeOrSelf(value.getType())))
    return std::nullopt;
  if (auto constant = dyn_cast<ConstantOp>(op))
    return ofConstant(constant);
  if (auto values = dyn_cast<DimValuesOp>(op); values && values.getValues().size() == 1) {
    Dims dims = shapes.dims(value);
    return IndexFunction{dimsOf(values.getValues()).front(), Dims(dims.size(), cst(context, 0)),
                         dims};
  }
  if (auto range = dyn_cast<RangeOp>(op); range && range.getSize())
    return IndexFunction{*range.getFrom(), {cst(context, range.getStep())}, {*range.getSize()}};
  if (auto cast = dyn_cast<CastOp>(op))
    return cast.getType().getElementTypeBitWidth() >= 32 ? indexFunction(cast.getInput(), shapes)
                                                         : std::nullopt;
  if (auto reshape = dyn_cast<ReshapeOp>(op)) {
    Result input = indexFunction(reshape.getInput(), shapes);
    return input ? regroup(*input, shapes.dims(value)) : std::nullopt;
  }
  if (auto broadcast = dyn_cast<BroadcastOp>(op))
    return ofBroadcast(broadcast, shapes);
  if (auto slice = dyn_cast<SliceOp>(op))
    return ofSlice(slice, shapes);
  if (auto binary = dyn_cast<BinaryOp>(op))
    return ofBinary(binary, shapes);
  return std::nullopt;
}
