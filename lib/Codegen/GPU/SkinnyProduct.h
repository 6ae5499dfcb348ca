//===- SkinnyProduct.h - a product of few rows -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Up to 8 rows of A times a weight: what decides is how fast the weight comes from memory. A warp
// reads 512 bytes of a panel at once, which follow each other: 8 rows (of f16: 16), 16 bytes a
// thread. `loads` of them are under way while the ones before are multiplied. A thread has its four
// columns of its rows of the panel, for all rows of A:
//
//   thread l of a warp: chunk l % 4 of row l / 4     sums[row of A][column of the chunk]
//
// K is shared three times: by the threads of a warp (sums are exchanged with shuffles), by warps of a
// block (shared memory), and, where a weight has few columns, by `split` blocks: each leaves its sums
// in the launch's scratch, and the one that comes last, which a counter tells, adds all of them in the
// order of their numbers. So results do not depend on who came last.
//
// Rows of A are read where they lie: they are few, and stay in the first cache.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_SKINNYPRODUCT_H
#define PERMALLOY_LIB_CODEGEN_GPU_SKINNYPRODUCT_H

#include "ProductWeight.h"

namespace permalloy::codegen {

/// Rows of A that such a product has at most.
constexpr int64_t kSkinnyRows = 8;

struct SkinnySchedule {
  int64_t warps = 8;  ///< of a block
  int64_t panels = 1; ///< of a block; warps / panels of its warps share the K of one
  int64_t loads = 4;  ///< of 16 bytes that a thread has under way
  int64_t split = 1;  ///< blocks that share K

  /// The default for a weight with `warps` warps in a block.
  static SkinnySchedule choose(const ProductWeight &weight, bool isGated = false, int64_t warps = 8);
};

/// Why such a product cannot run like that; empty when it can.
std::string whyNotSkinny(const SkinnySchedule &schedule, const ProductWeight &weight, bool isGated);

/// Declares the parameters of S, which is a SkinnySchedule and more; `warps` says how many a block of
/// a schedule has.
template <typename S>
void addSkinnyParameters(ScheduleSpaceOf<S> &space, const ProductWeight &weight, bool isGated,
                         std::function<int64_t(const S &)> warps) {
  auto member = [](int64_t SkinnySchedule::*of) { return static_cast<int64_t S::*>(of); };
  space.add("skinny_panels", "few rows: panels of 16 columns in a block",
            member(&SkinnySchedule::panels), {1, 2, 4});
  space.add("skinny_loads", "few rows: accesses of 16 bytes that a thread has under way",
            member(&SkinnySchedule::loads), {2, 4, 8});
  space.add("skinny_split", "few rows: blocks that share K", member(&SkinnySchedule::split),
            {1, 2, 4, 8, 16});
  space.require([=](const S &s) {
    SkinnySchedule own = s;
    own.warps = warps(s);
    return whyNotSkinny(own, weight, isGated);
  });
}

/// Where a block stands in such a product, and the memory that blocks share.
struct SkinnyPlace {
  mlir::Value group;        ///< of panels, below skinnyGroups
  mlir::Value part;         ///< of K, below split
  mlir::Value shared;       ///< skinnySharedBytes, 16-byte aligned
  mlir::Value scratch = {}; ///< skinnyScratchBytes; null where split is 1
  mlir::Value counters = {}; ///< skinnyGroups of them
};

/// Groups of panels: a product takes skinnyGroups x split blocks.
int64_t skinnyGroups(const ProductWeight &weight, const SkinnySchedule &schedule,
                     bool isGated = false);
int64_t skinnySharedBytes(const SkinnySchedule &schedule, bool isGated = false);
int64_t skinnyScratchBytes(const ProductWeight &weight, const SkinnySchedule &schedule,
                           bool isGated = false);

/// Emits the part of the product of one block, of 32 * schedule.warps threads; all of them come here.
void emitSkinnyProduct(GpuBuilder &b, const BlockProduct &product, const SkinnySchedule &schedule,
                       const SkinnyPlace &place);

} // namespace permalloy::codegen

#endif
