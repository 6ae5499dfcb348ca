//===- Normalization.cpp - norms and softmax of ONNX -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

Ints axesFrom(OpBinder &b, Value x, int64_t axis) {
  return llvm::to_vector(llvm::seq<int64_t>(axis, b.rank(x)));
}

Value layerNorm(OpBinder &b, Value x, Value scale, Value bias, int64_t axis, double epsilon) {
  if (b.failed())
    return {};
  return b.create<LayerNormOp>(b.elementType(x), x, scale, bias, b.builder.getI64IntegerAttr(axis),
                               b.builder.getF32FloatAttr(float(epsilon)));
}

/// Mean and 1 / sqrt(variance + epsilon), in the statistics' type f32, for the outputs that only
/// training reads.
LogicalResult yieldStatistics(OpBinder &b, Value x, int64_t axis, double epsilon) {
  if (!b.hasOutput(1) && !b.hasOutput(2))
    return success();
  Ints axes = axesFrom(b, x, axis);
  x = b.cast(x, b.builder.getF32Type());
  Value mean = b.reduce(ReduceKind::Mean, x, axes, true), centered = b.sub(x, mean);
  Value variance = b.reduce(ReduceKind::Mean, b.mul(centered, centered), axes, true);
  Value inverse = b.unary(UnaryKind::Reciprocal,
                          b.unary(UnaryKind::Sqrt, b.add(variance, b.scalar(x, epsilon))));
  return success(succeeded(b.yield(1, mean)) && succeeded(b.yield(2, inverse)));
}

/// Statistics are computed in f32.
LogicalResult checkStashType(OpBinder &b) {
  int64_t stash = b.intAttr("stash_type", onnx::TensorProto::FLOAT);
  if (stash != onnx::TensorProto::FLOAT)
    return b.unsupported("stash_type " + onnxTypeName(int32_t(stash)) + "; accepted is float");
  return success(!b.failed());
}

LogicalResult importLayerNormalization(OpBinder &b) {
  Value x = b.input(0), scale = b.input(1), bias = b.optionalInput(2);
  if (b.failed())
    return failure();
  if (failed(checkStashType(b)))
    return failure();
  int64_t axis = b.normalizeAxis(b.intAttr("axis", -1), b.rank(x));
  double epsilon = b.floatAttr("epsilon", 1e-5f);
  if (failed(b.yield(layerNorm(b, x, scale, bias, axis, epsilon))))
    return failure();
  return yieldStatistics(b, x, axis, epsilon);
}

/// x / sqrt(mean(x^2) + epsilon) * scale. A scale that is longer than the normalised dimensions, which ONNX allows, is
/// multiplied afterwards.
Value rmsNorm(OpBinder &b, Value x, Value scale, int64_t axis, double epsilon) {
  if (b.failed())
    return {};
  Type type = b.elementType(x);
  bool inside = b.rank(scale) <= b.rank(x) - axis;
  Value gain = inside ? b.cast(scale, type) : b.scalar(x, 1);
  Value norm = b.create<RmsNormOp>(type, x, gain, b.builder.getI64IntegerAttr(axis), b.builder.getF32FloatAttr(float(epsilon)));
  return inside ? norm : b.mul(norm, b.cast(scale, type));
}
/// 1 / sqrt(mean(x^2) + epsilon) in f32, an output of onnxruntime's form for training.
Value inverseRoot(OpBinder &b, Value x, int64_t axis, double epsilon) {
  x = b.cast(x, b.builder.getF32Type());
  Value mean = b.failed() ? Value()
                          : b.reduce(ReduceKind::Mean, b.mul(x, x), axesFrom(b, x, axis), true);
  return b.unary(UnaryKind::Reciprocal,
                 b.unary(UnaryKind::Sqrt, b.add(mean, b.scalar(mean, epsilon))));
}

LogicalResult importRMSNormalization(OpBinder &b) {
  Value x = b.input(0), scale = b.input(1);
  if (b.failed())
    return failure();
  int64_t axis = b.normalizeAxis(b.intAttr("axis", -1), b.rank(x));
  double epsilon = b.floatAttr("epsilon", 1e-5f);
  if (failed(checkStashType(b)) ||
      (b.hasOutput(1) && failed(b.yield(1, inverseRoot(b, x, axis, epsilon)))))
    return failure();
  return b.yield(rmsNorm(b, x, scale, axis, epsilon));
}

