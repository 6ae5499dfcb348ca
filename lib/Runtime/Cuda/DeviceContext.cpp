//===- DeviceContext.cpp - one call on a GPU ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceContext.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>

namespace permalloy::cuda {

using namespace artifact;

static constexpr uint64_t kCounterBytes = kCounters * sizeof(uint32_t);

static std::byte *toPointer(DevicePointer address) { return reinterpret_cast<std::byte *>(address); }
static DevicePointer toAddress(const void *pointer) { return reinterpret_cast<DevicePointer>(pointer); }

DeviceContext::DeviceContext(const Artifact &artifact, std::shared_ptr<const LoadedModel> model)
    : CallContext(artifact), model_(std::move(model)), device_(model_->device()), graphs_(device_),
      isStraight_(std::ranges::all_of(program(), [](const Step &step) { return step.kind == StepKind::launch || step.kind == StepKind::copy; })) {}

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
  PERMALLOY_CUDA_TRY(device_->driver(), allocateHost(&word_, sizeof(int64_t), 0), "reserve pinned memory");
  return {};
}

Status DeviceContext::placeArena(Arena &arena, std::span<const uint64_t> sizes, const std::string &what) {
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
  return placeArena(dataSlots_[symbol], sizes, "results of size '" + artifact_.manifest().symbols[symbol].name + "'");
}

Status DeviceContext::placeScratch() {
  int64_t bytes = 0;
  for (const DeviceStep &step : artifact_.devices().steps)
    if (!step.grids.empty())
      bytes = std::max(bytes, value(step.grids[model_->target()].scratchBytes));
  DevicePointer before = scratch_.address();
  uint64_t size = scratch_.size();
  PERMALLOY_TRY(DeviceMemory::reserve(scratch_, device_, kCounterBytes + bytes, "the scratch memory of these shapes"));
  if (scratch_.address() == before && scratch_.size() == size)
    return {};
  Device::Scope scope(*device_);
  PERMALLOY_CUDA_TRY(device_->driver(), setBytes(scratch_.address(), 0, kCounterBytes, stream_.get()), "clear counters");
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
    PERMALLOY_TRY(transfers_->download(to.data, from, bytes));
    return transfers_->finish();
  }
  PERMALLOY_CUDA_TRY(device_->driver(), copyOnDevice(toAddress(to.data), from, bytes, stream_.get()), "copy an output");
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
    return {StatusCode::unsupported, "step '" + step.name + "' is too large for a GPU: " + std::to_string(blocks) + " blocks"};
  if (int most = model_->kernel(step.kernel).mostSharedBytes; shared > most)
    return {StatusCode::unsupported, "step '" + step.name + "' needs " + std::to_string(shared) + " bytes of shared memory, " +
                                         device_->info().text() + " has " + std::to_string(most)};
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

/// Launches take operands at multiples of 16 bytes. One of a step's that lies elsewhere is copied from there to the end of what it
/// lies in, and back when it may have been written.
Status DeviceContext::findBounces(size_t index) {
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
      if (const Operand &other = step.operands[k]; k != i && other.kind == operand.kind && other.index == operand.index &&
                                                   value(other.offset) != value(operand.offset))
        return {StatusCode::unsupported, "step '" + step.name + "' has two operands in one buffer, of which one begins at byte " +
                                             std::to_string(value(operand.offset)) + "; GPUs take multiples of 16"};
    auto same = std::find_if(bounces_.begin() + static_cast<ptrdiff_t>(first), bounces_.end(), [&](const Bounce &b) { return b.address == address; });
    bool isWritten = operand.kind != OperandKind::weight && operand.kind != OperandKind::input && same == bounces_.end();
    uint64_t bytes = same == bounces_.end() ? operandBytes(operand) - value(operand.offset) : 0;
    uint64_t offset = same != bounces_.end() ? same->offset : bounces_.empty() ? 0 : bounces_.back().offset + alignUp(bounces_.back().bytes);
    bounces_.push_back({buffer, index, address, bytes, offset, isWritten});
  }
  return {};
}

