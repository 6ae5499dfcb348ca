//===- CallContext.cpp - what one call in flight owns ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/CallContext.h"

#include "permalloy/Artifact/Expressions.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>

namespace permalloy {

using namespace artifact;

/// Below this many floating point operations or bytes a launch is not worth waking threads (about
/// 2 us of work).
static constexpr int64_t kSerialWork = 16384;

CallContext::CallContext(const Artifact &artifact, size_t target,
                         std::span<const KernelFunction> kernels, int workers, bool guarded)
    : artifact_(artifact), target_(target), kernels_(kernels), workers_(workers), guarded_(guarded),
      slots_(guarded), scratch_(guarded), staging_(guarded) {}

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
  PERMALLOY_TRY(placeSlots());
  PERMALLOY_TRY(bindSteps());
  if (guarded_)
    PERMALLOY_TRY(placeStaging());
  prepared_ = true;
  return {};
}

Status CallContext::evaluate(std::span<const int64_t> symbolValues) {
  symbolValues_.assign(symbolValues.begin(), symbolValues.end());
  return evaluateAll(artifact_.program().expressions, artifact_.manifest().symbols, symbolValues_,
                     values_);
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

Status CallContext::checkAssumptions() const {
  for (const Assumption &assumption : artifact_.program().assumptions)
    if (value(assumption.condition) == 0)
      return violation(assumption);
  const Manifest &manifest = artifact_.manifest();
  for (size_t i = 0; i < manifest.outputs.size(); ++i)
    if (tensorBytes(manifest.outputs[i].dtype, outputDims(i)) < 0)
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

Status CallContext::placeSlots() {
  std::vector<uint64_t> sizes;
  for (const Slot &slot : artifact_.program().slots) {
    if (value(slot.size) < 0)
      return {StatusCode::internal, "slot " + std::to_string(sizes.size()) + " has negative size"};
    sizes.push_back(slot.after == kNone ? value(slot.size) : 0);
  }
  PERMALLOY_TRY(slots_.place(sizes));
  slotBytes_ = std::move(sizes);
  const Manifest &manifest = artifact_.manifest();
  while (dataSlots_.size() < manifest.symbols.size())
    dataSlots_.emplace_back(guarded_);
  for (uint32_t symbol = 0; symbol < manifest.symbols.size(); ++symbol)
    if (manifest.symbols[symbol].input == kNone && symbol != manifest.capacity)
      PERMALLOY_TRY(placeDataSlots(symbol));
  return placeScratch();
}

Status CallContext::placeDataSlots(uint32_t symbol) {
  std::vector<uint64_t> sizes;
  for (const Slot &slot : artifact_.program().slots) {
    if (slot.after == symbol && value(slot.size) < 0)
      return {StatusCode::internal, "slot " + std::to_string(sizes.size()) + " has negative size"};
    sizes.push_back(slot.after == symbol ? value(slot.size) : 0);
    if (slot.after == symbol)
      slotBytes_[sizes.size() - 1] = sizes.back();
  }
  return dataSlots_[symbol].place(sizes);
}

std::byte *CallContext::slotAddress(uint32_t slot) const {
  uint32_t after = artifact_.program().slots[slot].after;
  return (after == kNone ? slots_ : dataSlots_[after]).buffer(slot);
}

uint64_t CallContext::memoryBytes() const {
  uint64_t bytes = slots_.capacity() + scratch_.capacity();
  for (const BufferArena &arena : dataSlots_)
    bytes += arena.capacity();
  return bytes;
}

Status CallContext::placeScratch() {
  int64_t scratch = 0;
  for (const Step &step : artifact_.program().steps)
    if (step.kind == StepKind::launch)
      scratch = std::max(scratch, value(step.grids[target_].scratchBytes));
  // An odd number of cache lines apart, so that workers do not share cache sets.
  scratchStride_ = (static_cast<uint64_t>(scratch) + 127) / 64 * 64;
  uint64_t total = 0;
  if (__builtin_mul_overflow(scratchStride_, workers_, &total))
    return {StatusCode::outOfMemory, "the scratch memory of these shapes exceeds 64 bits"};
  return scratch_.place({&total, 1});
}

int64_t CallContext::operandBytes(const Operand &operand) const {
  const Manifest &manifest = artifact_.manifest();
  switch (operand.kind) {
  case OperandKind::slot:
    return static_cast<int64_t>(slotBytes_[operand.index]);
  case OperandKind::weight:
    return static_cast<int64_t>(artifact_.program().weights[operand.index].size);
  case OperandKind::output:
    return tensorBytes(manifest.outputs[operand.index].dtype, outputDims(operand.index));
  case OperandKind::input:
  case OperandKind::cache:
    break;
  }
  bool isCache = operand.kind == OperandKind::cache;
  const TensorInfo &input =
      manifest.inputs[isCache ? manifest.caches[operand.index].input : operand.index];
  std::vector<int64_t> dims;
  for (const Dim &dim : input.dims)
    dims.push_back(value(dim.expr));
  if (isCache)
    dims[kCacheAxis] = symbolValues_[manifest.capacity];
  return tensorBytes(input.dtype, dims);
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
    address = const_cast<std::byte *>(artifact_.weight(operand.index)) + offset;
  else
    patches_.push_back({buffers_.size(), operand.kind, operand.index, offset});
  buffers_.push_back(address);
  return {};
}

Status CallContext::bindLaunch(const Step &step, BoundStep &bound) {
  Launch &launch = bound.launch;
  launch.function = kernels_[step.kernel];
  const Grid &grid = step.grids[target_];
  launch.tiles = value(grid.tiles);
  launch.scratch = scratch_.buffer(0);
  launch.scratchStride = scratchStride_;
  if (launch.tiles < 0 || value(grid.scratchBytes) < 0)
    return {StatusCode::internal, "step '" + step.name + "' has a negative size"};
  bound.parallel = launch.tiles > 1 && workOf(step) >= kSerialWork;
  for (const Assumption &check : step.checks)
    if (value(check.condition) == 0)
      bound.violated = &check;
  return {};
}

/// The larger of a launch's operations and bytes; without estimates, the size of its buffers.
int64_t CallContext::workOf(const Step &step) const {
  if (step.flops != kNone || step.bytes != kNone)
    return std::max(value(step.flops), value(step.bytes));
  int64_t bytes = 0;
  for (const Operand &operand : step.operands)
    if (__builtin_add_overflow(bytes, operandBytes(operand), &bytes))
      return INT64_MAX;
  return bytes;
}

Status CallContext::bindSteps() {
  const std::vector<Step> &steps = artifact_.program().steps;
  steps_.clear();
  buffers_.clear();
  scalars_.clear();
  patches_.clear();
  lastParallel_ = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step &step = steps[i];
    BoundStep &bound = steps_.emplace_back();
    bound.kind = step.kind;
    bound.firstBuffer = buffers_.size();
    bound.target = step.target;
    if (step.kind == StepKind::launch)
      PERMALLOY_TRY(bindLaunch(step, bound));
    bound.copyBytes = step.kind == StepKind::copy ? value(step.copyBytes) : 0;
    int64_t leastBytes = step.kind == StepKind::jumpIfZero ? 1 : bound.copyBytes;
    leastBytes = step.kind == StepKind::bind ? sizeof(int64_t) : leastBytes;
    for (const Operand &operand : step.operands)
      PERMALLOY_TRY(bindOperand(step, operand, leastBytes));
    for (uint32_t scalar : step.scalars)
      scalars_.push_back(value(scalar));
    if (bound.parallel)
      lastParallel_ = i;
  }
  // The vectors are complete: addresses into them are stable from here on.
  size_t scalar = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    steps_[i].launch.buffers = buffers_.data() + steps_[i].firstBuffer;
    steps_[i].launch.scalars = scalars_.data() + scalar;
    scalar += steps[i].scalars.size();
  }
  return {};
}

