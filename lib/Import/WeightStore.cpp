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
  if (data->value)
    return tfm::ConstantOp::create(builder, loc, data->value).getResult();
  std::string symbol = uniqueName(name);
  OpBuilder atModule(function);
  tfm::WeightOp::create(atModule, loc, symbol, data->type, data->file);
  return tfm::GetWeightOp::create(builder, loc, data->type, symbol).getResult();
}
