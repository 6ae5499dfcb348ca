//===- BuildArtifact.cpp - launches in the IR into the tables of model.alloy *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ArtifactBuilder.h"
#include "permalloy/Conversion/Passes.h"
#include "permalloy/Import/Import.h"
#include "permalloy/Support/Text.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::artifact;
using tfm::DimExprAttr;
using tfm::TfmDialect;

static std::optional<DType> dtypeOf(Type type) {
  if (type.isF32()) return DType::f32;
  if (type.isF64()) return DType::f64;
  if (type.isF16()) return DType::f16;
  if (type.isBF16()) return DType::bf16;
  if (type.isInteger(1)) return DType::boolean;
  if (type.isInteger(8)) return type.isUnsignedInteger() ? DType::u8 : DType::i8;
  if (type.isInteger(16)) return type.isUnsignedInteger() ? DType::u16 : DType::i16;
  if (type.isInteger(32)) return type.isUnsignedInteger() ? DType::u32 : DType::i32;
  if (type.isInteger(64)) return type.isUnsignedInteger() ? DType::u64 : DType::i64;
  return std::nullopt;
}

/// Streams a weight when the writer asks for it. All weights of a module share one evaluator and so its mapped files.
static WeightSource weightSource(tfm::WeightOp weight, std::shared_ptr<reference::WeightEvaluator> evaluator) {
  return [weight, evaluator](const WeightSink &sink) -> Status {
    Status status;
    LogicalResult result = evaluator->evaluate(weight, [&](ArrayRef<char> bytes) {
      status = sink(bytes.data(), bytes.size());
      return success(status.ok());
    });
    if (failed(result) && status.ok())
      return {StatusCode::internal, "weight '" + tfm::WeightOp(weight).getSymName().str() + "' cannot be evaluated"};
    return status;
  };
}

static WeightSource constantSource(tfm::ConstantOp constant) {
  return [constant](const WeightSink &sink) mutable -> Status {
    reference::Tensor value = reference::Tensor::fromAttribute(constant.getValue());
    return sink(value.bytes().data(), value.bytes().size());
  };
}

/// The values that a symbol may take: what the user promised and what the model can stand.
static void setRange(func::FuncOp main, Symbol &symbol) {
  auto ranges = main->getAttrOfType<DictionaryAttr>(TfmDialect::kDimRangesAttr);
  if (auto range = ranges ? ranges.getAs<ArrayAttr>(symbol.name) : ArrayAttr()) {
    symbol.min = cast<IntegerAttr>(range[0]).getInt();
    symbol.max = cast<IntegerAttr>(range[1]).getInt();
  }
}

/// A symbol is bound by the first input axis that is exactly this symbol.
void ArtifactBuilder::declareSymbols(func::FuncOp main) {
  for (BlockArgument argument : main.getArguments())
    for (auto [axis, dim] : llvm::enumerate(shapes.dims(argument))) {
      if (dim.getKind() != tfm::DimKind::Symbol || exprs.knows(dim.getName()))
        continue;
      Symbol symbol{dim.getName().str(), 0, INT64_MAX, argument.getArgNumber(), uint32_t(axis)};
      setRange(main, symbol);
      exprs.declareSymbol(dim.getName(), contents.manifest.symbols.size());
      contents.manifest.symbols.push_back(symbol);
    }
}

LogicalResult ArtifactBuilder::tensorInfo(Value value, StringAttr name, const Twine &fallback, TensorInfo &info) {
  info.name = name ? name.str() : fallback.str();
  if (printable(info.name) != info.name)
    return emitError(value.getLoc()) << "tensor name '" << info.name
                                     << "' has control characters or is not UTF-8; callers could not name it";
  auto dtype = dtypeOf(getElementTypeOrSelf(value.getType()));
  if (!dtype)
    return emitError(value.getLoc()) << "tensor '" << info.name << "' has elements " << getElementTypeOrSelf(value.getType())
                                     << ", which an artifact cannot hold";
  info.dtype = *dtype;
  for (DimExprAttr dim : shapes.dims(value)) {
    bool known = isDerived(dim);
    dim.walkSymbols([&](StringRef symbol) { known &= exprs.knows(symbol); });
    if (!known)
      return emitError(value.getLoc()) << "dimension " << dim.str() << " of tensor '" << info.name
                                       << "' does not follow from the dimensions of the inputs; that is unsupported";
    info.dims.push_back({exprs.row(dim), dim.getKind() == tfm::DimKind::Symbol ? dim.getName().str() : dim.str()});
  }
  return success();
}

