//===- TfmShapes.cpp - shape rules of the operations -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One rule per operation, asked by the verifier (through TypeOracle), by the importer and by Analysis/SymbolicShapes.
// A null dimension means "unknown"; arithmetic on it gives null again.
//
//===----------------------------------------------------------------------===//

#include "Tfm/Tfm.h"

using namespace mlir;
using namespace permalloy::tfm;

using Contents = std::optional<Dims>;

namespace {

DimExprAttr cst(MLIRContext *context, int64_t value) { return DimExprAttr::constant(context, value); }

LogicalResult fail(std::string &error, const Twine &message) {
  error = message.str();
  return failure();
}

/// Both known and different: an error.
bool differ(DimExprAttr a, DimExprAttr b) {
  return a && b && a.asConstant() && b.asConstant() && a != b;
}

/// `dims` broadcasts with `target` and does not widen it.
bool broadcastsTo(ArrayRef<DimExprAttr> dims, ArrayRef<DimExprAttr> target) {
  auto joined = permalloy::tfm::broadcastDims(target, dims);
  return dims.size() <= target.size() && joined &&
         llvm::none_of(llvm::zip(*joined, target), [](auto pair) { return differ(std::get<0>(pair), std::get<1>(pair)); });
}

/// Broadcasts all operands of an elementwise operation.
LogicalResult broadcastOperands(Operation *op, ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims result = oracle.dims(op->getOperand(0));
  for (Value operand : op->getOperands().drop_front()) {
    Dims next = oracle.dims(operand);
    auto joined = permalloy::tfm::broadcastDims(result, next);
    if (!joined)
      return fail(error, "shapes " + str(result) + " and " + str(next) + " do not broadcast (" + op->getName().stripDialect() + "_c2)");
    result = *joined;
  }
  dims = result;
  return success();
}

DimExprAttr product(MLIRContext *context, ArrayRef<DimExprAttr> dims) {
  DimExprAttr result = cst(context, 1);
  for (DimExprAttr dim : dims)
    result = DimExprAttr::mul(result, dim);
  return result;
}

int64_t rankOf(Value value) { return cast<RankedTensorType>(value.getType()).getRank(); }

/// Contents that `value` may broadcast to `count` elements.
std::optional<DimExprAttr> elementAt(const Dims &contents, size_t index) {
  if (contents.size() == 1)
    return contents.front();
  return index < contents.size() ? std::optional(contents[index]) : std::nullopt;
}

} // namespace

//===----------------------------------------------------------------------===//
// Helpers of the header
//===----------------------------------------------------------------------===//

Dims permalloy::tfm::dimsOfType(RankedTensorType type) {
  Dims dims;
  for (int64_t extent : type.getShape())
    dims.push_back(ShapedType::isDynamic(extent) ? DimExprAttr() : cst(type.getContext(), extent));
  return dims;
}

SmallVector<int64_t> permalloy::tfm::staticShape(ArrayRef<DimExprAttr> dims) {
  SmallVector<int64_t> shape;
  for (DimExprAttr dim : dims)
    shape.push_back(dim && dim.asConstant() ? *dim.asConstant() : ShapedType::kDynamic);
  return shape;
}

DimExprAttr permalloy::tfm::broadcastDim(DimExprAttr lhs, DimExprAttr rhs, bool &ok) {
  ok = true;
  if (lhs == rhs)
    return lhs;
  auto constantOf = [](DimExprAttr d) { return d ? d.asConstant() : std::nullopt; };
  auto a = constantOf(lhs), b = constantOf(rhs);
  if (a == 1)
    return rhs;
  if (b == 1)
    return lhs;
  if (a && b) {
    ok = false;
    return {};
  }
  if (a || b) // the other side is 1 or the same at run time
    return a ? lhs : rhs;
  return DimExprAttr::max(lhs, rhs);
}

std::optional<Dims> permalloy::tfm::broadcastDims(ArrayRef<DimExprAttr> lhs, ArrayRef<DimExprAttr> rhs) {
  if (lhs.size() < rhs.size())
    std::swap(lhs, rhs);
  Dims result(lhs);
  size_t shift = lhs.size() - rhs.size();
  for (size_t i = 0; i < rhs.size(); ++i) {
    bool ok;
    result[shift + i] = broadcastDim(lhs[shift + i], rhs[i], ok);
    if (!ok)
      return std::nullopt;
  }
  return result;
}

