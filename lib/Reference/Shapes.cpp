//===- Shapes.cpp - strides and broadcasting of concrete shapes --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

Shape reference::stridesOf(ArrayRef<int64_t> shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0; stride *= shape[d])
    strides[d] = stride;
  return strides;
}

int64_t reference::product(ArrayRef<int64_t> shape) {
  int64_t result = 1;
  for (int64_t extent : shape)
    result *= extent;
  return result;
}

std::optional<Shape> reference::broadcastShapes(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  if (a.size() < b.size())
    std::swap(a, b);
  Shape result(a);
  for (size_t i = 0; i < b.size(); ++i) {
    int64_t &x = result[a.size() - b.size() + i];
    if (x != b[i] && x != 1 && b[i] != 1)
      return std::nullopt;
    x = x == 1 ? b[i] : x;
  }
  return result;
}

Shape reference::broadcastStrides(ArrayRef<int64_t> shape, ArrayRef<int64_t> target) {
  Shape own = stridesOf(shape), result(target.size(), 0);
  size_t shift = target.size() - shape.size();
  for (size_t i = 0; i < shape.size(); ++i)
    result[shift + i] = shape[i] == 1 ? 0 : own[i];
  return result;
}

void reference::forEachIndex(ArrayRef<int64_t> shape, ArrayRef<Shape> strides,
                             function_ref<void(int64_t, ArrayRef<int64_t>)> visit) {
  int64_t count = product(shape);
  SmallVector<int64_t> index(shape.size()), offsets(strides.size());
  for (int64_t i = 0; i < count; ++i) {
    visit(i, offsets);
    for (size_t d = shape.size(); d-- > 0;) { // odometer
      bool wraps = ++index[d] == shape[d];
      for (size_t s = 0; s < strides.size(); ++s)
        offsets[s] += wraps ? -strides[s][d] * (shape[d] - 1) : strides[s][d];
      if (!wraps)
        break;
      index[d] = 0;
    }
  }
}

std::string reference::str(ArrayRef<int64_t> shape) {
  return "[" +
         llvm::join(llvm::map_range(shape, [](int64_t x) { return std::to_string(x); }), ", ") +
         "]";
}

FailureOr<SmallVector<int64_t>> Scope::values(ArrayAttr dims) {
  SmallVector<int64_t> result;
  for (tfm::DimExprAttr dim : tfm::dimsOf(dims)) {
    FailureOr<int64_t> value = this->value(dim);
    if (failed(value))
      return failure();
    result.push_back(*value);
  }
  return result;
}
