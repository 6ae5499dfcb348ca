//===- Transformer.cpp - products, norms, softmax, attention -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everything here is computed in double from the stored elements and rounded once at the end.
//
//===----------------------------------------------------------------------===//

#include "Evaluate.h"
#include "Multiply.h"

#include <cmath>
#include <limits>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

using tfm::ReduceKind;

static double neutral(ReduceKind kind) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  return kind == ReduceKind::Max    ? -infinity
         : kind == ReduceKind::Min  ? infinity
         : kind == ReduceKind::Prod ? 1
                                    : 0;
}

static double accumulate(ReduceKind kind, double a, double x) {
  switch (kind) {
  case ReduceKind::Max:
    return std::isnan(a) || a > x ? a : x;
  case ReduceKind::Min:
    return std::isnan(a) || a < x ? a : x;
  case ReduceKind::Prod:
    return a * x;
  case ReduceKind::AbsMax:
    return std::isnan(a) || a > std::fabs(x) ? a : std::fabs(x);
  default:
    return a + x;
  }
}

static Wide neutral(ReduceKind kind, Element element) {
  if (kind == ReduceKind::Prod || kind == ReduceKind::All)
    return 1;
  if (kind != ReduceKind::Max && kind != ReduceKind::Min)
    return 0;
  int bits = 8 * elementBytes(element);
  bool isUnsigned = element >= Element::U8 && element <= Element::U64;
  Wide high = (Wide(1) << (isUnsigned ? bits : bits - 1)) - 1;
  return kind == ReduceKind::Min ? high : isUnsigned ? 0 : -high - 1;
}

static Wide accumulate(ReduceKind kind, Element element, Wide a, Wide x) {
  switch (kind) {
  case ReduceKind::Max:
    return std::max(a, x);
  case ReduceKind::Min:
    return std::min(a, x);
  case ReduceKind::Prod:
    return wrapTo(element, Wide(uint64_t(a) * uint64_t(x)));
  case ReduceKind::All:
    return a && x;
  case ReduceKind::Any:
    return a || x;
  default:
    return a + x;
  }
}

