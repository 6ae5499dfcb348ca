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
                "step '" + step.name +
                    "' has two operands in one buffer, of which one begins at byte " +
                    std::to_string(value(operand.offset)) + "; GPUs take multiples of 16"};
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

/// What step `index` puts into the stream. Parameters are 64-bit words: buffers, scalars, scratch.
void DeviceContext::listStep(size_t index) {
  const BoundStep &step = steps_[index];
  const Step &source = program()[index];
  void *const *buffers = buffers_.data() + step.firstBuffer;
  if (step.kind == StepKind::copy && step.copyBytes > 0)
    work_.addCopy(toAddress(buffers[1]), toAddress(buffers[0]), step.copyBytes);
  if (step.kind != StepKind::launch || grids_[index].blocks == 0)
    return;
  std::span<const Bounce> bounces;
  if (!bounces_.empty())
    bounces = std::ranges::equal_range(bounces_, index, {}, &Bounce::step);
  for (const Bounce &bounce : bounces)
    if (bounce.bytes)
      work_.addCopy(bounce_.address() + bounce.offset, bounce.address, bounce.bytes);
  const LoadedKernel &kernel = model_->kernel(source.kernel);
  work_.beginLaunch(kernel.function, grids_[index].blocks, kernel.threads,
                    grids_[index].sharedBytes);
  size_t first = work_.words.size(), count = source.operands.size() + source.scalars.size() + 1;
  work_.words.resize(first + count);
  uint64_t *words = work_.words.data() + first;
  std::transform(buffers, buffers + source.operands.size(), words, toAddress);
  std::copy_n(scalars_.data() + step.firstScalar, source.scalars.size(),
              words + source.operands.size());
  words[count - 1] = scratch_.address() + kCounterBytes;
  for (const Bounce &bounce : bounces)
    words[bounce.operand] = bounce_.address() + bounce.offset;
  work_.endLaunch();
  for (const Bounce &bounce : bounces)
    if (bounce.isWritten && bounce.bytes)
      work_.addCopy(bounce.address, bounce_.address() + bounce.offset, bounce.bytes);
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
  PERMALLOY_TRY(placeBounces());
  work_.clear();
  firstItems_.clear();
  isViolated_ = false;
  for (size_t i = 0; i < steps_.size(); ++i) {
    firstItems_.push_back(work_.items.size());
    isViolated_ |= steps_[i].kind == StepKind::launch && steps_[i].violated;
    listStep(i);
  }
  firstItems_.push_back(work_.items.size());
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
    isListed_ = isListed_ && buffers_[patch.buffer] == address;
    buffers_[patch.buffer] = address;
  }
  return isListed_ ? Status() : listWork();
}

} // namespace permalloy::cuda
