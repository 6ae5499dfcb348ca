//===- ShapesOfSources.cpp - shape rules of constants, weights and ranges -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

LogicalResult ConstantOp::inferDims(ShapeOracle &, Dims &dims, std::string &) {
  dims = dimsOfType(cast<RankedTensorType>(getValue().getShapedType()));
  return success();
}
Type ConstantOp::inferElementType() { return getValue().getElementType(); }
Contents ConstantOp::inferContents(ShapeOracle &) {
  auto dense = dyn_cast<DenseIntElementsAttr>(getValue());
  if (!dense || dense.getNumElements() > 64)
    return std::nullopt;
  bool hasNoSign = dense.getElementType().isInteger(1) || dense.getElementType().isUnsignedInteger();
  Dims result;
  for (APInt element : dense.getValues<APInt>())
    result.push_back(cst(getContext(), hasNoSign ? element.getZExtValue() : element.getSExtValue()));
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
