//===- OpBinderBuild.cpp - operations and shapes of an OpBinder --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpBinder.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// No negative extent, and the static ones make fewer than 2^60 elements.
static bool isPossible(ArrayRef<int64_t> extents) {
  int64_t count = 1;
  for (int64_t extent : extents) {
    if (ShapedType::isDynamic(extent))
      continue;
    if (extent < 0 || (extent > 0 && count > (int64_t(1) << 60) / extent))
      return false;
    count *= std::max<int64_t>(extent, 1);
  }
  return true;
}

Value OpBinder::infer(Operation *op, Type elementType) {
  auto shaped = cast<ShapeOpInterface>(op);
  Dims dims;
  std::string message;
  if (mlir::failed(shaped.inferDims(shapes, dims, message))) {
    op->erase();
    // Shape rules say "unsupported" where ONNX would allow more.
    (void)(StringRef(message).contains("unsupported") ? unsupported(message) : error(message));
    return {};
  }
  SmallVector<int64_t> extents = staticShape(dims);
  if (!isPossible(extents)) {
    op->erase();
    (void)error("the result would have the impossible shape " + str(dims));
    return {};
  }
  if (Type inferred = shaped.inferElementType())
    elementType = inferred;
  op->getResult(0).setType(RankedTensorType::get(extents, elementType));
  return op->getResult(0);
}

Value OpBinder::constant(ElementsAttr value) {
  if (hasFailed)
    return {};
  return ConstantOp::create(builder, loc, value);
}

Value OpBinder::tensor(const onnx::TensorProto &tensor) {
  auto value =
      weights.materialize(builder, node.outputs.empty() ? node.name : node.outputs.front(), tensor);
  if (value)
    return *value;
  (void)error("the tensor '" + tensor.name() + "' " + llvm::toString(value.takeError()));
  return {};
}

DenseElementsAttr OpBinder::readTensor(const onnx::TensorProto &tensor) {
  auto data = weights.reader.read(tensor);
  if (data && data->value && !data->packedBits)
    return data->value;
  (void)error("the tensor '" + tensor.name() + "' " +
              (data ? data->packedBits ? "has elements of type " + onnxTypeName(tensor.data_type()) + ", which is unsupported here" : "is too large" : llvm::toString(data.takeError())));
  return {};
}

Value OpBinder::ints(ArrayRef<int64_t> elements) {
  auto type = RankedTensorType::get({int64_t(elements.size())}, builder.getI64Type());
  return constant(DenseIntElementsAttr::get(type, elements));
}

Value OpBinder::scalar(Type elementType, double value) {
  auto type = RankedTensorType::get({}, elementType);
  if (auto floatType = dyn_cast<FloatType>(elementType))
    return constant(
        DenseElementsAttr::get(type, builder.getFloatAttr(floatType, value).getValue()));
  auto integer = cast<IntegerType>(elementType);
  return constant(DenseElementsAttr::get(
      type, APInt(integer.getWidth(), uint64_t(int64_t(value)), false, true)));
}

Value OpBinder::unary(UnaryKind kind, Value x) {
  return create<UnaryOp>(x ? elementType(x) : Type(), kind, x);
}

/// Operators with two inputs take one element type; say so in ONNX's words before the verifier does
/// in tfm's.
static bool sameElements(OpBinder &b, Value x, Value y) {
  if (b.failed() || b.elementType(x) == b.elementType(y))
    return !b.failed();
  std::string text;
  llvm::raw_string_ostream(text) << "inputs have elements of types " << b.elementType(x) << " and "
                                 << b.elementType(y);
  (void)b.error(text);
  return false;
}

Value OpBinder::binary(BinaryKind kind, Value x, Value y) {
  return sameElements(*this, x, y) ? create<BinaryOp>(elementType(x), kind, x, y) : Value();
}
Value OpBinder::compare(CompareKind kind, Value x, Value y) {
  return sameElements(*this, x, y) ? create<CompareOp>(builder.getI1Type(), kind, x, y) : Value();
}
Value OpBinder::select(Value condition, Value x, Value y) {
  return sameElements(*this, x, y) ? create<SelectOp>(elementType(x), condition, x, y) : Value();
}
Value OpBinder::cast(Value x, Type to) {
  if (hasFailed || elementType(x) == to)
    return hasFailed ? Value() : x;
  return create<CastOp>(to, x);
}
Value OpBinder::reduce(ReduceKind kind, Value x, ArrayRef<int64_t> axes, bool keepDims) {
  return hasFailed ? Value() : create<ReduceOp>(elementType(x), kind, x, axes, keepDims);
}
Value OpBinder::matmul(Value x, Value y, bool transposeX, bool transposeY) {
  return sameElements(*this, x, y) ? create<MatmulOp>(elementType(x), x, y, transposeX, transposeY)
                                   : Value();
}
Value OpBinder::transpose(Value x, ArrayRef<int64_t> perm) {
  return hasFailed ? Value() : create<TransposeOp>(elementType(x), x, perm);
}
Value OpBinder::gather(Value x, Value indices, int64_t axis) {
  return hasFailed ? Value() : create<GatherOp>(elementType(x), x, indices, axis);
}
Value OpBinder::concat(ValueRange parts, int64_t axis) {
  return hasFailed ? Value() : create<ConcatOp>(elementType(parts.front()), parts, axis);
}