ArrayAttr permalloy::tfm::dimArray(MLIRContext *context, ArrayRef<DimExprAttr> dims) {
  return ArrayAttr::get(context, SmallVector<Attribute>(dims.begin(), dims.end()));
}

Dims permalloy::tfm::dimsOf(ArrayAttr array) {
  return llvm::map_to_vector(array, [](Attribute a) { return cast<DimExprAttr>(a); });
}

std::string permalloy::tfm::str(ArrayRef<DimExprAttr> dims) {
  std::string text = "[";
  for (auto [i, dim] : llvm::enumerate(dims))
    text += (i ? ", " : "") + (dim ? dim.str() : "?");
  return text + "]";
}

Dims TypeOracle::dims(Value value) { return dimsOfType(cast<RankedTensorType>(value.getType())); }

Contents TypeOracle::contents(Value value) {
  auto op = value.getDefiningOp<ConstantOp>();
  return op ? op.inferContents(*this) : Contents();
}

LogicalResult permalloy::tfm::inferResultType(Operation *op, ShapeOracle &oracle, Type elementType) {
  auto shaped = cast<ShapeOpInterface>(op);
  Dims dims;
  std::string error;
  if (failed(shaped.inferDims(oracle, dims, error)))
    return op->emitError(error);
  if (Type inferred = shaped.inferElementType())
    elementType = inferred;
  op->getResult(0).setType(RankedTensorType::get(staticShape(dims), elementType));
  return success();
}

//===----------------------------------------------------------------------===//
// Sources
//===----------------------------------------------------------------------===//

LogicalResult ConstantOp::inferDims(ShapeOracle &, Dims &dims, std::string &) {
  dims = dimsOfType(cast<RankedTensorType>(getValue().getShapedType()));
  return success();
}
Type ConstantOp::inferElementType() { return getValue().getElementType(); }
Contents ConstantOp::inferContents(ShapeOracle &) {
  auto dense = dyn_cast<DenseIntElementsAttr>(getValue());
  if (!dense || dense.getType().getRank() > 1 || dense.getNumElements() > 64)
    return std::nullopt;
  bool isBool = dense.getElementType().isInteger(1);
  Dims result;
  for (APInt element : dense.getValues<APInt>())
    result.push_back(cst(getContext(), isBool ? element.getZExtValue() : element.getSExtValue()));
  return result;
}

LogicalResult DimValuesOp::inferDims(ShapeOracle &, Dims &dims, std::string &) {
  dims = dimsOfType(cast<RankedTensorType>(getType()));
  return success();
}
Type DimValuesOp::inferElementType() { return cast<RankedTensorType>(getType()).getElementType(); }
Contents DimValuesOp::inferContents(ShapeOracle &) { return dimsOf(getValues()); }

LogicalResult ShapeOfOp::inferDims(ShapeOracle &, Dims &dims, std::string &) {
  dims = {cst(getContext(), rankOf(getInput()))};
  return success();
}
Type ShapeOfOp::inferElementType() { return IntegerType::get(getContext(), 64); }
Contents ShapeOfOp::inferContents(ShapeOracle &oracle) { return oracle.dims(getInput()); }

