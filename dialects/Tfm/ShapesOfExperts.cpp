//===- ShapesOfExperts.cpp - shape rules of mixtures of experts -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

static bool agree(ArrayRef<DimExprAttr> a, ArrayRef<DimExprAttr> b) {
  return a.size() == b.size() && llvm::none_of(llvm::zip(a, b), [](auto pair) { return differ(std::get<0>(pair), std::get<1>(pair)); });
}

// The result declares what sums are rounded to.
Type MoeOp::inferElementType() { return {}; }
Type GroupedLinearOp::inferElementType() { return {}; }

LogicalResult MoeOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  Dims logits = oracle.dims(getLogits()), up = oracle.dims(getUp()), down = oracle.dims(getDown());
  if (dims.empty() || !agree(ArrayRef(dims).drop_back(), ArrayRef(logits).drop_back()))
    return fail(error, "input " + str(dims) + " and logits " + str(logits) + " must agree but for the last dimension (moe_c1)");
  if (up.size() != 3 || down.size() != 3)
    return fail(error, "up " + str(up) + " and down " + str(down) + " must have rank 3 (moe_c2)");
  DimExprAttr experts = logits.back(), halves = cst(getContext(), getGated() ? 2 : 1);
  if (!agree(up, {experts, dims.back(), DimExprAttr::mul(down[1], halves)}) || !agree(down, {experts, down[1], dims.back()}))
    return fail(error, "up " + str(up) + " and down " + str(down) + " do not fit input " + str(dims) + " and " +
                           (experts ? experts.str() : "?") + " experts" + (getGated() ? ", gated" : "") + " (moe_c2)");
  for (auto [bias, weight] : {std::pair(getUpBias(), up), std::pair(getDownBias(), down)})
    if (bias && !agree(oracle.dims(bias), {weight[0], weight[2]}))
      return fail(error, "the bias must be " + str({weight[0], weight[2]}) + ", not " + str(oracle.dims(bias)) + " (moe_c2)");
  if (int64_t(getTopK()) < 1 || (experts && experts.asConstant() && int64_t(getTopK()) > *experts.asConstant()))
    return fail(error, "top_k is " + Twine(getTopK()) + " of " + (experts ? experts.str() : "?") + " experts (moe_c3)");
  return success();
}

LogicalResult MoeWeightsOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims logits = oracle.dims(getLogits());
  dims = oracle.dims(getExperts());
  if (logits.size() != 2 || dims.size() != 2 || differ(logits[0], dims[0]))
    return fail(error, "logits " + str(logits) + " and experts " + str(dims) + " must have rank 2 and agree in tokens (moe_weights_c1)");
  return success();
}

LogicalResult GroupByOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  if (int64_t(getGroups()) < 1)
    return fail(error, "groups must be positive, not " + Twine(getGroups()) + " (group_by_c1)");
  dims = {DimExprAttr::add(DimExprAttr::product(getContext(), oracle.dims(getInput())),
                           cst(getContext(), getGroups() + 1))};
  return success();
}
Type GroupByOp::inferElementType() { return IntegerType::get(getContext(), 64); }

LogicalResult GroupedLinearOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  Dims groups = oracle.dims(getGroups()), weight = oracle.dims(getWeight());
  if (dims.size() != 2 || groups.size() != 1 || weight.size() != 3 || differ(dims[1], weight[1]))
    return fail(error, "input " + str(dims) + ", groups " + str(groups) + " and weight " + str(weight) + " do not fit (grouped_linear_c1)");
  if (getBias() && !agree(oracle.dims(getBias()), {weight[0], weight[2]}))
    return fail(error, "the bias must be " + str({weight[0], weight[2]}) + ", not " + str(oracle.dims(getBias())) + " (grouped_linear_c2)");
  auto columns = weight[2] ? weight[2].asConstant() : std::nullopt;
  if (getGated() && columns && *columns % 2 != 0)
    return fail(error, "a gated product of " + Twine(*columns) + " columns has no halves (grouped_linear_c3)");
  dims[0] = DimExprAttr::mul(dims[0], cst(getContext(), getRepeat()));
  dims[1] = getGated() ? DimExprAttr::floorDiv(weight[2], cst(getContext(), 2)) : weight[2];
  return success();
}
