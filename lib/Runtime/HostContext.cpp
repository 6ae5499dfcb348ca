//===- HostContext.cpp - one call on the CPU ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "HostContext.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>
#include <utility>

namespace permalloy {

using namespace artifact;

/// Below this many floating point operations or bytes a launch is not worth waking threads (about
/// 2 us of work).
static constexpr int64_t kSerialWork = 16384;

HostContext::HostContext(const Artifact &artifact, size_t target,
                         std::span<const KernelFunction> kernels, int workers, bool guarded)
    : CallContext(artifact), target_(target), kernels_(kernels), workers_(workers),
      guarded_(guarded), slots_(guarded), scratch_(guarded), staging_(guarded) {}

//===-- Memory ------------------------------------------------------------===//

Status HostContext::placeSlots(std::span<const uint64_t> sizes) {
  while (dataSlots_.size() < artifact_.manifest().symbols.size())
    dataSlots_.emplace_back(guarded_);
  return slots_.place(sizes);
}

Status HostContext::placeDataSlots(uint32_t symbol, std::span<const uint64_t> sizes) {
  return dataSlots_[symbol].place(sizes);
}

std::byte *HostContext::slotAddress(uint32_t slot) const {
  uint32_t after = artifact_.program().slots[slot].after;
  return (after == kNone ? slots_ : dataSlots_[after]).buffer(slot);
}

std::byte *HostContext::weightAddress(uint32_t weight) const {
  return const_cast<std::byte *>(artifact_.weight(weight));
}

uint64_t HostContext::memoryBytes() const {
  uint64_t bytes = slots_.capacity() + scratch_.capacity();
  for (const BufferArena &arena : dataSlots_)
    bytes += arena.capacity();
  return bytes;
}

Status HostContext::placeScratch() {
  int64_t scratch = 0;
  for (const Step &step : program())
    if (step.kind == StepKind::launch)
      scratch = std::max(scratch, value(step.grids[target_].scratchBytes));
  // An odd number of cache lines apart, so that workers do not share cache sets.
  uint64_t stride = (static_cast<uint64_t>(scratch) + 127) / 64 * 64;
  isMoved_ |= std::exchange(scratchStride_, stride) != stride;
  uint64_t total = 0;
  if (__builtin_mul_overflow(scratchStride_, workers_, &total))
    return {StatusCode::outOfMemory, "the scratch memory of these shapes exceeds 64 bits"};
  PERMALLOY_TRY(scratch_.place({&total, 1}));
  std::byte *place = scratch_.buffer(0);
  isMoved_ |= std::exchange(scratchPlace_, place) != place;
  return {};
}

Status HostContext::placeStaging() {
  const Manifest &manifest = artifact_.manifest();
  std::vector<uint64_t> sizes;
  for (uint32_t i = 0; i < manifest.inputs.size(); ++i)
    sizes.push_back(operandBytes({OperandKind::input, i, kNone}));
  for (uint32_t i = 0; i < manifest.outputs.size(); ++i)
    sizes.push_back(operandBytes({OperandKind::output, i, kNone}));
  return staging_.place(sizes, /*exact=*/true);
}

Status HostContext::copySlot(uint32_t slot, uint64_t bytes, const TensorMemory &to) {
  if (bytes)
    std::memcpy(to.data, slotAddress(slot), bytes);
  return {};
}

//===-- Binding the program -----------------------------------------------===//

Status HostContext::bindLaunch(size_t index) {
  const Step &step = program()[index];
  launches_.resize(program().size());
  HostStep &bound = launches_[index];
  Launch &launch = bound.launch;
  launch.function = kernels_[step.kernel];
  const Grid &grid = step.grids[target_];
  launch.tiles = value(grid.tiles);
  launch.scratch = scratch_.buffer(0);
  launch.scratchStride = scratchStride_;
  if (launch.tiles < 0 || value(grid.scratchBytes) < 0)
    return {StatusCode::internal, "step '" + step.name + "' has a negative size"};
  bound.parallel = launch.tiles > 1 && workOf(step) >= kSerialWork;
  return {};
}

/// The larger of a launch's operations and bytes; without estimates, the size of its buffers.
int64_t HostContext::workOf(const Step &step) const {
  if (step.flops != kNone || step.bytes != kNone)
    return std::max(value(step.flops), value(step.bytes));
  int64_t bytes = 0;
  for (const Operand &operand : step.operands)
    if (__builtin_add_overflow(bytes, operandBytes(operand), &bytes))
      return INT64_MAX;
  return bytes;
}

Status HostContext::finishBinding(bool inRun) {
  lastParallel_ = 0;
  launches_.resize(steps_.size());
  for (size_t i = 0; i < steps_.size(); ++i) {
    launches_[i].launch.buffers = buffers_.data() + steps_[i].firstBuffer;
    launches_[i].launch.scalars = scalars_.data() + steps_[i].firstScalar;
    if (launches_[i].parallel)
      lastParallel_ = i;
  }
  return guarded_ && !inRun ? placeStaging() : Status(); // which holds the inputs of a run
}

//===-- Running -----------------------------------------------------------===//

void HostContext::patchBuffers() {
  for (const Patch &patch : patches_) {
    bool isInput = patch.kind == OperandKind::input, isCache = patch.kind == OperandKind::cache;
    void *base = isCache   ? caches_[patch.index]
                 : isInput ? const_cast<void *>(inputs_[patch.index].data)
                           : outputs_[patch.index].data;
    if (guarded_ && !isCache)
      base = staging_.buffer(patch.index + (isInput ? 0 : inputs_.size()));
    if (!base) // legal for a tensor without elements; kernels still get an address
      base = scratch_.buffer(0);
    buffers_[patch.buffer] = static_cast<std::byte *>(base) + patch.offset;
  }
}

void HostContext::runLaunch(const HostStep &step, ThreadPool *pool, bool last, TimeSpan *lanes) {
  if (step.launch.tiles <= 0)
    return;
  Launch launch = step.launch;
  launch.lanes = lanes;
  if (pool && step.parallel)
    pool->run(launch, last);
  else
    runSerial(launch);
}

Status HostContext::runStep(size_t index, size_t &next, ThreadPool *pool, TimeSpan *lanes) {
  next = index + 1;
  const BoundStep &step = steps_[index];
  void *const *buffers = buffers_.data() + step.firstBuffer;
  switch (step.kind) {
  case StepKind::launch:
    if (step.violated)
      return violation(*step.violated);
    runLaunch(launches_[index], pool, index >= lastParallel_, lanes);
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
    PERMALLOY_TRY(bindSymbol(static_cast<uint32_t>(step.target), bound));
    patchBuffers();
    break;
  }
  }
  return {};
}

