//===- Levels.cpp - levels by name, and the registry of formats --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Transforms/Levels.h"
#include "Formats/Builtins.h"
#include "Tfm/PrecisionAttr.h"

using namespace mlir;
using namespace permalloy;

using Formats = std::vector<std::unique_ptr<WeightFormat>>;

static Formats &registry() {
  static Formats formats = [] {
    Formats result;
    for (auto make : kBuiltinFormats)
      result.push_back(make());
    return result;
  }();
  return formats;
}

void permalloy::registerWeightFormat(std::unique_ptr<WeightFormat> format) { registry().push_back(std::move(format)); }

const WeightFormat *permalloy::findWeightFormat(StringRef level) {
  for (auto &format : llvm::reverse(registry()))
    if (format->accepts(level))
      return format.get();
  return nullptr;
}

std::string permalloy::weightFormatNames() {
  return llvm::join(llvm::map_range(registry(), [](auto &format) { return format->names(); }), ", ");
}

static bool isPrecision(StringRef text) { return text == "f32" || text == "bf16" || text == kSplitPrecision || text == kTf32Precision; }

llvm::Expected<Level> Level::parse(StringRef text) {
  auto [first, second] = text.split('+');
  auto unknown = [](StringRef part) {
    return llvm::createStringError("level '" + part + "' is unknown; there are f32, bf16, bf16x3, tf32, " + weightFormatNames() +
                                   ", and both joined, such as bf16+w4g32");
  };
  Level level;
  if (isPrecision(first))
    level.precision = first.str();
  else if (findWeightFormat(first) && second.empty())
    level.format = first.str();
  else
    return unknown(first);
  if (text.size() == first.size())
    return level;
  if (!findWeightFormat(second))
    return unknown(second);
  if (first != "f32" && findWeightFormat(second)->ignores(second, first))
    return llvm::createStringError("level '" + text + "' is unsupported: layers of '" + second + "' multiply in their own way, not in " + first +
                                   ", which is '" + second + "' alone");
  level.format = second.str();
  return level;
}

std::string Level::str() const {
  if (format.empty())
    return precision;
  return precision == "f32" ? format : precision + "+" + format;
}
