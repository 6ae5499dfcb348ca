//===- DeviceContext.h - one call on a GPU -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Memory of a call on the device, each block grown and never shrunk:
//
//   arena    slot 0 | slot 1 | ...              at multiples of 256 bytes, as on the CPU
//   staging  input 0 | ... | output 0 | ...     of tensors that lie on the host, or off 16 bytes
//   scratch  4,096 counters of 32 bits | scratch
//                                               the counters are 0 between launches
//   bounce   copies of operands that begin off 16 bytes in a slot
//
// All of a run is put into one stream in the order of the steps: inputs through pinned memory,
// launches, outputs back. The host waits where the program jumps or binds a size by what a step
// computed (one byte or eight come back), and at the end.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_RUNTIME_CUDA_DEVICECONTEXT_H
#define PERMALLOY_LIB_RUNTIME_CUDA_DEVICECONTEXT_H

#include "Graphs.h"
#include "LoadedModel.h"
#include "Transfers.h"
#include "permalloy/Runtime/CallContext.h"

namespace permalloy::cuda {

/// Counters before the scratch of a launch: zero when it begins, and it leaves them so.
constexpr uint64_t kCounters = 4096;
constexpr uint64_t kCounterBytes = kCounters * sizeof(uint32_t);
/// What kernels may take the beginning of each buffer to be aligned to.
constexpr uint64_t kOperandAlignment = 16;

inline std::byte *toPointer(DevicePointer address) {
  return reinterpret_cast<std::byte *>(address);
}
inline DevicePointer toAddress(const void *pointer) {
  return reinterpret_cast<DevicePointer>(pointer);
}

class DeviceContext final : public CallContext {
public:
  /// `stream`: the caller's, or null. `counts`: where its graphs are counted.
  DeviceContext(const Artifact &artifact, std::shared_ptr<const LoadedModel> model,
                StreamHandle stream, std::shared_ptr<GraphCounters> counts);
  ~DeviceContext() override;

  uint64_t memoryBytes() const override;
  Status copySlot(uint32_t slot, uint64_t bytes, const TensorMemory &to) override;
  Status run(std::span<const InputTensor> inputs, std::span<const TensorMemory> outputs,
             std::span<void *const> caches, ThreadPool *pool, const RunOptions &options) override;

private:
  struct Grid {
    unsigned blocks = 0, sharedBytes = 0;
  };
  /// Slots of one kind: their places in a block of memory.
  struct Arena {
    DeviceMemory memory;
    std::vector<uint64_t> offsets;
  };
  /// An operand that a launch sees in a copy.
  struct Bounce {
    size_t operand = 0, step = 0;
    DevicePointer address = 0;
    uint64_t bytes = 0, offset = 0; ///< in bounce_
    bool isWritten = false;
  };

  Status placeSlots(std::span<const uint64_t> sizes) override;
  Status placeDataSlots(uint32_t symbol, std::span<const uint64_t> sizes) override;
  Status placeScratch() override;
  std::byte *slotAddress(uint32_t slot) const override;
  std::byte *weightAddress(uint32_t weight) const override;
  Status bindLaunch(size_t index) override;
  Status finishBinding(bool inRun) override;

  Status start();
  Status checkCapture() const;
  Status clearCounters();
  Status runAll(std::span<const InputTensor> inputs, std::span<const TensorMemory> outputs,
                std::span<void *const> caches, const RunOptions &options);
  Status placeArena(Arena &arena, std::span<const uint64_t> sizes, const std::string &what);
  Status useCallersMemory(std::span<const InputTensor> inputs,
                          std::span<const TensorMemory> outputs, std::span<void *const> caches);
  Status checkCallersMemory() const;
  Status waitForCaller();
  Status uploadInputs();
  Status downloadOutputs();
  Status patchBuffers();
  Status findBounces(size_t step, uint64_t &end);
  Status placeBounces();
  Status listWork();
  bool hasWork(size_t index) const;
  size_t wordsOf(size_t index) const;
  void fillWork(size_t index, Work &work);
  void listStep(size_t index);
  void listAll();
  bool relist();
  Status runSteps(const RunOptions &options, RunRecord *record);
  Status runAsGraph(const RunOptions &options);
  Status runStep(size_t index, size_t &next);
  Status putWork(size_t index);
  Status readBack(const void *address, void *into, size_t bytes);
  Status takeTimes(RunRecord &record, int64_t begin);
  Status mark(size_t event);

  const std::shared_ptr<const LoadedModel> model_;
  const std::shared_ptr<const Device> device_;
  const StreamHandle callersStream_;
  WorkStream stream_;
  std::optional<Transfers> transfers_;
  std::vector<Event> marks_; ///< of a profile
  Graphs graphs_;
  const std::shared_ptr<GraphCounters> counts_;
  bool isStraight_;      ///< no step depends on what another computed, so that runs can be graphs
  void *word_ = nullptr; ///< pinned, 8 bytes: what jumps and binds read

  Arena slots_;
  std::vector<Arena> dataSlots_; ///< by symbol
  DeviceMemory staging_, scratch_, bounce_;
  bool areCountersClear_ = false; ///< in scratch_; true once a wait has followed
  uint64_t stagingBytes_ = 0;
  std::vector<uint64_t> inputPlaces_, outputPlaces_; ///< in staging_
  std::vector<Grid> grids_;                          ///< as steps_
  std::vector<Bounce> bounces_;                      ///< in the order of their steps
  WorkList work_;                                    ///< of all steps
  std::vector<size_t> firstItems_; ///< of work_, by step; and the number of items at the end
  bool isListed_ = false;          ///< work_ is that of what is bound
  bool isViolated_ = false;        ///< a step fails when it is its turn

  // What the caller brought to the run in progress, and where kernels find it.
  std::span<const InputTensor> inputs_;
  std::span<const TensorMemory> outputs_;
  std::span<void *const> caches_;
  std::vector<DevicePointer> inputAddresses_, outputAddresses_;
  std::vector<bool> isCacheInput_, isCacheOutput_;
};

} // namespace permalloy::cuda

#endif // PERMALLOY_LIB_RUNTIME_CUDA_DEVICECONTEXT_H
