//===- ShapeOracle.cpp - dimensions of types, and inference of results -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ShapeRules.h"

using namespace mlir;
using namespace permalloy::tfm;

Dims permalloy::tfm::dimsOfType(RankedTensorType type) {
  Dims dims;
  for (int64_t extent : type.getShape())
    dims.push_back(ShapedType::isDynamic(extent) ? DimExprAttr() : cst(type.getContext(), extent));
  return dims;
}

SmallVector<int64_t> permalloy::tfm::staticShape(ArrayRef<DimExprAttr> dims) {
  SmallVector<int64_t> shape;
  for (DimExprAttr dim : dims)
    shape.push_back(dim && dim.asConstant() ? *dim.asConstant() : ShapedType::kDynamic);
  return shape;
}

DimExprAttr permalloy::tfm::broadcastDim(DimExprAttr lhs, DimExprAttr rhs, bool &ok) {
  ok = true;
  if (lhs == rhs)
    return lhs;
  auto constantOf = [](DimExprAttr d) { return d ? d.asConstant() : std::nullopt; };
  auto a = constantOf(lhs), b = constantOf(rhs);
  if (a == 1)
    return rhs;
  if (b == 1)
    return lhs;
  if (a && b) {
    ok = false;
    return {};
  }
  if (a || b) // the other side is 1 or the same at run time
    return a ? lhs : rhs;
  return DimExprAttr::max(lhs, rhs);
}

std::optional<Dims> permalloy::tfm::broadcastDims(ArrayRef<DimExprAttr> lhs, ArrayRef<DimExprAttr> rhs) {
  if (lhs.size() < rhs.size())
    std::swap(lhs, rhs);
  Dims result(lhs);
  size_t shift = lhs.size() - rhs.size();
  for (size_t i = 0; i < rhs.size(); ++i) {
    bool ok;
    result[shift + i] = broadcastDim(lhs[shift + i], rhs[i], ok);
    if (!ok)
      return std::nullopt;
  }
  return result;
}

ArrayAttr permalloy::tfm::dimArray(MLIRContext *context, ArrayRef<DimExprAttr> dims) {
  return ArrayAttr::get(context, SmallVector<Attribute>(dims.begin(), dims.end()));
}

Dims permalloy::tfm::dimsOf(ArrayAttr array) {
  return llvm::map_to_vector(array, [](Attribute a) { return cast<DimExprAttr>(a); });
}

std::string permalloy::tfm::str(ArrayRef<DimExprAttr> dims) {
  std::string text = "[";
  for (auto [i, dim] : llvm::enumerate(dims))
    text += (i ? ", " : "") + (dim ? dim.str() : "?");
  return text + "]";
}

Dims TypeOracle::dims(Value value) { return dimsOfType(cast<RankedTensorType>(value.getType())); }

Contents TypeOracle::contents(Value value) {
  auto op = value.getDefiningOp<ConstantOp>();
  return op ? op.inferContents(*this) : Contents();
}

LogicalResult permalloy::tfm::inferResultType(Operation *op, ShapeOracle &oracle, Type elementType) {
  auto shaped = cast<ShapeOpInterface>(op);
  Dims dims;
  std::string error;
  if (failed(shaped.inferDims(oracle, dims, error)))
    return op->emitError(error);
  if (Type inferred = shaped.inferElementType())
    elementType = inferred;
  op->getResult(0).setType(RankedTensorType::get(staticShape(dims), elementType));
  return success();
}
