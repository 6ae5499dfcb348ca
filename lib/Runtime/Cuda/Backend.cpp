//===- Backend.cpp - sessions on a GPU ---------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Backend.h"

#include "DeviceContext.h"
#include "permalloy/Runtime/Strided.h"

#include <algorithm>
#include <cstring>

namespace permalloy::cuda {

using namespace artifact;

namespace {

class DeviceBuffers final : public BufferSet {
public:
  void *buffer(size_t index) const override {
    return reinterpret_cast<void *>(memory.address() + offsets[index]);
  }
  DeviceMemory memory;
  std::vector<uint64_t> offsets;
};

class DeviceBackend final : public Backend {
public:
  /// `stream`: the caller's, in which all work is done; null: there is none.
  DeviceBackend(std::shared_ptr<const Artifact> artifact, std::shared_ptr<const LoadedModel> model,
                StreamHandle stream)
      : artifact_(std::move(artifact)), model_(std::move(model)), device_(model_->device()),
        stream_(stream) {}

  GraphCounts graphCounts() const override { return {counts_->launches, counts_->nodesSet}; }

  int device() const override { return device_->info().number; }
  const std::string &target() const override {
    return artifact_->devices().targets[model_->target()].name;
  }
  std::unique_ptr<CallContext> makeContext() const override {
    return std::make_unique<DeviceContext>(*artifact_, model_, stream_, counts_);
  }
  Result<std::unique_ptr<BufferSet>> allocate(std::span<const uint64_t> sizes,
                                              const std::string &what) const override;
  void offer(std::weak_ptr<IdleMemory> idle) const override { device_->offer(std::move(idle)); }
  Status copy(const TensorMemory &to, std::span<const int64_t> toStrides, const TensorMemory &from,
              std::span<const int64_t> fromStrides, std::span<const int64_t> dims,
              size_t elementSize) const override;

private:
  Status copyRows(const Copy2D &copy) const;

  std::shared_ptr<const Artifact> artifact_;
  std::shared_ptr<const LoadedModel> model_;
  std::shared_ptr<const Device> device_;
  const StreamHandle stream_;
  const std::shared_ptr<GraphCounters> counts_ = std::make_shared<GraphCounters>();
  mutable std::mutex copyLock_; ///< of what follows
  mutable WorkStream copyStream_;
};

} // namespace

Result<std::unique_ptr<BufferSet>> DeviceBackend::allocate(std::span<const uint64_t> sizes,
                                                           const std::string &what) const {
  auto buffers = std::make_unique<DeviceBuffers>();
  uint64_t total = 0;
  for (uint64_t size : sizes) {
    buffers->offsets.push_back(total);
    if (size > INT64_MAX - kDeviceAlignment || __builtin_add_overflow(total, alignUp(size), &total))
      return Status(StatusCode::outOfMemory, "the buffers for " + what + " exceed 64 bits");
  }
  Result<DeviceMemory> memory = DeviceMemory::allocate(device_, total, what);
  if (!memory.ok())
    return memory.status();
  buffers->memory = std::move(*memory);
  return std::unique_ptr<BufferSet>(std::move(buffers));
}

namespace {
/// A tensor as runs of bytes, one behind the other or all at one distance.
struct Rows {
  uint64_t count = 1, bytes = 0; ///< of a run
  uint64_t pitch = 0;            ///< from run to run; of one run: its bytes
};
} // namespace

/// Bytes that drivers take for a row.
static constexpr uint64_t kMostPitch = INT32_MAX;

/// `dims` with these strides as rows of which each is `rowDims` innermost dimensions; nothing where
/// they are no such rows.
static std::optional<Rows> asRows(std::span<const int64_t> dims, std::span<const int64_t> strides,
                                  size_t rowDims, size_t elementSize) {
  Rows rows;
  size_t outer = dims.size() - rowDims;
  uint64_t inner = 1;
  for (size_t i = dims.size(); i-- > outer; inner *= dims[i])
    if (dims[i] > 1 && strides[i] != static_cast<int64_t>(inner))
      return std::nullopt;
  rows.bytes = rows.pitch = inner * elementSize;
  if (rows.bytes > kMostPitch) // fewer dimensions make shorter rows
    return std::nullopt;
  uint64_t step = 0; // elements from row to row
  for (size_t i = outer; i-- > 0; rows.count *= dims[i]) {
    if (dims[i] == 1)
      continue;
    if (strides[i] < static_cast<int64_t>(inner)) // backwards, on one place, or into each other
      return std::nullopt;
    if (step == 0)
      step = strides[i];
    else if (strides[i] != static_cast<int64_t>(step * rows.count))
      return std::nullopt;
    rows.pitch = step * elementSize;
  }
  return rows;
}

static Copy2D copyOf(const TensorMemory &to, uint64_t toPitch, const TensorMemory &from,
                     const Rows &rows) {
  auto addressOf = [](const TensorMemory &place) {
    return reinterpret_cast<DevicePointer>(place.data);
  };
  Copy2D copy;
  bool isHostSource = from.device == kHostMemory, isHostTarget = to.device == kHostMemory;
  copy.fromKind = isHostSource ? kHostMemoryKind : kDeviceMemoryKind;
  copy.fromHost = isHostSource ? from.data : nullptr;
  copy.fromDevice = isHostSource ? 0 : addressOf(from);
  copy.fromPitch = rows.pitch;
  copy.toKind = isHostTarget ? kHostMemoryKind : kDeviceMemoryKind;
  copy.toHost = isHostTarget ? to.data : nullptr;
  copy.toDevice = isHostTarget ? 0 : addressOf(to);
  copy.toPitch = toPitch;
  copy.bytes = rows.bytes;
  copy.rows = rows.count;
  return copy;
}

Status DeviceBackend::copy(const TensorMemory &to, std::span<const int64_t> toStrides,
                           const TensorMemory &from, std::span<const int64_t> fromStrides,
                           std::span<const int64_t> dims, size_t elementSize) const {
  if (std::ranges::find(dims, 0) != dims.end())
    return {};
  PERMALLOY_TRY(device_->checkProcess());
  std::optional<Rows> source, target;
  for (size_t rowDims = dims.size() + 1; rowDims-- > 0;) {
    source = asRows(dims, fromStrides, rowDims, elementSize);
    target = asRows(dims, toStrides, rowDims, elementSize);
    if (source && target)
      break;
  }
  if (!source || !target) {
    if (from.device != kHostMemory || sameStrides(dims, fromStrides, denseStrides(dims)))
      return {StatusCode::invalidArgument,
              "a tensor on the device has strides that are no rows; give a contiguous copy"};
    std::vector<std::byte> dense(
        static_cast<size_t>(std::max<int64_t>(dims[0] * denseStrides(dims)[0], 1)) * elementSize);
    copyStrided(dense.data(), denseStrides(dims), from.data, fromStrides, dims, elementSize);
    return copy(to, toStrides, {dense.data(), kHostMemory}, denseStrides(dims), dims, elementSize);
  }
  return copyRows(copyOf(to, target->pitch, from, *source));
}

Status DeviceBackend::copyRows(const Copy2D &copy) const {
  const Driver &driver = device_->driver();
  std::lock_guard guard(copyLock_);
  Device::Scope scope(*device_);
  PERMALLOY_TRY(copyStream_.start(device_, stream_));
  PERMALLOY_TRY(copyStream_.waitForCaller());
  PERMALLOY_CUDA_TRY(driver, copy2D(&copy, copyStream_.get()), "copy past keys and values");
  PERMALLOY_CUDA_TRY(driver, waitForStream(copyStream_.get()), "copy past keys and values");
  return {};
}

static Status checkStream(const Device &device, StreamHandle stream) {
  if (!stream)
    return {};
  Device::Scope scope(device);
  ContextHandle context = nullptr;
  PERMALLOY_CUDA_TRY(device.driver(), streamContext(stream, &context),
                     "ask about the stream that the session was given");
  if (context != device.context())
    return {StatusCode::invalidArgument,
            "the stream that the session was given is of another GPU or context; a session on " +
                device.info().text() + " takes streams of that GPU's primary context"};
  return {};
}

Result<std::shared_ptr<Backend>> openBackend(std::shared_ptr<const Artifact> artifact, int number,
                                             void *stream) {
  Result<std::shared_ptr<Device>> device = Device::open(number);
  if (!device.ok())
    return device.status();
  PERMALLOY_TRY(checkStream(**device, static_cast<StreamHandle>(stream)));
  Result<std::shared_ptr<const LoadedModel>> model = LoadedModel::load(*artifact, *device);
  if (!model.ok())
    return model.status();
  return std::shared_ptr<Backend>(std::make_shared<DeviceBackend>(
      std::move(artifact), std::move(*model), static_cast<StreamHandle>(stream)));
}

} // namespace permalloy::cuda

