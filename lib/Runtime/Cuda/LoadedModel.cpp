//===- LoadedModel.cpp - an artifact's code and weights on a GPU -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "LoadedModel.h"

#include "Transfers.h"

#include <map>
#include <mutex>
#include <tuple>

namespace permalloy::cuda {

using namespace artifact;

//===-- The choice of code ------------------------------------------------===//

static bool runsOn(const DeviceTarget &target, int capability) {
  int own = static_cast<int>(target.capability);
  return target.exact ? own == capability : own <= capability;
}

std::optional<size_t> chooseTarget(std::span<const DeviceTarget> targets, int capability) {
  std::optional<size_t> best;
  auto rank = [&](size_t i) { return 2 * targets[i].capability + targets[i].exact; };
  for (size_t i = 0; i < targets.size(); ++i)
    if (runsOn(targets[i], capability) && (!best || rank(i) > rank(*best)))
      best = i;
  return best;
}

/// Machine code runs on later devices of the same generation, too.
static bool takesCubin(const DeviceTarget &target, int capability) {
  int own = static_cast<int>(target.capability);
  return own / 10 == capability / 10 && own <= capability;
}

/// The least that models are compiled for.
static constexpr int kLeastCapability = 80;

static std::string capabilityText(uint32_t capability) {
  return std::to_string(capability / 10) + "." + std::to_string(capability % 10);
}

static Status noMatch(const Artifact &artifact, const Device &device) {
  std::string has, machine;
  for (const DeviceTarget &target : artifact.devices().targets)
    has += (has.empty() ? "" : ", ") + target.name + " (" + capabilityText(target.capability) +
           (target.exact ? " only)" : " and later)");
  if (Result<std::vector<GpuInfo>> all = listGpus(); all.ok())
    for (const GpuInfo &info : *all)
      machine += (machine.empty() ? "" : ", ") + info.text();
  if (has.empty())
    return {
        StatusCode::noDevice,
        "'" + artifact.name() +
            "' has no code for GPUs; compile the model with --target host,sm_80 (or sm_89, sm_90a, "
            "sm_100); this machine has " +
            machine};
  std::string own = "cuda:" + std::to_string(device.info().number);
  return {StatusCode::noDevice, "'" + artifact.name() + "' has no code for " + own +
                                    "; it has code for " + has + ", this machine has " + machine +
                                    (device.info().capability < kLeastCapability
                                         ? "; GPUs are supported from compute capability 8.0 on"
                                         : "; compile the model with --target host," + own)};
}

/// The driver that first knew an architecture.
static int leastDriver(uint32_t capability) {
  return capability >= 100 ? 12080 : capability >= 90 ? 12000 : capability >= 89 ? 11080 : 11000;
}

static Status tooOld(const Device &device, const DeviceTarget &target, int needed) {
  return {StatusCode::noDevice, "the NVIDIA driver is too old: it knows CUDA " +
                                    versionText(device.driver().version) + ", code for " +
                                    target.name + " needs " + versionText(needed) + " or newer"};
}

//===-- Loading -----------------------------------------------------------===//

/// "PTX 8.0", from the line `.version 8.0` of a text.
static std::string ptxVersion(const std::string &ptx) {
  static constexpr std::string_view directive = ".version ";
  size_t at = ptx.find(directive), end = ptx.find_first_of("\r\n", at);
  return at == std::string::npos
             ? "its PTX"
             : "PTX " + ptx.substr(at + directive.size(), end - at - directive.size());
}

/// The driver compiles the text; what it says of it is part of an error. `refusal`: what it said of
/// the machine code, if anything.
Status LoadedModel::compilePtx(const Artifact &artifact, size_t index, const std::string &refusal,
                               ModuleHandle &module) {
  const DeviceTarget &target = artifact.devices().targets[target_];
  const std::string &name = artifact.program().kernels[index].name;
  std::span<const std::byte> text = artifact.deviceCode(target_, target.kernels[index].ptx);
  std::string ptx(reinterpret_cast<const char *>(text.data()), text.size()); // with a 0 behind it
  char log[1024] = "";
  int options[] = {kJitErrorLog, kJitErrorLogBytes};
  int error = device_->tryTwice([&] {
    // The driver writes the log's length to the place of its size.
    void *values[] = {log, reinterpret_cast<void *>(sizeof log - 1)};
    return device_->driver().loadModule(&module, ptx.c_str(), 2, options, values);
  });
  if (error == kSuccess)
    return {};
  std::string doing = "compile kernel '" + name + "' for " + device_->info().text() + refusal;
  if (error == kUnsupportedPtxVersion)
    return {StatusCode::noDevice,
            "cannot " + doing + ": the NVIDIA driver is too old: it knows CUDA " +
                versionText(device_->driver().version) + ", which lacks " + ptxVersion(ptx) +
                "; update it" +
                (refusal.empty() ? ", or compile the model where ptxas is found" : "")};
  Status failure = device_->driver().failure(error, doing);
  return {failure.code(), failure.message() + (*log ? ": " + std::string(log) : "")};
}

Status LoadedModel::loadModule(const Artifact &artifact, size_t index, ModuleHandle &module) {
  const DeviceTarget &target = artifact.devices().targets[target_];
  const DeviceKernel &kernel = target.kernels[index];
  std::string refusal;
  if (kernel.cubin.size && takesCubin(target, device_->info().capability)) {
    const void *image = artifact.deviceCode(target_, kernel.cubin).data();
    int error = device_->tryTwice(
        [&] { return device_->driver().loadModule(&module, image, 0, nullptr, nullptr); });
    if (error == kSuccess)
      return {};
    Status failure = device_->driver().failure(error, "load its machine code");
    if (error == kOutOfMemory) // anything else may come of a ptxas that is newer than the driver
      return {failure.code(),
              "kernel '" + artifact.program().kernels[index].name + "': " + failure.message()};
    refusal = " (" + failure.message() + ")";
  }
  return compilePtx(artifact, index, refusal, module);
}

Status LoadedModel::loadKernel(const Artifact &artifact, size_t index) {
  const Driver &driver = device_->driver();
  const std::string &name = artifact.program().kernels[index].name;
  LoadedKernel &kernel = kernels_.emplace_back();
  ModuleHandle module = nullptr;
  PERMALLOY_TRY(loadModule(artifact, index, module));
  modules_.push_back(module);
  PERMALLOY_CUDA_TRY(driver, moduleFunction(&kernel.function, module, name.c_str()),
                     "find kernel '" + name + "'");
  kernel.threads = artifact.devices().targets[target_].kernels[index].threads;
  int fixed = 0;
  PERMALLOY_CUDA_TRY(driver, functionAttribute(&fixed, kFunctionSharedBytes, kernel.function),
                     "ask about kernel '" + name + "'");
  kernel.mostSharedBytes = device_->mostSharedBytes() - fixed;
  PERMALLOY_CUDA_TRY(
      driver,
      setFunctionAttribute(kernel.function, kFunctionMostDynamicShared, kernel.mostSharedBytes),
      "allow kernel '" + name + "' its shared memory");
  return {};
}

Status LoadedModel::loadKernels(const Artifact &artifact) {
  std::optional<size_t> target =
      chooseTarget(artifact.devices().targets, device_->info().capability);
  if (!target)
    return noMatch(artifact, *device_);
  target_ = *target;
  const DeviceTarget &chosen = artifact.devices().targets[target_];
  if (int needed = leastDriver(chosen.capability); device_->driver().version < needed)
    return tooOld(*device_, chosen, needed);
  for (size_t i = 0; i < artifact.program().kernels.size(); ++i)
    PERMALLOY_TRY(loadKernel(artifact, i));
  return {};
}

Status LoadedModel::uploadWeights(const Artifact &artifact) {
  Result<DeviceMemory> memory = DeviceMemory::allocate(device_, artifact.weights().size(),
                                                       "the weights of '" + artifact.name() + "'");
  if (!memory.ok())
    return memory.status();
  weights_ = std::move(*memory);
  Result<Stream> stream = Stream::create(device_);
  if (!stream.ok())
    return stream.status();
  Transfers transfers(device_, stream->get());
  PERMALLOY_TRY(transfers.prepare(artifact.weights().size()));
  PERMALLOY_TRY(
      transfers.upload(weights_.address(), artifact.weights().data(), artifact.weights().size()));
  return transfers.finish();
}

Result<std::shared_ptr<const LoadedModel>> LoadedModel::load(const Artifact &artifact,
                                                             std::shared_ptr<const Device> device) {
  using Key = std::tuple<const Device *, uint64_t, uint64_t>;
  static std::mutex lock; // held while loading: a second session waits for the first one's weights
  static std::map<Key, std::weak_ptr<const LoadedModel>> loaded;
  std::lock_guard guard(lock);
  std::erase_if(loaded, [](const auto &entry) { return entry.second.expired(); });
  Key key{device.get(), artifact.identity().low, artifact.identity().high};
  if (auto known = loaded.find(key); known != loaded.end())
    if (std::shared_ptr<const LoadedModel> model = known->second.lock())
      return model;
  Device::Scope scope(*device);
  std::shared_ptr<LoadedModel> model(new LoadedModel(device));
  PERMALLOY_TRY(model->loadKernels(artifact));
  PERMALLOY_TRY(model->uploadWeights(artifact));
  loaded[key] = model;
  return std::shared_ptr<const LoadedModel>(model);
}

LoadedModel::~LoadedModel() {
  if (!device_->isOfThisProcess())
    return;
  Device::Scope scope(*device_);
  for (ModuleHandle module : modules_)
    device_->driver().unloadModule(module);
}

} // namespace permalloy::cuda
