//===- OpBinder.cpp - one ONNX node while it becomes tfm ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpBinder.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;
using onnx::AttributeProto;

OpBinder::OpBinder(const FlatNode &node, OpBuilder &builder, SymbolicShapes &shapes,
                   WeightStore &weights, llvm::StringMap<Value> &values)
    : node(node), builder(builder), loc(NameLoc::get(builder.getStringAttr(node.name))),
      shapes(shapes), weights(weights), values(values) {}

//===----------------------------------------------------------------------===//
// The node
//===----------------------------------------------------------------------===//

LogicalResult OpBinder::error(const Twine &message) {
  if (!hasFailed)
    emitError(loc) << node.op << " (" << (node.domain.empty() ? "ai.onnx" : StringRef(node.domain))
                   << ", opset " << node.opset << "): " << message;
  hasFailed = true;
  return failure();
}

LogicalResult OpBinder::unsupported(const Twine &reason) {
  if (!hasFailed)
    unsupportedReason = reason.str();
  hasFailed = true;
  return failure();
}

Value OpBinder::input(size_t i) {
  if (!hasInput(i)) {
    (void)error("input " + Twine(i) + " is missing");
    return {};
  }
  return values.lookup(node.inputs[i]);
}

const AttributeProto *OpBinder::attribute(StringRef name, AttributeProto::AttributeType type) {
  const AttributeProto *attribute = node.attributes.lookup(name);
  // Files of IR version 1 lack the type.
  if (!attribute || attribute->type() == type || attribute->type() == AttributeProto::UNDEFINED)
    return attribute;
  (void)error("attribute '" + name + "' must be of type " +
              StringRef(onnx::AttributeProto_AttributeType_Name(type)).lower() + ", not " +
              StringRef(onnx::AttributeProto_AttributeType_Name(attribute->type())).lower());
  return nullptr;
}

int64_t OpBinder::intAttr(StringRef name, int64_t otherwise) {
  const AttributeProto *a = attribute(name, AttributeProto::INT);
  return a ? a->i() : otherwise;
}
double OpBinder::floatAttr(StringRef name, double otherwise) {
  const AttributeProto *a = attribute(name, AttributeProto::FLOAT);
  return a ? a->f() : otherwise;
}
std::string OpBinder::stringAttr(StringRef name, StringRef otherwise) {
  const AttributeProto *a = attribute(name, AttributeProto::STRING);
  return a ? a->s() : otherwise.str();
}
std::optional<Ints> OpBinder::intsAttr(StringRef name) {
  const AttributeProto *a = attribute(name, AttributeProto::INTS);
  return a ? std::optional(Ints(a->ints().begin(), a->ints().end())) : std::nullopt;
}
std::optional<SmallVector<float>> OpBinder::floatsAttr(StringRef name) {
  const AttributeProto *a = attribute(name, AttributeProto::FLOATS);
  return a ? std::optional(SmallVector<float>(a->floats().begin(), a->floats().end()))
           : std::nullopt;
}
const onnx::TensorProto *OpBinder::tensorAttr(StringRef name) {
  const AttributeProto *a = attribute(name, AttributeProto::TENSOR);
  return a ? &a->t() : nullptr;
}

//===----------------------------------------------------------------------===//
// Facts about values
//===----------------------------------------------------------------------===//

std::optional<int64_t> OpBinder::staticDim(Value value, int64_t axis) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.isDynamicDim(axis) ? shapes.dim(value, axis).asConstant() : type.getDimSize(axis);
}

std::optional<Ints> OpBinder::constantInts(Value value) {
  if (auto op = value.getDefiningOp<ConstantOp>())
    if (auto dense = dyn_cast<DenseIntElementsAttr>(op.getValue()))
      return llvm::map_to_vector(dense.getValues<APInt>(), [&](const APInt &v) {
        return dense.getElementType().isUnsignedInteger() ? int64_t(v.getZExtValue()) : v.getSExtValue();
      });
  auto contents = shapes.contents(value);
  if (!contents)
    return std::nullopt;
  Ints result;
  for (DimExprAttr element : *contents) {
    auto constant = element ? element.asConstant() : std::nullopt;
    if (!constant)
      return std::nullopt;
    result.push_back(*constant);
  }
  return result;
}

std::optional<Ints> OpBinder::constantInput(size_t i, StringRef what) {
  Value value = input(i);
  if (!value)
    return std::nullopt;
  auto result = constantInts(value);
  if (!result)
    (void)unsupported(what + " must be known when the model is compiled, but depend on data");
  return result;
}

int64_t OpBinder::normalizeAxis(int64_t axis, int64_t rank) {
  if (axis >= -rank && axis < rank)
    return axis < 0 ? axis + rank : axis;
  (void)error("axis " + Twine(axis) + " is outside of rank " + Twine(rank));
  return 0;
}

Ints OpBinder::normalizeAxes(Ints axes, int64_t rank) {
  for (int64_t &axis : axes)
    axis = normalizeAxis(axis, rank);
  llvm::sort(axes);
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end())
    (void)error("an axis is given twice");
  return axes;
}

LogicalResult OpBinder::yield(size_t output, Value value) {
  if (hasFailed || !value)
    return failure();
  if (hasOutput(output))
    values[node.outputs[output]] = value;
  return success();
}