LogicalResult RangeOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &) {
  if (getSize()) {
    dims = {*getSize()};
    return success();
  }
  auto scalar = [&](unsigned i) -> DimExprAttr {
    Contents c = oracle.contents(getBounds()[i]);
    return c && c->size() == 1 ? c->front() : DimExprAttr();
  };
  DimExprAttr start = scalar(0), limit = scalar(1), delta = scalar(2);
  // The count of a rising range of unknown ends is not negative for a model that runs; max(0, .) would only hide it.
  DimExprAttr count = DimExprAttr::ceilDiv(DimExprAttr::sub(limit, start), delta);
  if (count && count.asConstant() && *count.asConstant() < 0)
    count = cst(getContext(), 0);
  dims = {count};
  return success();
}
Type RangeOp::inferElementType() { return getBounds().empty() ? Type() : getElementTypeOrSelf(getBounds()[0].getType()); }
Contents RangeOp::inferContents(ShapeOracle &oracle) {
  Dims dims;
  std::string error;
  if (failed(inferDims(oracle, dims, error)) || !dims[0] || !dims[0].asConstant() || *dims[0].asConstant() > 64)
    return std::nullopt;
  DimExprAttr start, delta;
  if (getSize()) {
    start = *getFrom();
    delta = cst(getContext(), getStep());
  } else {
    Contents s = oracle.contents(getBounds()[0]), d = oracle.contents(getBounds()[2]);
    if (!s || !d)
      return std::nullopt;
    start = s->front();
    delta = d->front();
  }
  Dims result;
  for (int64_t i = 0; i < *dims[0].asConstant(); ++i)
    result.push_back(DimExprAttr::add(start, DimExprAttr::mul(cst(getContext(), i), delta)));
  return result;
}

//===----------------------------------------------------------------------===//
// Structure
//===----------------------------------------------------------------------===//

LogicalResult ReshapeOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  if (getDims()) {
    dims = dimsOf(*getDims());
    return success();
  }
  Dims input = oracle.dims(getInput());
  Contents shape = oracle.contents(getShape());
  if (!shape) {
    Dims length = oracle.dims(getShape());
    if (!length[0] || !length[0].asConstant())
      return fail(error, "the shape operand of a reshape has a dynamic length; a result of unknown rank is unsupported");
    dims.assign(*length[0].asConstant(), DimExprAttr());
    return success();
  }
  dims = *shape;
  std::optional<size_t> inferred;
  DimExprAttr known = cst(getContext(), 1);
  for (auto [i, dim] : llvm::enumerate(dims)) {
    if (dim && dim.isConstant(0) && !getAllowZero()) {
      if (i >= input.size())
        return fail(error, "shape element " + Twine(i) + " is 0 (copy) but the input has rank " + Twine(input.size()) + " (reshape_c3)");
      dim = input[i];
    }
    if (dim && dim.isConstant(-1)) {
      if (inferred)
        return fail(error, "more than one dimension of the shape is -1 (reshape_c3)");
      inferred = i;
    } else {
      known = DimExprAttr::mul(known, dim);
    }
  }
  if (inferred)
    dims[*inferred] = DimExprAttr::floorDiv(product(getContext(), input), known);
  return success();
}
Contents ReshapeOp::inferContents(ShapeOracle &oracle) {
  return rankOf(getResult()) <= 1 ? oracle.contents(getInput()) : Contents();
}

LogicalResult BroadcastOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims input = oracle.dims(getInput());
  if (getDims()) {
    dims = dimsOf(*getDims());
    if (!broadcastsTo(input, dims))
      return fail(error, "input " + str(input) + " does not broadcast to " + str(dims) + " (broadcast_c2)");
    return success();
  }
  Contents shape = oracle.contents(getShape());
  if (!shape) {
    Dims length = oracle.dims(getShape());
    if (!length[0] || !length[0].asConstant())
      return fail(error, "the shape operand of a broadcast has a dynamic length; a result of unknown rank is unsupported");
    dims.assign(std::max<size_t>(*length[0].asConstant(), input.size()), DimExprAttr());
    return success();
  }
  auto joined = broadcastDims(input, *shape);
  if (!joined)
    return fail(error, "input " + str(input) + " does not broadcast with shape " + str(*shape) + " (broadcast_c2)");
  dims = *joined;
  return success();
}
Contents BroadcastOp::inferContents(ShapeOracle &oracle) {
  Dims dims;
  std::string error;
  Contents input = oracle.contents(getInput());
  if (!input || failed(inferDims(oracle, dims, error)) || dims.size() != 1 || !dims[0] || !dims[0].asConstant() ||
      *dims[0].asConstant() > 64)
    return std::nullopt;
  if (input->size() == 1)
    return Dims(*dims[0].asConstant(), input->front());
  return input;
}

