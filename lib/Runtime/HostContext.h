//===- HostContext.h - one call on the CPU -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_HOSTCONTEXT_H
#define PERMALLOY_LIB_RUNTIME_HOSTCONTEXT_H

#include "permalloy/Runtime/CallContext.h"
#include "permalloy/Runtime/CodeImage.h"

namespace permalloy {

/// Slots and scratch of a call in this process' memory; launches are tiles on a thread pool.
class HostContext final : public CallContext {
public:
  /// `kernels` are the entry points of the program's kernels for its target number `target`;
  /// `workers` the largest number of threads that will run a launch. `guarded`: see BufferArena;
  /// inputs and outputs then go through guarded copies too.
  HostContext(const Artifact &artifact, size_t target, std::span<const KernelFunction> kernels,
              int workers, bool guarded);

  uint64_t memoryBytes() const override;
  Status copySlot(uint32_t slot, uint64_t bytes, const TensorMemory &to) override;
  Status run(std::span<const InputTensor> inputs, std::span<const TensorMemory> outputs,
             std::span<void *const> caches, ThreadPool *pool, const RunOptions &options) override;

private:
  /// What a launch needs beside what BoundStep has.
  struct HostStep {
    Launch launch;
    bool parallel = false; ///< worth several threads
  };

  Status placeSlots(std::span<const uint64_t> sizes) override;
  Status placeDataSlots(uint32_t symbol, std::span<const uint64_t> sizes) override;
  Status placeScratch() override;
  std::byte *slotAddress(uint32_t slot) const override;
  std::byte *weightAddress(uint32_t weight) const override;
  Status bindLaunch(size_t index) override;
  Status finishBinding(bool inRun) override;
  int64_t workOf(const artifact::Step &step) const;
  Status placeStaging();
  void patchBuffers();
  void stageInputs(std::span<const InputTensor> inputs);
  void unstageOutputs(std::span<const TensorMemory> outputs);
  void runLaunch(const HostStep &step, ThreadPool *pool, bool last, TimeSpan *lanes);
  /// Runs step `index` and says which one follows. `lanes`: see Launch.
  Status runStep(size_t index, size_t &next, ThreadPool *pool, TimeSpan *lanes = nullptr);
  Status recordStep(size_t index, size_t &next, ThreadPool *pool, RunRecord &record);

  const size_t target_;
  std::span<const KernelFunction> kernels_;
  size_t workers_;
  bool guarded_;

  BufferArena slots_;                  ///< those that depend on data take no room here
  std::vector<BufferArena> dataSlots_; ///< by symbol; in it, by slot
  BufferArena scratch_;
  BufferArena staging_; ///< guarded only: inputs, then outputs; those of caches are unused
  size_t scratchStride_ = 0;
  std::byte *scratchPlace_ = nullptr; ///< that launches were bound to
  std::vector<HostStep> launches_; ///< as steps_; unused where a step is no launch
  size_t lastParallel_ = 0;
  // What the caller brought to the run in progress.
  std::span<const InputTensor> inputs_;
  std::span<const TensorMemory> outputs_;
  std::span<void *const> caches_;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_RUNTIME_HOSTCONTEXT_H
