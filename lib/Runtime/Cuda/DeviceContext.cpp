//===- DeviceContext.cpp - one call on a GPU ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceContext.h"

#include <algorithm>

namespace permalloy::cuda {

using namespace artifact;

DeviceContext::DeviceContext(const Artifact &artifact, std::shared_ptr<const LoadedModel> model)
    : CallContext(artifact), model_(std::move(model)), device_(model_->device()), graphs_(device_),
      isStraight_(std::ranges::all_of(program(), [](const Step &step) {
        return step.kind == StepKind::launch || step.kind == StepKind::copy;
      })) {}

DeviceContext::~DeviceContext() {
  if (!word_ || !device_->isOfThisProcess())
    return;
  Device::Scope scope(*device_);
  device_->driver().freeHost(word_);
}

//===-- Memory ------------------------------------------------------------===//

/// What a context needs whatever the sizes; once.
Status DeviceContext::start() {
  PERMALLOY_TRY(device_->checkProcess());
  if (word_)
    return {};
  Result<Stream> stream = Stream::create(device_);
  if (!stream.ok())
    return stream.status();
  Result<Event> event = Event::create(device_, /*timing=*/false);
  if (!event.ok())
    return event.status();
  stream_ = std::move(*stream);
  callersWork_ = std::move(*event);
  transfers_.emplace(device_, stream_.get());
  dataSlots_.resize(artifact_.manifest().symbols.size());
  Device::Scope scope(*device_);
  PERMALLOY_CUDA_TRY(device_->driver(), allocateHost(&word_, sizeof(int64_t), 0),
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
  PERMALLOY_TRY(DeviceMemory::reserve(scratch_, device_, kCounterBytes + bytes,
                                      "the scratch memory of these shapes"));
  if (scratch_.address() == before && scratch_.size() == size)
    return {};
  Device::Scope scope(*device_);
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
  PERMALLOY_TRY(waitForCallersWork(device_, stream_.get()));
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

bool DeviceContext::isCache(uint32_t Cache::*side, uint32_t index) const {
  const std::vector<Cache> &caches = artifact_.manifest().caches;
  return std::ranges::find(caches, index, side) != caches.end();
}

Status DeviceContext::finishBinding(bool inRun) {
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
    PERMALLOY_TRY(place(inputPlaces_, {OperandKind::input, i, kNone}, !isCache(&Cache::input, i)));
  for (uint32_t i = 0; i < manifest.outputs.size(); ++i)
    PERMALLOY_TRY(place(outputPlaces_, {OperandKind::output, i, kNone},
                        !isCache(&Cache::output, i) && !artifact_.program().isLate(i)));
  return {};
}

/// Launches take operands at multiples of 16 bytes. One of a step's that lies elsewhere is copied
/// from there to the end of what it lies in, and back when it may have been written. `end` is where
/// the copies so far end in bounce_.
Status DeviceContext::findBounces(size_t index, uint64_t &end) {
  const Step &step = program()[index];
  size_t first = bounces_.size();
  for (size_t i = 0; i < step.operands.size(); ++i) {
    const Operand &operand = step.operands[i];
    size_t buffer = steps_[index].firstBuffer + i;
    DevicePointer address = toAddress(buffers_[buffer]);
    if (address % kOperandAlignment == 0)
      continue;
    // Two copies of one memory could not both be copied back.
    for (size_t k = 0; k < step.operands.size(); ++k)
      if (const Operand &other = step.operands[k]; k != i && other.kind == operand.kind &&
                                                   other.index == operand.index &&
                                                   value(other.offset) != value(operand.offset))
        return {StatusCode::unsupported,
                "step '" + step.name +
                    "' has two operands in one buffer, of which one begins at byte " +
                    std::to_string(value(operand.offset)) + "; GPUs take multiples of 16"};
    auto same = std::find_if(bounces_.begin() + static_cast<ptrdiff_t>(first), bounces_.end(),
                             [&](const Bounce &b) { return b.address == address; });
    bool isWritten = operand.kind != OperandKind::weight && operand.kind != OperandKind::input &&
                     same == bounces_.end();
    uint64_t bytes = same == bounces_.end() ? operandBytes(operand) - value(operand.offset) : 0;
    bounces_.push_back(
        {buffer, index, address, bytes, same != bounces_.end() ? same->offset : end, isWritten});
    end += alignUp(bytes);
  }
  return {};
}

Status DeviceContext::placeBounces() {
  bounces_.clear();
  uint64_t bytes = 0;
  for (size_t i = 0; i < steps_.size(); ++i)
    if (steps_[i].kind == StepKind::launch)
      PERMALLOY_TRY(findBounces(i, bytes));
  if (bytes)
    PERMALLOY_TRY(DeviceMemory::reserve(bounce_, device_, bytes, "operands that are not aligned"));
  for (const Bounce &bounce : bounces_)
    buffers_[bounce.buffer] = toPointer(bounce_.address() + bounce.offset);
  return {};
}

Status DeviceContext::patchBuffers() {
  for (const Patch &patch : patches_) {
    DevicePointer base = patch.kind == OperandKind::cache   ? toAddress(caches_[patch.index])
                         : patch.kind == OperandKind::input ? inputAddresses_[patch.index]
                                                            : outputAddresses_[patch.index];
    buffers_[patch.buffer] = toPointer(base + patch.offset);
  }
  return placeBounces();
}

} // namespace permalloy::cuda
