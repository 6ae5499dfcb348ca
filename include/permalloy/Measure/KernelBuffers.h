//===- KernelBuffers.h - arguments for a kernel that is timed ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_KERNELBUFFERS_H
#define PERMALLOY_MEASURE_KERNELBUFFERS_H

#include "Kern/Kern.h"
#include "permalloy/Reference/Interpreter.h"
#include "permalloy/Runtime/Memory.h"

#include "llvm/Support/Error.h"

#include <vector>

namespace permalloy::measure {

/// Memory that packed weights are taken from, one copy after the other, so that each launch finds them as a layer of a model
/// does: not in this core's caches. Filled once with small numbers.
class WeightArena {
public:
  static constexpr size_t kMostBytes = size_t(256) << 20;

  /// `bytes`, the weights of the model at hand: a small model finds them in the third-level cache, run after run.
  explicit WeightArena(size_t bytes = kMostBytes) : size(std::min(bytes, kMostBytes)) {}

  /// `bytes` of weights of `element`, aligned to a page; null when there is no such memory. Wraps round when all are taken.
  std::byte *take(size_t bytes, mlir::Type element);
  bool holds(size_t bytes) const { return bytes <= kMostBytes / 2; }

private:
  Mapping memory;
  size_t size;
  size_t next = 0;
  mlir::Type filledWith;
};

/// Buffers of one kernel at concrete sizes: floats in [-1, 1), integers 0 (legal as indices), bools true, tables of groups
/// with rows spread evenly over the groups.
class KernelBuffers {
public:
  /// Fails when a size is unknown or all buffers take more than a gigabyte.
  static llvm::Expected<KernelBuffers> make(kern::KernelOp kernel, const reference::Symbols &symbols, WeightArena &arena);

  /// The addresses for the next launch: weights move on by one copy.
  void *const *next();
  bool hasColdWeights() const { return !weights.empty(); }
  uint64_t bytes() const { return total; }

private:
  struct Weight {
    size_t argument;
    size_t bytes;
    mlir::Type element;
  };
  BufferArena memory{/*guarded=*/false};
  std::vector<void *> addresses;
  std::vector<Weight> weights;
  WeightArena *arena = nullptr;
  uint64_t total = 0;
};

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_KERNELBUFFERS_H
