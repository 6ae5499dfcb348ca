//===- Reductions.cpp - reductions of ONNX -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

struct Reduction {
  Ints axes;
  bool keepDims = true;
  bool isNoop = false;
};

/// Axes are an attribute first and an input later (ReduceSum from opset 13 on, the others from 18);
/// none means all, or nothing at all with noop_with_empty_axes.
std::optional<Reduction> readReduction(OpBinder &b, Value x) {
  Reduction reduction;
  std::optional<Ints> axes = b.hasInput(1) ? b.constantInput(1, "axes") : b.intsAttr("axes");
  reduction.keepDims = b.intAttr("keepdims", 1);
  if (b.failed())
    return std::nullopt;
  if (!axes || axes->empty()) {
    reduction.isNoop = b.intAttr("noop_with_empty_axes", 0);
    axes = llvm::to_vector(llvm::seq<int64_t>(0, b.rank(x)));
  }
  reduction.axes = b.normalizeAxes(*axes, b.rank(x));
  return b.failed() ? std::nullopt : std::optional(reduction);
}

Value apply(OpBinder &b, ReduceKind kind, Value x, const Reduction &reduction) {
  if (reduction.isNoop || b.failed())
    return x;
  if (b.isBool(x)) // ReduceMax and ReduceMin of bool, opset 20
    kind = kind == ReduceKind::Max   ? ReduceKind::Any
           : kind == ReduceKind::Min ? ReduceKind::All
                                     : kind;
  return b.reduce(kind, x, reduction.axes, reduction.keepDims);
}

template <ReduceKind kind> LogicalResult importReduce(OpBinder &b) {
  Value x = b.input(0);
  auto reduction = readReduction(b, x);
  return reduction ? b.yield(apply(b, kind, x, *reduction)) : failure();
}

/// Sums of |x|, x^2, exp(x), perhaps with a function of the sum.
enum class SumOf { Absolute, Square, SquareRoot, Log };
template <SumOf what> LogicalResult importSumOf(OpBinder &b) {
  Value x = b.input(0);
  auto reduction = readReduction(b, x);
  if (!reduction)
    return failure();
  if (what == SumOf::Absolute)
    x = b.unary(UnaryKind::Abs, x);
  else if (what != SumOf::Log)
    x = b.mul(x, x);
  Value sum = apply(b, ReduceKind::Sum, x, *reduction);
  if (what == SumOf::SquareRoot)
    sum = b.unary(UnaryKind::Sqrt, sum);
  return b.yield(what == SumOf::Log ? b.unary(UnaryKind::Log, sum) : sum);
}

/// log(sum(exp(x))) with the maximum taken out, so that exp does not overflow; an infinite maximum
/// stays in.
LogicalResult importLogSumExp(OpBinder &b) {
  Value x = b.input(0);
  auto reduction = readReduction(b, x);
  if (!reduction)
    return failure();
  if (reduction->isNoop)
    return b.yield(x);
  Value maximum = b.reduce(ReduceKind::Max, x, reduction->axes, /*keepDims=*/true);
  maximum = b.select(b.unary(UnaryKind::IsInf, maximum), b.scalar(x, 0), maximum);
  Value sum = b.reduce(ReduceKind::Sum, b.unary(UnaryKind::Exp, b.sub(x, maximum)), reduction->axes,
                       /*keepDims=*/true);
  Value result = b.add(b.unary(UnaryKind::Log, sum), maximum);
  // One element along each axis: dropping them is the sum of one.
  return b.yield(reduction->keepDims
                     ? result
                     : b.reduce(ReduceKind::Sum, result, reduction->axes, /*keepDims=*/false));
}

/// Mean over all dimensions behind batch and channel.
LogicalResult importGlobalAveragePool(OpBinder &b) {
  Value x = b.input(0);
  if (b.failed())
    return failure();
  return b.yield(b.reduce(ReduceKind::Mean, x,
                          llvm::to_vector(llvm::seq<int64_t>(2, std::max<int64_t>(2, b.rank(x)))),
                          true));
}

constexpr OpClass E = OpClass::Elementwise, D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "GlobalAveragePool", 1, 22, D, importGlobalAveragePool},
    {"", "ReduceL1", 1, 18, D, importSumOf<SumOf::Absolute>},
    {"", "ReduceL2", 1, 18, D, importSumOf<SumOf::SquareRoot>},
    {"", "ReduceLogSum", 1, 28, D, importSumOf<SumOf::Log>},
    {"", "ReduceLogSumExp", 1, 28, D, importLogSumExp},
    {"", "ReduceMax", 1, 20, E, importReduce<ReduceKind::Max>},
    {"", "ReduceMean", 1, 18, E, importReduce<ReduceKind::Mean>},
    {"", "ReduceMin", 1, 20, E, importReduce<ReduceKind::Min>},
    {"", "ReduceProd", 1, 18, E, importReduce<ReduceKind::Prod>},
    {"", "ReduceSum", 1, 13, E, importReduce<ReduceKind::Sum>},
    {"", "ReduceSumSquare", 1, 18, D, importSumOf<SumOf::Square>},
};

} // namespace

ArrayRef<OpRow> permalloy::reductionRows() { return rows; }
