//===- DeviceWork.cpp - the work of a call on a GPU ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceContext.h"

#include <algorithm>

namespace permalloy::cuda {

using namespace artifact;

/// Launches take operands at multiples of 16 bytes. One of a step's that lies elsewhere is copied
/// from there to the end of what it lies in, and back when it may have been written. `end` is where
/// the copies so far end in bounce_.
Status DeviceContext::findBounces(size_t index, uint64_t &end) {
  const Step &step = program()[index];
  size_t first = bounces_.size();
  for (size_t i = 0; i < step.operands.size(); ++i) {
    const Operand &operand = step.operands[i];
    DevicePointer address = toAddress(buffers_[steps_[index].firstBuffer + i]);
    if (address % kOperandAlignment == 0)
      continue;
    // Two copies of one memory could not both be copied back.
    for (size_t k = 0; k < step.operands.size(); ++k)
      if (const Operand &other = step.operands[k]; k != i && other.kind == operand.kind &&
                                                   other.index == operand.index &&
                                                   value(other.offset) != value(operand.offset))
        return {StatusCode::unsupported,
                "step '" + step.name + "' has two operands in one buffer, of which one begins at "
                    "byte " + std::to_string(value(operand.offset)) +
                    "; GPUs take multiples of 16"};
    auto same = std::find_if(bounces_.begin() + static_cast<ptrdiff_t>(first), bounces_.end(),
                             [&](const Bounce &b) { return b.address == address; });
    bool isWritten = operand.kind != OperandKind::weight && operand.kind != OperandKind::input &&
                     same == bounces_.end();
    uint64_t bytes = same == bounces_.end() ? operandBytes(operand) - value(operand.offset) : 0;
    bounces_.push_back(
        {i, index, address, bytes, same != bounces_.end() ? same->offset : end, isWritten});
    end += alignUp(bytes);
  }
  return {};
}

/// Whether step `index` puts anything into the stream.
bool DeviceContext::hasWork(size_t index) const {
  const BoundStep &step = steps_[index];
  return step.kind == StepKind::copy ? step.copyBytes > 0
                                     : step.kind == StepKind::launch && grids_[index].blocks > 0;
}

/// The words of step `index`, which has work: of a copy target, source and bytes, of a launch
/// buffers, scalars and scratch, 64 bits each.
size_t DeviceContext::wordsOf(size_t index) const {
  const Step &step = program()[index];
  return step.kind == StepKind::copy ? 3 : step.operands.size() + step.scalars.size() + 1;
}

/// Writes what step `index` puts into the stream to an item and words of work_.
void DeviceContext::fillWork(size_t index, Work &work) {
  const BoundStep &step = steps_[index];
  const Step &source = program()[index];
  void *const *buffers = buffers_.data() + step.firstBuffer;
  uint64_t *words = work_.words.data() + work.firstWord;
  if (step.kind == StepKind::copy) {
    words[0] = toAddress(buffers[1]);
    words[1] = toAddress(buffers[0]);
    words[2] = step.copyBytes;
    return;
  }
  const LoadedKernel &kernel = model_->kernel(source.kernel);
  work.function = kernel.function;
  work.blocks = grids_[index].blocks;
  work.threads = kernel.threads;
  work.sharedBytes = grids_[index].sharedBytes;
  words = std::transform(buffers, buffers + source.operands.size(), words, toAddress);
  words = std::copy_n(scalars_.data() + step.firstScalar, source.scalars.size(), words);
  *words = scratch_.address() + kCounterBytes;
}

/// Appends what step `index` puts into the stream.
void DeviceContext::listStep(size_t index) {
  if (!hasWork(index))
    return;
  std::span<const Bounce> bounces;
  if (!bounces_.empty())
    bounces = std::ranges::equal_range(bounces_, index, {}, &Bounce::step);
  for (const Bounce &bounce : bounces)
    if (bounce.bytes)
      work_.addCopy(bounce_.address() + bounce.offset, bounce.address, bounce.bytes);
  Work work;
  work.firstWord = work_.words.size();
  work.words = wordsOf(index);
  work_.words.resize(work.firstWord + work.words);
  fillWork(index, work);
  for (const Bounce &bounce : bounces)
    work_.words[work.firstWord + bounce.operand] = bounce_.address() + bounce.offset;
  work_.items.push_back(work);
  for (const Bounce &bounce : bounces)
    if (bounce.isWritten && bounce.bytes)
      work_.addCopy(bounce.address, bounce_.address() + bounce.offset, bounce.bytes);
}

void DeviceContext::listAll() {
  work_.clear();
  firstItems_.clear();
  for (size_t i = 0; i < steps_.size(); ++i) {
    firstItems_.push_back(work_.items.size());
    listStep(i);
  }
  firstItems_.push_back(work_.items.size());
}

/// Brings the list to the steps that are new; false where the list has other items then.
bool DeviceContext::relist() {
  if (firstItems_.size() != steps_.size() + 1)
    return false;
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (!steps_[i].isNew)
      continue;
    if (firstItems_[i + 1] - firstItems_[i] != hasWork(i))
      return false;
    if (hasWork(i))
      fillWork(i, work_.items[firstItems_[i]]);
  }
  return true;
}

Status DeviceContext::placeBounces() {
  bounces_.clear();
  uint64_t bytes = 0;
  if (std::ranges::any_of(buffers_,
                          [](void *buffer) { return toAddress(buffer) % kOperandAlignment; }))
    for (size_t i = 0; i < steps_.size(); ++i)
      if (steps_[i].kind == StepKind::launch && grids_[i].blocks)
        PERMALLOY_TRY(findBounces(i, bytes));
  if (bytes)
    PERMALLOY_TRY(DeviceMemory::reserve(bounce_, device_, bytes, "operands that are not aligned"));
  return {};
}

Status DeviceContext::listWork() {
  bool hadBounces = !bounces_.empty();
  PERMALLOY_TRY(placeBounces());
  if (hadBounces || !bounces_.empty() || !relist())
    listAll();
  isViolated_ = std::ranges::any_of(
      steps_, [](const BoundStep &step) { return step.kind == StepKind::launch && step.violated; });
  for (BoundStep &step : steps_)
    step.isNew = false;
  isListed_ = true;
  return {};
}

/// Fills in the addresses that the caller brings, and lists the work where anything is new.
Status DeviceContext::patchBuffers() {
  for (const Patch &patch : patches_) {
    DevicePointer base = patch.kind == OperandKind::cache   ? toAddress(caches_[patch.index])
                         : patch.kind == OperandKind::input ? inputAddresses_[patch.index]
                                                            : outputAddresses_[patch.index];
    void *address = toPointer(base + patch.offset);
    if (buffers_[patch.buffer] == address)
      continue;
    buffers_[patch.buffer] = address;
    steps_[patch.step].isNew = true;
    isListed_ = false;
  }
  return isListed_ ? Status() : listWork();
}

} // namespace permalloy::cuda
