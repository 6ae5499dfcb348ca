//===- Selection.cpp - top_k, non_zero and scatter ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

/// All positions, best first; equal ones stay in order.
template <typename Less> static SmallVector<int64_t> sorted(int64_t n, Less less) {
  SmallVector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  llvm::sort(order, [&](int64_t i, int64_t j) { return less(i, j) || (!less(j, i) && i < j); });
  return order;
}

SmallVector<int64_t> reference::ranking(int64_t n, function_ref<double(int64_t)> number,
                                        bool smallest) {
  auto less = [](double x, double y) { return x < y || (!std::isnan(x) && std::isnan(y)); };
  return sorted(n, [&](int64_t i, int64_t j) {
    return smallest ? less(number(i), number(j)) : less(number(j), number(i));
  });
}

Result reference::evaluate(tfm::TopKOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0];
  size_t axis = op.getAxis();
  FailureOr<int64_t> k =
      op.getK() ? scope.value(*op.getK()) : FailureOr<int64_t>(int64_t(in[1].integer(0)));
  if (failed(k))
    return failure();
  int64_t n = x.dim(axis), inner = product(x.shape().drop_front(axis + 1));
  if (*k < 0 || *k > n)
    return scope.fail("k is " + Twine(*k) + " but dimension " + Twine(axis) + " of " +
                      str(x.shape()) + " has " + Twine(n) + " elements");
  Shape shape(x.shape());
  shape[axis] = *k;
  Tensor result(getElementTypeOrSelf(op.getType()), shape);
  for (int64_t o = 0; o < product(x.shape().take_front(axis)); ++o)
    for (int64_t i = 0; i < inner; ++i) {
      auto at = [&](int64_t j) { return (o * n + j) * inner + i; };
      SmallVector<int64_t> order;
      if (isFloat(x.element()))
        order = ranking(n, [&](int64_t j) { return x.number(at(j)); }, op.getSmallest());
      else
        order = sorted(n, [&](int64_t a, int64_t b) {
          Wide first = x.integer(at(a)), second = x.integer(at(b));
          return op.getSmallest() ? first < second : second < first;
        });
      for (int64_t j = 0; j < *k; ++j)
        result.setInteger((o * *k + j) * inner + i, order[j]);
    }
  return result;
}

Result reference::evaluate(tfm::NonZeroOp op, Operands in, Scope &) {
  const Tensor &x = in[0];
  SmallVector<int64_t> hits;
  for (int64_t i = 0; i < x.size(); ++i)
    if (isFloat(x.element()) ? x.number(i) != 0 : x.integer(i) != 0)
      hits.push_back(i);
  int64_t count = hits.size();
  Tensor result(getElementTypeOrSelf(op.getType()), {x.rank(), count});
  Shape strides = stridesOf(x.shape());
  for (int64_t j = 0; j < count; ++j)
    for (int64_t d = 0; d < x.rank(); ++d)
      result.setInteger(d * count + j, hits[j] / strides[d] % x.dim(d));
  return result;
}

//===----------------------------------------------------------------------===//
// Scatter
//===----------------------------------------------------------------------===//

using tfm::ScatterReduction;

template <typename Number> static Number joined(ScatterReduction kind, Number old, Number update) {
  switch (kind) {
  case ScatterReduction::None:
    return update;
  case ScatterReduction::Add:
    return old + update;
  case ScatterReduction::Mul:
    return Number(old * update);
  case ScatterReduction::Max:
    return old != old || old > update ? old : update; // NaN stays
  case ScatterReduction::Min:
    return old != old || old < update ? old : update;
  }
  llvm_unreachable("all reductions are listed");
}

static void join(ScatterReduction kind, Tensor &result, int64_t at, const Tensor &updates,
                 int64_t from) {
  if (isFloat(result.element()))
    return result.setNumber(at, joined(kind, result.number(at), updates.number(from)));
  // 64 bits wrap, and so does the product of what is left of them.
  Wide old = result.integer(at), update = updates.integer(from);
  if (kind == ScatterReduction::Mul)
    result.setInteger(at, Wide(uint64_t(old) * uint64_t(update)));
  else
    result.setInteger(at, joined(kind, old, update));
}

/// One update of `block` elements for each tuple of indices.
static LogicalResult scatterSlices(tfm::ScatterOp op, Tensor &result, Operands in, Scope &scope) {
  const Tensor &indices = in[1], &updates = in[2];
  size_t tuple = indices.shape().back();
  Shape strides = stridesOf(result.shape()), expected(indices.shape().drop_back());
  llvm::append_range(expected, result.shape().drop_front(tuple));
  if (updates.shape() != ArrayRef(expected))
    return scope.fail("updates must be " + str(expected) + ", not " + str(updates.shape()));
  int64_t block = product(result.shape().drop_front(tuple));
  for (int64_t t = 0; t < product(indices.shape().drop_back()); ++t) {
    int64_t start = 0;
    for (size_t d = 0; d < tuple; ++d) {
      FailureOr<int64_t> index =
          wrapIndex(indices.integer(t * tuple + d), result.dim(d), scope);
      if (failed(index))
        return failure();
      start += *index * strides[d];
    }
    for (int64_t i = 0; i < block; ++i)
      join(op.getReduction(), result, start + i, updates, t * block + i);
  }
  return success();
}

/// Each update at its own place but for the position along the axis.
static LogicalResult scatterElements(tfm::ScatterOp op, Tensor &result, Operands in, Scope &scope) {
  const Tensor &indices = in[1], &updates = in[2];
  size_t axis = *op.getAxis();
  bool fits = indices.shape() == updates.shape();
  for (size_t d = 0; fits && d < indices.shape().size(); ++d)
    fits = d == axis || indices.dim(d) <= result.dim(d);
  if (!fits)
    return scope.fail("indices " + str(indices.shape()) + " and updates " + str(updates.shape()) +
                      " do not fit " + str(result.shape()) + " along axis " + Twine(axis));
  Shape strides = stridesOf(result.shape());
  int64_t stride = std::exchange(strides[axis], 0);
  LogicalResult status = success();
  forEachIndex(indices.shape(), {strides}, [&](int64_t i, ArrayRef<int64_t> at) {
    FailureOr<int64_t> index = wrapIndex(indices.integer(i), result.dim(axis), scope);
    if (failed(index))
      status = failure();
    else
      join(op.getReduction(), result, at[0] + *index * stride, updates, i);
  });
  return status;
}

Result reference::evaluate(tfm::ScatterOp op, Operands in, Scope &scope) {
  Tensor result = in[0];
  auto scatter = op.getAxis() ? scatterElements : scatterSlices;
  if (failed(scatter(op, result, in, scope)))
    return failure();
  return result;
}
