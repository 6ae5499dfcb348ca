//===- LoadedModel.h - an artifact's code and weights on a GPU ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_CUDA_LOADEDMODEL_H
#define PERMALLOY_LIB_RUNTIME_CUDA_LOADEDMODEL_H

#include "Device.h"
#include "permalloy/Runtime/Artifact.h"

namespace permalloy::cuda {

/// One kernel, ready to launch.
struct LoadedKernel {
  FunctionHandle function = nullptr;
  unsigned threads = 0;    ///< of a block
  int mostSharedBytes = 0; ///< dynamic, of a block
};

/// The code that fits a device, and all weights in its memory. One for each artifact (by its
/// contents) and device, shared by all sessions of the process.
class LoadedModel {
public:
  static Result<std::shared_ptr<const LoadedModel>> load(const Artifact &artifact,
                                                         std::shared_ptr<const Device> device);
  ~LoadedModel();
  LoadedModel(const LoadedModel &) = delete;
  LoadedModel &operator=(const LoadedModel &) = delete;

  const std::shared_ptr<const Device> &device() const { return device_; }
  /// An index into DeviceTables::targets.
  size_t target() const { return target_; }
  const LoadedKernel &kernel(size_t index) const { return kernels_[index]; }
  /// Where the weights section begins.
  DevicePointer weights() const { return weights_.address(); }

private:
  explicit LoadedModel(std::shared_ptr<const Device> device) : device_(std::move(device)) {}
  Status loadKernels(const Artifact &artifact);
  Status loadKernel(const Artifact &artifact, size_t index);
  Status loadModule(const Artifact &artifact, size_t index, ModuleHandle &module);
  Status compilePtx(const Artifact &artifact, size_t index, const std::string &refusal,
                    ModuleHandle &module);
  Status uploadWeights(const Artifact &artifact);

  std::shared_ptr<const Device> device_;
  size_t target_ = 0;
  std::vector<ModuleHandle> modules_;
  std::vector<LoadedKernel> kernels_;
  DeviceMemory weights_;
};

/// The target of `targets` to run on a device of this compute capability: the latest that it knows;
/// nothing where none fits.
std::optional<size_t> chooseTarget(std::span<const artifact::DeviceTarget> targets, int capability);

} // namespace permalloy::cuda

#endif // PERMALLOY_LIB_RUNTIME_CUDA_LOADEDMODEL_H
