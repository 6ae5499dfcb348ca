//===- CallContext.h - what one call in flight owns --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_CALLCONTEXT_H
#define PERMALLOY_RUNTIME_CALLCONTEXT_H

#include "permalloy/Runtime/Artifact.h"
#include "permalloy/Runtime/Binding.h"
#include "permalloy/Runtime/Memory.h"
#include "permalloy/Runtime/RunOptions.h"
#include "permalloy/Runtime/ThreadPool.h"

#include <cstdint>
#include <span>
#include <vector>

namespace permalloy {

/// The program bound to the sizes of one call: expression values, where slots lie, the launches' buffers and scalars. Made once and
/// reused: when the symbols are those of the call before, `prepare` only compares them. Where memory is and how steps run is the
/// matter of the classes below: HostContext and cuda::DeviceContext.
class CallContext {
public:
  virtual ~CallContext() = default;
  CallContext(const CallContext &) = delete;
  CallContext &operator=(const CallContext &) = delete;

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
  virtual uint64_t memoryBytes() const = 0;
  /// Bytes that a slot was placed with.
  uint64_t slotBytes(uint32_t slot) const { return slotBytes_[slot]; }
  /// After run, until the next call: copies the first bytes of a slot.
  virtual Status copySlot(uint32_t slot, uint64_t bytes, const TensorMemory &to) = 0;

  /// Runs all steps, or those before RunOptions::terminate was set. `pool` may be null: everything
  /// runs on the calling thread.
  /// Inputs and outputs that are caches are not looked at, the other inputs are dense; `caches` has
  /// the buffer of each cache.
  virtual Status run(std::span<const InputTensor> inputs, std::span<const TensorMemory> outputs,
                     std::span<void *const> caches, ThreadPool *pool, const RunOptions &options) = 0;

protected:
  explicit CallContext(const Artifact &artifact) : artifact_(artifact) {}

  /// A step with everything that depends on shapes filled in.
  struct BoundStep {
    artifact::StepKind kind = artifact::StepKind::launch;
    size_t firstBuffer = 0, firstScalar = 0, firstPatch = 0; ///< of buffers_, scalars_, patches_
    int64_t copyBytes = 0;                                   ///< copy
    size_t target = 0;                                       ///< jumps; bind: the symbol
    const artifact::Assumption *violated = nullptr;          ///< a check that does not hold
    bool isNew = true; ///< bound since whoever is interested set this to false
  };
  /// A buffer whose address the caller brings.
  struct Patch {
    size_t step, buffer;
    artifact::OperandKind kind;
    uint32_t index;
    int64_t offset = 0;
  };

  /// Makes room for the slots; those that depend on data have size 0 here and come later, by the symbol that they wait for.
  virtual Status placeSlots(std::span<const uint64_t> sizes) = 0;
  virtual Status placeDataSlots(uint32_t symbol, std::span<const uint64_t> sizes) = 0;
  /// Sets isMoved_ where what launches get is no longer what it was.
  virtual Status placeScratch() = 0;
  virtual std::byte *slotAddress(uint32_t slot) const = 0;
  virtual std::byte *weightAddress(uint32_t weight) const = 0;
  /// The grid of step `index`, a launch. Called when an expression changed that the step names, or
  /// everything moved.
  virtual Status bindLaunch(size_t index) = 0;
  /// All steps are bound. Addresses into buffers_ and scalars_ are stable. `inRun`: a step bound a
  /// size.
  virtual Status finishBinding(bool inRun) = 0;

  /// Step `bind`: new values of all expressions, and with them of the steps that follow.
  Status bindSymbol(uint32_t symbol, int64_t bound);
  /// What a run says that RunOptions::terminate ended.
  Status terminatedBefore(size_t step) const;
  /// An error with the sizes that the assumption compares.
  Status violation(const artifact::Assumption &assumption) const;
  int64_t operandBytes(const artifact::Operand &operand) const;
  int64_t value(uint32_t expr) const { return expr == artifact::kNone ? 0 : values_[expr]; }
  const std::vector<artifact::Step> &program() const { return artifact_.program().steps; }

  const Artifact &artifact_;
  std::vector<int64_t> symbolValues_;
  std::vector<uint64_t> slotBytes_; ///< as placed: a symbol bound later moves no slot
  std::vector<BoundStep> steps_;
  std::vector<void *> buffers_;  ///< of all steps, one after the other
  std::vector<int64_t> scalars_; ///< of all launches, one after the other
  std::vector<Patch> patches_;
  bool isMoved_ = true; ///< all steps are to be bound

private:
  Status evaluate(std::span<const int64_t> symbolValues);
  Status evaluate();
  void measureTensors();
  Status checkAssumptions() const;
  Status placeAll();
  Status placeDataSlots(uint32_t symbol);
  void layOut();
  void noteExpressions(size_t index);
  bool isChanged(size_t index) const;
  Status bindSteps(bool inRun);
  Status bindStep(size_t index);

  bool prepared_ = false;
  std::vector<int64_t> values_, lastValues_; ///< and those that the steps were bound to
  std::vector<std::byte *> slotPlaces_;      ///< that they were bound to
  /// Expressions that the binding of a step depends on: one step's behind the other's.
  std::vector<uint32_t> stepExprs_;
  std::vector<size_t> firstExprs_; ///< of stepExprs_, by step; and their number at the end
  /// Of dense inputs, outputs, and caches with their capacity; -1: no possible size.
  std::vector<int64_t> inputBytes_, outputBytes_, cacheBytes_;
  std::vector<int64_t> lastCacheBytes_; ///< that the steps were bound to
};

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_CALLCONTEXT_H