Value OpBinder::slice1D(Value x, int64_t start, int64_t end) {
  if (hasFailed)
    return {};
  Value starts = ints({start}), ends = ints({end});
  return create<SliceOp>(elementType(x), x, starts, ends, Value(),
                         builder.getDenseI64ArrayAttr({0}), ArrayAttr(), ArrayAttr(),
                         DenseI64ArrayAttr());
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

DimExprAttr OpBinder::expression(const Extent &extent) {
  DimExprAttr result = DimExprAttr::constant(builder.getContext(), extent.constant);
  if (extent.of)
    for (int64_t i = extent.begin; i < extent.end; ++i)
      result = DimExprAttr::mul(result, shapes.dim(extent.of, i));
  return result;
}

std::optional<Dims> OpBinder::expressions(ArrayRef<Extent> extents) {
  Dims dims =
      llvm::map_to_vector<6>(extents, [&](const Extent &extent) { return expression(extent); });
  return llvm::all_of(dims, isDerived) ? std::optional(dims) : std::nullopt;
}

Value OpBinder::shapeTensor(ArrayRef<Extent> extents) {
  if (hasFailed)
    return {};
  SmallVector<Value> parts;
  for (const Extent &extent : extents) {
    auto known = expression(extent).asConstant();
    if (known) {
      parts.push_back(ints({*known}));
      continue;
    }
    Value shape = create<ShapeOfOp>(builder.getI64Type(), extent.of);
    Value part = slice1D(shape, extent.begin, extent.end);
    if (extent.end - extent.begin != 1)
      part = reduce(ReduceKind::Prod, part, {0}, /*keepDims=*/true);
    parts.push_back(extent.constant == 1 ? part : mul(part, ints({extent.constant})));
  }
  if (parts.empty())
    return ints({});
  return parts.size() == 1 ? parts.front() : concat(parts, 0);
}

// Dimensions that follow from the arguments' are written as expressions; otherwise they are
// computed while running.
Value OpBinder::reshape(Value x, ArrayRef<Extent> extents) {
  if (hasFailed)
    return {};
  if (auto dims = expressions(extents))
    return create<ReshapeOp>(elementType(x), x, Value(), dimArray(builder.getContext(), *dims),
                             UnitAttr());
  return create<ReshapeOp>(elementType(x), x, shapeTensor(extents), ArrayAttr(),
                           builder.getUnitAttr());
}
Value OpBinder::broadcast(Value x, ArrayRef<Extent> extents) {
  if (hasFailed)
    return {};
  if (auto dims = expressions(extents))
    return create<BroadcastOp>(elementType(x), x, Value(), dimArray(builder.getContext(), *dims));
  return create<BroadcastOp>(elementType(x), x, shapeTensor(extents), ArrayAttr());
}

Value OpBinder::iota(const Extent &count) {
  if (hasFailed)
    return {};
  Type i64 = builder.getI64Type();
  if (auto dims = expressions(count))
    return create<RangeOp>(i64, ValueRange(), DimExprAttr::constant(builder.getContext(), 0),
                           dims->front(), builder.getI64IntegerAttr(1));
  Value limit = reduce(ReduceKind::Sum, shapeTensor(count), {0}, /*keepDims=*/false);
  SmallVector<Value> bounds = {scalar(i64, 0), limit, scalar(i64, 1)};
  return create<RangeOp>(i64, bounds, DimExprAttr(), DimExprAttr(), builder.getI64IntegerAttr(1));
}

Value OpBinder::alongAxis(Value x, int64_t axis, int64_t rank) {
  SmallVector<Extent> extents(rank, Extent(1));
  extents[axis] = Extent(x, 0);
  return reshape(x, extents);
}

/// Positions along the other axes are counted, so that each index becomes a tuple for gather_nd.
Value OpBinder::gatherElements(Value x, Value indices, int64_t axis) {
  indices = cast(indices, builder.getI64Type());
  if (hasFailed)
    return {};
  int64_t rank = this->rank(x);
  SmallVector<Extent> full, tuple;
  for (int64_t i = 0; i < rank; ++i)
    full.push_back(Extent(indices, i));
  tuple = full;
  tuple.push_back(Extent(1));
  SmallVector<Value> coordinates;
  for (int64_t i = 0; i < rank; ++i) {
    Value position =
        i == axis ? indices : broadcast(alongAxis(iota(Extent(indices, i)), i, rank), full);
    coordinates.push_back(reshape(position, tuple));
  }
  if (hasFailed)
    return {};
  return create<GatherNDOp>(elementType(x), x, concat(coordinates, rank),
                            builder.getI64IntegerAttr(0));
}

Value OpBinder::record(StringRef suffix, ArrayRef<Value> inputs, function_ref<Value(OpBuilder &, ArrayRef<Value>)> build) {
  std::string name = node.name.empty() ? "weight" : node.name;
  for (Value input : inputs) {
    Operation *source = input ? input.getDefiningOp() : nullptr;
    if (hasFailed || !isa_and_nonnull<GetWeightOp, ConstantOp>(source)) {
      (void)unsupported("a quantized weight that is computed while running");
      return {};
    }
    if (auto weight = dyn_cast<GetWeightOp>(source))
      name = weight.getWeight().str();
  }
  return weights.record(builder, loc, name + suffix.str(), inputs, build);
}