Status DeviceContext::placeBounces() {
  bounces_.clear();
  for (size_t i = 0; i < steps_.size(); ++i)
    if (steps_[i].kind == StepKind::launch)
      PERMALLOY_TRY(findBounces(i));
  uint64_t bytes = 0;
  for (const Bounce &bounce : bounces_)
    bytes = std::max(bytes, bounce.offset + alignUp(bounce.bytes));
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

//===-- Running -----------------------------------------------------------===//

/// Parameters are 64-bit words in one block: buffers, scalars, scratch.
Status DeviceContext::launch(size_t index) {
  const BoundStep &step = steps_[index];
  const Step &source = program()[index];
  const LoadedKernel &kernel = model_->kernel(source.kernel);
  if (grids_[index].blocks == 0)
    return {};
  words_.clear();
  for (size_t i = 0; i < source.operands.size(); ++i)
    words_.push_back(toAddress(buffers_[step.firstBuffer + i]));
  for (size_t i = 0; i < source.scalars.size(); ++i)
    words_.push_back(static_cast<uint64_t>(scalars_[step.firstScalar + i]));
  words_.push_back(scratch_.address() + kCounterBytes);
  size_t bytes = words_.size() * sizeof(uint64_t);
  void *extra[] = {kParameterBuffer, words_.data(), kParameterBytes, &bytes, nullptr};
  const Driver &driver = device_->driver();
  auto bounces = [&](bool back) -> Status {
    for (const Bounce &bounce : bounces_) {
      if (bounce.step != index || bounce.bytes == 0 || (back && !bounce.isWritten))
        continue;
      DevicePointer copy = bounce_.address() + bounce.offset;
      PERMALLOY_CUDA_TRY(driver, copyOnDevice(back ? bounce.address : copy, back ? copy : bounce.address, bounce.bytes, stream_.get()),
                         "copy an operand of '" + source.name + "'");
    }
    return {};
  };
  PERMALLOY_TRY(bounces(false));
  PERMALLOY_CUDA_TRY(driver,
                     launch(kernel.function, grids_[index].blocks, 1, 1, kernel.threads, 1, 1, grids_[index].sharedBytes, stream_.get(),
                            nullptr, extra),
                     "launch '" + source.name + "'");
  return bounces(true);
}

/// A few bytes of the device, when all before is done.
Status DeviceContext::readBack(const void *address, void *into, size_t bytes) {
  const Driver &driver = device_->driver();
  PERMALLOY_CUDA_TRY(driver, copyToHost(word_, toAddress(address), bytes, stream_.get()), "read a condition");
  PERMALLOY_CUDA_TRY(driver, waitForStream(stream_.get()), "run '" + artifact_.name() + "'");
  std::memcpy(into, word_, bytes);
  return {};
}

Status DeviceContext::runStep(size_t index, size_t &next) {
  next = index + 1;
  const BoundStep &step = steps_[index];
  void *const *buffers = buffers_.data() + step.firstBuffer;
  switch (step.kind) {
  case StepKind::launch:
    return step.violated ? violation(*step.violated) : launch(index);
  case StepKind::copy:
    if (step.copyBytes > 0)
      PERMALLOY_CUDA_TRY(device_->driver(), copyOnDevice(toAddress(buffers[1]), toAddress(buffers[0]), step.copyBytes, stream_.get()),
                         "copy '" + program()[index].name + "'");
    return {};
  case StepKind::jump:
    next = step.target;
    return {};
  case StepKind::jumpIfZero: {
    unsigned char condition = 0;
    PERMALLOY_TRY(readBack(buffers[0], &condition, 1));
    next = condition ? next : step.target;
    return {};
  }
  case StepKind::bind: {
    int64_t bound = 0;
    PERMALLOY_TRY(readBack(buffers[0], &bound, sizeof bound));
    PERMALLOY_TRY(bindSymbol(static_cast<uint32_t>(step.target), bound));
    return patchBuffers();
  }
  }
  return {};
}

/// Notes in the stream when mark number `event` is reached.
Status DeviceContext::mark(size_t event) {
  while (marks_.size() <= event) {
    Result<Event> fresh = Event::create(device_, /*timing=*/true);
    if (!fresh.ok())
      return fresh.status();
    marks_.push_back(std::move(*fresh));
  }
  PERMALLOY_CUDA_TRY(device_->driver(), recordEvent(marks_[event].get(), stream_.get()), "take the time");
  return {};
}

/// The steps' times on the device, counted from `begin` on.
Status DeviceContext::takeTimes(RunRecord &record, int64_t begin) {
  for (size_t i = 0; i < record.steps.size(); ++i) {
    float before = 0, after = 0; // ms
    PERMALLOY_CUDA_TRY(device_->driver(), elapsed(&before, marks_[0].get(), marks_[i].get()), "take the time");
    PERMALLOY_CUDA_TRY(device_->driver(), elapsed(&after, marks_[0].get(), marks_[i + 1].get()), "take the time");
    record.steps[i].time = {begin + static_cast<int64_t>(before * 1e6), begin + static_cast<int64_t>(after * 1e6)};
  }
  return {};
}

Status DeviceContext::runSteps(const RunOptions &options, RunRecord *record) {
  if (record)
    PERMALLOY_TRY(mark(0));
  for (size_t i = 0; i < steps_.size();) {
    if (options.terminated())
      return terminatedBefore(i);
    size_t next = 0;
    PERMALLOY_TRY(runStep(i, next));
    if (record) {
      const Step &step = program()[i];
      record->steps.push_back({static_cast<uint32_t>(i), {}, value(step.flops), value(step.bytes), false});
      PERMALLOY_TRY(mark(record->steps.size()));
    }
    i = next;
  }
  return {};
}

/// Without jumps a run is the same as the one before with the same sizes and addresses.
Status DeviceContext::runAsGraph(const RunOptions &options) {
  if (options.terminated())
    return terminatedBefore(0);
  std::vector<uint64_t> key(symbolValues_.begin(), symbolValues_.end());
  for (const DeviceMemory *memory : {&slots_.memory, &scratch_, &bounce_})
    key.push_back(memory->address());
  for (const Patch &patch : patches_)
    key.push_back(toAddress(buffers_[patch.buffer]));
  for (const void *cache : caches_)
    key.push_back(toAddress(cache));
  return graphs_.run(std::move(key), stream_.get(), [&] { return runSteps(options, nullptr); });
}

/// Where kernels find inputs and outputs: in the caller's memory of this device, or in staging.
Status DeviceContext::useCallersMemory(std::span<const InputTensor> inputs, std::span<const TensorMemory> outputs,
                                       std::span<void *const> caches) {
  inputs_ = inputs;
  outputs_ = outputs;
  caches_ = caches;
  auto isUsable = [](const void *data, int device) { return device != kHostMemory && data && toAddress(data) % kOperandAlignment == 0; };
  bool isStaged = false;
  auto needs = [&](bool usable, bool isCache) { isStaged |= !usable && !isCache; };
  for (uint32_t i = 0; i < inputs.size(); ++i)
    needs(isUsable(inputs[i].data, inputs[i].device), isCache(&Cache::input, i));
  for (uint32_t i = 0; i < outputs.size(); ++i)
    needs(isUsable(outputs[i].data, outputs[i].device), isCache(&Cache::output, i));
  if (isStaged)
    PERMALLOY_TRY(DeviceMemory::reserve(staging_, device_, stagingBytes_, "the inputs and outputs of these shapes"));
  inputAddresses_.clear();
  outputAddresses_.clear();
  for (uint32_t i = 0; i < inputs.size(); ++i)
    inputAddresses_.push_back(isUsable(inputs[i].data, inputs[i].device) ? toAddress(inputs[i].data) : staging_.address() + inputPlaces_[i]);
  for (uint32_t i = 0; i < outputs.size(); ++i)
    outputAddresses_.push_back(isUsable(outputs[i].data, outputs[i].device) ? toAddress(outputs[i].data) : staging_.address() + outputPlaces_[i]);
  return {};
}

/// A kernel that follows an address of elsewhere takes the process' context with it.
Status DeviceContext::checkCallersMemory() const {
  auto check = [&](const void *data, int device, uint64_t bytes, const char *role, const std::string &name) -> Status {
    int owner = -1;
    if (device == kHostMemory || !data || bytes == 0 ||
        (device_->driver().pointerAttribute(&owner, kPointerDevice, toAddress(data)) == kSuccess && owner == device))
      return {};
    return {StatusCode::invalidArgument, std::string(role) + " '" + name + "' is said to lie in the memory of cuda:" +
                                             std::to_string(device) + ", but its address does not"};
  };
  const Manifest &manifest = artifact_.manifest();
  for (uint32_t i = 0; i < inputs_.size(); ++i)
    PERMALLOY_TRY(check(inputs_[i].data, inputs_[i].device, tensorBytes(inputs_[i].dtype, inputs_[i].dims), "input", manifest.inputs[i].name));
  for (uint32_t i = 0; i < outputs_.size(); ++i)
    PERMALLOY_TRY(check(outputs_[i].data, outputs_[i].device, 1, "output", manifest.outputs[i].name));
  return {};
}

/// Tensors on the device may be the result of work in the legacy default stream, which ours does not wait for by itself.
Status DeviceContext::waitForCaller() {
  bool any = std::ranges::any_of(inputs_, [](const InputTensor &input) { return input.device != kHostMemory; }) ||
             std::ranges::any_of(outputs_, [](const TensorMemory &output) { return output.data && output.device != kHostMemory; });
  if (!any)
    return {};
  PERMALLOY_CUDA_TRY(device_->driver(), recordEvent(callersWork_.get(), legacyStream()), "wait for the caller's work");
  PERMALLOY_CUDA_TRY(device_->driver(), waitForEventOn(stream_.get(), callersWork_.get(), 0), "wait for the caller's work");
  return {};
}

Status DeviceContext::uploadInputs() {
  for (uint32_t i = 0; i < inputs_.size(); ++i) {
    uint64_t bytes = isCache(&Cache::input, i) ? 0 : tensorBytes(inputs_[i].dtype, inputs_[i].dims);
    if (bytes == 0 || inputAddresses_[i] == toAddress(inputs_[i].data))
      continue;
    if (inputs_[i].device == kHostMemory)
      PERMALLOY_TRY(transfers_->upload(inputAddresses_[i], inputs_[i].data, bytes));
    else
      PERMALLOY_CUDA_TRY(device_->driver(), copyOnDevice(inputAddresses_[i], toAddress(inputs_[i].data), bytes, stream_.get()),
                         "copy input '" + artifact_.manifest().inputs[i].name + "'");
  }
  return {};
}

Status DeviceContext::downloadOutputs() {
  for (uint32_t i = 0; i < outputs_.size(); ++i) {
    if (isCache(&Cache::output, i) || artifact_.program().isLate(i) || outputAddresses_[i] == toAddress(outputs_[i].data))
      continue;
    uint64_t bytes = operandBytes({OperandKind::output, i, kNone});
    if (bytes == 0)
      continue;
    if (outputs_[i].device == kHostMemory)
      PERMALLOY_TRY(transfers_->download(outputs_[i].data, outputAddresses_[i], bytes));
    else
      PERMALLOY_CUDA_TRY(device_->driver(), copyOnDevice(toAddress(outputs_[i].data), outputAddresses_[i], bytes, stream_.get()),
                         "copy output '" + artifact_.manifest().outputs[i].name + "'");
  }
  PERMALLOY_TRY(transfers_->finish());
  PERMALLOY_CUDA_TRY(device_->driver(), waitForStream(stream_.get()), "run '" + artifact_.name() + "'");
  return {};
}

Status DeviceContext::run(std::span<const InputTensor> inputs, std::span<const TensorMemory> outputs, std::span<void *const> caches,
                          ThreadPool *, const RunOptions &options) {
  std::ranges::fill(options.stepNanoseconds, 0);
  PERMALLOY_TRY(device_->checkProcess());
  Device::Scope scope(*device_);
  RunRecord ownRecord;
  bool wanted = options.record || !options.stepNanoseconds.empty();
  RunRecord *record = options.record ? options.record : &ownRecord;
  if (wanted)
    *record = {record->run, static_cast<int64_t>(::gettid()), symbolValues_, {}, {}, 1};
  PERMALLOY_TRY(useCallersMemory(inputs, outputs, caches));
  PERMALLOY_TRY(transfers_->prepare(stagingBytes_));
  PERMALLOY_TRY(checkCallersMemory());
  PERMALLOY_TRY(waitForCaller());
  PERMALLOY_TRY(uploadInputs());
  PERMALLOY_TRY(patchBuffers());
  int64_t begin = monotonicNanoseconds();
  Status status = isStraight_ && !wanted ? runAsGraph(options) : runSteps(options, wanted ? record : nullptr);
  Status done = downloadOutputs(); // after a failure, too: nothing of the run is under way when it returns
  PERMALLOY_TRY(status);
  PERMALLOY_TRY(done);
  if (wanted)
    PERMALLOY_TRY(takeTimes(*record, begin));
  if (!options.stepNanoseconds.empty())
    for (const RunRecord::Step &step : record->steps)
      options.stepNanoseconds[step.index] += step.time.end - step.time.begin;
  return {};
}

} // namespace permalloy::cuda
