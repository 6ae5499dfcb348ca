//===- Device.h - a GPU and its memory ---------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_CUDA_DEVICE_H
#define PERMALLOY_LIB_RUNTIME_CUDA_DEVICE_H

#include "Driver.h"
#include "permalloy/Artifact/Format.h"
#include "permalloy/Runtime/Backend.h"
#include "permalloy/Runtime/Gpu.h"

#include <memory>
#include <mutex>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace permalloy::cuda {

/// What buffers in device memory are aligned to.
constexpr uint64_t kDeviceAlignment = 256;
constexpr uint64_t alignUp(uint64_t bytes) {
  return (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
}

/// A GPU and the primary context of this process on it. It belongs to the process that opened it:
/// in a child of fork() all that is left of it is let go without a call of the driver.
class Device : public std::enable_shared_from_this<Device> {
public:
  /// One object for each GPU, while anybody holds it.
  static Result<std::shared_ptr<Device>> open(int number);
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  const GpuInfo &info() const { return info_; }
  const Driver &driver() const { return driver_; }
  ContextHandle context() const { return context_; }
  /// Bytes of shared memory that a block may have.
  int mostSharedBytes() const { return mostSharedBytes_; }
  /// An error in a child of the process that opened it.
  Status checkProcess() const;
  bool isOfThisProcess() const;

  /// Makes the device's context the calling thread's, which every call of the driver needs; and
  /// gives the thread back its own.
  class Scope {
  public:
    explicit Scope(const Device &device);
    ~Scope();
    Scope(const Scope &) = delete;
    Scope &operator=(const Scope &) = delete;

  private:
    const Device *device_; ///< null: nothing to give back
  };

  /// Memory to free where there is not enough. In a child of fork() it does nothing.
  void offer(std::weak_ptr<IdleMemory> idle) const;
  /// What `allocate`, a call of the driver, gives back; where that lacks memory and what was
  /// offered could be freed, what it gives back then.
  template <class Allocate> int tryTwice(Allocate allocate) const {
    int error = allocate();
    return error == kOutOfMemory && freeIdle() ? allocate() : error;
  }
  /// A failed allocation of `bytes` for `what`, with what is free.
  Status outOfMemory(uint64_t bytes, const std::string &what) const;

private:
  explicit Device(const Driver &driver) : driver_(driver) {}
  Status start(int number);
  bool freeIdle() const;

  const Driver &driver_;
  GpuInfo info_;
  int handle_ = 0, mostSharedBytes_ = 0;
  ContextHandle context_ = nullptr;
  pid_t process_ = 0;
  mutable std::mutex idleLock_;
  mutable std::vector<std::weak_ptr<IdleMemory>> idle_; ///< of sessions on this device
};

/// PERMALLOY_CUDA_TRY for a call that takes memory: Device::tryTwice.
#define PERMALLOY_CUDA_TRY_TWICE(device, call, doing)                                              \
  do {                                                                                             \
    int cudaError = (device).tryTwice([&] { return (device).driver().call; });                     \
    if (cudaError != ::permalloy::cuda::kSuccess)                                                  \
      return (device).driver().failure(cudaError, doing);                                          \
  } while (false)

/// A block of device memory, aligned to kDeviceAlignment.
class DeviceMemory {
public:
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory &&other) noexcept { swap(other); }
  DeviceMemory &operator=(DeviceMemory &&other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceMemory();

  /// `what` it is for is said when there is not enough.
  static Result<DeviceMemory> allocate(std::shared_ptr<const Device> device, uint64_t bytes,
                                       const std::string &what);
  /// Room for `bytes`: keeps what it has where that is enough; contents are lost. `memory` is empty
  /// when it fails.
  static Status reserve(DeviceMemory &memory, const std::shared_ptr<const Device> &device,
                        uint64_t bytes, const std::string &what);

  DevicePointer address() const { return address_; }
  uint64_t size() const { return size_; }

private:
  void swap(DeviceMemory &other) {
    std::swap(device_, other.device_);
    std::swap(address_, other.address_);
    std::swap(size_, other.size_);
  }
  std::shared_ptr<const Device> device_;
  DevicePointer address_ = 0;
  uint64_t size_ = 0;
};

} // namespace permalloy::cuda

#endif // PERMALLOY_LIB_RUNTIME_CUDA_DEVICE_H