LogicalResult ArtifactBuilder::addInputs(func::FuncOp main) {
  declareSymbols(main);
  for (BlockArgument argument : main.getArguments()) {
    unsigned index = argument.getArgNumber();
    auto name = main.getArgAttrOfType<StringAttr>(index, TfmDialect::kNameAttr);
    if (failed(tensorInfo(argument, name, "input_" + Twine(index), contents.manifest.inputs.emplace_back())))
      return failure();
    places[argument] = {OperandKind::input, index, kNone};
  }
  return success();
}

LogicalResult ArtifactBuilder::addOutputs(func::FuncOp main) {
  for (auto [index, value] : llvm::enumerate(main.getBody().front().getTerminator()->getOperands())) {
    auto name = main.getResultAttrOfType<StringAttr>(index, TfmDialect::kNameAttr);
    if (failed(tensorInfo(value, name, "output_" + Twine(index), contents.manifest.outputs.emplace_back())))
      return failure();
  }
  return success();
}

LogicalResult ArtifactBuilder::addWeight(Value value, StringRef name, RankedTensorType type, WeightSource source) {
  places[value] = {OperandKind::weight, uint32_t(contents.program.weights.size()), kNone};
  artifact::Weight weight;
  weight.name = name.str();
  weight.size = reference::storageBytes(type);
  contents.program.weights.push_back(weight);
  contents.weightSources.push_back(std::move(source));
  return success();
}

/// Weights and constants that launches (or outputs) read.
LogicalResult ArtifactBuilder::addSources(func::FuncOp main) {
  for (Operation &op : main.getBody().front()) {
    if (auto use = dyn_cast<tfm::GetWeightOp>(op)) {
      auto weight = symbolTable.lookup<tfm::WeightOp>(use.getWeight());
      if (failed(addWeight(use, weight.getSymName(), cast<RankedTensorType>(use.getType()), weightSource(weight, evaluator))))
        return failure();
    }
    if (auto constant = dyn_cast<tfm::ConstantOp>(op)) {
      std::string name = "constant." + std::to_string(constants++);
      if (failed(addWeight(constant, name, cast<RankedTensorType>(constant.getType()), constantSource(constant))))
        return failure();
    }
  }
  return success();
}

LogicalResult ArtifactBuilder::addAssumptions(func::FuncOp main) {
  auto assumptions = main->getAttrOfType<ArrayAttr>(TfmDialect::kAssumptionsAttr);
  if (!assumptions)
    return success();
  for (auto assumption : assumptions.getAsRange<tfm::AtMostAttr>()) {
    DimExprAttr smaller = assumption.getSmaller(), larger = assumption.getLarger();
    std::string user = printable(assumption.getUser().getValue());
    bool known = isDerived(smaller) && isDerived(larger);
    for (DimExprAttr expr : {smaller, larger})
      expr.walkSymbols([&](StringRef symbol) { known &= exprs.knows(symbol); });
    if (!known)
      return main.emitError("assumes that ") << smaller.str() << " is at most " << larger.str() << ", which no input gives";
    std::string message = smaller.str() + " must be at most " + larger.str() + ": '" + user + "' reads that many elements";
    contents.program.assumptions.push_back({exprs.atMost(smaller, larger), message});
  }
  return success();
}

LogicalResult ArtifactBuilder::addKernels() {
  for (const TargetImage &target : targets) {
    contents.program.targets.push_back({target.name, target.features, {}});
    contents.images.push_back(target.elf);
  }
  for (auto kernel : module.getOps<kern::KernelOp>()) {
    kernelIndex[kernel.getSymName()] = contents.program.kernels.size();
    Block &block = kernel.getBlock();
    contents.program.kernels.push_back({kernel.getSymName().str(), uint32_t(block.getNumArguments() + kernel.yielded().size()),
                                        uint32_t(kernel.getSymbols().size())});
    for (auto [target, row] : llvm::zip(targets, contents.program.targets)) {
      auto entry = target.entryPoints.find(kernel.getSymName());
      if (entry == target.entryPoints.end())
        return kernel.emitError("has no code in the image of target ") << target.name;
      row.entryPoints.push_back(entry->second);
    }
  }
  return addDeviceKernels();
}