Result reference::evaluate(tfm::ReduceOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0];
  ReduceKind kind = op.getKind();
  Shape kept(x.shape()), dropped;
  for (auto [d, extent] : llvm::enumerate(x.shape())) {
    bool reduced = llvm::is_contained(op.getAxes(), int64_t(d));
    kept[d] = reduced ? 1 : extent;
    if (!reduced || op.getKeepDims())
      dropped.push_back(kept[d]);
  }
  Tensor result(x.elementType(), dropped);
  double count = product(kept) ? double(x.size()) / product(kept) : 0;
  if (kind == ReduceKind::Mean && count == 0 && result.size() && !isFloat(x.element()))
    return scope.fail("mean of no integers");
  std::vector<double> sums(result.size(), neutral(kind));
  std::vector<Wide> counts(isFloat(x.element()) ? 0 : result.size(), neutral(kind, x.element()));
  forEachIndex(x.shape(), {broadcastStrides(kept, x.shape())},
               [&](int64_t i, ArrayRef<int64_t> at) {
                 if (isFloat(x.element()))
                   sums[at[0]] = accumulate(kind, sums[at[0]], x.number(i));
                 else
                   counts[at[0]] = accumulate(kind, x.element(), counts[at[0]], x.integer(i));
               });
  for (int64_t i = 0; i < result.size(); ++i) {
    if (isFloat(x.element()))
      result.setNumber(i, kind == ReduceKind::Mean ? sums[i] / count : sums[i]);
    else
      result.setInteger(i, kind == ReduceKind::Mean ? counts[i] / Wide(count) : counts[i]);
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

/// Elements of the matrices of `t`, each transposed when asked.
template <typename T> static std::vector<T> matrices(const Tensor &t, bool transposed) {
  std::vector<T> values;
  if constexpr (std::is_same_v<T, double>)
    values = t.numbers();
  else
    for (int64_t i = 0; i < t.size(); ++i)
      values.push_back(uint64_t(t.integer(i)));
  if (!transposed)
    return values;
  int64_t rows = t.dim(t.rank() - 2), columns = t.dim(t.rank() - 1);
  std::vector<T> result(values.size());
  for (int64_t base = 0; base < t.size(); base += rows * columns)
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        result[base + c * rows + r] = values[base + r * columns + c];
  return result;
}

namespace {
/// Sizes of a batched product after broadcasting.
struct Product {
  Shape batch, aBatch, bBatch;
  int64_t m, k, n;
};
} // namespace

template <typename T>
static std::vector<T> multiplyAll(const std::vector<T> &a, const std::vector<T> &b,
                                  const Product &p) {
  std::vector<T> result(product(p.batch) * p.m * p.n);
  SmallVector<Shape> strides = {broadcastStrides(p.aBatch, p.batch),
                                broadcastStrides(p.bBatch, p.batch)};
  forEachIndex(p.batch, strides, [&](int64_t i, ArrayRef<int64_t> at) {
    multiplyDense(a.data() + at[0] * p.m * p.k, b.data() + at[1] * p.k * p.n,
                  result.data() + i * p.m * p.n, p.m, p.k, p.n);
  });
  return result;
}

Result reference::evaluate(tfm::MatmulOp op, Operands in, Scope &scope) {
  Tensor a = in[0], b = in[1];
  bool vectorA = a.rank() == 1, vectorB = b.rank() == 1;
  if (vectorA)
    a = a.reshaped({1, a.dim(0)});
  if (vectorB)
    b = b.reshaped({b.dim(0), 1});
  Product p{{}, Shape(a.shape().drop_back(2)), Shape(b.shape().drop_back(2)), 0, 0, 0};
  p.m = a.dim(a.rank() - (op.getTransposeA() ? 1 : 2));
  p.k = a.dim(a.rank() - (op.getTransposeA() ? 2 : 1));
  p.n = b.dim(b.rank() - (op.getTransposeB() ? 2 : 1));
  auto batch = broadcastShapes(p.aBatch, p.bBatch);
  if (!batch || b.dim(b.rank() - (op.getTransposeB() ? 1 : 2)) != p.k)
    return scope.fail("shapes " + str(in[0].shape()) + " and " + str(in[1].shape()) +
                      " do not multiply");
  p.batch = *batch;
  Shape shape = *batch;
  if (!vectorA)
    shape.push_back(p.m);
  if (!vectorB)
    shape.push_back(p.n);
  Tensor result(a.elementType(), shape);
  if (isFloat(a.element())) {
    auto values = multiplyAll(matrices<double>(a, op.getTransposeA()),
                              matrices<double>(b, op.getTransposeB()), p);
    for (int64_t i = 0; i < result.size(); ++i)
      result.setNumber(i, values[i]);
  } else { // unsigned 64-bit sums wrap like any narrower type
    auto values = multiplyAll(matrices<uint64_t>(a, op.getTransposeA()),
                              matrices<uint64_t>(b, op.getTransposeB()), p);
    for (int64_t i = 0; i < result.size(); ++i)
      result.setInteger(i, values[i]);
  }
  return result;
}

Result reference::evaluate(tfm::LinearOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0];
  Tensor weight = in[1].isPacked() ? unpack(in[1]) : in[1];
  int64_t k = x.shape().back(), n = weight.dim(1);
  if (weight.dim(0) != k || (op.getBias() && in[2].size() != n))
    return scope.fail("input " + str(x.shape()) + ", weight " + str(weight.shape()) +
                      (op.getBias() ? " and bias " + str(in[2].shape()) : "") + " do not fit");
  if (op.isIntegral())
    return evaluateIntegral(op, x, weight);
  Shape shape(x.shape());
  shape.back() = n;
  Tensor result(op.getType().getElementType(), shape);
  int64_t m = product(x.shape().drop_back());
  std::vector<double> sums(m * n), values = x.numbers(), weights = weight.numbers(), bias(n);
  multiplyDense(values.data(), weights.data(), sums.data(), m, k, n);
  if (op.getBias())
    bias = in[2].numbers();
  for (int64_t i = 0; i < result.size(); ++i)
    result.setNumber(i, applyActivation(op.getActivation(), sums[i] + bias[i % n]));
  return result;
}

