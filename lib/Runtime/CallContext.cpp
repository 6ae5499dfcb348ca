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

/// Appends the operand's address, or a patch where the caller brings it. At least `leastBytes` must
/// lie behind its offset.
Status CallContext::bindOperand(const Step &step, const Operand &operand, int64_t leastBytes) {
  int64_t offset = value(operand.offset), bytes = operandBytes(operand);
  if (offset < 0 || leastBytes < 0 || bytes < 0 || offset > bytes || leastBytes > bytes - offset)
    return {StatusCode::internal, "step '" + step.name + "' reaches beyond a buffer of " +
                                      std::to_string(bytes) + " bytes"};
  void *address = nullptr;
  if (operand.kind == OperandKind::slot)
    address = slotAddress(operand.index) + offset;
  else if (operand.kind == OperandKind::weight)
    address = weightAddress(operand.index) + offset;
  else
    patches_.push_back({buffers_.size(), operand.kind, operand.index, offset});
  buffers_.push_back(address);
  return {};
}

Status CallContext::bindSteps(bool inRun) {
  steps_.clear();
  buffers_.clear();
  scalars_.clear();
  patches_.clear();
  for (const Step &step : program()) {
    BoundStep &bound = steps_.emplace_back();
    bound.kind = step.kind;
    bound.firstBuffer = buffers_.size();
    bound.firstScalar = scalars_.size();
    bound.target = step.target;
    if (step.kind == StepKind::launch)
      PERMALLOY_TRY(bindLaunch(steps_.size() - 1));
    for (const Assumption &check : step.checks)
      if (value(check.condition) == 0)
        bound.violated = &check;
    bound.copyBytes = step.kind == StepKind::copy ? value(step.copyBytes) : 0;
    int64_t leastBytes = step.kind == StepKind::jumpIfZero ? 1 : bound.copyBytes;
    leastBytes = step.kind == StepKind::bind ? sizeof(int64_t) : leastBytes;
    for (const Operand &operand : step.operands)
      PERMALLOY_TRY(bindOperand(step, operand, leastBytes));
    for (uint32_t scalar : step.scalars)
      scalars_.push_back(value(scalar));
  }
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
