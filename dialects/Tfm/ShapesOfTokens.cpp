//===- ShapesOfTokens.cpp - shape rules of token merging -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

/// n - tokens tokens of n are to go, at most half of those that are not protected.
static LogicalResult checkCount(DimExprAttr extent, DimExprAttr tokens, int64_t first, std::string &error) {
  auto n = extent ? extent.asConstant() : std::nullopt, kept = tokens.asConstant();
  if (!n || !kept || (*kept <= *n && *kept >= first && *n - *kept <= (*n - first) / 2))
    return success();
  return fail(error, Twine(*n - *kept) + " of " + Twine(*n) + " tokens cannot go; between 0 and " +
                         Twine(std::max<int64_t>(*n - first, 0) / 2) + " can (token_score_c4)");
}

LogicalResult TokenScoreOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  Dims metric = oracle.dims(getMetric());
  if (metric.size() != 3)
    return fail(error, "the metric " + str(metric) + " must be [batch, tokens, heads * size] (token_score_c1)");
  auto width = metric[2] ? metric[2].asConstant() : std::nullopt;
  int64_t heads = getNumHeads(), first = getProtectedTokens();
  if (heads < 1 || (width && *width % heads != 0))
    return fail(error, Twine(heads) + " heads do not divide " + str(metric) + " (token_score_c2)");
  if (first < 0)
    return fail(error, "protected_tokens is " + Twine(first) + " (token_score_c3)");
  dims = {metric[0], metric[1]};
  return checkCount(metric[1], getTokens(), first, error);
}
Type TokenScoreOp::inferElementType() { return IntegerType::get(getContext(), 64); }

/// `value` has the two leading dimensions of a tensor of `dims`.
static bool leads(const Dims &value, const Dims &dims) {
  return value.size() == 2 && !differ(value[0], dims[0]) && !differ(value[1], dims[1]);
}

LogicalResult TokenMergeOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  Dims map = oracle.dims(getMap());
  if (dims.size() < 2 || !leads(map, dims))
    return fail(error, "the map " + str(map) + " must be the first two dimensions of the input " + str(dims) + " (token_merge_c1)");
  if (getSizes() && !leads(oracle.dims(getSizes()), dims))
    return fail(error, "sizes " + str(oracle.dims(getSizes())) + " must be the first two dimensions of the input " + str(dims) +
                           " (token_merge_c1)");
  if (getSizes() && getSum())
    return fail(error, "a sum takes no sizes (token_merge_c2)");
  dims[1] = getTokens();
  return success();
}

LogicalResult TokenUnmergeOp::inferDims(ShapeOracle &oracle, Dims &dims, std::string &error) {
  dims = oracle.dims(getInput());
  Dims map = oracle.dims(getMap());
  if (dims.size() < 2 || map.size() != 2 || differ(map[0], dims[0]))
    return fail(error, "the map " + str(map) + " must be [batch, tokens] and the input " + str(dims) +
                           " of the same batch (token_unmerge_c1)");
  dims[1] = map[1];
  return success();
}