//===-- Memory of callers -------------------------------------------------===//

namespace permalloy {

using cuda::Device;
using cuda::DeviceMemory;
using cuda::DevicePointer;

Result<std::shared_ptr<void>> allocateOnGpu(int number, uint64_t bytes) {
  Result<std::shared_ptr<Device>> device = Device::open(number);
  if (!device.ok())
    return device.status();
  Result<DeviceMemory> memory = DeviceMemory::allocate(*device, bytes, "a tensor");
  if (!memory.ok())
    return memory.status();
  auto owner = std::make_shared<DeviceMemory>(std::move(*memory));
  return std::shared_ptr<void>(owner, reinterpret_cast<void *>(owner->address()));
}

Status waitForGpu(int number) {
  Result<std::shared_ptr<Device>> device = Device::open(number);
  if (!device.ok())
    return device.status();
  Device::Scope scope(**device);
  PERMALLOY_CUDA_TRY((*device)->driver(), waitForStream(cuda::legacyStream()),
                     "wait for " + (*device)->info().text());
  return {};
}

Status copyMemory(const TensorMemory &to, const TensorMemory &from, uint64_t bytes) {
  if (bytes == 0)
    return {};
  int number = to.device == kHostMemory ? from.device : to.device;
  if (number == kHostMemory)
    return std::memmove(to.data, from.data, bytes), Status();
  if (to.device != kHostMemory && from.device != kHostMemory && to.device != from.device)
    return {StatusCode::unsupported,
            "a copy from cuda:" + std::to_string(from.device) +
                " to cuda:" + std::to_string(to.device) +
                "; supported are copies to and from the host, and within a GPU"};
  Result<std::shared_ptr<Device>> device = Device::open(number);
  if (!device.ok())
    return device.status();
  Device::Scope scope(**device);
  const cuda::Driver &driver = (*device)->driver();
  auto address = [](const TensorMemory &place) {
    return reinterpret_cast<DevicePointer>(place.data);
  };
  cuda::StreamHandle stream = cuda::legacyStream();
  int error = to.device == kHostMemory ? driver.copyToHost(to.data, address(from), bytes, stream)
              : from.device == kHostMemory
                  ? driver.copyToDevice(address(to), from.data, bytes, stream)
                  : driver.copyOnDevice(address(to), address(from), bytes, stream);
  if (error != cuda::kSuccess)
    return driver.failure(error, "copy " + std::to_string(bytes) + " bytes");
  PERMALLOY_CUDA_TRY(driver, waitForStream(stream), "copy " + std::to_string(bytes) + " bytes");
  return {};
}

} // namespace permalloy
