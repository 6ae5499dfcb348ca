//===- ShapesOfStructure.cpp - shape rules of what moves elements -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

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
    dims[*inferred] = DimExprAttr::floorDiv(DimExprAttr::product(getContext(), input), known);
  return success();
}
Contents ReshapeOp::inferContents(ShapeOracle &oracle) {
  if (rankOf(getResult()) > 1)
    return std::nullopt;
  auto constant = getInput().getDefiningOp<ConstantOp>(); // of any rank
  return constant ? constant.inferContents(oracle) : oracle.contents(getInput());
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
