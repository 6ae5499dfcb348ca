//===- LayerKernels.cpp - a layer alone, as what a cost model prices -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "LayerKernels.h"
#include "Tfm/PrecisionAttr.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

LayerKernels::LayerKernels(WeightSite site, const LayerSetting &setting) : mlir(site.op->getContext()), precision(setting.precision) {
  auto weight = cast<RankedTensorType>(site.weight.getType());
  k = weight.getDimSize(0), n = weight.getDimSize(1);
  rows.assign(setting.input.begin(), setting.input.end());
  if (rows.empty())
    rows = {DimExprAttr::symbol(mlir, "rows"), DimExprAttr::constant(mlir, k)};
  rows.pop_back();
  if (rows.size() > 1 && !rows[0].asConstant())
    rows[0] = DimExprAttr::constant(mlir, 1);
  // Equal layers have equal texts whatever the model calls its sizes.
  SmallVector<std::string> names;
  for (DimExprAttr &dim : rows)
    dim = dim.substitute([&](StringRef name) {
      size_t index = llvm::find(names, name) - names.begin();
      if (index == names.size())
        names.push_back(name.str());
      return DimExprAttr::symbol(mlir, "d" + std::to_string(index));
    });
  for (size_t i = 0; i < names.size(); ++i)
    symbols += (i ? ", \"d" : "\"d") + std::to_string(i) + "\"";
}

/// "[#tfm.dim<d0>, #tfm.dim<768>]"
static std::string textOf(ArrayRef<DimExprAttr> dims) {
  std::string text = "[";
  llvm::raw_string_ostream os(text);
  llvm::interleaveComma(dims, os, [&](DimExprAttr dim) { os << Attribute(dim); });
  return text + "]";
}

static std::string textOf(MLIRContext *context, ArrayRef<int64_t> shape) {
  return textOf(llvm::map_to_vector(shape, [&](int64_t size) { return DimExprAttr::constant(context, size); }));
}

static std::string textOf(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

/// The type of an activation as wide as `width`: "tensor<1x?x768xf32>".
static std::string typeOf(ArrayRef<DimExprAttr> rows, int64_t width, StringRef element) {
  std::string text = "tensor<";
  for (DimExprAttr dim : rows)
    text += (dim.asConstant() ? std::to_string(*dim.asConstant()) : "?") + "x";
  return text + std::to_string(width) + "x" + element.str() + ">";
}

std::string LayerKernels::kernel(StringRef arguments, StringRef argumentDims, StringRef decode, StringRef weight, StringRef element) const {
  bool isOfCodes = element == "i8";
  std::string x = typeOf(rows, k, element), y = typeOf(rows, n, isOfCodes ? StringRef("i32") : element), result = y;
  Dims inputDims(rows.begin(), rows.end());
  inputDims.push_back(DimExprAttr::constant(mlir, k));
  std::string split = precision == kSplitPrecision && element == "f32" && decode.empty() ? " {" + kPrecisionAttr.str() + " = \"" + precision + "\"}" : "";
  std::string text = "kern.kernel @kernel contraction attributes {arg_dims = [" + textOf(inputDims) + argumentDims.str() + "], symbols = [" + symbols +
                     "]} {\n^bb0(%x: " + x + arguments.str() + "):\n" + decode.str() + "  %0 = tfm.linear %x, %w" + split + " : (" + x + ", " + weight.str() +
                     ") -> " + y + "\n";
  if (isOfCodes) { // what becomes of the sums is f32
    result = typeOf(rows, n, "f32");
    text += "  %1 = tfm.cast %0 : (" + y + ") -> " + result + "\n";
  }
  return text + "  kern.yield %" + (isOfCodes ? "1" : "0") + " : " + result + "\n}\n";
}

std::string LayerKernels::dense() const {
  std::string element = precision == "bf16" ? "bf16" : "f32", shape = std::to_string(k) + "x" + std::to_string(n) + "x";
  std::string weight = "tensor<" + shape + element + ", #tfm.panels>";
  return kernel(", %w: " + weight, ", " + textOf(mlir, {k, n}), "", weight, element);
}

std::string LayerKernels::denseOfCodes() const {
  std::string weight = "tensor<" + std::to_string(k) + "x" + std::to_string(n) + "xi8, #tfm.panels>";
  return kernel(", %w: " + weight, ", " + textOf(mlir, {k, n}), "", weight, "i8");
}

std::string LayerKernels::sparse(StringRef decode, ArrayRef<RankedTensorType> stored, bool isOfCodes) const {
  std::string element = isOfCodes ? "i8" : "f32", weight = "tensor<" + std::to_string(k) + "x" + std::to_string(n) + "x" + element + ">";
  std::string arguments, dims, types;
  for (auto [index, type] : llvm::enumerate(stored)) {
    arguments += ", %s" + std::to_string(index) + ": " + textOf(type);
    dims += ", " + textOf(mlir, type.getShape());
    types += (index ? ", " : "") + textOf(type);
  }
  return kernel(arguments, dims, "  %w = " + decode.str() + " : (" + types + ") -> " + weight + "\n", weight, element);
}