/// com.microsoft SkipLayerNormalization (input, skip, gamma, beta, bias) and its RMS form (input,
/// skip, gamma, bias).
template <bool simplified> LogicalResult importSkipNorm(OpBinder &b) {
  Value x = b.input(0), skip = b.input(1), scale = b.input(2);
  Value beta = simplified ? Value() : b.optionalInput(3),
        bias = b.optionalInput(simplified ? 3 : 4);
  if (b.failed())
    return failure();
  if (simplified && b.hasOutput(1))
    return b.unsupported("the output of the mean, which this norm does not take");
  Value sum = b.add(x, skip);
  if (bias)
    sum = b.add(sum, bias);
  int64_t axis = b.rank(x) - 1;
  double epsilon = b.floatAttr("epsilon", 1e-12f);
  if (b.hasOutput(3) && failed(b.yield(3, sum)))
    return failure();
  if (simplified && b.hasOutput(2) && failed(b.yield(2, inverseRoot(b, sum, axis, epsilon))))
    return failure();
  if (!simplified && failed(yieldStatistics(b, sum, axis, epsilon)))
    return failure();
  return b.yield(simplified ? rmsNorm(b, sum, scale, axis, epsilon)
                            : layerNorm(b, sum, scale, beta, axis, epsilon));
}

/// The ones of each row of a mask [batch, sequence]; zeros without one. [batch] i32.
Value countOfMask(OpBinder &b, Value ids, Value mask) {
  Type i32 = b.builder.getI32Type();
  if (!mask)
    return b.broadcast(b.scalar(i32, 0), {Extent(ids, 0)});
  Value ones = b.compare(CompareKind::Eq, mask, b.scalar(mask, 1));
  return b.reduce(ReduceKind::Sum, b.cast(ones, i32), {1}, /*keepDims=*/false);
}

/// com.microsoft: word, position and (optional) segment embeddings, added and normalised.
LogicalResult importEmbedLayerNorm(OpBinder &b) {
  Value ids = b.input(0), segments = b.optionalInput(1), words = b.input(2), positions = b.input(3);
  Value segmentTable = b.optionalInput(4), gamma = b.input(5), beta = b.input(6),
        positionIds = b.optionalInput(8);
  if (b.failed())
    return failure();
  if (b.hasOutput(1) && failed(b.yield(1, countOfMask(b, ids, b.optionalInput(7)))))
    return failure();
  Value sum = b.gather(words, ids, 0);
  if (!positionIds)
    positionIds = b.reshape(b.iota(Extent(ids, 1)), {Extent(1), Extent(ids, 1)});
  sum = b.add(sum, b.gather(positions, positionIds, 0));
  if (segments && segmentTable)
    sum = b.add(sum, b.gather(segmentTable, segments, 0));
  if (b.hasOutput(2) && failed(b.yield(2, sum)))
    return failure();
  return b.yield(layerNorm(b, sum, gamma, beta, 2, b.floatAttr("epsilon", 1e-12f)));
}

/// (x - mean) / sqrt(variance + epsilon) * scale + bias along channels, dimension 1, with stored
/// statistics.
LogicalResult importBatchNormalization(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  if (b.intAttr("training_mode", 0))
    return b.unsupported("training mode");
  int64_t rank = b.rank(x);
  Value parameters[4];
  for (auto [i, parameter] : llvm::enumerate(parameters)) {
    parameter = b.input(i + 1);
    if (!b.failed() && rank > 2) // [C] to [C, 1, 1]: broadcasting then meets dimension 1
      parameter = b.cast(b.alongAxis(parameter, 0, rank - 1), b.elementType(x));
  }
  if (b.failed())
    return failure();
  auto [scale, bias, mean, variance] = parameters;
  Value deviation =
      b.unary(UnaryKind::Sqrt, b.add(variance, b.scalar(x, b.floatAttr("epsilon", 1e-5f))));
  return b.yield(b.add(b.mul(b.div(b.sub(x, mean), deviation), scale), bias));
}