LogicalResult TransposeOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims input = oracle.dims(getInput());
  SmallVector<int64_t> sorted(getPerm());
  llvm::sort(sorted);
  for (auto [i, axis] : llvm::enumerate(sorted))
    if (axis != int64_t(i) || sorted.size() != input.size())
      return fail(error, "perm is no permutation of " + Twine(input.size()) + " dimensions (transpose_c1)");
  for (int64_t axis : getPerm())
    dims.push_back(input[axis]);
  return success();
}

LogicalResult GatherOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims input = oracle.dims(getInput()), indices = oracle.dims(getIndices());
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(input.size()))
    return fail(error, "axis " + Twine(axis) + " is outside of rank " + Twine(input.size()) + " (gather_c1)");
  dims.append(input.begin(), input.begin() + axis);
  dims.append(indices);
  dims.append(input.begin() + axis + 1, input.end());
  return success();
}
Contents GatherOp::inferContents(ShapeOracle &oracle) {
  if (rankOf(getInput()) != 1 || rankOf(getIndices()) > 1)
    return std::nullopt;
  Contents input = oracle.contents(getInput()), indices = oracle.contents(getIndices());
  if (!input || !indices)
    return std::nullopt;
  Dims result;
  for (DimExprAttr index : *indices) {
    auto i = index ? index.asConstant() : std::nullopt;
    if (!i || *i < -int64_t(input->size()) || *i >= int64_t(input->size()))
      return std::nullopt;
    result.push_back((*input)[*i < 0 ? *i + input->size() : *i]);
  }
  return result;
}

LogicalResult GatherNDOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims input = oracle.dims(getInput()), indices = oracle.dims(getIndices());
  if (indices.empty() || !indices.back() || !indices.back().asConstant())
    return fail(error, "the last dimension of the indices of gather_nd must be static (gather_nd_c1)");
  int64_t tuple = *indices.back().asConstant(), batch = getBatchDims();
  if (batch < 0 || batch >= int64_t(indices.size()) || batch + tuple > int64_t(input.size()))
    return fail(error, "index tuples of length " + Twine(tuple) + " after " + Twine(batch) +
                           " batch dimensions do not fit rank " + Twine(input.size()));
  dims.append(indices.begin(), indices.end() - 1);
  dims.append(input.begin() + batch + tuple, input.end());
  return success();
}

DimExprAttr permalloy::tfm::clampSliceBound(DimExprAttr bound, DimExprAttr extent) {
  if (!bound || !extent)
    return {};
  MLIRContext *context = extent.getContext();
  DimExprAttr zero = cst(context, 0);
  if (auto c = bound.asConstant()) {
    if (*c >= INT32_MAX)
      return extent;
    if (*c <= INT32_MIN)
      return zero;
    if (*c < 0)
      return DimExprAttr::max(zero, DimExprAttr::add(extent, bound));
    return *c == 0 ? zero : DimExprAttr::min(bound, extent);
  }
  // A symbolic bound is taken as not negative: exporters only slice with sizes.
  return bound == extent ? extent : DimExprAttr::min(bound, extent);
}