Status CallContext::placeStaging() {
  const Manifest &manifest = artifact_.manifest();
  std::vector<uint64_t> sizes;
  for (uint32_t i = 0; i < manifest.inputs.size(); ++i)
    sizes.push_back(operandBytes({OperandKind::input, i, kNone}));
  for (uint32_t i = 0; i < manifest.outputs.size(); ++i)
    sizes.push_back(operandBytes({OperandKind::output, i, kNone}));
  return staging_.place(sizes, /*exact=*/true);
}

//===-- Running -----------------------------------------------------------===//

Status CallContext::bindSymbol(uint32_t symbol, int64_t bound) {
  const std::string &name = artifact_.manifest().symbols[symbol].name;
  if (bound < 0)
    return {StatusCode::invalidArgument,
            "size '" + name + "', which depends on data, is " + std::to_string(bound)};
  prepared_ = false; // until all of it is done
  symbolValues_[symbol] = bound;
  PERMALLOY_TRY(evaluateAll(artifact_.program().expressions, artifact_.manifest().symbols,
                            symbolValues_, values_));
  PERMALLOY_TRY(placeDataSlots(symbol));
  PERMALLOY_TRY(placeScratch()); // holds nothing between steps
  PERMALLOY_TRY(bindSteps());
  patchBuffers();
  prepared_ = true;
  return {};
}

void CallContext::patchBuffers() {
  for (const Patch &patch : patches_) {
    bool isInput = patch.kind == OperandKind::input, isCache = patch.kind == OperandKind::cache;
    void *base = isCache   ? caches_[patch.index]
                 : isInput ? const_cast<void *>(inputs_[patch.index].data)
                           : outputs_[patch.index];
    if (guarded_ && !isCache)
      base = staging_.buffer(patch.index + (isInput ? 0 : inputs_.size()));
    if (!base) // legal for a tensor without elements; kernels still get an address
      base = scratch_.buffer(0);
    buffers_[patch.buffer] = static_cast<std::byte *>(base) + patch.offset;
  }
}

