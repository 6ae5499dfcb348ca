//===- HostBackend.cpp - sessions on the CPU ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "HostBackend.h"

#include "HostContext.h"
#include "PerfMap.h"
#include "permalloy/Runtime/Strided.h"

namespace permalloy {

using namespace artifact;

namespace {
class HostBuffers final : public BufferSet {
public:
  explicit HostBuffers(bool guarded) : arena(guarded) {}
  void *buffer(size_t index) const override { return arena.buffer(index); }
  BufferArena arena;
};
} // namespace

Result<std::shared_ptr<HostBackend>> HostBackend::create(std::shared_ptr<const Artifact> artifact, int threads,
                                                         CpuFeatureMask allowed, bool guarded) {
  std::shared_ptr<HostBackend> backend(new HostBackend(std::move(artifact), threads, guarded));
  PERMALLOY_TRY(backend->load(allowed));
  return backend;
}

Status HostBackend::load(CpuFeatureMask allowed) {
  const Program &program = artifact_->program();
  if (program.targets.empty())
    return {StatusCode::unsupportedCpu, "'" + artifact_->name() + "' has no code for CPUs, only for " +
                                            artifact_->devices().targets.front().name +
                                            "; run it with device cuda:0, or compile the model with --target host, too"};
  Result<size_t> target = selectTarget(program.targets, hostCpuFeatures() & allowed);
  if (!target.ok())
    return target.status();
  target_ = *target;
  Result<CodeImage> image = CodeImage::load(artifact_->image(target_), program.targets[target_].name);
  if (!image.ok())
    return image.status();
  image_ = std::move(*image);
  for (uint64_t address : program.targets[target_].entryPoints) {
    Result<KernelFunction> kernel = image_.entry(address);
    if (!kernel.ok())
      return kernel.status();
    kernels_.push_back(*kernel);
  }
  writePerfMap(image_, program.kernels, kernels_);
  return {};
}

std::unique_ptr<CallContext> HostBackend::makeContext() const {
  return std::make_unique<HostContext>(*artifact_, target_, kernels_, threads_, guarded_);
}

Result<std::unique_ptr<BufferSet>> HostBackend::allocate(std::span<const uint64_t> sizes, const std::string &) const {
  auto buffers = std::make_unique<HostBuffers>(guarded_);
  PERMALLOY_TRY(buffers->arena.place(sizes));
  return std::unique_ptr<BufferSet>(std::move(buffers));
}

Status HostBackend::copy(const TensorMemory &to, std::span<const int64_t> toStrides, const TensorMemory &from,
                         std::span<const int64_t> fromStrides, std::span<const int64_t> dims, size_t elementSize) const {
  copyStrided(to.data, toStrides, from.data, fromStrides, dims, elementSize);
  return {};
}

} // namespace permalloy
