//===- Outliers.cpp - elements that leave the codes of their rows -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Outliers.h"

#include <algorithm>
#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

/// Larger magnitudes first; NaN is larger than every number.
static bool isAhead(double x, double y) { return x > y || (std::isnan(x) && !std::isnan(y)); }

Result reference::evaluate(tfm::OutlierLimitOp op, Operands in, Scope &) {
  const Tensor &x = in[0];
  int64_t width = x.shape().back(), k = op.getCount() + 1;
  Shape shape(x.shape());
  shape.back() = 1;
  Tensor result(x.elementType(), shape);
  for (int64_t row = 0; row < result.size(); ++row) {
    std::vector<double> best(k, 0.0);
    for (int64_t i = 0; i < width; ++i) {
      double magnitude = std::abs(x.number(row * width + i));
      if (!isAhead(magnitude, best.back()))
        continue;
      best.back() = magnitude;
      for (int64_t j = k - 1; j > 0 && isAhead(best[j], best[j - 1]); --j)
        std::swap(best[j], best[j - 1]);
    }
    result.setNumber(row, best.back());
  }
  return result;
}

Result reference::evaluate(tfm::OutlierPositionsOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0], &limit = in[1];
  int64_t width = x.shape().back(), count = op.getCount();
  Shape shape(x.shape());
  shape.back() = count;
  Tensor result(op.getType().getElementType(), shape);
  int64_t rows = product(ArrayRef<int64_t>(shape).drop_back());
  if (limit.size() != rows)
    return scope.fail("limit " + str(limit.shape()) + " is not one for each row of " + str(x.shape()));
  for (int64_t row = 0; row < rows; ++row) {
    int64_t found = 0;
    for (int64_t i = 0; i < width && found < count; ++i)
      if (!(std::abs(x.number(row * width + i)) <= limit.number(row)))
        result.setInteger(row * count + found++, i);
    for (; found < count; ++found)
      result.setInteger(row * count + found, -1);
  }
  return result;
}

/// A position is one of the row or -1.
static bool isPosition(int64_t position, int64_t width) { return position >= -1 && position < width; }

Result reference::evaluate(tfm::OutlierValuesOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0], &positions = in[1];
  int64_t width = x.shape().back(), count = positions.shape().back();
  Tensor result(x.elementType(), positions.shape());
  if (positions.shape().drop_back() != x.shape().drop_back())
    return scope.fail("positions " + str(positions.shape()) + " are not of the rows of " + str(x.shape()));
  for (int64_t i = 0; i < result.size(); ++i) {
    auto position = int64_t(positions.integer(i));
    if (!isPosition(position, width))
      return scope.fail("position " + Twine(position) + " is outside of a row of " + Twine(width));
    result.setNumber(i, position < 0 ? 0.0 : x.number(i / count * width + position));
  }
  return result;
}

Result reference::evaluate(tfm::OutlierLinearOp op, Operands in, Scope &scope) {
  const Tensor &values = in[0], &positions = in[1];
  Tensor weight = in[2].isPacked() ? unpack(in[2]) : in[2];
  if (values.shape() != positions.shape())
    return scope.fail("values " + str(values.shape()) + " and positions " + str(positions.shape()) + " differ");
  int64_t count = values.shape().back(), columns = weight.dim(1);
  Shape shape(values.shape());
  shape.back() = columns;
  Tensor result(op.getType().getElementType(), shape);
  for (int64_t row = 0; row < product(ArrayRef<int64_t>(shape).drop_back()); ++row) {
    std::vector<float> sums(columns, 0.0f);
    for (int64_t r = row * count; r < (row + 1) * count; ++r) {
      auto position = int64_t(positions.integer(r));
      if (!isPosition(position, weight.dim(0)))
        return scope.fail("position " + Twine(position) + " is outside of a weight of " + Twine(weight.dim(0)) + " rows");
      if (position < 0)
        position = weight.dim(0) - 1;
      for (int64_t n = 0; n < columns; ++n)
        sums[n] = std::fma(float(values.number(r)), float(int64_t(weight.integer(position * columns + n))), sums[n]);
    }
    for (int64_t n = 0; n < columns; ++n)
      result.setNumber(row * columns + n, sums[n]);
  }
  return result;
}
