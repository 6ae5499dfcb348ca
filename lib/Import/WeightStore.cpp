//===- WeightStore.cpp - tensors of the model as values ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "WeightStore.h"

using namespace mlir;
using namespace permalloy;

std::string WeightStore::uniqueName(StringRef name) {
  std::string symbol = name.str();
  while (!names.insert(symbol).second)
    symbol += "_";
  return symbol;
}

llvm::Expected<Value> WeightStore::materialize(OpBuilder &builder, StringRef name,
                                               const onnx::TensorProto &tensor) {
  auto data = reader.read(tensor);
  if (!data)
    return data.takeError();
  Location loc = NameLoc::get(builder.getStringAttr(name));
  if (data->packedBits)
    return unpacked(builder, loc, name, *data);
  if (data->value)
    return tfm::ConstantOp::create(builder, loc, data->value).getResult();
  std::string symbol = uniqueName(name);
  OpBuilder atModule(function);
  tfm::WeightOp::create(atModule, loc, symbol, data->type, data->file);
  return tfm::GetWeightOp::create(builder, loc, data->type, symbol).getResult();
}

Value WeightStore::record(OpBuilder &builder, Location loc, StringRef name, ArrayRef<Value> inputs,
                          function_ref<Value(OpBuilder &, ArrayRef<Value>)> build) {
  OpBuilder inside(function);
  auto weight = tfm::WeightOp::create(inside, loc, uniqueName(name), RankedTensorType::get({}, builder.getF32Type()), Attribute());
  inside.createBlock(&weight.getBody());
  SmallVector<Value> copies;
  for (Value input : inputs)
    copies.push_back(inside.clone(*input.getDefiningOp())->getResult(0));
  Value result = build(inside, copies);
  tfm::YieldOp::create(inside, loc, result);
  weight.setTypeAttr(TypeAttr::get(result.getType()));
  return tfm::GetWeightOp::create(builder, loc, result.getType(), weight.getSymName());
}

Value WeightStore::unpacked(OpBuilder &builder, Location loc, StringRef name, const TensorData &data) {
  Value bytes;
  if (data.value) {
    bytes = tfm::ConstantOp::create(builder, loc, data.value);
  } else {
    std::string symbol = uniqueName((name + ".packed").str());
    OpBuilder atModule(function);
    tfm::WeightOp::create(atModule, loc, symbol, data.type, data.file);
    bytes = tfm::GetWeightOp::create(builder, loc, data.type, symbol);
  }
  Value result = record(builder, loc, name, bytes, [&](OpBuilder &b, ArrayRef<Value> in) -> Value {
    MLIRContext *context = b.getContext();
    auto type = [&](ArrayRef<int64_t> shape, Type element) { return RankedTensorType::get(shape, element); };
    Type byte = data.type.getElementType(), code = tfm::QuantType::get(context, data.isSigned, data.packedBits, 1);
    int64_t stored = data.type.getNumElements() * 8 / data.packedBits, count = ShapedType::getNumElements(data.shape);
    auto dims = [&](ArrayRef<int64_t> shape) {
      tfm::Dims list;
      for (int64_t extent : shape)
        list.push_back(tfm::DimExprAttr::constant(context, extent));
      return tfm::dimArray(context, list);
    };
    Value all = tfm::UnpackBitsOp::create(b, loc, type({stored}, byte), in[0], data.packedBits);
    if (stored != count)
      all = tfm::SliceOp::create(b, loc, type({count}, byte), all, Value(), Value(), Value(), DenseI64ArrayAttr(), dims({0}), dims({count}),
                                 b.getDenseI64ArrayAttr({1}));
    all = tfm::ReshapeOp::create(b, loc, type(data.shape, byte), all, Value(), dims(data.shape), UnitAttr());
    all = tfm::CastOp::create(b, loc, type(data.shape, code), all);
    return tfm::CastOp::create(b, loc, type(data.shape, data.isSigned ? b.getIntegerType(8) : byte), all);
  });
  if (bytes.use_empty())
    bytes.getDefiningOp()->erase();
  return result;
}
