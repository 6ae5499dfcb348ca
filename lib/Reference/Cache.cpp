//===- Cache.cpp - key and value caches in the interpreter -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

/// Rows beyond the least that a cache needs, so that a read of spare rows shows (they hold NaN).
static constexpr int64_t kSpareRows = 3;

/// Copies the first `count` rows (dimension 2) of `from` to `to`, whose rows begin at `at`.
static void copyRows(const Tensor &from, Tensor &to, int64_t at, int64_t count) {
  int64_t row = from.dim(3) * elementBytes(from.element());
  char *target = to.mutableBytes().data();
  for (int64_t head = 0, heads = from.dim(0) * from.dim(1); head < heads; ++head)
    std::copy_n(from.bytes().data() + head * from.dim(2) * row, count * row,
                target + (head * to.dim(2) + at) * row);
}

static bool sameButRows(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  return a.size() == 4 && b.size() == 4 && a[0] == b[0] && a[1] == b[1] && a[3] == b[3];
}

Result reference::evaluate(tfm::KvAppendOp op, Operands in, Scope &scope) {
  FailureOr<int64_t> at = scope.value(op.getAt());
  if (failed(at))
    return failure();
  const Tensor &cache = in[0], &rows = in[1];
  if (!sameButRows(cache.shape(), rows.shape()) || *at < 0 || *at > cache.dim(2) - rows.dim(2))
    return scope.fail("rows " + str(rows.shape()) + " at " + Twine(*at) + " do not fit cache " +
                      str(cache.shape()));
  Tensor result = cache;
  copyRows(rows, result, *at, rows.dim(2));
  return result;
}

Result reference::evaluate(kern::CacheOp op, Operands in, Scope &scope) {
  FailureOr<Shape> shape = scope.values(op.getDims());
  if (failed(shape))
    return failure();
  if (!sameButRows(*shape, in[0].shape()) || in[0].dim(2) > (*shape)[2])
    return scope.fail("past " + str(in[0].shape()) + " does not fit cache " + str(*shape));
  Tensor result(in[0].elementType(), *shape);
  for (int64_t i = 0; i < result.size(); ++i)
    result.setNumber(i, std::numeric_limits<double>::quiet_NaN());
  copyRows(in[0], result, 0, in[0].dim(2));
  return result;
}

Result reference::evaluate(kern::CacheViewOp op, Operands in, Scope &scope) {
  FailureOr<Shape> shape = scope.values(op.getDims());
  if (failed(shape))
    return failure();
  if (!sameButRows(*shape, in[0].shape()) || (*shape)[2] < 0 || (*shape)[2] > in[0].dim(2))
    return scope.fail("cache " + str(in[0].shape()) + " has no live part " + str(*shape));
  Tensor result(in[0].elementType(), *shape);
  copyRows(in[0], result, 0, (*shape)[2]);
  return result;
}

LogicalResult reference::chooseCapacity(func::FuncOp function, Symbols &symbols,
                                        std::string &error) {
  for (auto cache : function.getOps<kern::CacheOp>()) {
    std::optional<int64_t> least = evaluate(cache.getLeast(), symbols, error);
    if (!least)
      return failure();
    symbols.try_emplace(cast<tfm::DimExprAttr>(cache.getDims()[2]).getName().getValue(),
                        *least + kSpareRows);
  }
  return success();
}
