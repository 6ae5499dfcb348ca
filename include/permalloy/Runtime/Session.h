//===- Session.h - runs a model.alloy ----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_SESSION_H
#define PERMALLOY_RUNTIME_SESSION_H

#include "permalloy/Artifact/CpuFeatures.h"
#include "permalloy/Runtime/Artifact.h"
#include "permalloy/Runtime/Backend.h"
#include "permalloy/Runtime/Binding.h"
#include "permalloy/Runtime/KvCache.h"
#include "permalloy/Runtime/Memory.h"
#include "permalloy/Runtime/RunOptions.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace permalloy {

struct SessionOptions {
  /// Where it computes: "cpu", or a GPU, "cuda:0" ("cuda" is the same).
  std::string device = "cpu";
  /// Null, or on a GPU the caller's stream (a CUstream of its primary context, which outlives the
  /// session): all work of runs is put into it, behind what is there.
  void *stream = nullptr;
  /// Threads of a run, the calling one included; 0 takes availableCpus().
  int threads = 0;
  /// Features beyond these are ignored when an image is picked (to try a lesser target).
  CpuFeatureMask allowedFeatures = ~CpuFeatureMask(0);
  /// Inaccessible pages behind every buffer. Also on with PERMALLOY_GUARD_SLOTS=1 in the
  /// environment and in builds with AddressSanitizer.
  bool guardBuffers = false;
};

/// A tensor the session makes.
struct OutputTensor {
  /// The caller's memory, which may not overlap an input's, or null: the session allocates (64-byte
  /// aligned) and the caller frees with `release`. Dense, but for caches: see KvCache.h.
  void *data = nullptr;
  uint64_t capacity = 0; ///< bytes at `data` when the caller brings it
  artifact::DType dtype = artifact::DType::f32;
  std::vector<int64_t> dims;
  /// Not empty: `data` is a view of a cache; elements between neighbours of each axis.
  std::vector<int64_t> strides = {};
  /// What keeps `data` alive, which is then not to be freed: a cache, or large memory that goes back to the session.
  std::shared_ptr<void> owner = nullptr;
  /// Whose memory `data` is or shall be: this process' or that of the session's GPU, on which caches are views as well.
  int device = kHostMemory;

  /// Frees what the session allocated, or lets go of the owner.
  void release();
};

/// Runs one artifact. On a GPU (`cuda:0`) the host's inputs and outputs are copied over and back; those that lie on the GPU are used as
/// they are, once work of the legacy default stream is done, and outputs are complete when `run` returns. `run` may be called from several threads at once: every call in flight has
/// its own memory (kept for later calls). The session has one thread pool; a call that finds it in
/// use runs on its calling thread alone, which changes no bit of the result and never
/// oversubscribes by more than one thread a call. After fork() the child makes a new pool on its
/// first run.
class Session {
public:
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Artifact> artifact,
                                                 const SessionOptions &options = {});
  ~Session();

  const Artifact &artifact() const { return *artifact_; }
  const std::shared_ptr<const Artifact> &sharedArtifact() const { return artifact_; }
  /// kHostMemory, or the number of the GPU that the session runs on.
  int device() const { return backend_->device(); }
  /// The target whose code runs, "x86-64-v3".
  const std::string &target() const { return backend_->target(); }
  /// Of all runs so far; on the CPU there are none.
  GraphCounts graphCounts() const { return backend_->graphCounts(); }
  /// On a CPU: the target as an index into Program::targets.
  size_t targetIndex() const { return target_; }
  /// Of a run; on a GPU 1, the calling one.
  int threads() const { return threads_; }

  /// Shapes of all outputs for these inputs (whose data is not looked at); an error when one
  /// depends on data.
  Status inferShapes(std::span<const InputTensor> inputs, std::vector<std::vector<int64_t>> &dims);

  /// Memory for the past of `batch` sequences, empty at first, with room for `capacity` rows (0: a
  /// few); it grows as it must. Belongs to this session and must not outlive it.
  Result<std::unique_ptr<CacheState>> createState(int64_t batch, int64_t capacity = 0);

  /// Fills a state with the past that stands in `inputs` (one entry per input of the manifest;
  /// those of caches are looked at), in place of what it held.
  Status loadState(CacheState &state, std::span<const InputTensor> inputs);

  /// Runs the model. Inputs and outputs are in the manifest's order, one per entry. Shapes are
  /// checked before anything runs, but for sizes that depend on data; on an error no output is
  /// allocated. A run that fails leaves the caller's output memory with undefined contents.
  Status run(std::span<const InputTensor> inputs, std::span<OutputTensor> outputs,
             const RunOptions &options = {});

private:
  struct Shared;
  class Call;

  Session() = default;
  Status load(const SessionOptions &options);
  Shared &shared();
  struct CacheUse;
  std::shared_ptr<CacheRegistry> registry();
  Status runState(std::span<const InputTensor> inputs, std::span<OutputTensor> outputs,
                  const RunOptions &options);
  Status runChecked(std::span<const InputTensor> inputs, std::span<OutputTensor> outputs,
                    const RunOptions &options);
  /// The most rows that a cache of the model can hold, from the ranges of its symbols.
  static int64_t mostCacheRows(const artifact::Manifest &manifest,
                               const artifact::Program &program);
  std::vector<CacheShape> cacheShapes(int64_t batch) const;
  std::shared_ptr<CacheSet> findCaches(std::span<const InputTensor> inputs, CacheState *state);
  Status prepareCaches(class CallContext &context, std::vector<int64_t> symbols,
                       std::span<const InputTensor> inputs, CacheState *state, CacheUse &use);
  Status copyCaches(class CallContext &context, std::span<const InputTensor> inputs,
                    int64_t capacity, CacheUse &use);
  struct OutputPlaces;
  Status checkPlaces(std::span<const InputTensor> inputs, std::span<const OutputTensor> outputs) const;
  Result<std::shared_ptr<void>> allocatePooled(uint64_t bytes, int device, const std::string &name);
  Status placeOutput(uint32_t index, std::span<const InputTensor> inputs, OutputTensor &output,
                     OutputPlaces &places);
  Status prepareOutputs(class CallContext &context, std::span<const InputTensor> inputs,
                        std::span<OutputTensor> outputs, bool withCaches, OutputPlaces &places);
  Status takeLateOutputs(class CallContext &context, std::span<const InputTensor> inputs,
                         std::span<OutputTensor> outputs, OutputPlaces &places);
  Status copyOutCaches(const CacheUse &use, std::span<const OutputTensor> outputs,
                       const OutputPlaces &places);
  void handOut(const CacheUse &use, std::span<OutputTensor> outputs);

  std::shared_ptr<const Artifact> artifact_;
  std::shared_ptr<const Backend> backend_;
  size_t target_ = 0;
  int threads_ = 1;
  int64_t mostRows_ = INT64_MAX; ///< that a cache can ever hold
  std::atomic<Shared *> shared_{nullptr};
};

/// The number of the GPU that a text like "cuda:0" names, kHostMemory for "cpu".
Result<int> parseDevice(const std::string &text);

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_SESSION_H
