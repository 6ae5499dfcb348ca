//===- Work.h - what a run puts into its stream ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_CUDA_WORK_H
#define PERMALLOY_LIB_RUNTIME_CUDA_WORK_H

#include "Driver.h"

#include <algorithm>
#include <atomic>
#include <vector>

namespace permalloy::cuda {

/// A launch, or a copy within the device.
struct Work {
  FunctionHandle function = nullptr; ///< null: a copy
  unsigned blocks = 0, threads = 0, sharedBytes = 0;
  /// In WorkList::words: the parameters of a launch; target, source and bytes of a copy.
  size_t firstWord = 0, words = 0;
};

/// Of all graphs of a session: GraphCounts while calls are under way.
struct GraphCounters {
  std::atomic<uint64_t> launches = 0, nodesSet = 0;
};

/// Work in order, each after the one before.
struct WorkList {
  std::vector<Work> items;
  std::vector<uint64_t> words;

  void clear() {
    items.clear();
    words.clear();
  }
  /// `bytes` is not 0.
  void addCopy(DevicePointer to, DevicePointer from, uint64_t bytes) {
    items.push_back({nullptr, 0, 0, 0, words.size(), 3});
    words.insert(words.end(), {to, from, bytes});
  }
  const uint64_t *wordsOf(const Work &work) const { return words.data() + work.firstWord; }

  /// The same kernels and copies, whatever their grids and words.
  bool hasShapeOf(const WorkList &other) const {
    return words.size() == other.words.size() &&
           std::ranges::equal(items, other.items, [](const Work &a, const Work &b) {
             return a.function == b.function && a.words == b.words;
           });
  }
  /// Whether item `i` of a list of the same shape is another one.
  bool differsAt(size_t i, const WorkList &other) const {
    const Work &ours = items[i], &theirs = other.items[i];
    return ours.blocks != theirs.blocks || ours.sharedBytes != theirs.sharedBytes ||
           !std::equal(wordsOf(ours), wordsOf(ours) + ours.words, other.wordsOf(theirs));
  }
};

} // namespace permalloy::cuda

#endif // PERMALLOY_LIB_RUNTIME_CUDA_WORK_H
