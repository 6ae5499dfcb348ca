//===- TensorSchedule.cpp - schedules of products on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TensorBlock.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

TensorLayout::TensorLayout(const TensorSize &size, const TensorSchedule &s) {
  int64_t panels = s.blockColumns / tfm::kPanelColumns, steps = s.blockWords * elementsPerWord(size.type);
  lines = steps / size.lineSteps();
  rowBytes = s.blockRows * s.blockWords * 4;
  columnBytes = panels * lines * kLineBytes;
  if (size.codes) {
    groups = size.codes->group >= std::min(steps, size.depth) ? 1 : steps / size.codes->group;
    scaleRowBytes = size.codes->scaleBytes * tfm::kPanelColumns;
    scaleBytes = panels * groups * scaleRowBytes;
    zeroBytes = size.codes->hasZeroPoints ? scaleBytes : 0;
  }
  stageBytes = llvm::alignTo(rowBytes + columnBytes + scaleBytes + zeroBytes, 128);
  table = s.stages * stageBytes;
  sharedBytes = table + (size.codes ? size.codes->entries * kTableRowBytes : 0);
}

/// Groups of K begin with tiles of K, or tiles with groups.
static bool groupsFit(const TensorSize &size, int64_t blockWords) {
  int64_t steps = blockWords * elementsPerWord(size.type), stepOfMma = kStepWords * elementsPerWord(size.type), group = size.codes->group;
  return group >= size.depth || group % steps == 0 || (steps % group == 0 && group % stepOfMma == 0);
}

std::string codegen::whyNotTensor(const TensorSize &size) {
  if (size.codes && !groupsFit(size, 16) && !groupsFit(size, 32))
    return "groups of " + std::to_string(size.codes->group) + " steps neither divide the tiles of K nor are multiples of them";
  return size.depth < 1 || size.columns < 1 ? "it has no elements" : "";
}

static std::string whyNotWarps(const TensorSchedule &s) {
  if (s.warpRows <= 0 || s.warpColumns <= 0 || s.warpRows % 16 || s.warpColumns % kGroupColumns)
    return "warp_rows must be a multiple of 16 and warp_columns of 32";
  if (s.blockRows % s.warpRows || s.blockColumns % s.warpColumns)
    return "the warps do not fill the block";
  if (s.blockWords != 16 && s.blockWords != 32)
    return "block_words must be 16 or 32";
  if (s.stages < 2)
    return "stages must be at least 2";
  if (s.splitK < 1 || s.splitK > kSplitBlocks)
    return "split_k must be between 1 and " + std::to_string(kSplitBlocks);
  return s.warpRows * s.warpColumns > 64 * 64 ? "the results do not fit the registers" : "";
}

/// A thread's copies must lie a constant apart, in the permutation of shared memory, too.
static std::string whyNotCopies(const TensorSize &size, const TensorSchedule &s) {
  int64_t chunks = s.blockRows * s.blockWords / 4, rows = s.threads() / (s.blockWords / 4);
  if (s.threads() > 1024 || chunks % s.threads())
    return "the threads do not share the copies evenly";
  if (rows % 8) // the period of A's permutation
    return "the threads copy " + std::to_string(rows) + " rows of A at once, which must be a multiple of 8";
  TensorLayout layout(size, s);
  int64_t panel = layout.lines * kLineBytes / kChunkBytes, all = layout.columnBytes / kChunkBytes;
  if (all % s.threads() && all > s.threads())
    return "the threads do not share the copies evenly";
  if (panel > s.threads() ? panel % s.threads() || s.threads() / 4 % 4 : s.threads() % panel) // the period of B's
    return "the threads are neither a part nor a multiple of the copies of a panel";
  return layout.scaleBytes / kChunkBytes > s.threads() ? "there are more scales than the threads copy at once" : "";
}

std::string codegen::whyNotTensor(const TensorSize &size, const TensorSchedule &s, int64_t sharedBytes) {
  if (std::string why = whyNotWarps(s); !why.empty())
    return why;
  if (std::string why = whyNotCopies(size, s); !why.empty())
    return why;
  if (size.codes && !groupsFit(size, s.blockWords))
    return "groups of " + std::to_string(size.codes->group) + " steps do not fit tiles of " + std::to_string(s.blockWords) + " words";
  if (s.splitK > 1 && s.splitK > s.tilesOfK(size))
    return "split_k is more than the tiles of K";
  int64_t bytes = TensorLayout(size, s).sharedBytes;
  return bytes > sharedBytes ? "the stages need " + std::to_string(bytes) + " bytes of shared memory; there are " + std::to_string(sharedBytes) : "";
}

/// Large blocks where there are many of them; small ones otherwise, and parts of K, so that more multiprocessors have something to do.
TensorSchedule TensorSchedule::choose(const TensorSize &size, std::optional<int64_t> rows) {
  TensorSchedule s;
  if (rows && *rows <= 32)
    s.blockRows = 32, s.warpRows = 16;
  else if (size.columns >= 2048 && (!rows || *rows >= 256))
    s.blockRows = s.blockColumns = 128, s.warpRows = 64, s.warpColumns = size.codes ? 32 : 64; // scales and zero points take registers
  if (size.codes && !groupsFit(size, s.blockWords))
    s.blockWords = 32;
  s.splitK = chooseSplit(s.tilesOfK(size), s.across(size) * llvm::divideCeil(rows.value_or(1), s.blockRows));
  return s;
}
