//===- ShapesOfSelection.cpp - shape rules of top_k, non_zero, scatter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

static LogicalResult checkAxis(int64_t axis, size_t rank, StringRef label, std::string &error) {
  if (axis >= 0 && axis < int64_t(rank))
    return success();
  return fail(error, "axis " + Twine(axis) + " is outside of rank " + Twine(rank) + " (" + label + ")");
}

LogicalResult TopKOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  if (failed(checkAxis(getAxis(), dims.size(), "top_k_c1", error)))
    return failure();
  DimExprAttr &extent = dims[getAxis()];
  DimExprAttr k = getKAttr();
  if (getCount())
    if (Contents contents = oracle.contents(getCount()); contents && contents->size() == 1)
      k = contents->front();
  auto known = k ? k.asConstant() : std::nullopt, room = extent ? extent.asConstant() : std::nullopt;
  if (known && (*known < 0 || (room && *known > *room)))
    return fail(error, "k is " + Twine(*known) + " but the dimension has " + (room ? Twine(*room) : Twine("some")) + " elements (top_k_c3)");
  extent = k;
  return success();
}
Type TopKOp::inferElementType() { return IntegerType::get(getContext(), 64); }

LogicalResult NonZeroOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &) {
  dims = {cst(getContext(), oracle.dims(getInput()).size()), DimExprAttr()};
  return success();
}
Type NonZeroOp::inferElementType() { return IntegerType::get(getContext(), 64); }

/// Updates of ScatterElements: one for each index, within the data but for the axis.
static LogicalResult checkElements(ScatterOp op, const Dims &data, const Dims &indices, const Dims &updates, std::string &error) {
  if (failed(checkAxis(*op.getAxis(), data.size(), "scatter_c4", error)))
    return failure();
  bool fits = indices.size() == data.size() && updates.size() == data.size();
  for (size_t i = 0; fits && i < data.size(); ++i)
    fits = !differ(indices[i], updates[i]);
  if (!fits)
    return fail(error, "indices " + str(indices) + " and updates " + str(updates) + " must have one shape, of the rank of " + str(data) + " (scatter_c4)");
  return success();
}

LogicalResult ScatterOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getData());
  Dims indices = oracle.dims(getIndices()), updates = oracle.dims(getUpdates());
  if (getAxis())
    return checkElements(*this, dims, indices, updates, error);
  if (indices.empty() || !indices.back() || !indices.back().asConstant())
    return fail(error, "the last dimension of the indices of scatter must be static; other index tuples are unsupported (scatter_c2)");
  int64_t tuple = *indices.back().asConstant();
  if (tuple > int64_t(dims.size()))
    return fail(error, "index tuples of length " + Twine(tuple) + " do not fit rank " + Twine(dims.size()) + " (scatter_c2)");
  Dims expected(indices.begin(), indices.end() - 1);
  expected.append(dims.begin() + tuple, dims.end());
  bool fits = expected.size() == updates.size();
  for (size_t i = 0; fits && i < expected.size(); ++i)
    fits = !differ(expected[i], updates[i]);
  if (!fits)
    return fail(error, "updates must be " + str(expected) + ", not " + str(updates) + " (scatter_c3)");
  return success();
}
