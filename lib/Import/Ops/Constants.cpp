//===- Constants.cpp - tensors that stand in the graph -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

template <typename T>
Value list(OpBinder &b, Type element, ArrayRef<T> values, bool isScalar = false) {
  auto type = isScalar ? RankedTensorType::get({}, element)
                       : RankedTensorType::get({int64_t(values.size())}, element);
  return b.constant(DenseElementsAttr::get(type, values));
}

/// Exactly one of several attributes.
LogicalResult importConstant(OpBinder &b) {
  Type i64 = b.builder.getI64Type(), f32 = b.builder.getF32Type();
  if (const onnx::TensorProto *tensor = b.tensorAttr("value"))
    return b.yield(b.tensor(*tensor));
  if (b.hasAttr("value_int"))
    return b.yield(list<int64_t>(b, i64, b.intAttr("value_int", 0), /*isScalar=*/true));
  if (b.hasAttr("value_float"))
    return b.yield(list<float>(b, f32, float(b.floatAttr("value_float", 0)), /*isScalar=*/true));
  if (auto values = b.intsAttr("value_ints"))
    return b.yield(list<int64_t>(b, i64, *values));
  if (auto values = b.floatsAttr("value_floats"))
    return b.yield(list<float>(b, f32, *values));
  for (const char *name : {"value_string", "value_strings", "sparse_value"})
    if (b.hasAttr(name))
      return b.unsupported(Twine("attribute ") + name);
  return b.error("has no value");
}

/// A splat constant where the shape is known, else a scalar broadcast to it.
LogicalResult importConstantOfShape(OpBinder &b) {
  Value shape = b.input(0);
  const onnx::TensorProto *tensor = b.tensorAttr("value");
  if (b.failed())
    return failure();
  DenseElementsAttr value =
      DenseElementsAttr::get(RankedTensorType::get({1}, b.builder.getF32Type()), 0.0f);
  if (tensor && !(value = b.readTensor(*tensor)))
    return failure();
  if (value.getNumElements() != 1)
    return b.error("the value must have one element, not " + Twine(value.getNumElements()));
  Attribute element = *value.getValues<Attribute>().begin();
  Type type = value.getElementType();
  if (auto known = b.constantInts(shape)) {
    for (int64_t extent : *known)
      if (extent < 0)
        return b.error("the shape has a negative dimension " + Twine(extent));
    return b.yield(
        b.constant(DenseElementsAttr::get(RankedTensorType::get(*known, type), element)));
  }
  Value scalar = b.constant(DenseElementsAttr::get(RankedTensorType::get({}, type), element));
  return b.yield(
      b.create<BroadcastOp>(type, scalar, b.cast(shape, b.builder.getI64Type()), ArrayAttr()));
}

constexpr OpClass S = OpClass::Structure;
const OpRow rows[] = {
    {"", "Constant", 1, 25, S, importConstant},
    {"", "ConstantOfShape", 9, 25, S, importConstantOfShape},
};

} // namespace

ArrayRef<OpRow> permalloy::constantRows() { return rows; }
