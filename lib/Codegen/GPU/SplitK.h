//===- SplitK.h - several blocks for one block of results -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Where a product's blocks are fewer than the multiprocessors, several share a block of results: each
// multiplies a part of K's tiles and leaves its sums in the launch's scratch. The last one to arrive
// adds all of them up, in the order of the parts, so results do not depend on who that is. How many
// share follows from the number of blocks, and so from the rows that the launch has.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_SPLITK_H
#define PERMALLOY_LIB_CODEGEN_GPU_SPLITK_H

#include "Tfm/Tfm.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

namespace permalloy::codegen {

/// No more blocks than these are launched for K to be shared; so many counters a launch needs at most.
constexpr int64_t kSplitBlocks = 256;

/// How many blocks are launched for `blocks` blocks of results, each shared by at most `split`; and the
/// bytes of scratch that they need where each has `sumBytes` of sums.
tfm::DimExprAttr splitBlocks(tfm::DimExprAttr blocks, int64_t split);
tfm::DimExprAttr splitScratch(tfm::DimExprAttr blocks, int64_t split, int64_t sumBytes);
/// The largest power of two, up to 16, by which so many tiles of K may be split where there are `blocks` blocks of results.
int64_t chooseSplit(int64_t tiles, int64_t blocks);

/// The place of this block among those that share K. All numbers are i32.
class SplitK {
public:
  using Value = mlir::Value;
  /// `blocks` of results (i32), each shared by at most `split`.
  SplitK(GpuBuilder &b, Value blocks, int64_t split);

  Value number;     ///< of the block of results
  Value part, parts; ///< of this block among those that share them; null: alone
  /// This block's tiles of K of `count`: from the first to behind the last.
  std::pair<Value, Value> tilesOf(int64_t count);

  /// Calls `store` with the sums of all parts, in the block that comes last; all threads come here. `scratch`: the launch's. `word`: 4
  /// bytes of shared memory that no thread uses any more.
  using Store = llvm::function_ref<void(llvm::ArrayRef<Value> sums)>;
  void finish(llvm::ArrayRef<Value> sums, int64_t threads, Value scratch, Value word, Store store);

private:
  Value sumsOf(Value which, int64_t count, int64_t threads, Value scratch);
  void leave(llvm::ArrayRef<Value> sums, int64_t threads, Value scratch);
  llvm::SmallVector<Value> addParts(llvm::ArrayRef<Value> zeros, int64_t threads, Value scratch);

  GpuBuilder &b;
};

} // namespace permalloy::codegen

#endif
