//===- BuildSteps.cpp - the steps and slots of a program ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "ArtifactBuilder.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Conversion/Passes.h"
#include "permalloy/Support/Text.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::artifact;
using tfm::DimExprAttr;

/// ONNX node names of a launch, joined: "a + b".
static void collectNames(Location loc, SetVector<StringRef> &names) {
  if (auto name = dyn_cast<NameLoc>(loc))
    names.insert(name.getName());
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location inner : fused.getLocations())
      collectNames(inner, names);
}

static std::string stepName(Location loc) {
  SetVector<StringRef> names;
  collectNames(loc, names);
  return printable(llvm::join(names, " + "));
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

/// Number of its first slot in the program.
uint32_t ArtifactBuilder::addSlots(func::FuncOp function) {
  uint32_t first = contents.program.slots.size();
  for (DimExprAttr size : tfm::dimsOf(function->getAttrOfType<ArrayAttr>(kSlotsAttr)))
    contents.program.slots.push_back(slotOf(size));
  return first;
}

Operand ArtifactBuilder::newSlot(DimExprAttr bytes) {
  contents.program.slots.push_back(slotOf(bytes));
  return {OperandKind::slot, uint32_t(contents.program.slots.size() - 1), kNone};
}

DimExprAttr ArtifactBuilder::bytesOf(Value value) {
  int64_t width = reference::elementBytes(reference::elementOf(getElementTypeOrSelf(value.getType())));
  return DimExprAttr::mul(shapes.numElements(value), DimExprAttr::constant(module.getContext(), width));
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
  addChecks(launch, step);
  addDeviceGrids(launch);
  contents.program.steps.push_back(std::move(step));
  return success();
}

/// The grids of the step that comes next, where the file has code for GPUs.
void ArtifactBuilder::addDeviceGrids(kern::LaunchOp launch) {
  if (devices.empty())
    return;
  contents.devices.steps.resize(contents.program.steps.size() + 1);
  for (const DeviceImage &device : devices) {
    kern::KernelOp kernel = device.kernels.lookup(launch.getKernel());
    codegen::GpuLaunch grid = codegen::gpuLaunch(kernel);
    auto rowAt = [&](DimExprAttr expr) { return expr.isConstant(0) ? kNone : exprs.row(kern::atLaunch(expr, kernel, launch)); };
    DeviceGrid row{exprs.row(kern::atLaunch(grid.blocks, kernel, launch)), rowAt(grid.sharedBytes), rowAt(grid.scratchBytes)};
    contents.devices.steps.back().grids.push_back(row);
  }
}

/// Pairs of dimensions in a kernel that must broadcast and need not, and sizes that must not pass others.
static void collectChecks(Operation &op, SymbolicShapes &shapes, SmallVectorImpl<std::pair<DimExprAttr, DimExprAttr>> &broadcasts,
                          SmallVectorImpl<std::pair<DimExprAttr, DimExprAttr>> &limits) {
  if (auto topK = dyn_cast<tfm::TopKOp>(op); topK && topK.getKAttr()) {
    DimExprAttr size = shapes.dims(topK.getInput())[topK.getAxis()];
    if (!topK.getKAttr().asConstant() || !size.asConstant())
      limits.push_back({topK.getKAttr(), size});
  }
  if (!isa<tfm::BinaryOp, tfm::CompareOp, tfm::SelectOp>(op))
    return;
  for (auto [i, value] : llvm::enumerate(op.getOperands()))
    for (Value other : op.getOperands().drop_front(i + 1)) {
      tfm::Dims dims = shapes.dims(value), others = shapes.dims(other);
      for (auto [a, b] : llvm::zip(llvm::reverse(dims), llvm::reverse(others)))
        if (a != b && !a.isConstant(1) && !b.isConstant(1))
          broadcasts.push_back({a, b});
    }
}

/// Sizes that the shapes of operands promise only when the model is right: without a check a kernel would read beyond its
/// buffers.
void ArtifactBuilder::addChecks(kern::LaunchOp launch, Step &step) {
  auto kernel = symbolTable.lookup<kern::KernelOp>(launch.getKernel());
  SmallVector<std::pair<DimExprAttr, DimExprAttr>> broadcasts, limits;
  for (Operation &op : kernel.getBlock().without_terminator())
    collectChecks(op, shapes, broadcasts, limits);
  llvm::DenseSet<uint32_t> known;
  auto add = [&](DimExprAttr a, DimExprAttr b, auto condition, StringRef text) {
    a = kern::atLaunch(a, kernel, launch), b = kern::atLaunch(b, kernel, launch);
    if (a == b)
      return;
    uint32_t row = condition(a, b);
    if (known.insert(row).second)
      step.checks.push_back({row, "'" + step.name + "': sizes " + a.str() + " and " + b.str() + " " + text.str()});
  };
  for (auto [a, b] : broadcasts)
    add(a, b, [&](auto x, auto y) { return exprs.broadcast(x, y); }, "do not broadcast");
  for (auto [k, size] : limits)
    add(k, size, [&](auto x, auto y) { return exprs.atMost(x, y); }, "are in the wrong order: more are wanted than there are");
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
      assert(from.kind == OperandKind::slot && "plan-slots gives a result whose size depends on data a slot");
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