LogicalResult SliceOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  if (getSizes()) {
    dims = dimsOf(*getSizes());
    return success();
  }
  dims = oracle.dims(getInput());
  Contents starts = oracle.contents(getStarts()), ends = oracle.contents(getEnds());
  Contents steps = getSteps() ? oracle.contents(getSteps()) : Contents();
  for (auto [i, axis] : llvm::enumerate(*getAxes())) {
    if (axis < 0 || axis >= int64_t(dims.size()))
      return fail(error, "axis " + Twine(axis) + " is outside of rank " + Twine(dims.size()) + " (slice_c1)");
    DimExprAttr step = !getSteps() ? cst(getContext(), 1) : steps && i < steps->size() ? (*steps)[i] : DimExprAttr();
    if (!starts || !ends || i >= starts->size() || i >= ends->size() || !step || !step.asConstant()) {
      dims[axis] = DimExprAttr();
      continue;
    }
    int64_t stride = *step.asConstant();
    if (stride == 0)
      return fail(error, "a step of the slice is 0 (slice_c2)");
    DimExprAttr extent = dims[axis];
    if (stride < 0) { // only the whole reversal is derived
      auto s = (*starts)[i].asConstant(), e = (*ends)[i].asConstant();
      bool whole = stride == -1 && s && (*s == -1 || *s >= INT32_MAX) && e && *e <= INT32_MIN;
      dims[axis] = whole ? extent : DimExprAttr();
      continue;
    }
    DimExprAttr begin = clampSliceBound((*starts)[i], extent), end = clampSliceBound((*ends)[i], extent);
    DimExprAttr size = DimExprAttr::ceilDiv(DimExprAttr::sub(end, begin), step);
    dims[axis] = begin && begin.isConstant(0) && size ? size
                                                       : DimExprAttr::max(size, cst(getContext(), 0));
  }
  return success();
}
Contents SliceOp::inferContents(ShapeOracle &oracle) {
  Contents input = oracle.contents(getInput());
  if (!input || rankOf(getInput()) != 1)
    return std::nullopt;
  int64_t n = input->size(), start = 0, end = n, step = 1;
  auto constantAt = [](const Contents &c) { return c && c->size() == 1 && c->front() ? c->front().asConstant() : std::nullopt; };
  Dims result;
  if (getSizes()) {
    auto offset = dimsOf(*getOffsets())[0].asConstant(), size = dimsOf(*getSizes())[0].asConstant();
    if (!offset || !size)
      return std::nullopt;
    for (int64_t i = 0; i < *size; ++i)
      result.push_back((*input)[*offset + i * (*getStrides())[0]]);
    return result;
  }
  auto s = constantAt(oracle.contents(getStarts())), e = constantAt(oracle.contents(getEnds()));
  auto t = getSteps() ? constantAt(oracle.contents(getSteps())) : std::optional<int64_t>(1);
  if (!s || !e || !t || *t == 0)
    return std::nullopt;
  step = *t;
  auto clamp = [&](int64_t v, int64_t low, int64_t high) { return std::clamp(v < 0 ? v + n : v, low, high); };
  start = step > 0 ? clamp(*s, 0, n) : clamp(*s, 0, n - 1);
  end = step > 0 ? clamp(*e, 0, n) : *e < -n ? -1 : clamp(*e, -1, n - 1);
  for (int64_t i = start; step > 0 ? i < end : i > end; i += step)
    result.push_back((*input)[i]);
  return result;
}

LogicalResult ConcatOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  if (getInputs().empty())
    return fail(error, "concat needs at least one input (concat_c1)");
  dims = oracle.dims(getInputs().front());
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(dims.size()))
    return fail(error, "axis " + Twine(axis) + " is outside of rank " + Twine(dims.size()) + " (concat_c1)");
  for (Value input : getInputs().drop_front()) {
    Dims next = oracle.dims(input);
    if (next.size() != dims.size())
      return fail(error, "inputs of rank " + Twine(dims.size()) + " and " + Twine(next.size()) + " cannot be joined (concat_c1)");
    for (size_t i = 0; i < dims.size(); ++i) {
      if (int64_t(i) == axis) {
        dims[i] = DimExprAttr::add(dims[i], next[i]);
        continue;
      }
      if (dims[i] && next[i] && dims[i].asConstant() && next[i].asConstant() && dims[i] != next[i])
        return fail(error, "dimension " + Twine(i) + " is " + dims[i].str() + " in one input and " + next[i].str() + " in another (concat_c2)");
      if (!dims[i] || (next[i] && next[i].asConstant()))
        dims[i] = next[i];
    }
  }
  return success();
}
Contents ConcatOp::inferContents(ShapeOracle &oracle) {
  if (rankOf(getResult()) > 1)
    return std::nullopt;
  Dims result;
  for (Value input : getInputs()) {
    Contents next = oracle.contents(input);
    if (!next)
      return std::nullopt;
    result.append(*next);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Elementwise and reductions
//===----------------------------------------------------------------------===//

LogicalResult CastOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &) {
  dims = oracle.dims(getInput());
  return success();
}
Type CastOp::inferElementType() { return {}; }
Contents CastOp::inferContents(ShapeOracle &oracle) {
  // Integers keep their value here: dimensions fit any integer type that shape arithmetic uses.
  auto to = getElementTypeOrSelf(getType());
  if (!to.isInteger(64) && !to.isInteger(32))
    return std::nullopt;
  return oracle.contents(getInput());
}

LogicalResult UnaryOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &) {
  dims = oracle.dims(getInput());
  return success();
}
Type UnaryOp::inferElementType() {
  if (getKind() == UnaryKind::IsNaN || getKind() == UnaryKind::IsInf)
    return IntegerType::get(getContext(), 1);
  return getElementTypeOrSelf(getInput().getType());
}
Contents UnaryOp::inferContents(ShapeOracle &oracle) {
  Contents input = oracle.contents(getInput());
  if (!input)
    return std::nullopt;
  for (DimExprAttr &dim : *input) {
    if (getKind() == UnaryKind::Neg)
      dim = DimExprAttr::mul(dim, cst(getContext(), -1));
    else if (getKind() == UnaryKind::Not && dim && dim.asConstant())
      dim = cst(getContext(), !*dim.asConstant());
    else
      return std::nullopt;
  }
  return input;
}

