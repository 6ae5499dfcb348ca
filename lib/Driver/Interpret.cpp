//===- Interpret.cpp - a model through the reference interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Interpret.h"

#include "ImportModel.h"
#include "Report.h"

#include "permalloy/Reference/Interpreter.h"

#include <cstring>

namespace permalloy {

using artifact::DType;
using reference::Tensor;

struct InterpretedModel::State {
  ToolContext context{1};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp main;
};

InterpretedModel::InterpretedModel(std::unique_ptr<State> state) : state(std::move(state)) {}
InterpretedModel::~InterpretedModel() = default;
InterpretedModel::InterpretedModel(InterpretedModel &&) noexcept = default;

std::optional<InterpretedModel> InterpretedModel::import(const std::string &path) {
  auto state = std::make_unique<State>();
  state->module = importModel(path, {}, state->context.get());
  if (!state->module)
    return std::nullopt;
  state->main = state->module->lookupSymbol<mlir::func::FuncOp>("main");
  if (!state->main) {
    fail("'" + path + "' has no function @main");
    return std::nullopt;
  }
  return InterpretedModel(std::move(state));
}

static mlir::Type elementType(DType dtype, mlir::Builder &builder) {
  switch (dtype) {
  case DType::f32:
    return builder.getF32Type();
  case DType::f64:
    return builder.getF64Type();
  case DType::f16:
    return builder.getF16Type();
  case DType::bf16:
    return builder.getBF16Type();
  case DType::boolean:
    return builder.getI1Type();
  case DType::u8:
  case DType::u16:
  case DType::u32:
  case DType::u64:
    return builder.getIntegerType(artifact::dtypeSize(dtype) * 8, /*isSigned=*/false);
  default:
    return builder.getIntegerType(artifact::dtypeSize(dtype) * 8);
  }
}

static DType dtypeOf(mlir::Type type) {
  if (type.isF32() || type.isF64())
    return type.isF32() ? DType::f32 : DType::f64;
  if (type.isF16() || type.isBF16())
    return type.isF16() ? DType::f16 : DType::bf16;
  static constexpr DType integers[] = {DType::i8, DType::i16, DType::i32, DType::i64};
  static constexpr DType naturals[] = {DType::u8, DType::u16, DType::u32, DType::u64};
  unsigned width = type.getIntOrFloatBitWidth();
  if (width == 1)
    return DType::boolean;
  return (type.isUnsignedInteger() ? naturals : integers)[llvm::Log2_32(width) - 3];
}

/// Our array as the interpreter's tensor of argument `argument`'s element type.
static Tensor toTensor(const Array &array, mlir::Builder &builder) {
  Tensor tensor(elementType(array.dtype, builder), array.dims);
  if (!array.data.empty())
    std::memcpy(tensor.mutableBytes().data(), array.data.data(), array.data.size());
  return tensor;
}

static Array toArray(const Tensor &tensor) {
  auto bytes = std::as_bytes(std::span(tensor.bytes().data(), tensor.bytes().size()));
  return {dtypeOf(tensor.elementType()),
          {tensor.shape().begin(), tensor.shape().end()},
          {bytes.begin(), bytes.end()}};
}

/// Name of argument or result `index`.
static std::string nameOf(mlir::Attribute attribute, unsigned index) {
  auto name = mlir::dyn_cast_or_null<mlir::StringAttr>(attribute);
  return name ? name.getValue().str() : "#" + std::to_string(index);
}

std::optional<std::vector<NamedArray>> InterpretedModel::run(std::span<const NamedArray> inputs) {
  mlir::func::FuncOp main = state->main;
  mlir::Builder builder(main.getContext());
  llvm::SmallVector<Tensor> tensors;
  for (unsigned i = 0; i < main.getNumArguments(); ++i) {
    std::string name = nameOf(main.getArgAttr(i, tfm::TfmDialect::kNameAttr), i);
    auto found = llvm::find_if(inputs, [&](const NamedArray &entry) { return entry.name == name; });
    if (found == inputs.end()) {
      fail("the interpreter has no value for input '" + name + "'");
      return std::nullopt;
    }
    tensors.push_back(toTensor(found->array, builder));
  }
  auto results = reference::interpret(main, tensors);
  if (failed(results))
    return std::nullopt;
  std::vector<NamedArray> outputs;
  for (auto [i, result] : llvm::enumerate(*results))
    outputs.push_back(
        {nameOf(main.getResultAttr(i, tfm::TfmDialect::kNameAttr), i), toArray(result)});
  return outputs;
}

} // namespace permalloy