//===----------------------------------------------------------------------===//
// Norms and softmax
//===----------------------------------------------------------------------===//

Result reference::evaluate(tfm::LayerNormOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0];
  ArrayRef<int64_t> inner = x.shape().drop_front(op.getAxis());
  int64_t n = product(inner);
  for (const Tensor &t : in.drop_front())
    if (broadcastShapes(t.shape(), inner) != Shape(inner))
      return scope.fail("scale or bias " + str(t.shape()) + " does not broadcast to " + str(inner));
  Tensor result(x.type());
  double epsilon = op.getEpsilon().convertToFloat();
  Shape scaleStrides = broadcastStrides(in[1].shape(), inner);
  Shape biasStrides = op.getBias() ? broadcastStrides(in[2].shape(), inner) : scaleStrides;
  for (int64_t row = 0; row < x.size(); row += n) {
    double mean = 0, variance = 0;
    for (int64_t i = 0; i < n; ++i)
      mean += x.number(row + i);
    mean /= n;
    for (int64_t i = 0; i < n; ++i)
      variance += (x.number(row + i) - mean) * (x.number(row + i) - mean);
    double factor = 1 / std::sqrt(variance / n + epsilon);
    forEachIndex(inner, {scaleStrides, biasStrides}, [&](int64_t i, ArrayRef<int64_t> at) {
      double scaled = (x.number(row + i) - mean) * factor * in[1].number(at[0]);
      result.setNumber(row + i, op.getBias() ? scaled + in[2].number(at[1]) : scaled);
    });
  }
  return result;
}

Result reference::evaluate(tfm::RmsNormOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0], &scale = in[1];
  ArrayRef<int64_t> inner = x.shape().drop_front(op.getAxis());
  int64_t n = product(inner);
  if (broadcastShapes(scale.shape(), inner) != Shape(inner))
    return scope.fail("scale " + str(scale.shape()) + " does not broadcast to " + str(inner));
  Tensor result(x.type());
  for (int64_t row = 0; row < x.size(); row += n) {
    double squares = 0;
    for (int64_t i = 0; i < n; ++i)
      squares += x.number(row + i) * x.number(row + i);
    double factor = 1 / std::sqrt(squares / n + op.getEpsilon().convertToFloat());
    forEachIndex(inner, {broadcastStrides(scale.shape(), inner)}, [&](int64_t i, ArrayRef<int64_t> at) {
      result.setNumber(row + i, x.number(row + i) * factor * scale.number(at[0]));
    });
  }
  return result;
}

/// exp(x - max) / sum, in place; -inf everywhere gives NaN.
static void softmaxInPlace(MutableArrayRef<double> row) {
  double max = -std::numeric_limits<double>::infinity(), sum = 0;
  for (double x : row)
    max = std::isnan(x) || x > max ? x : max;
  for (double &x : row)
    sum += x = std::exp(x - max);
  for (double &x : row)
    x /= sum;
}

Result reference::evaluate(tfm::SoftmaxOp op, Operands in, Scope &) {
  const Tensor &x = in[0];
  size_t axis = op.getAxis();
  int64_t n = x.dim(axis), inner = product(x.shape().drop_front(axis + 1)),
          outer = product(x.shape().take_front(axis));
  Tensor result(x.type());
  std::vector<double> row(n);
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < inner; ++i) {
      for (int64_t j = 0; j < n; ++j)
        row[j] = x.number((o * n + j) * inner + i);
      softmaxInPlace(row);
      for (int64_t j = 0; j < n; ++j)
        result.setNumber((o * n + j) * inner + i, row[j]);
    }
  return result;
}
