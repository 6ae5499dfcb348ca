//===- DeviceTensors.cpp - tensors of a call on a GPU --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "DeviceContext.h"

#include <algorithm>

namespace permalloy::cuda {

using namespace artifact;

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
    needs(isUsable(inputs[i].data, inputs[i].device), isCacheInput_[i]);
  for (uint32_t i = 0; i < outputs.size(); ++i)
    needs(isUsable(outputs[i].data, outputs[i].device), isCacheOutput_[i]);
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
    if (!isCacheInput_[i]) // those were copied, or are this session's
      PERMALLOY_TRY(check(inputs_[i].data, inputs_[i].device,
                          tensorBytes(inputs_[i].dtype, inputs_[i].dims), "input",
                          manifest.inputs[i].name));
  for (uint32_t i = 0; i < outputs_.size(); ++i) {
    bool isLater = isCacheOutput_[i] || artifact_.program().isLate(i);
    uint64_t bytes = isLater ? 1 : operandBytes({OperandKind::output, i, kNone});
    PERMALLOY_TRY(
        check(outputs_[i].data, outputs_[i].device, bytes, "output", manifest.outputs[i].name));
  }
  return {};
}

/// Tensors on the device may be the result of work in the legacy default stream, or read by it,
/// which ours does not wait for by itself. Caches are this session's, written in its streams alone.
Status DeviceContext::waitForCaller() {
  bool any = false;
  for (uint32_t i = 0; i < inputs_.size() && !any; ++i)
    any = inputs_[i].device != kHostMemory && !isCacheInput_[i];
  for (uint32_t i = 0; i < outputs_.size() && !any; ++i)
    any = outputs_[i].data && outputs_[i].device != kHostMemory && !isCacheOutput_[i];
  return any ? stream_.waitForCaller() : Status();
}

Status DeviceContext::uploadInputs() {
  for (uint32_t i = 0; i < inputs_.size(); ++i) {
    uint64_t bytes = isCacheInput_[i] ? 0 : tensorBytes(inputs_[i].dtype, inputs_[i].dims);
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
  return transfers_->flush();
}

Status DeviceContext::downloadOutputs() {
  for (uint32_t i = 0; i < outputs_.size(); ++i) {
    if (isCacheOutput_[i] || artifact_.program().isLate(i) ||
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
  PERMALLOY_CUDA_TRY(device_->driver(), waitForStream(stream_.get()),
                     "run '" + artifact_.name() + "'");
  transfers_->deliver();
  return {};
}

} // namespace permalloy::cuda
