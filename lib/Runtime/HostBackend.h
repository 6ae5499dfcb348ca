//===- HostBackend.h - sessions on the CPU -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_HOSTBACKEND_H
#define PERMALLOY_LIB_RUNTIME_HOSTBACKEND_H

#include "permalloy/Runtime/Backend.h"
#include "permalloy/Runtime/CodeImage.h"

namespace permalloy {

/// The image of the target that fits this CPU best, ready to run.
class HostBackend final : public Backend {
public:
  /// `threads` of the session; `allowed`: SessionOptions::allowedFeatures.
  static Result<std::shared_ptr<HostBackend>> create(std::shared_ptr<const Artifact> artifact, int threads, CpuFeatureMask allowed,
                                                     bool guarded);

  /// An index into Program::targets.
  size_t targetIndex() const { return target_; }
  int device() const override { return kHostMemory; }
  const std::string &target() const override { return artifact_->program().targets[target_].name; }
  std::unique_ptr<CallContext> makeContext() const override;
  Result<std::unique_ptr<BufferSet>> allocate(std::span<const uint64_t> sizes, const std::string &what) const override;
  Status copy(const TensorMemory &to, std::span<const int64_t> toStrides, const TensorMemory &from,
              std::span<const int64_t> fromStrides, std::span<const int64_t> dims, size_t elementSize) const override;

private:
  HostBackend(std::shared_ptr<const Artifact> artifact, int threads, bool guarded)
      : artifact_(std::move(artifact)), threads_(threads), guarded_(guarded) {}
  Status load(CpuFeatureMask allowed);

  std::shared_ptr<const Artifact> artifact_;
  int threads_;
  bool guarded_;
  size_t target_ = 0;
  CodeImage image_;
  std::vector<KernelFunction> kernels_;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_RUNTIME_HOSTBACKEND_H