LogicalResult BinaryOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  return broadcastOperands(*this, oracle, dims, error);
}
static DimExprAttr applyBinary(BinaryKind kind, DimExprAttr a, DimExprAttr b) {
  if (!a || !b)
    return {};
  auto x = a.asConstant(), y = b.asConstant();
  switch (kind) {
  case BinaryKind::Add: return DimExprAttr::add(a, b);
  case BinaryKind::Sub: return DimExprAttr::sub(a, b);
  case BinaryKind::Mul: return DimExprAttr::mul(a, b);
  case BinaryKind::Max: return DimExprAttr::max(a, b);
  case BinaryKind::Min: return DimExprAttr::min(a, b);
  case BinaryKind::Div: // sizes are not negative, so truncation is floor; constants may be
    if (x && y && *y != 0)
      return cst(a.getContext(), *x / *y);
    return x && *x < 0 ? DimExprAttr() : DimExprAttr::floorDiv(a, b);
  case BinaryKind::Mod: return DimExprAttr::mod(a, b);
  case BinaryKind::And: return x && y ? cst(a.getContext(), *x && *y) : DimExprAttr();
  case BinaryKind::Or: return x && y ? cst(a.getContext(), *x || *y) : DimExprAttr();
  case BinaryKind::Xor: return x && y ? cst(a.getContext(), *x != *y) : DimExprAttr();
  case BinaryKind::Pow: return {};
  }
  return {};
}
Contents BinaryOp::inferContents(ShapeOracle &oracle) {
  if (rankOf(getResult()) > 1)
    return std::nullopt;
  Contents lhs = oracle.contents(getLhs()), rhs = oracle.contents(getRhs());
  if (!lhs || !rhs)
    return std::nullopt;
  Dims result;
  for (size_t i = 0, e = std::max(lhs->size(), rhs->size()); i < e; ++i) {
    auto a = elementAt(*lhs, i), b = elementAt(*rhs, i);
    if (!a || !b)
      return std::nullopt;
    result.push_back(applyBinary(getKind(), *a, *b));
  }
  return result;
}

LogicalResult CompareOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  return broadcastOperands(*this, oracle, dims, error);
}
Type CompareOp::inferElementType() { return IntegerType::get(getContext(), 1); }
/// Decides a comparison from the sign of a constant difference; symbols are sizes and at least 0, so `size == -1` is false.
static DimExprAttr applyCompare(CompareKind kind, DimExprAttr a, DimExprAttr b) {
  DimExprAttr difference = DimExprAttr::sub(a, b);
  if (!difference)
    return {};
  MLIRContext *context = difference.getContext();
  if (auto d = difference.asConstant()) {
    switch (kind) {
    case CompareKind::Eq: return cst(context, *d == 0);
    case CompareKind::Ne: return cst(context, *d != 0);
    case CompareKind::Lt: return cst(context, *d < 0);
    case CompareKind::Le: return cst(context, *d <= 0);
    case CompareKind::Gt: return cst(context, *d > 0);
    case CompareKind::Ge: return cst(context, *d >= 0);
    }
  }
  bool sizeAgainstNegative = (a.getKind() == DimKind::Symbol && b.asConstant() && *b.asConstant() < 0) ||
                             (b.getKind() == DimKind::Symbol && a.asConstant() && *a.asConstant() < 0);
  if (sizeAgainstNegative && (kind == CompareKind::Eq || kind == CompareKind::Ne))
    return cst(context, kind == CompareKind::Ne);
  return {};
}
Contents CompareOp::inferContents(ShapeOracle &oracle) {
  if (rankOf(getResult()) > 1)
    return std::nullopt;
  Contents lhs = oracle.contents(getLhs()), rhs = oracle.contents(getRhs());
  if (!lhs || !rhs)
    return std::nullopt;
  Dims result;
  for (size_t i = 0, e = std::max(lhs->size(), rhs->size()); i < e; ++i) {
    auto a = elementAt(*lhs, i), b = elementAt(*rhs, i);
    result.push_back(a && b && *a && *b ? applyCompare(getKind(), *a, *b) : DimExprAttr());
  }
  return result;
}

