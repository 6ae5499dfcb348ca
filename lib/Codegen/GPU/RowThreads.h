//===- RowThreads.h - threads that share a row ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_ROWTHREADS_H
#define PERMALLOY_LIB_CODEGEN_GPU_ROWTHREADS_H

#include "permalloy/Codegen/GPU/WarpBuilder.h"

namespace permalloy::codegen {

/// A block's threads in groups of `perRow`, a power of two: neighbours of one warp, or a block of whole
/// warps. What a group finds together it says by shuffles and, between warps, through shared memory.
class RowThreads {
public:
  using Value = mlir::Value;

  /// Stands at the entry of the function.
  RowThreads(GpuBuilder &b, int64_t perRow, int64_t rowsPerBlock);

  /// The row of this thread's group, of all in the grid, and the thread's number in the group; i64.
  Value row() const { return ownRow; }
  Value lane() const { return ownLane; }
  int64_t count() const { return perRow; }

  /// What `combine` makes of the group's values (f32 or i32), in a fixed order; every thread has the
  /// same bits. `combine` is commutative. All threads of the block come by.
  using Combine = llvm::function_ref<Value(Value x, Value y)>;
  Value reduce(Value own, Combine combine);

  /// Ends a sequence of reductions that some blocks may have skipped: the next begins with all values read.
  void separate() { warp.barrier(); }

  /// Shared memory that reduce takes.
  static int64_t sharedBytes(int64_t perRow) { return perRow > kWarp ? 2 * perRow / kWarp * 4 : 0; }

  static constexpr int64_t kWarp = 32;

private:
  Value reduceWarps(Value own, Combine combine);

  GpuBuilder &b;
  WarpBuilder warp;
  int64_t perRow;
  Value ownRow, ownLane, shared;
  unsigned reductions = 0;
};

} // namespace permalloy::codegen

#endif
