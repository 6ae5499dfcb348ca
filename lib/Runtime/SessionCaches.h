//===- SessionCaches.h - caches and outputs of one call ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_SESSIONCACHES_H
#define PERMALLOY_LIB_RUNTIME_SESSIONCACHES_H

#include "permalloy/Runtime/Session.h"

namespace permalloy {

/// The set that a call appends to, and the rows [before, after) of it that the call has claimed.
/// Rows that are not kept are given back.
struct Session::CacheUse {
  std::shared_ptr<CacheSet> set; ///< null when the model has no caches
  int64_t before = 0, after = 0;
  bool kept = false;

  CacheUse() = default;
  CacheUse(const CacheUse &) = delete;
  CacheUse &operator=(const CacheUse &) = delete;
  ~CacheUse() {
    if (set && !kept)
      set->giveBack(before, after);
  }
  std::span<void *const> buffers() const {
    return set ? set->buffers() : std::span<void *const>();
  }
};

/// Where a run writes each output; what it allocated for them is freed when it fails.
struct Session::OutputPlaces {
  explicit OutputPlaces(size_t count) : memory(count), allocated(count), pooled(count) {}

  /// The outputs own their memory from here on.
  void handOut(std::span<OutputTensor> outputs) {
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!memory[i].data)
        continue;
      if (!outputs[i].data) // else the caller's memory keeps its owner
        outputs[i].owner = std::move(pooled[i]);
      outputs[i].data = memory[i].data;
      allocated[i].release();
    }
  }

  std::vector<TensorMemory> memory;
  std::vector<OutputMemory> allocated;
  std::vector<std::shared_ptr<void>> pooled;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_RUNTIME_SESSIONCACHES_H
