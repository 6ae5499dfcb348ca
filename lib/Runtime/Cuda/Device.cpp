//===- Device.cpp - a GPU and its memory -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Device.h"

#include <map>
#include <mutex>
#include <unistd.h>

namespace permalloy {

std::string GpuInfo::text() const {
  return "cuda:" + std::to_string(number) + " (" + name + ", compute capability " +
         std::to_string(capability / 10) + "." + std::to_string(capability % 10) + ")";
}

static Result<GpuInfo> describe(const cuda::Driver &driver, int number, int &handle) {
  GpuInfo info;
  info.number = number;
  char name[256] = "";
  int major = 0, minor = 0;
  PERMALLOY_CUDA_TRY(driver, device(&handle, number), "find GPU " + std::to_string(number));
  PERMALLOY_CUDA_TRY(driver, deviceName(name, sizeof name - 1, handle),
                     "name GPU " + std::to_string(number));
  PERMALLOY_CUDA_TRY(driver, deviceAttribute(&major, cuda::kMajorCapability, handle),
                     "ask GPU " + std::to_string(number));
  PERMALLOY_CUDA_TRY(driver, deviceAttribute(&minor, cuda::kMinorCapability, handle),
                     "ask GPU " + std::to_string(number));
  info.name = name;
  info.capability = 10 * major + minor;
  return info;
}

Result<std::vector<GpuInfo>> listGpus() {
  Result<const cuda::Driver *> driver = cuda::Driver::open();
  if (!driver.ok())
    return driver.status();
  std::vector<GpuInfo> devices;
  for (int number = 0, handle = 0; number < (*driver)->devices; ++number) {
    Result<GpuInfo> info = describe(**driver, number, handle);
    if (!info.ok())
      return info.status();
    devices.push_back(*info);
  }
  return devices;
}

Result<GpuInfo> findGpu(int number) {
  Result<std::vector<GpuInfo>> gpus = listGpus();
  if (!gpus.ok())
    return gpus.status();
  std::string all;
  for (const GpuInfo &info : *gpus) {
    if (info.number == number)
      return info;
    all += (all.empty() ? "" : ", ") + info.text();
  }
  return Status(StatusCode::noDevice,
                "there is no cuda:" + std::to_string(number) + "; this machine has " + all);
}

} // namespace permalloy

//===-- Device ------------------------------------------------------------===//

namespace permalloy::cuda {

Status Device::start(int number) {
  if (number < 0 || number >= driver_.devices)
    return findGpu(number).status();
  Result<GpuInfo> info = describe(driver_, number, handle_);
  if (!info.ok())
    return info.status();
  info_ = *info;
  PERMALLOY_CUDA_TRY(driver_, deviceAttribute(&mostSharedBytes_, kMostSharedBytes, handle_),
                     "ask " + info_.text());
  PERMALLOY_CUDA_TRY(driver_, retainContext(&context_, handle_), "open " + info_.text());
  process_ = ::getpid();
  return {};
}

Result<std::shared_ptr<Device>> Device::open(int number) {
  static auto &lock = *new std::mutex; // never destroyed, as Driver::open's
  static auto &opened = *new std::map<std::pair<const Driver *, int>, std::weak_ptr<Device>>;
  Result<const Driver *> driver = Driver::open();
  if (!driver.ok())
    return driver.status();
  std::lock_guard guard(lock);
  std::weak_ptr<Device> &known = opened[{*driver, number}];
  if (std::shared_ptr<Device> device = known.lock(); device && device->isOfThisProcess())
    return device;
  std::shared_ptr<Device> device(new Device(**driver));
  PERMALLOY_TRY(device->start(number));
  known = device;
  return device;
}

Device::~Device() {
  if (context_ && isOfThisProcess())
    driver_.releaseContext(handle_);
}

bool Device::isOfThisProcess() const { return process_ == ::getpid(); }

Status Device::checkProcess() const {
  if (isOfThisProcess())
    return {};
  return {
      StatusCode::noDevice,
      "a child of fork() cannot use the GPU that its parent opened: open the session in the child"};
}

Device::Scope::Scope(const Device &device) : device_(device.isOfThisProcess() ? &device : nullptr) {
  if (device_ && device_->driver_.pushContext(device_->context_) != kSuccess)
    device_ = nullptr; // what follows says what is wrong
}

Device::Scope::~Scope() {
  ContextHandle own = nullptr;
  if (device_)
    device_->driver_.popContext(&own);
}

void Device::offer(std::weak_ptr<IdleMemory> idle) const {
  if (!isOfThisProcess()) // a thread of the parent's may have held the lock
    return;
  std::lock_guard guard(idleLock_);
  std::erase_if(idle_, [](const auto &known) { return known.expired(); });
  idle_.push_back(std::move(idle));
}

bool Device::freeIdle() const {
  std::vector<std::shared_ptr<IdleMemory>> all;
  {
    std::lock_guard guard(idleLock_);
    for (const std::weak_ptr<IdleMemory> &known : idle_)
      all.push_back(known.lock());
  }
  bool any = false;
  for (const std::shared_ptr<IdleMemory> &idle : all)
    any |= idle && idle->free();
  return any;
}

static std::string bytesText(uint64_t bytes) { return std::to_string(bytes) + " bytes"; }

Status Device::outOfMemory(uint64_t bytes, const std::string &what) const {
  size_t free = 0, total = 0;
  std::string rest = driver_.memoryInfo(&free, &total) == kSuccess
                         ? bytesText(free) + " of its " + bytesText(total) + " are free"
                         : "how much is free cannot be asked";
  return {StatusCode::outOfMemory, "cannot reserve " + bytesText(bytes) + " on " + info_.text() +
                                       " for " + what + ": " + rest};
}

//===-- Memory ------------------------------------------------------------===//

Result<DeviceMemory> DeviceMemory::allocate(std::shared_ptr<const Device> device, uint64_t bytes,
                                            const std::string &what) {
  PERMALLOY_TRY(device->checkProcess());
  Device::Scope scope(*device);
  DeviceMemory memory;
  uint64_t size = alignUp(bytes ? bytes : 1);
  auto call = [&] { return device->driver().allocate(&memory.address_, size); };
  int error = bytes > INT64_MAX ? int(kOutOfMemory) : device->tryTwice(call);
  if (error == kOutOfMemory)
    return device->outOfMemory(bytes, what);
  if (error != kSuccess)
    return device->driver().failure(error, "reserve memory for " + what);
  memory.size_ = size;
  memory.device_ = std::move(device);
  return memory;
}

Status DeviceMemory::reserve(DeviceMemory &memory, const std::shared_ptr<const Device> &device,
                             uint64_t bytes, const std::string &what) {
  if (memory.address_ && memory.size_ >= bytes)
    return {};
  {
    DeviceMemory old(std::move(memory));
  } // before the new one: both need not fit
  Result<DeviceMemory> fresh = allocate(device, bytes, what);
  if (!fresh.ok())
    return fresh.status();
  memory = std::move(*fresh);
  return {};
}

DeviceMemory::~DeviceMemory() {
  if (!address_ || !device_->isOfThisProcess())
    return;
  Device::Scope scope(*device_);
  device_->driver().free(address_);
}

} // namespace permalloy::cuda