LogicalResult SelectOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  return broadcastOperands(*this, oracle, dims, error);
}
Type SelectOp::inferElementType() { return getElementTypeOrSelf(getOnTrue().getType()); }
Contents SelectOp::inferContents(ShapeOracle &oracle) {
  if (rankOf(getResult()) > 1)
    return std::nullopt;
  Contents condition = oracle.contents(getCondition());
  Contents onTrue = oracle.contents(getOnTrue()), onFalse = oracle.contents(getOnFalse());
  if (!condition || !onTrue || !onFalse)
    return std::nullopt;
  Dims result;
  size_t count = std::max({condition->size(), onTrue->size(), onFalse->size()});
  for (size_t i = 0; i < count; ++i) {
    auto c = elementAt(*condition, i), t = elementAt(*onTrue, i), f = elementAt(*onFalse, i);
    if (!c || !t || !f)
      return std::nullopt;
    auto known = *c ? (*c).asConstant() : std::nullopt;
    result.push_back(known ? (*known ? *t : *f) : *t == *f ? *t : DimExprAttr());
  }
  return result;
}

LogicalResult ReduceOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims input = oracle.dims(getInput());
  int64_t previous = -1;
  for (int64_t axis : getAxes()) {
    if (axis <= previous || axis >= int64_t(input.size()))
      return fail(error, "axes must be sorted, distinct and below rank " + Twine(input.size()) + " (reduce_c1)");
    previous = axis;
  }
  for (auto [i, dim] : llvm::enumerate(input)) {
    bool reduced = llvm::is_contained(getAxes(), int64_t(i));
    if (reduced && getKeepDims())
      dims.push_back(cst(getContext(), 1));
    else if (!reduced)
      dims.push_back(dim);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Transformer concepts
//===----------------------------------------------------------------------===//

LogicalResult MatmulOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims lhs = oracle.dims(getLhs()), rhs = oracle.dims(getRhs());
  if (lhs.empty() || rhs.empty() || (getTransposeA() && lhs.size() < 2) || (getTransposeB() && rhs.size() < 2))
    return fail(error, "ranks " + Twine(lhs.size()) + " and " + Twine(rhs.size()) + " are too low for a matrix product (matmul_c2)");
  bool vectorLhs = lhs.size() == 1, vectorRhs = rhs.size() == 1;
  if (vectorLhs)
    lhs.insert(lhs.begin(), cst(getContext(), 1));
  if (vectorRhs)
    rhs.push_back(cst(getContext(), 1));
  if (getTransposeA())
    std::swap(lhs[lhs.size() - 2], lhs.back());
  if (getTransposeB())
    std::swap(rhs[rhs.size() - 2], rhs.back());
  if (differ(lhs.back(), rhs[rhs.size() - 2]))
    return fail(error, "inner dimensions " + lhs.back().str() + " and " + rhs[rhs.size() - 2].str() + " differ (matmul_c3)");
  auto batch = broadcastDims(ArrayRef(lhs).drop_back(2), ArrayRef(rhs).drop_back(2));
  if (!batch)
    return fail(error, "batch dimensions of " + str(lhs) + " and " + str(rhs) + " do not broadcast (matmul_c3)");
  dims = *batch;
  if (!vectorLhs)
    dims.push_back(lhs[lhs.size() - 2]);
  if (!vectorRhs)
    dims.push_back(rhs.back());
  return success();
}

