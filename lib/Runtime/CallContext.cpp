//===- CallContext.cpp - a program bound to the sizes of a call --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/CallContext.h"

#include "permalloy/Artifact/Expressions.h"

#include <algorithm>

namespace permalloy {

using namespace artifact;

//===-- Shapes ------------------------------------------------------------===//

Status CallContext::prepare(std::span<const int64_t> symbolValues,
                            std::span<const InputTensor> inputs) {
  bool same = prepared_ && std::ranges::equal(symbolValues, symbolValues_);
  if (!same) {
    prepared_ = false;
    PERMALLOY_TRY(evaluate(symbolValues));
  }
  PERMALLOY_TRY(checkDims(artifact_.manifest(), inputs, values_));
  if (same)
    return {};
  PERMALLOY_TRY(checkAssumptions());
  PERMALLOY_TRY(placeAll());
  PERMALLOY_TRY(bindSteps(/*inRun=*/false));
  prepared_ = true;
  return {};
}

Status CallContext::evaluate(std::span<const int64_t> symbolValues) {
  symbolValues_.assign(symbolValues.begin(), symbolValues.end());
  return evaluate();
}

Status CallContext::evaluate() {
  PERMALLOY_TRY(evaluateAll(artifact_.program().expressions, artifact_.manifest().symbols,
                            symbolValues_, values_));
  measureTensors();
  return {};
}

/// Every operand of every step asks for these.
void CallContext::measureTensors() {
  const Manifest &manifest = artifact_.manifest();
  std::vector<int64_t> dims;
  auto bytesOf = [&](const TensorInfo &info, int64_t capacity) {
    dims.clear();
    for (const Dim &dim : info.dims)
      dims.push_back(value(dim.expr));
    if (capacity >= 0)
      dims[kCacheAxis] = capacity;
    return tensorBytes(info.dtype, dims);
  };
  inputBytes_.clear();
  outputBytes_.clear();
  cacheBytes_.clear();
  for (const TensorInfo &info : manifest.inputs)
    inputBytes_.push_back(bytesOf(info, -1));
  for (const TensorInfo &info : manifest.outputs)
    outputBytes_.push_back(bytesOf(info, -1));
  for (const Cache &cache : manifest.caches)
    cacheBytes_.push_back(bytesOf(manifest.inputs[cache.input], symbolValues_[manifest.capacity]));
}

Status CallContext::violation(const Assumption &assumption) const {
  const std::vector<Expr> &table = artifact_.program().expressions;
  const Expr *condition = &table[assumption.condition];
  while (condition->op == ExprOp::logicalOr) // equal, or one is 1
    condition = &table[condition->lhs];
  std::string sides; // of a comparison
  if (condition->op == ExprOp::le || condition->op == ExprOp::eq)
    sides = "; they are " + std::to_string(value(condition->lhs)) + " and " +
            std::to_string(value(condition->rhs));
  return {StatusCode::assumptionFailed, assumption.message + sides};
}

Status CallContext::terminatedBefore(size_t step) const {
  return {StatusCode::terminated, "the run was terminated before step " + std::to_string(step) +
                                      " of " + std::to_string(steps_.size())};
}

Status CallContext::checkAssumptions() const {
  for (const Assumption &assumption : artifact_.program().assumptions)
    if (value(assumption.condition) == 0)
      return violation(assumption);
  const Manifest &manifest = artifact_.manifest();
  for (size_t i = 0; i < manifest.outputs.size(); ++i)
    if (outputBytes_[i] < 0)
      return {StatusCode::invalidArgument, "output '" + manifest.outputs[i].name +
                                               "' would have shape " + shapeText(outputDims(i)) +
                                               ", which is no possible size"};
  return {};
}

std::vector<int64_t> CallContext::outputDims(size_t index) const {
  std::vector<int64_t> dims;
  for (const Dim &dim : artifact_.manifest().outputs[index].dims)
    dims.push_back(value(dim.expr));
  return dims;
}

Status CallContext::placeAll() {
  std::vector<uint64_t> sizes;
  for (const Slot &slot : artifact_.program().slots) {
    if (value(slot.size) < 0)
      return {StatusCode::internal, "slot " + std::to_string(sizes.size()) + " has negative size"};
    sizes.push_back(slot.after == kNone ? value(slot.size) : 0);
  }
  PERMALLOY_TRY(placeSlots(sizes));
  slotBytes_ = std::move(sizes);
  const Manifest &manifest = artifact_.manifest();
  for (uint32_t symbol = 0; symbol < manifest.symbols.size(); ++symbol)
    if (manifest.symbols[symbol].input == kNone && symbol != manifest.capacity)
      PERMALLOY_TRY(placeDataSlots(symbol));
  return placeScratch();
}

/// Slots whose size needs data symbol `symbol` and none that is bound later.
Status CallContext::placeDataSlots(uint32_t symbol) {
  std::vector<uint64_t> sizes;
  for (const Slot &slot : artifact_.program().slots) {
    if (slot.after == symbol && value(slot.size) < 0)
      return {StatusCode::internal, "slot " + std::to_string(sizes.size()) + " has negative size"};
    sizes.push_back(slot.after == symbol ? value(slot.size) : 0);
    if (slot.after == symbol)
      slotBytes_[sizes.size() - 1] = sizes.back();
  }
  return placeDataSlots(symbol, sizes);
}

int64_t CallContext::operandBytes(const Operand &operand) const {
  switch (operand.kind) {
  case OperandKind::slot:
    return static_cast<int64_t>(slotBytes_[operand.index]);
  case OperandKind::weight:
    return static_cast<int64_t>(artifact_.program().weights[operand.index].size);
  case OperandKind::output:
    return outputBytes_[operand.index];
  case OperandKind::input:
    return inputBytes_[operand.index];
  case OperandKind::cache:
    break;
  }
  return cacheBytes_[operand.index];
}

//===-- Binding the program -----------------------------------------------===//

/// Places for what steps are bound to; they are the same whatever the sizes.
void CallContext::layOut() {
  if (firstExprs_.size() == program().size() + 1)
    return;
  steps_.clear();
  patches_.clear();
  stepExprs_.clear();
  firstExprs_.clear();
  size_t buffers = 0, scalars = 0;
  for (size_t i = 0; i < program().size(); ++i) {
    const Step &step = program()[i];
    steps_.push_back({step.kind, buffers, scalars, patches_.size(), 0, step.target});
    for (const Operand &operand : step.operands) {
      if (operand.kind != OperandKind::slot && operand.kind != OperandKind::weight)
        patches_.push_back({i, buffers, operand.kind, operand.index});
      ++buffers;
    }
    scalars += step.scalars.size();
    firstExprs_.push_back(stepExprs_.size());
    noteExpressions(i);
  }
  firstExprs_.push_back(stepExprs_.size());
  buffers_.resize(buffers);
  scalars_.resize(scalars);
}

/// Appends what step `index` depends on to stepExprs_.
void CallContext::noteExpressions(size_t index) {
  const Step &step = program()[index];
  const Manifest &manifest = artifact_.manifest();
  std::vector<uint32_t> exprs = step.scalars;
  exprs.insert(exprs.end(), {step.copyBytes, step.flops, step.bytes});
  for (const Grid &grid : step.grids)
    exprs.insert(exprs.end(), {grid.tiles, grid.scratchBytes});
  if (!artifact_.devices().steps.empty())
    for (const DeviceGrid &grid : artifact_.devices().steps[index].grids)
      exprs.insert(exprs.end(), {grid.blocks, grid.sharedBytes, grid.scratchBytes});
  for (const Assumption &check : step.checks)
    exprs.push_back(check.condition);
  for (const Operand &operand : step.operands) {
    exprs.push_back(operand.offset);
    if (operand.kind == OperandKind::slot)
      exprs.push_back(artifact_.program().slots[operand.index].size);
    bool isOutput = operand.kind == OperandKind::output;
    if (isOutput || operand.kind == OperandKind::input)
      for (const Dim &dim : (isOutput ? manifest.outputs : manifest.inputs)[operand.index].dims)
        exprs.push_back(dim.expr);
  }
  std::ranges::sort(exprs);
  exprs.erase(std::ranges::unique(exprs).begin(), exprs.end());
  if (!exprs.empty() && exprs.back() == kNone)
    exprs.pop_back();
  stepExprs_.insert(stepExprs_.end(), exprs.begin(), exprs.end());
}

/// Whether step `index` is to be bound to other values than before.
bool CallContext::isChanged(size_t index) const {
  for (size_t i = firstExprs_[index]; i < firstExprs_[index + 1]; ++i)
    if (values_[stepExprs_[i]] != lastValues_[stepExprs_[i]])
      return true;
  return false;
}

/// Fills in everything of a step that depends on sizes; at least `leastBytes` must lie behind the
/// offset of each operand. Buffers that the caller brings are patched later.
Status CallContext::bindStep(size_t index) {
  const Step &step = program()[index];
  BoundStep &bound = steps_[index];
  bound.isNew = true;
  if (step.kind == StepKind::launch)
    PERMALLOY_TRY(bindLaunch(index));
  bound.violated = nullptr;
  for (const Assumption &check : step.checks)
    if (value(check.condition) == 0)
      bound.violated = &check;
  bound.copyBytes = step.kind == StepKind::copy ? value(step.copyBytes) : 0;
  int64_t leastBytes = step.kind == StepKind::jumpIfZero ? 1 : bound.copyBytes;
  leastBytes = step.kind == StepKind::bind ? sizeof(int64_t) : leastBytes;
  Patch *patch = patches_.data() + bound.firstPatch;
  void **buffer = buffers_.data() + bound.firstBuffer;
  for (const Operand &operand : step.operands) {
    int64_t offset = value(operand.offset), bytes = operandBytes(operand);
    if (offset < 0 || leastBytes < 0 || bytes < 0 || offset > bytes || leastBytes > bytes - offset)
      return {StatusCode::internal, "step '" + step.name + "' reaches beyond a buffer of " +
                                        std::to_string(bytes) + " bytes"};
    if (operand.kind == OperandKind::slot)
      *buffer = slotPlaces_[operand.index] + offset;
    else if (operand.kind == OperandKind::weight)
      *buffer = weightAddress(operand.index) + offset;
    else
      patch++->offset = offset;
    ++buffer;
  }
  int64_t *scalar = scalars_.data() + bound.firstScalar;
  for (uint32_t expr : step.scalars)
    *scalar++ = value(expr);
  return {};
}

/// Binds the steps that something changed for.
Status CallContext::bindSteps(bool inRun) {
  layOut();
  slotPlaces_.resize(artifact_.program().slots.size());
  for (uint32_t slot = 0; slot < slotPlaces_.size(); ++slot) {
    std::byte *place = slotAddress(slot);
    isMoved_ |= slotPlaces_[slot] != place;
    slotPlaces_[slot] = place;
  }
  isMoved_ |= cacheBytes_ != lastCacheBytes_;
  bool all = isMoved_ || lastValues_.size() != values_.size();
  for (size_t i = 0; i < steps_.size(); ++i)
    if (all || isChanged(i)) {
      isMoved_ = true; // until all of them are bound
      PERMALLOY_TRY(bindStep(i));
    }
  isMoved_ = false;
  lastValues_ = values_;
  lastCacheBytes_ = cacheBytes_;
  return finishBinding(inRun);
}

Status CallContext::bindSymbol(uint32_t symbol, int64_t bound) {
  const std::string &name = artifact_.manifest().symbols[symbol].name;
  if (bound < 0)
    return {StatusCode::invalidArgument,
            "size '" + name + "', which depends on data, is " + std::to_string(bound)};
  prepared_ = false; // until all of it is done
  symbolValues_[symbol] = bound;
  PERMALLOY_TRY(evaluate());
  PERMALLOY_TRY(placeDataSlots(symbol));
  PERMALLOY_TRY(placeScratch()); // holds nothing between steps
  PERMALLOY_TRY(bindSteps(/*inRun=*/true));
  prepared_ = true;
  return {};
}

} // namespace permalloy
