//===- ShapesOfOutliers.cpp - rules of what leaves the codes of a row -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Outliers.h"
#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

#define GET_OP_CLASSES
#include "Tfm/OutlierOps.cpp.inc"

/// With the limit, magnitudes that a kernel keeps in registers.
static constexpr int64_t kMostOutliers = 7;

static bool isComputedInF32(Value value) {
  Type element = getElementTypeOrSelf(value.getType());
  return element.isF16() || element.isBF16() || element.isF32();
}

static bool isFew(int64_t count) { return count >= 1 && count <= kMostOutliers; }
static bool isFew(DimExprAttr count) {
  auto known = count ? count.asConstant() : std::nullopt;
  return known && isFew(*known);
}
static std::string countMessage(int64_t count) { return "count must be 1 to " + std::to_string(kMostOutliers) + ", not " + std::to_string(count); }
static std::string countMessage(DimExprAttr count) {
  return "there must be 1 to " + std::to_string(kMostOutliers) + " positions of a row, not " + str({count});
}

/// The first dimensions of two values agree, and both have a last one.
static bool haveSameRows(ArrayRef<DimExprAttr> a, ArrayRef<DimExprAttr> b) {
  return !a.empty() && a.size() == b.size() &&
         llvm::none_of(llvm::zip(a.drop_back(), b.drop_back()), [](auto pair) { return differ(std::get<0>(pair), std::get<1>(pair)); });
}

LogicalResult OutlierLimitOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  if (dims.empty())
    return fail(error, "a number has no rows (outlier_limit_c1)");
  if (!isFew(getCount()))
    return fail(error, Twine(countMessage(getCount())) + " (outlier_limit_c2)");
  dims.back() = cst(getContext(), 1);
  return success();
}

LogicalResult OutlierLimitOp::verify() {
  if (!isComputedInF32(getInput()))
    return emitOpError("takes elements of f16, bf16 or f32, not ") << getElementTypeOrSelf(getInput().getType()) << " (outlier_limit_c3)";
  return verifyShape(*this);
}

LogicalResult OutlierPositionsOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  Dims limit = oracle.dims(getLimit());
  if (!haveSameRows(dims, limit) || differ(limit.back(), cst(getContext(), 1)))
    return fail(error, "the limit " + str(limit) + " is not one for each row of the input " + str(dims) + " (outlier_positions_c1)");
  dims.back() = cst(getContext(), getCount());
  if (!isFew(getCount()))
    return fail(error, Twine(countMessage(getCount())) + " (outlier_positions_c2)");
  return success();
}
Type OutlierPositionsOp::inferElementType() { return IntegerType::get(getContext(), 32); }

LogicalResult OutlierPositionsOp::verify() {
  if (!isComputedInF32(getInput()) || getElementTypeOrSelf(getInput().getType()) != getElementTypeOrSelf(getLimit().getType()))
    return emitOpError("compares elements ") << getElementTypeOrSelf(getInput().getType()) << " with a limit of "
                                             << getElementTypeOrSelf(getLimit().getType()) << " (outlier_positions_c3)";
  return verifyShape(*this);
}

LogicalResult OutlierValuesOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  Dims positions = oracle.dims(getPositions());
  if (!haveSameRows(dims, positions))
    return fail(error, "positions " + str(positions) + " are not of the rows of the input " + str(dims) + " (outlier_values_c1)");
  if (!isFew(positions.back()))
    return fail(error, Twine(countMessage(positions.back())) + " (outlier_values_c2)");
  dims.back() = positions.back();
  return success();
}

LogicalResult OutlierValuesOp::verify() {
  if (!isComputedInF32(getInput()))
    return emitOpError("takes elements of f16, bf16 or f32, not ") << getElementTypeOrSelf(getInput().getType()) << " (outlier_values_c3)";
  return verifyShape(*this);
}

LogicalResult OutlierLinearOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getValues());
  Dims positions = oracle.dims(getPositions()), weight = oracle.dims(getWeight());
  if (!haveSameRows(dims, positions) || differ(dims.back(), positions.back()))
    return fail(error, "values " + str(dims) + " and positions " + str(positions) + " differ (outlier_linear_c1)");
  if (weight.size() != 2)
    return fail(error, "the weight must be of rank 2, not " + str(weight) + " (outlier_linear_c2)");
  if (!isFew(positions.back()))
    return fail(error, Twine(countMessage(positions.back())) + " (outlier_linear_c3)");
  dims.back() = weight[1];
  return success();
}

LogicalResult OutlierLinearOp::verify() { return verifyShape(*this); }