LogicalResult LinearOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  Dims weight = oracle.dims(getWeight());
  if (weight.size() != 2 || dims.empty())
    return fail(error, "a linear layer takes an input of rank 1 or more and a weight of rank 2, not " + str(dims) + " and " + str(weight) + " (linear_c1)");
  if (differ(dims.back(), weight[0]))
    return fail(error, "the input has " + dims.back().str() + " features but the weight takes " + weight[0].str() + " (linear_c1)");
  if (getBias()) {
    Dims bias = oracle.dims(getBias());
    if (bias.size() != 1 || differ(bias[0], weight[1]))
      return fail(error, "the bias must be " + str({weight[1]}) + ", not " + str(bias) + " (linear_c2)");
  }
  dims.back() = weight[1];
  return success();
}

LogicalResult LayerNormOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(dims.size()))
    return fail(error, "axis " + Twine(axis) + " is outside of rank " + Twine(dims.size()) + " (layer_norm_c1)");
  ArrayRef<DimExprAttr> normalised = ArrayRef(dims).drop_front(axis);
  for (Value operand : {getScale(), getBias()}) {
    if (!operand)
      continue;
    Dims other = oracle.dims(operand);
    if (!broadcastsTo(other, normalised))
      return fail(error, "scale or bias " + str(other) + " does not broadcast to the normalised dimensions " + str(normalised) + " (layer_norm_c2)");
  }
  return success();
}

LogicalResult SoftmaxOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  int64_t axis = getAxis();
  if (axis < 0 || axis >= int64_t(dims.size()))
    return fail(error, "axis " + Twine(axis) + " is outside of rank " + Twine(dims.size()) + " (softmax_c1)");
  return success();
}

LogicalResult AttentionOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims q = oracle.dims(getQuery()), k = oracle.dims(getKey()), v = oracle.dims(getValue());
  if ((q.size() != 3 && q.size() != 4) || k.size() != q.size() || v.size() != q.size())
    return fail(error, "query, key and value must all have rank 3 or all rank 4, not " + str(q) + ", " + str(k) + ", " + str(v) + " (attention_c1)");
  int64_t heads = getNumHeads(), kvHeads = getNumKvHeads();
  if (heads <= 0 || kvHeads <= 0 || heads % kvHeads != 0)
    return fail(error, "num_heads " + Twine(heads) + " must be a positive multiple of num_kv_heads " + Twine(kvHeads) + " (attention_c2)");
  size_t sequence = q.size() == 3 ? 1 : 2;
  if (differ(q[0], k[0]) || differ(k[0], v[0]) || differ(k[sequence], v[sequence]))
    return fail(error, "batch or key counts of " + str(q) + ", " + str(k) + ", " + str(v) + " differ (attention_c3)");
  DimExprAttr h = cst(getContext(), heads), g = cst(getContext(), kvHeads);
  dims = q;
  if (q.size() == 4) {
    if (differ(q[1], h) || differ(k[1], g) || differ(v[1], g) || differ(q[3], k[3]))
      return fail(error, "head counts or sizes of " + str(q) + ", " + str(k) + ", " + str(v) + " do not fit " + Twine(heads) + " heads over " + Twine(kvHeads) + " (attention_c3)");
    dims[3] = v[3];
  } else {
    DimExprAttr size = DimExprAttr::floorDiv(q[2], h);
    if (differ(DimExprAttr::mul(size, h), q[2]) || differ(DimExprAttr::mul(size, g), k[2]))
      return fail(error, "widths of " + str(q) + " and " + str(k) + " do not fit " + Twine(heads) + " heads over " + Twine(kvHeads) + " (attention_c3)");
    dims[2] = DimExprAttr::mul(DimExprAttr::floorDiv(v[2], g), h);
  }
  if (getMask()) {
    Dims mask = oracle.dims(getMask());
    Dims scores = {q[0], h, q[sequence], k[sequence]};
    if (mask.size() != 4 || !broadcastsTo(mask, scores))
      return fail(error, "mask " + str(mask) + " does not broadcast to the scores " + str(scores) + " (attention_c4)");
  }
  return success();
}

LogicalResult PackOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &) {
  dims = oracle.dims(getInput());
  return success();
}