/// x / norm along one axis.
LogicalResult importLpNormalization(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  int64_t axis = b.normalizeAxis(b.intAttr("axis", -1), b.rank(x)), p = b.intAttr("p", 2);
  Value norm = p == 1
                   ? b.reduce(ReduceKind::Sum, b.unary(UnaryKind::Abs, x), {axis}, true)
                   : b.unary(UnaryKind::Sqrt, b.reduce(ReduceKind::Sum, b.mul(x, x), {axis}, true));
  // ONNX divides 0 by 0 to 0.
  Value isZero = b.compare(CompareKind::Eq, norm, b.scalar(x, 0));
  return b.yield(b.select(isZero, b.scalar(x, 0), b.div(x, norm)));
}

Value softmax(OpBinder &b, Value x, int64_t axis) {
  return b.create<SoftmaxOp>(b.failed() ? Type() : b.elementType(x), x,
                             b.builder.getI64IntegerAttr(axis));
}
/// x - max - log(sum(exp(x - max)))
Value logSoftmax(OpBinder &b, Value x, int64_t axis) {
  Value shifted = b.sub(x, b.reduce(ReduceKind::Max, x, {axis}, true));
  Value sum = b.reduce(ReduceKind::Sum, b.unary(UnaryKind::Exp, shifted), {axis}, true);
  return b.sub(shifted, b.unary(UnaryKind::Log, sum));
}

/// Before opset 13 the input is a matrix of the dimensions before and from `axis` (default 1), and
/// rows are normalised.
/// 1 at the first place of the largest value, 0 elsewhere.
Value hardmax(OpBinder &b, Value x, int64_t axis) {
  if (b.failed())
    return {};
  Value hit = b.compare(CompareKind::Eq, x, b.reduce(ReduceKind::Max, x, {axis}, true));
  Value place = b.alongAxis(b.iota(Extent(x, axis)), axis, b.rank(x));
  Value candidates = b.select(hit, place, b.scalar(b.builder.getI64Type(), double(INT32_MAX)));
  Value first = b.reduce(ReduceKind::Min, candidates, {axis}, true);
  return b.select(b.compare(CompareKind::Eq, place, first), b.scalar(x, 1), b.scalar(x, 0));
}

template <Value (*function)(OpBinder &, Value, int64_t)> LogicalResult importSoftmax(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x);
  int64_t axis = b.normalizeAxis(b.intAttr("axis", b.opset() < 13 ? 1 : -1), rank);
  if (b.opset() >= 13 || axis == rank - 1)
    return b.yield(function(b, x, axis));
  Value rows = function(b, b.reshape(x, {Extent(x, 0, axis), Extent(x, axis, rank)}), 1);
  SmallVector<Extent> extents;
  for (int64_t i = 0; i < rank; ++i)
    extents.push_back(Extent(x, i));
  return b.yield(b.reshape(rows, extents));
}

constexpr OpClass C = OpClass::Concept, D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "BatchNormalization", 7, 15, D, importBatchNormalization},
    {"", "Hardmax", 1, 13, D, importSoftmax<hardmax>},
    // Before opset 17 it is an operator that onnxruntime adds to the default domain.
    {"", "LayerNormalization", 7, 17, C, importLayerNormalization},
    {"", "LogSoftmax", 1, 13, D, importSoftmax<logSoftmax>},
    {"", "LpNormalization", 1, 22, D, importLpNormalization},
    {"", "RMSNormalization", 23, 23, C, importRMSNormalization},
    {"", "SimplifiedLayerNormalization", 7, 7, C, importRMSNormalization},
    {"", "Softmax", 1, 13, C, importSoftmax<softmax>},
    {"com.microsoft", "EmbedLayerNormalization", 1, 1, D, importEmbedLayerNorm},
    {"com.microsoft", "SkipLayerNormalization", 1, 1, D, importSkipNorm<false>},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", 1, 1, D, importSkipNorm<true>},
};

} // namespace

ArrayRef<OpRow> permalloy::normalizationRows() { return ::rows; }
