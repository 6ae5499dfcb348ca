//===- BuildArtifact.cpp - launches in the IR into the tables of model.alloy *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "BuildArtifact.h"
#include "ExprTable.h"
#include "KernelWork.h"
#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Conversion/Passes.h"
#include "permalloy/Import/Import.h"
#include "permalloy/Reference/WeightEvaluator.h"
#include "permalloy/Support/Text.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::artifact;
using tfm::DimExprAttr;
using tfm::TfmDialect;

namespace {

std::optional<DType> dtypeOf(Type type) {
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

/// ONNX node names of a launch, joined: "a + b".
void collectNames(Location loc, SetVector<StringRef> &names) {
  if (auto name = dyn_cast<NameLoc>(loc))
    names.insert(name.getName());
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location inner : fused.getLocations())
      collectNames(inner, names);
}

std::string stepName(Location loc) {
  SetVector<StringRef> names;
  collectNames(loc, names);
  return printable(llvm::join(names, " + "));
}

/// Streams a weight when the writer asks for it. All weights of a module share one evaluator and so its mapped files.
WeightSource weightSource(tfm::WeightOp weight, std::shared_ptr<reference::WeightEvaluator> evaluator) {
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

WeightSource constantSource(tfm::ConstantOp constant) {
  return [constant](const WeightSink &sink) mutable -> Status {
    reference::Tensor value = reference::Tensor::fromAttribute(constant.getValue());
    return sink(value.bytes().data(), value.bytes().size());
  };
}

class ArtifactBuilder {
public:
  ArtifactBuilder(ModuleOp module, ArrayRef<TargetImage> targets, ArtifactContents &contents)
      : module(module), symbolTable(module), targets(targets), contents(contents), exprs(contents.program.expressions) {}

  LogicalResult run(func::FuncOp main);

private:
  LogicalResult addInputs(func::FuncOp main);
  LogicalResult addOutputs(func::FuncOp main);
  LogicalResult tensorInfo(Value value, StringAttr name, const Twine &fallback, TensorInfo &info);
  void declareSymbols(func::FuncOp main);
  LogicalResult addWeight(Value value, StringRef name, RankedTensorType type, WeightSource source);
  LogicalResult addSources(func::FuncOp function);
  LogicalResult addAssumptions(func::FuncOp main);
  LogicalResult addKernels();
  void addCaches(func::FuncOp main);
  /// The steps of `function`, whose arguments have places; its results go to `results`.
  LogicalResult addFunction(func::FuncOp function, ArrayRef<Operand> results);
  /// Symbols of sizes that depend on data, in the order in which a function binds them.
  void declareDataSymbols();
  LogicalResult addBind(tfm::BindSizeOp op);
  Slot slotOf(DimExprAttr bytes);
  uint32_t addSlots(func::FuncOp function);
  void placeResults(func::FuncOp function, uint32_t firstSlot, ArrayRef<Operand> results);
  LogicalResult addLaunch(kern::LaunchOp launch);
  void addWork(kern::LaunchOp launch, Step &step);
  LogicalResult addIf(tfm::IfOp op);
  LogicalResult addWhile(tfm::WhileOp op);
  LogicalResult addCopies(func::FuncOp function, ArrayRef<Operand> results);
  void addCopy(StringRef name, Operand from, Operand to, DimExprAttr bytes);
  /// Index of a new jump, whose target is set later.
  size_t addJump(Location loc, std::optional<Operand> ifZero);
  void jumpHere(size_t jump) { contents.program.steps[jump].target = contents.program.steps.size(); }
  SmallVector<Operand> operandsOf(ValueRange values);
  void bindArguments(func::FuncOp function, ArrayRef<Operand> operands);
  Operand newSlot(DimExprAttr bytes);
  DimExprAttr bytesOf(Value value);
  Operand operandOf(Value value);
  ModuleOp module;
  SymbolTable symbolTable;
  ArrayRef<TargetImage> targets;
  ArtifactContents &contents;
  ExprTable exprs;
  SymbolicShapes shapes;
  DenseMap<Value, Operand> places;
  llvm::StringMap<uint32_t> kernelIndex;
  DenseMap<Operation *, KernelWork> works;
  unsigned constants = 0;
  std::shared_ptr<reference::WeightEvaluator> evaluator = std::make_shared<reference::WeightEvaluator>();
};

/// The values that a symbol may take: what the user promised and what the model can stand.
void setRange(func::FuncOp main, Symbol &symbol) {
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

/// Number of its first slot in the program.
uint32_t ArtifactBuilder::addSlots(func::FuncOp function) {
  uint32_t first = contents.program.slots.size();
  for (DimExprAttr size : tfm::dimsOf(function->getAttrOfType<ArrayAttr>(kSlotsAttr)))
    contents.program.slots.push_back(slotOf(size));
  return first;
}

Slot ArtifactBuilder::slotOf(DimExprAttr bytes) {
  Slot slot{exprs.row(bytes), kNone};
  bytes.walkSymbols([&](StringRef name) {
    if (!isDataSymbol(name))
      return;
    uint32_t symbol = exprs.symbol(name);
    slot.after = slot.after == kNone ? symbol : std::max(slot.after, symbol);
  });
  return slot;
}

Operand ArtifactBuilder::newSlot(DimExprAttr bytes) {
  contents.program.slots.push_back(slotOf(bytes));
  return {OperandKind::slot, uint32_t(contents.program.slots.size() - 1), kNone};
}

DimExprAttr ArtifactBuilder::bytesOf(Value value) {
  int64_t width = reference::elementBytes(reference::elementOf(getElementTypeOrSelf(value.getType())));
  return DimExprAttr::mul(shapes.numElements(value), DimExprAttr::constant(module.getContext(), width));
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

/// Where launches write: their slots, or the first result that shows the value.
void ArtifactBuilder::placeResults(func::FuncOp function, uint32_t firstSlot, ArrayRef<Operand> results) {
  for (Operation &op : function.getBody().front()) {
    auto slots = op.getAttrOfType<DenseI64ArrayAttr>(kResultSlotsAttr);
    if (!slots)
      continue;
    for (auto [result, slot] : llvm::zip(op.getResults(), slots.asArrayRef()))
      if (slot >= 0)
        places[result] = {OperandKind::slot, uint32_t(firstSlot + slot), kNone};
  }
  for (auto [value, place] : llvm::zip(function.getBody().front().getTerminator()->getOperands(), results))
    places.try_emplace(kern::storageOf(value), place);
}

Operand ArtifactBuilder::operandOf(Value value) { return places.at(kern::storageOf(value)); }

LogicalResult ArtifactBuilder::addLaunch(kern::LaunchOp launch) {
  Step step;
  step.kind = StepKind::launch;
  step.name = stepName(launch.getLoc());
  step.kernel = kernelIndex.lookup(launch.getKernel());
  for (Value input : launch.getInputs())
    step.operands.push_back(operandOf(input));
  for (Value output : launch.getOutputs())
    step.operands.push_back(operandOf(output));
  for (DimExprAttr scalar : tfm::dimsOf(launch.getScalars()))
    step.scalars.push_back(exprs.row(scalar));
  for (const TargetImage &target : targets) {
    kern::KernelOp kernel = target.kernels.lookup(launch.getKernel());
    auto rowAt = [&](DimExprAttr expr) { return exprs.row(kern::atLaunch(expr, kernel, launch)); };
    step.grids.push_back({rowAt(*kernel.getTiles()), rowAt(*kernel.getScratchBytes())});
  }
  addWork(launch, step);
  contents.program.steps.push_back(std::move(step));
  return success();
}

/// The estimates for profiles; launches of a kernel share its count.
void ArtifactBuilder::addWork(kern::LaunchOp launch, Step &step) {
  auto kernel = symbolTable.lookup<kern::KernelOp>(launch.getKernel());
  auto [known, isNew] = works.try_emplace(kernel);
  if (isNew)
    known->second = workOf(kernel);
  auto rowOf = [&](DimExprAttr expr) {
    DimExprAttr atLaunch = expr ? kern::atLaunch(expr, kernel, launch) : expr;
    bool evaluable = atLaunch && isDerived(atLaunch);
    if (evaluable)
      atLaunch.walkSymbols([&](StringRef symbol) { evaluable &= exprs.knows(symbol); });
    return evaluable ? exprs.row(atLaunch) : kNone;
  };
  step.flops = rowOf(known->second.flops);
  step.bytes = rowOf(known->second.bytes);
}

void ArtifactBuilder::addCopy(StringRef name, Operand from, Operand to, DimExprAttr bytes) {
  Step step;
  step.kind = StepKind::copy;
  step.name = name.str();
  step.operands = {from, to};
  step.copyBytes = exprs.row(bytes);
  contents.program.steps.push_back(std::move(step));
}

/// Results that no launch writes: an argument, a weight, or a value that another result shows as well.
LogicalResult ArtifactBuilder::addCopies(func::FuncOp function, ArrayRef<Operand> results) {
  for (auto [value, place] : llvm::zip(function.getBody().front().getTerminator()->getOperands(), results)) {
    Operand from = operandOf(value);
    bool written = from.kind == place.kind && from.index == place.index;
    if (written || value.getDefiningOp<kern::CacheViewOp>())
      continue;
    bool isOutput = place.kind == OperandKind::output;
    if (isOutput && dependsOnData(bytesOf(value))) {
      contents.program.lateOutputs.push_back({place.index, from.index});
      continue;
    }
    addCopy(isOutput ? contents.manifest.outputs[place.index].name : stepName(value.getLoc()), from, place, bytesOf(value));
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Control flow
//===----------------------------------------------------------------------===//

SmallVector<Operand> ArtifactBuilder::operandsOf(ValueRange values) {
  return llvm::map_to_vector(values, [&](Value value) { return operandOf(value); });
}

void ArtifactBuilder::bindArguments(func::FuncOp function, ArrayRef<Operand> operands) {
  for (auto [argument, operand] : llvm::zip(function.getArguments(), operands))
    places[argument] = operand;
}

size_t ArtifactBuilder::addJump(Location loc, std::optional<Operand> ifZero) {
  Step step;
  step.kind = ifZero ? StepKind::jumpIfZero : StepKind::jump;
  step.name = stepName(loc);
  if (ifZero)
    step.operands = {*ifZero};
  contents.program.steps.push_back(std::move(step));
  return contents.program.steps.size() - 1;
}

void ArtifactBuilder::declareDataSymbols() {
  module.walk([&](tfm::BindSizeOp op) {
    exprs.declareSymbol(op.getSymbol(), contents.manifest.symbols.size());
    contents.manifest.symbols.push_back({op.getSymbol().str(), 0, INT64_MAX, kNone, 0});
  });
}

LogicalResult ArtifactBuilder::addBind(tfm::BindSizeOp op) {
  if (!getElementTypeOrSelf(op.getValue().getType()).isInteger(64))
    return op.emitOpError("binds a value of type ") << op.getValue().getType() << "; the runtime reads i64";
  Step step;
  step.kind = StepKind::bind;
  step.name = stepName(op.getLoc());
  step.operands = {operandOf(op.getValue())};
  step.target = exprs.symbol(op.getSymbol());
  contents.program.steps.push_back(std::move(step));
  return success();
}

/// jump to ELSE unless the condition; then; jump to END; ELSE: else; END:
LogicalResult ArtifactBuilder::addIf(tfm::IfOp op) {
  auto thenFunction = symbolTable.lookup<func::FuncOp>(op.getThenFunction());
  auto elseFunction = symbolTable.lookup<func::FuncOp>(op.getElseFunction());
  SmallVector<Operand> captures = operandsOf(op.getCaptures()), results = operandsOf(op.getResults());
  bindArguments(thenFunction, captures);
  bindArguments(elseFunction, captures);
  size_t skipThen = addJump(op.getLoc(), operandOf(op.getCondition()));
  if (failed(addFunction(thenFunction, results)))
    return failure();
  size_t skipElse = addJump(op.getLoc(), std::nullopt);
  jumpHere(skipThen);
  if (failed(addFunction(elseFunction, results)))
    return failure();
  jumpHere(skipElse);
  return success();
}

/// TOP: jump to END unless the condition; next = body(carried); carried = next; jump to TOP; END:
/// The body reads the carried values to its end, so what it gives is copied only then.
LogicalResult ArtifactBuilder::addWhile(tfm::WhileOp op) {
  auto body = symbolTable.lookup<func::FuncOp>(op.getBody());
  std::string name = stepName(op.getLoc());
  SmallVector<Operand> carried = operandsOf(op.getResults());
  Operand condition = newSlot(bytesOf(op.getCondition()));
  SmallVector<Operand> next = {condition};
  addCopy(name, operandOf(op.getCondition()), condition, bytesOf(op.getCondition()));
  for (auto [value, place] : llvm::zip(op.getCarried(), carried)) {
    addCopy(name, operandOf(value), place, bytesOf(value));
    next.push_back(newSlot(bytesOf(value)));
  }
  SmallVector<Operand> arguments = carried;
  llvm::append_range(arguments, operandsOf(op.getCaptures()));
  bindArguments(body, arguments);
  uint32_t top = contents.program.steps.size();
  size_t leave = addJump(op.getLoc(), condition);
  if (failed(addFunction(body, next)))
    return failure();
  for (auto [value, from, to] : llvm::zip(op.getCarried(), ArrayRef(next).drop_front(), carried))
    addCopy(name, from, to, bytesOf(value));
  contents.program.steps[addJump(op.getLoc(), std::nullopt)].target = top;
  jumpHere(leave);
  return success();
}

LogicalResult ArtifactBuilder::addFunction(func::FuncOp function, ArrayRef<Operand> results) {
  if (failed(addSources(function)))
    return failure();
  placeResults(function, addSlots(function), results);
  for (Operation &op : function.getBody().front()) {
    LogicalResult result = success();
    if (auto launch = dyn_cast<kern::LaunchOp>(op))
      result = addLaunch(launch);
    else if (auto bind = dyn_cast<tfm::BindSizeOp>(op))
      result = addBind(bind);
    else if (auto branch = dyn_cast<tfm::IfOp>(op))
      result = addIf(branch);
    else if (auto loop = dyn_cast<tfm::WhileOp>(op))
      result = addWhile(loop);
    if (failed(result))
      return failure();
  }
  return addCopies(function, results);
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

void addModelInfo(ModuleOp module, ModelInfo &info) {
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

} // namespace

LogicalResult permalloy::buildArtifact(ModuleOp module, ArrayRef<TargetImage> targets, StringRef commandLine,
                                       ArtifactContents &contents) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    return module.emitError("has no function 'main'");
  contents.manifest.producer = "permalloy";
  contents.manifest.producerVersion = PERMALLOY_VERSION;
  contents.manifest.options = commandLine.str();
  addModelInfo(module, contents.manifest.model);
  return ArtifactBuilder(module, targets, contents).run(main);
}
