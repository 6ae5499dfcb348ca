//===- DeviceRun.cpp - the steps of a call on a GPU --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceContext.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>

namespace permalloy::cuda {

using namespace artifact;

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
      PERMALLOY_CUDA_TRY(driver,
                         copyOnDevice(back ? bounce.address : copy, back ? copy : bounce.address,
                                      bounce.bytes, stream_.get()),
                         "copy an operand of '" + source.name + "'");
    }
    return {};
  };
  PERMALLOY_TRY(bounces(false));
  PERMALLOY_CUDA_TRY(driver,
                     launch(kernel.function, grids_[index].blocks, 1, 1, kernel.threads, 1, 1,
                            grids_[index].sharedBytes, stream_.get(), nullptr, extra),
                     "launch '" + source.name + "'");
  return bounces(true);
}

/// A few bytes of the device, when all before is done.
Status DeviceContext::readBack(const void *address, void *into, size_t bytes) {
  const Driver &driver = device_->driver();
  PERMALLOY_CUDA_TRY(driver, copyToHost(word_, toAddress(address), bytes, stream_.get()),
                     "read a condition");
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
      PERMALLOY_CUDA_TRY(
          device_->driver(),
          copyOnDevice(toAddress(buffers[1]), toAddress(buffers[0]), step.copyBytes, stream_.get()),
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
  PERMALLOY_CUDA_TRY(device_->driver(), recordEvent(marks_[event].get(), stream_.get()),
                     "take the time");
  return {};
}

/// The steps' times on the device, counted from `begin` on.
Status DeviceContext::takeTimes(RunRecord &record, int64_t begin) {
  for (size_t i = 0; i < record.steps.size(); ++i) {
    float before = 0, after = 0; // ms
    PERMALLOY_CUDA_TRY(device_->driver(), elapsed(&before, marks_[0].get(), marks_[i].get()),
                       "take the time");
    PERMALLOY_CUDA_TRY(device_->driver(), elapsed(&after, marks_[0].get(), marks_[i + 1].get()),
                       "take the time");
    record.steps[i].time = {begin + static_cast<int64_t>(before * 1e6),
                            begin + static_cast<int64_t>(after * 1e6)};
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
      record->steps.push_back(
          {static_cast<uint32_t>(i), {}, value(step.flops), value(step.bytes), false});
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
  for (const Bounce &bounce : bounces_)
    key.push_back(bounce.address);
  return graphs_.run(std::move(key), stream_.get(), [&] { return runSteps(options, nullptr); });
}

/// Where kernels find inputs and outputs: in the caller's memory of this device, or in staging.
Status DeviceContext::useCallersMemory(std::span<const InputTensor> inputs,
                                       std::span<const TensorMemory> outputs,
                                       std::span<void *const> caches) {
  inputs_ = inputs;
  outputs_ = outputs;
  caches_ = caches;
  auto isUsable = [](const void *data, int device) {
    return device != kHostMemory && data && toAddress(data) % kOperandAlignment == 0;
  };
  bool isStaged = false;
  auto needs = [&](bool usable, bool isCache) { isStaged |= !usable && !isCache; };
  for (uint32_t i = 0; i < inputs.size(); ++i)
    needs(isUsable(inputs[i].data, inputs[i].device), isCache(&Cache::input, i));
  for (uint32_t i = 0; i < outputs.size(); ++i)
    needs(isUsable(outputs[i].data, outputs[i].device), isCache(&Cache::output, i));
  if (isStaged)
    PERMALLOY_TRY(DeviceMemory::reserve(staging_, device_, stagingBytes_,
                                        "the inputs and outputs of these shapes"));
  inputAddresses_.clear();
  outputAddresses_.clear();
  for (uint32_t i = 0; i < inputs.size(); ++i)
    inputAddresses_.push_back(isUsable(inputs[i].data, inputs[i].device)
                                  ? toAddress(inputs[i].data)
                                  : staging_.address() + inputPlaces_[i]);
  for (uint32_t i = 0; i < outputs.size(); ++i)
    outputAddresses_.push_back(isUsable(outputs[i].data, outputs[i].device)
                                   ? toAddress(outputs[i].data)
                                   : staging_.address() + outputPlaces_[i]);
  return {};
}

/// A kernel that follows an address of elsewhere takes the process' context with it.
Status DeviceContext::checkCallersMemory() const {
  auto check = [&](const void *data, int device, uint64_t bytes, const char *role,
                   const std::string &name) -> Status {
    int owner = -1;
    if (device == kHostMemory || !data || bytes == 0 ||
        (device_->driver().pointerAttribute(&owner, kPointerDevice, toAddress(data)) == kSuccess &&
         owner == device))
      return {};
    return {StatusCode::invalidArgument, std::string(role) + " '" + name +
                                             "' is said to lie in the memory of cuda:" +
                                             std::to_string(device) + ", but its address does not"};
  };
  const Manifest &manifest = artifact_.manifest();
  for (uint32_t i = 0; i < inputs_.size(); ++i)
    PERMALLOY_TRY(check(inputs_[i].data, inputs_[i].device,
                        tensorBytes(inputs_[i].dtype, inputs_[i].dims), "input",
                        manifest.inputs[i].name));
  for (uint32_t i = 0; i < outputs_.size(); ++i) {
    bool isLater = isCache(&Cache::output, i) || artifact_.program().isLate(i);
    uint64_t bytes = isLater ? 1 : operandBytes({OperandKind::output, i, kNone});
    PERMALLOY_TRY(
        check(outputs_[i].data, outputs_[i].device, bytes, "output", manifest.outputs[i].name));
  }
  return {};
}

/// Tensors on the device may be the result of work in the legacy default stream, which ours does
/// not wait for by itself.
Status DeviceContext::waitForCaller() {
  bool any = std::ranges::any_of(
                 inputs_, [](const InputTensor &input) { return input.device != kHostMemory; }) ||
             std::ranges::any_of(outputs_, [](const TensorMemory &output) {
               return output.data && output.device != kHostMemory;
             });
  if (!any)
    return {};
  PERMALLOY_CUDA_TRY(device_->driver(), recordEvent(callersWork_.get(), legacyStream()),
                     "wait for the caller's work");
  PERMALLOY_CUDA_TRY(device_->driver(), waitForEventOn(stream_.get(), callersWork_.get(), 0),
                     "wait for the caller's work");
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
      PERMALLOY_CUDA_TRY(
          device_->driver(),
          copyOnDevice(inputAddresses_[i], toAddress(inputs_[i].data), bytes, stream_.get()),
          "copy input '" + artifact_.manifest().inputs[i].name + "'");
  }
  return {};
}

Status DeviceContext::downloadOutputs() {
  for (uint32_t i = 0; i < outputs_.size(); ++i) {
    if (isCache(&Cache::output, i) || artifact_.program().isLate(i) ||
        outputAddresses_[i] == toAddress(outputs_[i].data))
      continue;
    uint64_t bytes = operandBytes({OperandKind::output, i, kNone});
    if (bytes == 0)
      continue;
    if (outputs_[i].device == kHostMemory)
      PERMALLOY_TRY(transfers_->download(outputs_[i].data, outputAddresses_[i], bytes));
    else
      PERMALLOY_CUDA_TRY(
          device_->driver(),
          copyOnDevice(toAddress(outputs_[i].data), outputAddresses_[i], bytes, stream_.get()),
          "copy output '" + artifact_.manifest().outputs[i].name + "'");
  }
  PERMALLOY_TRY(transfers_->finish());
  PERMALLOY_CUDA_TRY(device_->driver(), waitForStream(stream_.get()),
                     "run '" + artifact_.name() + "'");
  return {};
}

Status DeviceContext::run(std::span<const InputTensor> inputs,
                          std::span<const TensorMemory> outputs, std::span<void *const> caches,
                          ThreadPool *, const RunOptions &options) {
  std::ranges::fill(options.stepNanoseconds, 0);
  PERMALLOY_TRY(device_->checkProcess());
  Device::Scope scope(*device_);
  Status status = runAll(inputs, outputs, caches, options);
  if (!status.ok())
    transfers_->abandon(); // nothing of the run is under way when it returns
  return status;
}

Status DeviceContext::runAll(std::span<const InputTensor> inputs,
                             std::span<const TensorMemory> outputs, std::span<void *const> caches,
                             const RunOptions &options) {
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
  PERMALLOY_TRY(isStraight_ && !wanted ? runAsGraph(options)
                                       : runSteps(options, wanted ? record : nullptr));
  PERMALLOY_TRY(downloadOutputs());
  if (wanted)
    PERMALLOY_TRY(takeTimes(*record, begin));
  if (!options.stepNanoseconds.empty())
    for (const RunRecord::Step &step : record->steps)
      options.stepNanoseconds[step.index] += step.time.end - step.time.begin;
  return {};
}

} // namespace permalloy::cuda
