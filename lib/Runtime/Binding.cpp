//===- Binding.cpp - from the caller's tensors to symbol values --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/Binding.h"

namespace permalloy {

using namespace artifact;

std::string shapeText(std::span<const int64_t> dims) {
  std::string text = "[";
  for (size_t i = 0; i < dims.size(); ++i)
    text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

/// "[batch, seq]": what an input accepts.
static std::string acceptedText(const TensorInfo &tensor) {
  std::string text = "[";
  for (size_t i = 0; i < tensor.dims.size(); ++i)
    text += (i ? ", " : "") + tensor.dims[i].text;
  return text + "]";
}

static std::string rangeText(const Symbol &symbol) {
  if (symbol.max == INT64_MAX)
    return std::to_string(symbol.min) + " or more";
  if (symbol.min == symbol.max)
    return std::to_string(symbol.min) + " only";
  return std::to_string(symbol.min) + ".." + std::to_string(symbol.max);
}

static Status invalid(std::string message) {
  return {StatusCode::invalidArgument, std::move(message)};
}

static std::string inputText(const TensorInfo &info, const InputTensor &tensor) {
  return "input '" + info.name + "' has shape " + shapeText(tensor.dims);
}

Status checkInput(const TensorInfo &info, const InputTensor &tensor) {
  if (tensor.dtype != info.dtype)
    return invalid("input '" + info.name + "' has dtype " + dtypeName(tensor.dtype) +
                   ", expected " + dtypeName(info.dtype));
  if (tensor.dims.size() != info.dims.size())
    return invalid(inputText(info, tensor) + " of rank " + std::to_string(tensor.dims.size()) +
                   ", expected rank " + std::to_string(info.dims.size()) + " as in " +
                   acceptedText(info));
  int64_t bytes = tensorBytes(tensor.dtype, tensor.dims);
  if (bytes < 0)
    return invalid(inputText(info, tensor) + ", which is no possible size");
  if (bytes > 0 && !tensor.data)
    return invalid("input '" + info.name + "' has no data");
  if (!tensor.strides.empty() && tensor.strides.size() != tensor.dims.size())
    return invalid("input '" + info.name + "' has " + std::to_string(tensor.strides.size()) +
                   " strides for rank " + std::to_string(tensor.dims.size()));
  if (reinterpret_cast<uintptr_t>(tensor.data) % dtypeSize(tensor.dtype) != 0)
    return invalid("input '" + info.name + "' is not aligned to its " +
                   std::to_string(dtypeSize(tensor.dtype)) + "-byte elements");
  return {};
}

Status bindSymbols(const Manifest &manifest, std::span<const InputTensor> inputs,
                   std::vector<int64_t> &symbolValues) {
  if (inputs.size() != manifest.inputs.size())
    return invalid(std::to_string(inputs.size()) + " inputs given, the model has " +
                   std::to_string(manifest.inputs.size()));
  for (size_t i = 0; i < inputs.size(); ++i)
    PERMALLOY_TRY(checkInput(manifest.inputs[i], inputs[i]));
  symbolValues.clear();
  for (const Symbol &symbol : manifest.symbols) {
    if (symbol.input == kNone) { // the session chooses it, or a step binds it
      symbolValues.push_back(1);
      continue;
    }
    const InputTensor &tensor = inputs[symbol.input];
    int64_t value = tensor.dims[symbol.axis];
    if (value < symbol.min || value > symbol.max)
      return invalid(inputText(manifest.inputs[symbol.input], tensor) + ": axis " +
                     std::to_string(symbol.axis) + " is " + std::to_string(value) + ", but '" +
                     symbol.name + "' accepts " + rangeText(symbol));
    symbolValues.push_back(value);
  }
  return {};
}

static Status dimError(const Manifest &manifest, std::span<const InputTensor> inputs, size_t input,
                       size_t axis, int64_t expected) {
  const TensorInfo &info = manifest.inputs[input];
  const std::string &text = info.dims[axis].text;
  std::string message = inputText(info, inputs[input]) + ": axis " + std::to_string(axis) + " is " +
                        std::to_string(inputs[input].dims[axis]) + ", expected ";
  if (text == std::to_string(expected))
    return invalid(message + text + " as in " + acceptedText(info));
  message += text + " = " + std::to_string(expected);
  for (const Symbol &symbol : manifest.symbols)
    if (symbol.name == text && symbol.input != kNone)
      message += " (from input '" + manifest.inputs[symbol.input].name + "' axis " +
                 std::to_string(symbol.axis) + ")";
  return invalid(message);
}

Status checkDims(const Manifest &manifest, std::span<const InputTensor> inputs,
                 std::span<const int64_t> exprValues) {
  for (size_t i = 0; i < inputs.size(); ++i)
    for (size_t axis = 0; axis < inputs[i].dims.size(); ++axis) {
      int64_t expected = exprValues[manifest.inputs[i].dims[axis].expr];
      if (inputs[i].dims[axis] != expected)
        return dimError(manifest, inputs, i, axis, expected);
    }
  return {};
}

Result<size_t> findTensor(std::span<const TensorInfo> tensors, const std::string &name,
                          const std::string &role) {
  std::string known;
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].name == name)
      return i;
    known += (i ? ", '" : "'") + tensors[i].name + "'";
  }
  return invalid("the model has no " + role + " '" + name + "'; its " + role + "s are " + known);
}

int64_t tensorBytes(DType dtype, std::span<const int64_t> dims) {
  int64_t bytes = dtypeSize(dtype);
  bool empty = false;
  for (int64_t dim : dims) {
    if (dim < 0)
      return -1;
    empty |= dim == 0;
  }
  for (int64_t dim : dims)
    if (!empty && __builtin_mul_overflow(bytes, dim, &bytes))
      return -1;
  return empty ? 0 : bytes;
}

} // namespace permalloy