LogicalResult ArtifactBuilder::addDeviceKernels() {
  for (const DeviceImage &device : devices) {
    DeviceTarget &row = contents.devices.targets.emplace_back(device.target);
    contents.deviceCode.push_back(device.code);
    for (auto kernel : module.getOps<kern::KernelOp>()) {
      auto entry = device.entries.find(kernel.getSymName());
      if (entry == device.entries.end())
        return kernel.emitError("has no code for target ") << row.name;
      row.kernels.push_back(entry->second);
    }
  }
  return success();
}

/// Caches, with the symbol of their capacity behind those that inputs bind.
void ArtifactBuilder::addCaches(func::FuncOp main) {
  Manifest &manifest = contents.manifest;
  for (auto cache : main.getOps<kern::CacheOp>()) {
    StringRef capacity = cast<DimExprAttr>(cache.getDims()[artifact::kCacheAxis]).getName();
    if (!exprs.knows(capacity)) {
      manifest.capacity = manifest.symbols.size();
      exprs.declareSymbol(capacity, manifest.capacity);
      manifest.symbols.push_back({capacity.str(), 1, INT64_MAX, kNone, 0});
    }
    manifest.caches.push_back({cast<BlockArgument>(cache.getPast()).getArgNumber(), 0});
    places[cache] = {OperandKind::cache, uint32_t(cache.getIndex()), kNone};
  }
  for (auto [index, value] : llvm::enumerate(main.getBody().front().getTerminator()->getOperands()))
    if (auto view = value.getDefiningOp<kern::CacheViewOp>()) {
      manifest.caches[view.getIndex()].output = index;
      places[kern::storageOf(view)] = {OperandKind::cache, uint32_t(view.getIndex()), kNone};
    }
}

void ArtifactBuilder::declareDataSymbols() {
  module.walk([&](tfm::BindSizeOp op) {
    exprs.declareSymbol(op.getSymbol(), contents.manifest.symbols.size());
    contents.manifest.symbols.push_back({op.getSymbol().str(), 0, INT64_MAX, kNone, 0});
  });
}

LogicalResult ArtifactBuilder::run(func::FuncOp main) {
  if (failed(addInputs(main)))
    return failure();
  addCaches(main);
  declareDataSymbols();
  if (failed(addOutputs(main)) || failed(addAssumptions(main)) || failed(addKernels()))
    return failure();
  SmallVector<Operand> outputs;
  for (uint32_t index = 0; index < contents.manifest.outputs.size(); ++index)
    outputs.push_back({OperandKind::output, index, kNone});
  return addFunction(main, outputs);
}

static void addModelInfo(ModuleOp module, ModelInfo &info) {
  auto onnx = module->getAttrOfType<DictionaryAttr>(kOnnxAttr);
  if (!onnx)
    return;
  auto text = [&](StringRef key, std::string &field) {
    if (auto value = onnx.getAs<StringAttr>(key))
      field = value.str();
  };
  text("graph_name", info.graphName);
  text("graph_description", info.graphDescription);
  text("producer_name", info.producerName);
  text("producer_version", info.producerVersion);
  text("domain", info.domain);
  text("description", info.description);
  if (auto version = onnx.getAs<IntegerAttr>("model_version"))
    info.version = version.getInt();
  if (auto version = onnx.getAs<IntegerAttr>("ir_version"))
    info.irVersion = version.getInt();
  if (auto opsets = onnx.getAs<DictionaryAttr>("opset"))
    for (NamedAttribute opset : opsets)
      info.opsets.push_back({opset.getName().str(), std::to_string(cast<IntegerAttr>(opset.getValue()).getInt())});
  if (auto custom = onnx.getAs<DictionaryAttr>("metadata"))
    for (NamedAttribute entry : custom)
      if (auto value = dyn_cast<StringAttr>(entry.getValue()))
        info.custom.push_back({entry.getName().str(), value.str()});
}

LogicalResult permalloy::buildArtifact(ModuleOp module, ArrayRef<TargetImage> targets, ArrayRef<DeviceImage> devices,
                                       StringRef commandLine, ArtifactContents &contents, std::vector<reference::SolvedWeight> *solved) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    return module.emitError("has no function 'main'");
  contents.manifest.producer = "permalloy";
  contents.manifest.producerVersion = PERMALLOY_VERSION;
  contents.manifest.options = commandLine.str();
  addModelInfo(module, contents.manifest.model);
  if (failed(ArtifactBuilder(module, targets, devices, contents, solved).run(main)))
    return failure();
  if (!devices.empty()) // steps behind the last launch
    contents.devices.steps.resize(contents.program.steps.size());
  return success();
}
