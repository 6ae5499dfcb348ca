//===- DeviceRun.cpp - the steps of a call on a GPU --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceContext.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>

namespace permalloy::cuda {

using namespace artifact;

/// Puts what is listed for a step into the stream.
Status DeviceContext::putWork(size_t index) {
  const Driver &driver = device_->driver();
  for (size_t i = firstItems_[index]; i < firstItems_[index + 1]; ++i) {
    const Work &work = work_.items[i];
    uint64_t *words = work_.words.data() + work.firstWord;
    if (!work.function) {
      PERMALLOY_CUDA_TRY(driver, copyOnDevice(words[0], words[1], words[2], stream_.get()),
                         "copy for '" + program()[index].name + "'");
      continue;
    }
    size_t bytes = work.words * sizeof(uint64_t);
    void *extra[] = {kParameterBuffer, words, kParameterBytes, &bytes, nullptr};
    // Twice: drivers load a kernel at its first launch.
    PERMALLOY_CUDA_TRY_TWICE(*device_,
                             launch(work.function, work.blocks, 1, 1, work.threads, 1, 1,
                                    work.sharedBytes, stream_.get(), nullptr, extra),
                             "launch '" + program()[index].name + "'");
  }
  return {};
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
    return step.violated ? violation(*step.violated) : putWork(index);
  case StepKind::copy:
    return putWork(index);
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
    PERMALLOY_TRY(clearCounters());
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

/// Without jumps all work of a run is known before it begins.
Status DeviceContext::runAsGraph(const RunOptions &options) {
  if (options.terminated())
    return terminatedBefore(0);
  uint64_t launches = graphs_.launches(), nodes = graphs_.nodesSet();
  Result<bool> launched = graphs_.launch(work_, stream_.get());
  counts_->launches += graphs_.launches() - launches;
  counts_->nodesSet += graphs_.nodesSet() - nodes;
  if (!launched.ok())
    return launched.status();
  return *launched ? Status() : runSteps(options, nullptr);
}

Status DeviceContext::run(std::span<const InputTensor> inputs,
                          std::span<const TensorMemory> outputs, std::span<void *const> caches,
                          ThreadPool *, const RunOptions &options) {
  std::ranges::fill(options.stepNanoseconds, 0);
  PERMALLOY_TRY(device_->checkProcess());
  PERMALLOY_TRY(checkCapture());
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
  PERMALLOY_TRY(clearCounters());
  PERMALLOY_TRY(patchBuffers());
  int64_t begin = monotonicNanoseconds();
  PERMALLOY_TRY(isStraight_ && !isViolated_ && !wanted
                    ? runAsGraph(options)
                    : runSteps(options, wanted ? record : nullptr));
  PERMALLOY_TRY(downloadOutputs());
  areCountersClear_ = true; // all is done, and launches leave them so
  if (wanted)
    PERMALLOY_TRY(takeTimes(*record, begin));
  if (!options.stepNanoseconds.empty())
    for (const RunRecord::Step &step : record->steps)
      options.stepNanoseconds[step.index] += step.time.end - step.time.begin;
  return {};
}

} // namespace permalloy::cuda