void HostContext::stageInputs(std::span<const InputTensor> inputs) {
  const std::vector<Cache> &caches = artifact_.manifest().caches;
  for (uint32_t i = 0; i < inputs.size(); ++i)
    if (std::ranges::find(caches, i, &Cache::input) == caches.end())
      if (int64_t bytes = tensorBytes(inputs[i].dtype, inputs[i].dims))
        std::memcpy(staging_.buffer(i), inputs[i].data, bytes);
}

void HostContext::unstageOutputs(std::span<const TensorMemory> outputs) {
  const std::vector<Cache> &caches = artifact_.manifest().caches;
  size_t first = artifact_.manifest().inputs.size();
  for (uint32_t i = 0; i < outputs.size(); ++i)
    if (std::ranges::find(caches, i, &Cache::output) == caches.end() && !artifact_.program().isLate(i))
      if (int64_t bytes = operandBytes({OperandKind::output, i, kNone}))
        std::memcpy(outputs[i].data, staging_.buffer(first + i), bytes);
}

/// Runs a step, notes when it and its threads' parts began and ended, and says which one follows.
Status HostContext::recordStep(size_t index, size_t &next, ThreadPool *pool, RunRecord &record) {
  const Step &step = program()[index];
  RunRecord::Step entry{static_cast<uint32_t>(index),
                        {},
                        value(step.flops),
                        value(step.bytes),
                        pool && launches_[index].parallel};
  if (entry.parallel)
    record.lanes.resize(record.lanes.size() + record.threads);
  TimeSpan *lanes = entry.parallel ? &record.lanes[record.lanes.size() - record.threads] : nullptr;
  entry.time.begin = monotonicNanoseconds();
  Status status = runStep(index, next, pool, lanes);
  entry.time.end = monotonicNanoseconds();
  record.steps.push_back(entry);
  return status;
}

Status HostContext::run(std::span<const InputTensor> inputs, std::span<const TensorMemory> outputs,
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
      return terminatedBefore(i);
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
