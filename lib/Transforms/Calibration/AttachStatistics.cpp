//===- AttachStatistics.cpp - layers and their statistics --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Layers.h"
#include "StatisticsFile.h"
#include "permalloy/Transforms/Levels.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FileSystem.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

/// A weight of the module that is an array of the file.
static FlatSymbolRefAttr addWeight(SymbolTable &symbols, Location loc, StringRef name, const StatisticsArray &array, StringRef path) {
  OpBuilder builder(loc.getContext());
  auto type = RankedTensorType::get(array.shape, builder.getF32Type());
  auto source = FileAttr::get(loc.getContext(), builder.getStringAttr(path), array.offset, array.bytes, builder.getStringAttr(""));
  auto weight = WeightOp::create(builder, loc, name, type, source);
  symbols.insert(weight, cast<ModuleOp>(symbols.getOp()).getBody()->begin());
  return FlatSymbolRefAttr::get(weight.getSymNameAttr());
}

LogicalResult permalloy::attachStatistics(ModuleOp module, StringRef path) {
  Result<StatisticsIndex> index = StatisticsIndex::read(path.str());
  if (!index.ok())
    return emitError(module.getLoc()) << index.status().message();
  SmallString<256> absolute(path);
  if (std::error_code error = llvm::sys::fs::make_absolute(absolute))
    return emitError(module.getLoc()) << "'" << path << "': " << error.message();
  SymbolTable symbols(module);
  llvm::StringMap<FlatSymbolRefAttr> made;
  bool any = false;
  for (auto &[name, linear] : calibratedLayers(module)) {
    auto value = index->layers.find(name);
    if (value == index->layers.end())
      continue;
    int64_t k = cast<RankedTensorType>(linear.getWeight().getType()).getDimSize(0);
    for (auto [what, attribute] : {std::pair("gram", kGramAttr), std::pair("second", kSecondAttr)}) {
      const StatisticsArray *array = index->find(value->second, what);
      if (!array || array->dtype != "F32")
        continue;
      if (array->shape != (what == StringRef("gram") ? std::vector<int64_t>{k, k} : std::vector<int64_t>{k}))
        return linear.emitError() << "the statistics in '" << path << "' are of another model: '" << name << "' reads " << k
                                  << " numbers, they are of " << array->shape.front();
      std::string symbol = "statistics." + value->second + "." + what;
      auto [it, inserted] = made.try_emplace(symbol);
      if (inserted)
        it->second = addWeight(symbols, linear.getLoc(), symbol, *array, absolute);
      linear->setAttr(attribute, it->second);
      any = true;
    }
  }
  if (!any)
    return emitError(module.getLoc()) << "the statistics in '" << path << "' are of another model: none of its layers is there";
  return success();
}
