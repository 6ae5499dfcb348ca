//===- Inputs.cpp - inputs for interpreted functions -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Reference/Inputs.h"

#include <cmath>
#include <numbers>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

FailureOr<Symbols> reference::parseSizes(StringRef text, std::string &error) {
  Symbols sizes;
  while (!text.empty()) {
    StringRef item;
    std::tie(item, text) = text.split(',');
    auto [name, number] = item.split('=');
    int64_t size;
    if (name.trim().empty() || number.trim().getAsInteger(10, size) || size < 0) {
      error = ("'" + item + "' is no size; sizes look like batch=2,seq=5").str();
      return failure();
    }
    sizes[name.trim()] = size;
  }
  return sizes;
}

static ArrayAttr dimsOfArgument(func::FuncOp function, unsigned index) {
  return function.getArgAttrOfType<ArrayAttr>(index, tfm::TfmDialect::kDimsAttr);
}

SmallVector<std::string> reference::dimensionNames(func::FuncOp function) {
  SmallVector<std::string> names;
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (ArrayAttr dims = dimsOfArgument(function, i))
      for (tfm::DimExprAttr dim : tfm::dimsOf(dims))
        dim.walkSymbols([&](StringRef name) {
          if (!llvm::is_contained(names, name))
            names.push_back(name.str());
        });
  return names;
}

static FailureOr<SmallVector<int64_t>> shapeOfArgument(func::FuncOp function, unsigned index,
                                                       const Symbols &sizes) {
  SmallVector<int64_t> shape(cast<RankedTensorType>(function.getArgumentTypes()[index]).getShape());
  ArrayAttr dims = dimsOfArgument(function, index);
  for (auto [d, extent] : llvm::enumerate(shape)) {
    if (!ShapedType::isDynamic(extent))
      continue;
    std::string error;
    std::optional<int64_t> value;
    if (dims)
      value = evaluate(tfm::dimsOf(dims)[d], sizes, error);
    if (!value)
      return mlir::emitError(function.getLoc(), "dimension ")
             << d << " of input " << argumentName(function, index)
             << " has no size: " << (dims ? error : "the argument has no tfm.dims");
    extent = *value;
  }
  return shape;
}

namespace {
/// Uniform and normal numbers from the generator of `#tfm.seeded`, so inputs do not depend on a
/// standard library.
struct Random {
  int64_t seed, next = 0;
  double uniform() { return (seededElement(seed, next++, 1) + 1) / 2; } // [0, 1)
  double normal() {                                                     // Box, Muller 1958
    double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }
};
} // namespace

static double numberOf(Attribute attribute) {
  if (auto number = dyn_cast<FloatAttr>(attribute))
    return number.getValueAsDouble();
  auto integer = dyn_cast<IntegerAttr>(attribute);
  return integer ? integer.getValue().getSExtValue() : 0;
}

static void fillRandom(Tensor &tensor, ArrayAttr range, Random random) {
  bool ranged = range && range.size() == 2;
  double low = ranged ? numberOf(range[0]) : 0, high = ranged ? numberOf(range[1]) : 4;
  for (int64_t i = 0; i < tensor.size(); ++i) {
    if (tensor.element() == Element::Bool)
      tensor.setInteger(i, random.uniform() < 0.5);
    else if (!isFloat(tensor.element()))
      tensor.setInteger(i, Wide(std::floor(low + (high - low) * random.uniform())));
    else
      tensor.setNumber(i, ranged ? low + (high - low) * random.uniform() : random.normal());
  }
}

FailureOr<SmallVector<Tensor>> reference::randomInputs(func::FuncOp function, const Symbols &sizes,
                                                       uint64_t seed) {
  SmallVector<Tensor> inputs;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto shape = shapeOfArgument(function, i, sizes);
    if (failed(shape))
      return failure();
    inputs.emplace_back(getElementTypeOrSelf(function.getArgumentTypes()[i]), *shape);
    fillRandom(inputs.back(), function.getArgAttrOfType<ArrayAttr>(i, kTestRangeAttr),
               Random{int64_t((seed * 1000 + i) << 32)});
  }
  return inputs;
}

std::string reference::argumentName(func::FuncOp function, unsigned index) {
  auto name = function.getArgAttrOfType<StringAttr>(index, tfm::TfmDialect::kNameAttr);
  return name ? name.str() : "#" + std::to_string(index);
}

std::string reference::resultName(func::FuncOp function, unsigned index) {
  auto name = function.getResultAttrOfType<StringAttr>(index, tfm::TfmDialect::kNameAttr);
  return name ? name.str() : "#" + std::to_string(index);
}

FailureOr<SmallVector<Tensor>> reference::interpretNamed(func::FuncOp function,
                                                         const llvm::StringMap<Tensor> &inputs,
                                                         const InterpreterOptions &options) {
  SmallVector<Tensor> ordered;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto it = inputs.find(argumentName(function, i));
    if (it == inputs.end())
      return mlir::emitError(function.getLoc(), "input '")
             << argumentName(function, i) << "' is missing";
    ordered.push_back(it->second);
  }
  for (auto &entry : inputs)
    if (llvm::none_of(llvm::seq(function.getNumArguments()),
                      [&](unsigned i) { return argumentName(function, i) == entry.getKey(); }))
      return mlir::emitError(function.getLoc(), "there is no input '") << entry.getKey() << "'";
  return interpret(function, ordered, options);
}
