//===- CallContext.h - what one call in flight owns --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_CALLCONTEXT_H
#define PERMALLOY_RUNTIME_CALLCONTEXT_H

#include "permalloy/Runtime/Artifact.h"
#include "permalloy/Runtime/Binding.h"
#include "permalloy/Runtime/CodeImage.h"
#include "permalloy/Runtime/Memory.h"
#include "permalloy/Runtime/RunOptions.h"
#include "permalloy/Runtime/ThreadPool.h"

#include <cstdint>
#include <span>
#include <vector>

namespace permalloy {

/// Expression values, slots and scratch of one call, and the program's launches bound to them. Made
/// once and reused: when the symbols are those of the call before, `prepare` only compares them.
class CallContext {
public:
  /// `kernels` are the entry points of the program's kernels for its target number `target`;
  /// `workers` the largest number of threads that will run a launch. `guarded`: see BufferArena;
  /// inputs and outputs then go through guarded copies too.
  CallContext(const Artifact &artifact, size_t target, std::span<const KernelFunction> kernels,
              int workers, bool guarded);

  /// Evaluates the expressions for these symbols, checks the assumptions and the inputs' shapes,
  /// and places slots.
  Status prepare(std::span<const int64_t> symbolValues, std::span<const InputTensor> inputs);

  /// Values of Program::expressions, after prepare.
  std::span<const int64_t> values() const { return values_; }
  /// Value of symbol `index` in the call before; 0 when there was none.
  int64_t lastSymbol(size_t index) const { return prepared_ ? symbolValues_[index] : 0; }
  /// Shape of output `index`, after prepare.
  std::vector<int64_t> outputDims(size_t index) const;
  /// Bytes of slots and scratch that this context holds.
  uint64_t memoryBytes() const;
  /// After run: the bytes of a slot. Until the next call.
  const std::byte *slotData(uint32_t slot) const { return slotAddress(slot); }
  /// Bytes that a slot was placed with.
  uint64_t slotBytes(uint32_t slot) const { return slotBytes_[slot]; }

  /// Runs all steps, or those before RunOptions::terminate was set. `pool` may be null: everything
  /// runs on the calling thread.
  /// Inputs and outputs that are caches are not looked at, the other inputs are dense; `caches` has
  /// the buffer of each cache.
  Status run(std::span<const InputTensor> inputs, std::span<void *const> outputs,
             std::span<void *const> caches, ThreadPool *pool, const RunOptions &options);

private:
  /// A step with everything that depends on shapes filled in.
  struct BoundStep {
    artifact::StepKind kind = artifact::StepKind::launch;
    Launch launch;         ///< launch
    bool parallel = false; ///< worth several threads
    size_t firstBuffer = 0;
    int64_t copyBytes = 0; ///< copy
    size_t target = 0;     ///< jumps
    const artifact::Assumption *violated = nullptr; ///< a check that does not hold
  };
  /// A buffer whose address the caller brings.
  struct Patch {
    size_t buffer;
    artifact::OperandKind kind;
    uint32_t index;
    int64_t offset;
  };

  Status evaluate(std::span<const int64_t> symbolValues);
  Status checkAssumptions() const;
  /// An error with the sizes that the assumption compares.
  Status violation(const artifact::Assumption &assumption) const;
  Status placeSlots();
  Status placeScratch();
  /// Slots whose size needs data symbol `symbol` and none that is bound later.
  Status placeDataSlots(uint32_t symbol);
  std::byte *slotAddress(uint32_t slot) const;
  /// Step `bind`: new values of all expressions, and with them of the steps that follow.
  Status bindSymbol(uint32_t symbol, int64_t bound);
  Status bindSteps();
  Status bindLaunch(const artifact::Step &step, BoundStep &bound);
  Status bindOperand(const artifact::Step &step, const artifact::Operand &operand,
                     int64_t leastBytes);
  int64_t operandBytes(const artifact::Operand &operand) const;
  int64_t workOf(const artifact::Step &step) const;
  int64_t value(uint32_t expr) const { return expr == artifact::kNone ? 0 : values_[expr]; }
  Status placeStaging();
  void patchBuffers();
  void stageInputs(std::span<const InputTensor> inputs);
  void unstageOutputs(std::span<void *const> outputs);
  void runLaunch(const BoundStep &step, ThreadPool *pool, bool last, TimeSpan *lanes);
  /// Runs step `index` and says which one follows. `lanes`: see Launch.
  Status runStep(size_t index, size_t &next, ThreadPool *pool, TimeSpan *lanes = nullptr);
  Status recordStep(size_t index, size_t &next, ThreadPool *pool, RunRecord &record);

  const Artifact &artifact_;
  const size_t target_;
  std::span<const KernelFunction> kernels_;
  size_t workers_;
  bool guarded_;

  bool prepared_ = false;
  std::vector<int64_t> symbolValues_;
  std::vector<int64_t> values_;
  BufferArena slots_;                  ///< those that depend on data take no room here
  std::vector<BufferArena> dataSlots_; ///< by symbol; in it, by slot
  std::vector<uint64_t> slotBytes_;    ///< as placed: a symbol bound later moves no slot
  BufferArena scratch_;
  BufferArena staging_; ///< guarded only: inputs, then outputs; those of caches are unused
  size_t scratchStride_ = 0;

  std::vector<BoundStep> steps_;
  std::vector<void *> buffers_;  ///< of all steps, one after the other
  std::vector<int64_t> scalars_; ///< of all launches, one after the other
  std::vector<Patch> patches_;
  // What the caller brought to the run in progress.
  std::span<const InputTensor> inputs_;
  std::span<void *const> outputs_, caches_;
  size_t lastParallel_ = 0;
};

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_CALLCONTEXT_H
