//===- DeviceContext.cpp - one call on a GPU ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceContext.h"

#include <algorithm>

namespace permalloy::cuda {

using namespace artifact;

DeviceContext::DeviceContext(const Artifact &artifact, std::shared_ptr<const LoadedModel> model,
                             StreamHandle stream, std::shared_ptr<GraphCounters> counts)
    : CallContext(artifact), model_(std::move(model)), device_(model_->device()),
      callersStream_(stream), graphs_(device_), counts_(std::move(counts)),
      isStraight_(std::ranges::all_of(program(),
                                      [](const Step &step) {
                                        return step.kind == StepKind::launch ||
                                               step.kind == StepKind::copy;
                                      })),
      isCacheInput_(artifact.manifest().inputs.size()),
      isCacheOutput_(artifact.manifest().outputs.size()) {
  for (const Cache &cache : artifact.manifest().caches)
    isCacheInput_[cache.input] = isCacheOutput_[cache.output] = true;
}

DeviceContext::~DeviceContext() {
  if (!word_ || !device_->isOfThisProcess())
    return;
  Device::Scope scope(*device_);
  device_->driver().freeHost(word_);
}

//===-- Memory ------------------------------------------------------------===//

/// What is recorded runs later, or never: nothing of a run could be waited for.
Status DeviceContext::checkCapture() const {
  if (!callersStream_)
    return {};
  Device::Scope scope(*device_);
  int status = 0;
  PERMALLOY_CUDA_TRY(device_->driver(), captureStatus(callersStream_, &status),
                     "ask about the caller's stream");
  if (status != 0)
    return {StatusCode::unsupported, "the session's stream is being captured into a graph; a run "
                                     "waits for its work, and makes graphs by itself: run it "
                                     "outside of the capture"};
  return {};
}

/// What a context needs whatever the sizes; once.
Status DeviceContext::start() {
  PERMALLOY_TRY(device_->checkProcess());
  PERMALLOY_TRY(checkCapture());
  if (word_)
    return {};
  PERMALLOY_TRY(stream_.start(device_, callersStream_));
  transfers_.emplace(device_, stream_.get());
  dataSlots_.resize(artifact_.manifest().symbols.size());
  Device::Scope scope(*device_);
  PERMALLOY_CUDA_TRY_TWICE(*device_, allocateHost(&word_, sizeof(int64_t), 0),
                           "reserve pinned memory");
  return {};
}

Status DeviceContext::placeArena(Arena &arena, std::span<const uint64_t> sizes,
                                 const std::string &what) {
  uint64_t total = 0;
  arena.offsets.clear();
  for (uint64_t size : sizes) {
    arena.offsets.push_back(total);
    if (size > INT64_MAX - kDeviceAlignment || __builtin_add_overflow(total, alignUp(size), &total))
      return {StatusCode::outOfMemory, "the buffers of these shapes exceed 64 bits"};
  }
  return DeviceMemory::reserve(arena.memory, device_, total, what);
}

Status DeviceContext::placeSlots(std::span<const uint64_t> sizes) {
  PERMALLOY_TRY(start());
  return placeArena(slots_, sizes, "the intermediate results of these shapes");
}

Status DeviceContext::placeDataSlots(uint32_t symbol, std::span<const uint64_t> sizes) {
  return placeArena(dataSlots_[symbol], sizes,
                    "results of size '" + artifact_.manifest().symbols[symbol].name + "'");
}

Status DeviceContext::placeScratch() {
  int64_t bytes = 0;
  for (const DeviceStep &step : artifact_.devices().steps)
    if (!step.grids.empty())
      bytes = std::max(bytes, value(step.grids[model_->target()].scratchBytes));
  DevicePointer before = scratch_.address();
  uint64_t size = scratch_.size();
  Status status = DeviceMemory::reserve(scratch_, device_, kCounterBytes + bytes,
                                        "the scratch memory of these shapes");
  if (scratch_.address() != before || scratch_.size() != size) {
    isMoved_ = true;
    areCountersClear_ = false;
  }
  return status;
}

/// Before the launches of a run, in its stream.
Status DeviceContext::clearCounters() {
  if (!areCountersClear_)
    PERMALLOY_CUDA_TRY(device_->driver(),
                       setBytes(scratch_.address(), 0, kCounterBytes, stream_.get()),
                       "clear counters");
  return {};
}

std::byte *DeviceContext::slotAddress(uint32_t slot) const {
  uint32_t after = artifact_.program().slots[slot].after;
  const Arena &arena = after == kNone ? slots_ : dataSlots_[after];
  return toPointer(arena.memory.address() + arena.offsets[slot]);
}

std::byte *DeviceContext::weightAddress(uint32_t weight) const {
  return toPointer(model_->weights() + artifact_.program().weights[weight].offset);
}

uint64_t DeviceContext::memoryBytes() const {
  uint64_t bytes = slots_.memory.size() + staging_.size() + scratch_.size() + bounce_.size();
  for (const Arena &arena : dataSlots_)
    bytes += arena.memory.size();
  return bytes;
}

Status DeviceContext::copySlot(uint32_t slot, uint64_t bytes, const TensorMemory &to) {
  Device::Scope scope(*device_);
  DevicePointer from = toAddress(slotAddress(slot));
  if (bytes == 0)
    return {};
  if (to.device == kHostMemory) {
    PERMALLOY_TRY(transfers_->prepare(bytes));
    Status status = transfers_->download(to.data, from, bytes);
    if (status.ok())
      status = transfers_->finish();
    if (!status.ok())
      transfers_->abandon();
    return status;
  }
  PERMALLOY_TRY(stream_.waitForCaller());
  PERMALLOY_CUDA_TRY(device_->driver(),
                     copyOnDevice(toAddress(to.data), from, bytes, stream_.get()),
                     "copy an output");
  PERMALLOY_CUDA_TRY(device_->driver(), waitForStream(stream_.get()), "copy an output");
  return {};
}

//===-- Binding the program -----------------------------------------------===//

Status DeviceContext::bindLaunch(size_t index) {
  const Step &step = program()[index];
  const DeviceGrid &grid = artifact_.devices().steps[index].grids[model_->target()];
  int64_t blocks = value(grid.blocks), shared = value(grid.sharedBytes);
  grids_.resize(program().size());
  if (blocks < 0 || shared < 0 || value(grid.scratchBytes) < 0)
    return {StatusCode::internal, "step '" + step.name + "' has a negative size"};
  if (blocks > INT32_MAX)
    return {StatusCode::unsupported, "step '" + step.name + "' is too large for a GPU: " +
                                         std::to_string(blocks) + " blocks"};
  if (int most = model_->kernel(step.kernel).mostSharedBytes; shared > most)
    return {StatusCode::unsupported, "step '" + step.name + "' needs " + std::to_string(shared) +
                                         " bytes of shared memory, " + device_->info().text() +
                                         " has " + std::to_string(most)};
  grids_[index] = {static_cast<unsigned>(blocks), static_cast<unsigned>(shared)};
  return {};
}

Status DeviceContext::finishBinding(bool inRun) {
  isListed_ = isListed_ && std::ranges::none_of(steps_, &BoundStep::isNew);
  if (inRun) // staging holds the inputs, whose sizes stay
    return {};
  const Manifest &manifest = artifact_.manifest();
  stagingBytes_ = 0;
  auto place = [&](std::vector<uint64_t> &places, const Operand &operand, bool isUsed) -> Status {
    places.push_back(stagingBytes_);
    int64_t bytes = isUsed ? operandBytes(operand) : 0;
    if (bytes < 0 || __builtin_add_overflow(stagingBytes_, alignUp(bytes), &stagingBytes_))
      return {StatusCode::outOfMemory, "the inputs and outputs of these shapes exceed 64 bits"};
    return {};
  };
  inputPlaces_.clear();
  outputPlaces_.clear();
  for (uint32_t i = 0; i < manifest.inputs.size(); ++i)
    PERMALLOY_TRY(place(inputPlaces_, {OperandKind::input, i, kNone}, !isCacheInput_[i]));
  for (uint32_t i = 0; i < manifest.outputs.size(); ++i)
    PERMALLOY_TRY(place(outputPlaces_, {OperandKind::output, i, kNone},
                        !isCacheOutput_[i] && !artifact_.program().isLate(i)));
  return {};
}

} // namespace permalloy::cuda
