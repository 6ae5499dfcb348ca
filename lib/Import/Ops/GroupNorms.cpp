//===- GroupNorms.cpp - norms over channels and groups of them ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// (x - mean) / sqrt(variance + epsilon) over the last dimension: layer_norm without parameters.
Value standardize(OpBinder &b, Value x, double epsilon) {
  if (b.failed())
    return {};
  return b.create<LayerNormOp>(b.elementType(x), x, b.scalar(x, 1), Value(),
                               b.builder.getI64IntegerAttr(b.rank(x) - 1),
                               b.builder.getF32FloatAttr(float(epsilon)));
}

/// x * scale + bias, both [channels], along dimension 1.
Value scaleChannels(OpBinder &b, Value x, Value scale, Value bias) {
  if (b.failed())
    return {};
  int64_t rank = b.rank(x);
  if (b.rank(scale) != 1 || b.rank(bias) != 1) {
    (void)b.error("scale and bias must have rank 1");
    return {};
  }
  return b.add(b.mul(x, b.alongAxis(scale, 0, rank - 1)), b.alongAxis(bias, 0, rank - 1));
}

SmallVector<Extent> shapeOf(OpBinder &b, Value x) {
  SmallVector<Extent> extents;
  for (int64_t i = 0; i < b.rank(x); ++i)
    extents.push_back(Extent(x, i));
  return extents;
}

LogicalResult importInstanceNormalization(OpBinder &b) {
  Value x = b.input(0), scale = b.input(1), bias = b.input(2);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x);
  if (rank < 3)
    return b.error("takes rank 3 or more, not " + Twine(rank));
  Value rows = b.reshape(x, {Extent(x, 0), Extent(x, 1), Extent(x, 2, rank)});
  Value normalized = b.reshape(standardize(b, rows, b.floatAttr("epsilon", 1e-5f)), shapeOf(b, x));
  return b.yield(scaleChannels(b, normalized, scale, bias));
}

/// Scale and bias have one element for each group in opset 18, for each channel since 21.
LogicalResult importGroupNormalization(OpBinder &b) {
  Value x = b.input(0), scale = b.input(1), bias = b.input(2);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x), groups = b.intAttr("num_groups", 0);
  if (int64_t stash = b.intAttr("stash_type", 1); stash != onnx::TensorProto::FLOAT)
    return b.unsupported("stash_type " + onnxTypeName(int32_t(stash)) + "; accepted is float");
  auto channels = rank >= 2 ? b.staticDim(x, 1) : std::nullopt;
  if (!channels)
    return b.unsupported("with a dynamic number of channels");
  if (groups <= 0 || *channels % groups)
    return b.error("num_groups " + Twine(groups) + " does not divide " + Twine(*channels) +
                   " channels");
  Extent inner(x, 2, rank);
  inner.constant = *channels / groups;
  Value rows = b.reshape(x, {Extent(x, 0), Extent(groups), inner});
  Value normalized = standardize(b, rows, b.floatAttr("epsilon", 1e-5f));
  if (b.opset() < 21)
    return b.yield(b.reshape(scaleChannels(b, normalized, scale, bias), shapeOf(b, x)));
  return b.yield(scaleChannels(b, b.reshape(normalized, shapeOf(b, x)), scale, bias));
}

/// (x - mean) / (sqrt(variance) + 1e-9)
LogicalResult importMeanVarianceNormalization(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  Ints axes = b.normalizeAxes(b.intsAttr("axes").value_or(Ints{0, 2, 3}), b.rank(x));
  Value centered = b.sub(x, b.reduce(ReduceKind::Mean, x, axes, /*keepDims=*/true));
  Value variance = b.reduce(ReduceKind::Mean, b.mul(centered, centered), axes, /*keepDims=*/true);
  return b.yield(b.div(centered, b.add(b.unary(UnaryKind::Sqrt, variance), b.scalar(x, 1e-9))));
}

constexpr OpClass D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "GroupNormalization", 18, 21, D, importGroupNormalization},
    {"", "InstanceNormalization", 6, 22, D, importInstanceNormalization},
    {"", "MeanVarianceNormalization", 9, 13, D, importMeanVarianceNormalization},
};

} // namespace

ArrayRef<OpRow> permalloy::groupNormRows() { return rows; }
