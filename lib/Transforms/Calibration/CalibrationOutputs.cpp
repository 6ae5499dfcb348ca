//===- CalibrationOutputs.cpp - a model that returns what layers read -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Layers.h"
#include "permalloy/Transforms/Precision.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

std::vector<std::pair<std::string, LinearOp>> permalloy::calibratedLayers(ModuleOp module) {
  std::vector<std::pair<std::string, LinearOp>> layers;
  std::map<std::string, unsigned> seen;
  if (auto main = module.lookupSymbol<func::FuncOp>("main"))
    main.walk([&](LinearOp linear) {
      if (!linear.getWeight().getDefiningOp<GetWeightOp>())
        return;
      std::string name = precisionName(linear);
      unsigned number = seen[name]++;
      layers.push_back({number ? name + "#" + std::to_string(number) : name, linear});
    });
  return layers;
}

/// `value` as f32, behind all that computes it.
static Value asFloat(OpBuilder &builder, Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.getElementType().isF32())
    return value;
  return CastOp::create(builder, value.getLoc(), type.clone(builder.getF32Type()), value);
}

FailureOr<std::vector<CalibrationValue>> permalloy::addCalibrationOutputs(ModuleOp module) {
  llvm::MapVector<Value, CalibrationValue> values;
  for (auto &[name, linear] : calibratedLayers(module)) {
    CalibrationValue &value = values[linear.getInput()];
    value.layers.push_back(name);
    value.k = cast<RankedTensorType>(linear.getWeight().getType()).getDimSize(0);
  }
  if (values.empty())
    return emitError(module.getLoc()) << "the model has no linear layers with stored weights to calibrate";
  auto main = module.lookupSymbol<func::FuncOp>("main");
  Operation *end = main.getBody().front().getTerminator();
  OpBuilder builder(end);
  SmallVector<Value> results;
  SmallVector<Attribute> attributes;
  std::vector<CalibrationValue> list;
  for (auto &[value, entry] : values) {
    entry.output = "permalloy.calibration." + std::to_string(list.size());
    auto name = builder.getNamedAttr(TfmDialect::kNameAttr, builder.getStringAttr(entry.output));
    results.push_back(asFloat(builder, value));
    attributes.push_back(builder.getDictionaryAttr(name));
    list.push_back(entry);
  }
  end->setOperands(results);
  main.setType(builder.getFunctionType(main.getArgumentTypes(), ValueRange(results).getTypes()));
  main.setResAttrsAttr(builder.getArrayAttr(attributes));
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(main.getBody().front())))
    if (isOpTriviallyDead(&op)) // what only the model's own outputs needed
      op.erase();
  return list;
}