void CallContext::runLaunch(const BoundStep &step, ThreadPool *pool, bool last, TimeSpan *lanes) {
  if (step.launch.tiles <= 0)
    return;
  Launch launch = step.launch;
  launch.lanes = lanes;
  if (pool && step.parallel)
    pool->run(launch, last);
  else
    runSerial(launch);
}

Status CallContext::runStep(size_t index, size_t &next, ThreadPool *pool, TimeSpan *lanes) {
  next = index + 1;
  const BoundStep &step = steps_[index];
  void *const *buffers = step.launch.buffers;
  switch (step.kind) {
  case StepKind::launch:
    if (step.violated)
      return violation(*step.violated);
    runLaunch(step, pool, index >= lastParallel_, lanes);
    break;
  case StepKind::copy:
    if (step.copyBytes > 0)
      std::memmove(buffers[1], buffers[0], step.copyBytes);
    break;
  case StepKind::jump:
    next = step.target;
    break;
  case StepKind::jumpIfZero:
    if (*static_cast<const unsigned char *>(buffers[0]) == 0)
      next = step.target;
    break;
  case StepKind::bind: {
    int64_t bound;
    std::memcpy(&bound, buffers[0], sizeof bound);
    return bindSymbol(static_cast<uint32_t>(step.target), bound);
  }
  }
  return {};
}

void CallContext::stageInputs(std::span<const InputTensor> inputs) {
  const std::vector<Cache> &caches = artifact_.manifest().caches;
  for (uint32_t i = 0; i < inputs.size(); ++i)
    if (std::ranges::find(caches, i, &Cache::input) == caches.end())
      if (int64_t bytes = tensorBytes(inputs[i].dtype, inputs[i].dims))
        std::memcpy(staging_.buffer(i), inputs[i].data, bytes);
}

void CallContext::unstageOutputs(std::span<void *const> outputs) {
  const std::vector<Cache> &caches = artifact_.manifest().caches;
  size_t first = artifact_.manifest().inputs.size();
  for (uint32_t i = 0; i < outputs.size(); ++i)
    if (std::ranges::find(caches, i, &Cache::output) == caches.end() && !artifact_.program().isLate(i))
      if (int64_t bytes = operandBytes({OperandKind::output, i, kNone}))
        std::memcpy(outputs[i], staging_.buffer(first + i), bytes);
}

/// Runs a step, notes when it and its threads' parts began and ended, and says which one follows.
Status CallContext::recordStep(size_t index, size_t &next, ThreadPool *pool, RunRecord &record) {
  const Step &step = artifact_.program().steps[index];
  RunRecord::Step entry{static_cast<uint32_t>(index),
                        {},
                        value(step.flops),
                        value(step.bytes),
                        pool && steps_[index].parallel};
  if (entry.parallel)
    record.lanes.resize(record.lanes.size() + record.threads);
  TimeSpan *lanes = entry.parallel ? &record.lanes[record.lanes.size() - record.threads] : nullptr;
  entry.time.begin = monotonicNanoseconds();
  Status status = runStep(index, next, pool, lanes);
  entry.time.end = monotonicNanoseconds();
  record.steps.push_back(entry);
  return status;
}

Status CallContext::run(std::span<const InputTensor> inputs, std::span<void *const> outputs,
                        std::span<void *const> caches, ThreadPool *pool,
                        const RunOptions &options) {
  std::ranges::fill(options.stepNanoseconds, 0); // a step in a loop runs several times
  inputs_ = inputs;
  outputs_ = outputs;
  caches_ = caches;
  patchBuffers();
  if (guarded_)
    stageInputs(inputs);
  RunRecord ownRecord;
  bool wanted = options.record || !options.stepNanoseconds.empty();
  RunRecord *record = options.record ? options.record : &ownRecord;
  if (wanted) {
    *record = {record->run,
               static_cast<int64_t>(::gettid()),
               symbolValues_,
               {},
               {},
               pool ? static_cast<size_t>(pool->threads()) : 1};
    record->steps.reserve(steps_.size());
  }
  for (size_t i = 0; i < steps_.size();) {
    if (options.terminated())
      return {StatusCode::terminated, "the run was terminated before step " + std::to_string(i) +
                                          " of " + std::to_string(steps_.size())};
    size_t next = 0;
    PERMALLOY_TRY(wanted ? recordStep(i, next, pool, *record) : runStep(i, next, pool));
    i = next;
  }
  if (!options.stepNanoseconds.empty())
    for (const RunRecord::Step &step : record->steps)
      options.stepNanoseconds[step.index] += step.time.end - step.time.begin;
  if (guarded_)
    unstageOutputs(outputs);
  return {};
}

} // namespace permalloy
