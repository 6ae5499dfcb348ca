//===- Integer.cpp - codes of 8 bits and their products ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"
#include "Multiply.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

/// rne(x / scale) + zero, clamped. The quotient of two numbers of f32 is rounded to f32 first, as processors do; NaN gives `low`.
static int64_t codeOf(double x, double scale, int64_t zero, int64_t low, int64_t high) {
  float quotient = float(x) / float(scale);
  double code = std::nearbyint(double(quotient)) + double(zero);
  return code > double(low) ? int64_t(std::min(code, double(high))) : low;
}

Result reference::evaluate(tfm::QuantizeOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0];
  for (const Tensor &other : in.drop_front())
    if (broadcastShapes(other.shape(), x.shape()) != Shape(x.shape()))
      return scope.fail("scale or zero point " + str(other.shape()) + " does not broadcast to " + str(x.shape()));
  const Tensor *scale = op.getScale() ? &in[1] : nullptr, *zero = op.getZeroPoint() ? &in.back() : nullptr;
  Shape none(x.rank(), 0);
  SmallVector<Shape> strides = {scale ? broadcastStrides(scale->shape(), x.shape()) : none,
                                zero ? broadcastStrides(zero->shape(), x.shape()) : none};
  Tensor result(op.getType().getElementType(), x.shape());
  forEachIndex(x.shape(), strides, [&](int64_t i, ArrayRef<int64_t> at) {
    double step = scale ? scale->number(at[0]) : 1;
    int64_t origin = zero ? int64_t(zero->integer(at[1])) : 0;
    result.setInteger(i, codeOf(x.number(i), step, origin, op.lowest(), op.highest()));
  });
  return result;
}

static std::vector<uint64_t> codesOf(const Tensor &tensor) {
  std::vector<uint64_t> codes(tensor.size());
  for (int64_t i = 0; i < tensor.size(); ++i)
    codes[i] = uint64_t(int64_t(tensor.integer(i)));
  return codes;
}

Tensor reference::evaluateIntegral(tfm::LinearOp op, const Tensor &x, const Tensor &weight) {
  Shape shape(x.shape());
  shape.back() = weight.dim(1);
  Tensor result(op.getType().getElementType(), shape);
  std::vector<uint64_t> sums(result.size()), a = codesOf(x), b = codesOf(weight);
  multiplyDense(a.data(), b.data(), sums.data(), product(x.shape().drop_back()), x.shape().back(), weight.dim(1));
  for (int64_t i = 0; i < result.size(); ++i)
    result.setInteger(i, Wide(int64_t(sums[i])));
  return result;
}
