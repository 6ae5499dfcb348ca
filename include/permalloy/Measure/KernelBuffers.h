//===- KernelBuffers.h - arguments for a kernel that is timed ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_KERNELBUFFERS_H
#define PERMALLOY_MEASURE_KERNELBUFFERS_H

#include "Kern/Kern.h"
#include "permalloy/Reference/Interpreter.h"
#include "permalloy/Runtime/Memory.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/Support/Error.h"

#include <vector>

namespace permalloy::measure {

/// Memory that weights are taken from, one copy after the other, so that each launch finds them as a layer of a model
/// does: not in this core's caches. Filled once for each element type: floats with small numbers, codes with bytes at random.
class WeightArena {
public:
  static constexpr size_t kMostBytes = size_t(256) << 20;

  /// `bytes`, the weights of the model at hand: a small model finds them in the third-level cache, run after run.
  explicit WeightArena(size_t bytes = kMostBytes) : size(std::min(bytes, kMostBytes)) {}

  /// `bytes` of weights of `element`, aligned to a page; null when there is no such memory. Wraps round when all are taken.
  std::byte *take(size_t bytes, mlir::Type element);
  bool holds(size_t bytes) const { return bytes <= kMostBytes / 2; }
  size_t bytes() const { return size; }

private:
  struct Pool {
    Mapping memory;
    size_t next = 0;
  };
  llvm::DenseMap<mlir::Type, Pool> pools; ///< codes and their scales take turns
  size_t size;
};

/// Buffers of one kernel at concrete sizes: floats in [-1, 1), integers 0 (legal as indices), bools true, tables of groups
/// with rows spread evenly over the groups, lists of kept blocks spread evenly over the weight's rows.
class KernelBuffers {
public:
  /// Fails when a size is unknown or all buffers take more than a gigabyte.
  static llvm::Expected<KernelBuffers> make(kern::KernelOp kernel, const reference::Symbols &symbols, WeightArena &arena);

  /// The addresses for the next launch: weights move on by one copy.
  void *const *next();
  /// What the addresses are of.
  struct Buffer {
    uint64_t bytes = 0;
    bool isWeight = false; ///< it moves on
  };
  const std::vector<Buffer> &layout() const { return buffers; }
  bool hasColdWeights() const { return !weights.empty(); }
  uint64_t bytes() const { return total; }

private:
  struct Weight {
    size_t argument;
    size_t bytes;
    mlir::Type element;
  };
  /// Copies of the numbers of kept blocks, which move on with the blocks.
  struct BlockRows {
    size_t argument;
    std::byte *data = nullptr;
    size_t bytes, copies = 1, next = 0;
  };
  void fillBlockRows(const BlockRows &rows, int64_t kept, int64_t of);

  BufferArena memory{/*guarded=*/false};
  std::vector<void *> addresses;
  std::vector<Buffer> buffers;
  std::vector<Weight> weights;
  std::vector<BlockRows> blockRows;
  WeightArena *arena = nullptr;
  uint64_t total = 0;
};

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_KERNELBUFFERS_H
