//===- AmxSchedule.cpp - defaults, legal values, scratch ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AmxSchedule.h"
#include "AmxTiles.h"
#include "Tfm/Panels.h"
#include "Tfm/PrecisionAttr.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static constexpr int64_t kBlock = AmxSchedule::kBlock;
/// A row of a tile, and of a block of C.
static constexpr int64_t kLineBytes = AmxTiles::kRowBytes, kRowBytes = kBlock * 4;

static_assert(kSplitDepth % AmxTiles::kSteps == 0, "a layer that is split has no last step of fewer elements");

bool permalloy::codegen::runsOnAmx(const CpuTarget &target, const ContractionSize &size) {
  return target.hasAmx() && !size.kept && size.element && (size.element.isBF16() || size.isIntegral() || (size.split && size.k % kSplitDepth == 0));
}

int64_t permalloy::codegen::amxSteps(Type element) {
  return element && element.isInteger(8) ? AmxTiles::kIntegerSteps : AmxTiles::kSteps;
}

/// Steps of a tile in a block of K: all up to 24 of them, else blocks of equal length of at most 12 (24 KB of weights, half of a
/// first-level cache): with 16, 128 x 768 x 3072 in bf16 took 1.11 to 1.14 times as long. Of integers, which are packed slower, 16.
static int64_t chooseBlockTiles(int64_t k, int64_t steps) {
  int64_t tiles = llvm::divideCeil(k, steps);
  int64_t most = steps == AmxTiles::kIntegerSteps ? 16 : 12;
  return tiles <= 24 ? std::max<int64_t>(tiles, 1) : llvm::divideCeil(tiles, llvm::divideCeil(tiles, most));
}

/// Rows of the epilogue per step so that all 32, but for a few, are done in `tiles` steps.
static int64_t chooseEpilogueRows(int64_t tiles) {
  return std::min<int64_t>(llvm::divideCeil(kBlock, tiles), 8);
}

/// From how many columns on pairs of panels are taken together, how many then, and for how many rows: A is read seldom enough to
/// come from beyond the L2 cache.
static constexpr int64_t kWideColumns = 8192, kWidePairs = 16, kWideRows = 1024;

AmxSchedule AmxSchedule::choose(const ContractionSize &size) {
  // Three quarters of a second-level cache of 2 MB, but no fewer rows than it takes to read the weights seldom: at K = 8192 and 11008
  // blocks of 32 and 64 rows took 1.44 to 1.65 times as long as these (benchmarks/data/tuning-intel-xeon-amx.jsonl.gz), at K = 3072
  // two of 99 rows 1.29 times as long as one of 197.
  constexpr int64_t packedBytes = 3 << 19, leastRows = 128;
  AmxSchedule schedule;
  int64_t steps = amxSteps(size.element), tiles = chooseBlockTiles(size.k, steps);
  int64_t rowBytes = std::max<int64_t>(llvm::divideCeil(size.k, steps), 1) * kLineBytes * (size.split ? 2 : 1);
  schedule.blockRows = std::clamp<int64_t>(packedBytes / rowBytes / kBlock * kBlock, size.grouped ? kBlock : leastRows,
                                           size.grouped ? 256 : 512);
  schedule.blockSteps = size.split ? size.k : tiles * steps;
  schedule.epilogueRows = chooseEpilogueRows(schedule.blockSteps / steps);
  if (size.n >= kWideColumns && schedule.blockSteps >= size.k && !size.gated && !size.grouped && !size.split) {
    schedule.groupPairs = kWidePairs;
    schedule.blockRows = kWideRows;
  }
  return schedule;
}

using Space = ScheduleSpaceOf<AmxSchedule>;

/// K whole, and in equal blocks of 8 to 32 tiles.
static Space::Values blockLengths(int64_t k, int64_t tileSteps) {
  int64_t tiles = std::max<int64_t>(llvm::divideCeil(k, tileSteps), 1);
  Space::Values values;
  for (int64_t most : {8, 12, 16, 24, 32}) {
    int64_t steps = llvm::divideCeil(tiles, llvm::divideCeil(tiles, most)) * tileSteps;
    if (!llvm::is_contained(values, steps))
      values.push_back(steps);
  }
  if (!llvm::is_contained(values, tiles * tileSteps))
    values.push_back(tiles * tileSteps);
  return values;
}

Space permalloy::codegen::amxSpace(const ContractionSize &size) {
  using S = AmxSchedule;
  Space space;
  space.add("block_rows", "rows of A packed together, in one tile of the grid", &S::blockRows,
            {32, 64, 128, 256, 512, 1024});
  space.add("block_steps", "steps of K done for all rows of a block before the next ones", &S::blockSteps,
            size.split ? Space::Values{size.k} : blockLengths(size.k, amxSteps(size.element)));
  space.add("epilogue_rows", "rows of the epilogue done in one step of tiles along K", &S::epilogueRows, {1, 2, 4, 8});
  if (!size.grouped && !size.split)
    space.add("group_pairs", "pairs of panels done for 32 rows of A before the next rows", &S::groupPairs, {1, 16});
  space.add("prefetch", "1: fetch the panels that come next; 0: do not", &S::prefetch, {0, 1});
  space.require([k = size.k, split = size.split, steps = amxSteps(size.element)](const S &s) -> std::string {
    if (s.blockRows <= 0 || s.blockRows % kBlock != 0)
      return "block_rows must be a multiple of 32";
    if (s.blockSteps <= 0 || s.blockSteps % steps != 0)
      return "block_steps must be a multiple of " + std::to_string(steps);
    if (split && s.blockSteps != k)
      return "block_steps must be K where operands are split";
    if (s.epilogueRows < 1 || s.epilogueRows > 8)
      return "epilogue_rows must lie within 1 and 8";
    if (s.groupPairs < 1 || (s.groupPairs > 1 && s.blockSteps < k))
      return "group_pairs must be positive, and 1 where block_steps is less than K";
    return s.prefetch > 1 ? "prefetch must be 0 or 1" : "";
  });
  return space;
}

int64_t permalloy::codegen::amxGroups(const ContractionSize &size) {
  return llvm::divideCeil(llvm::divideCeil(size.n, tfm::kPanelColumns), 2);
}

AmxScratch::AmxScratch(const AmxSchedule &s, int64_t k, int64_t tileSteps, bool split)
    : tiles(llvm::divideCeil(k, tileSteps) * (split ? 2 : 1)), accumulates(s.blockSteps < k), packed(kLineBytes),
      sums(packed + s.blockRows * tiles * kLineBytes),
      products(sums + (accumulates ? s.blockRows * kRowBytes : 0)), lastRows(products + kBlock * kRowBytes),
      halves(lastRows + (k % tileSteps != 0 ? 2 * AmxTiles::kBytes : 0)), bytes(halves + (split ? 4 * k / 2 * kLineBytes : 0)) {}

int64_t permalloy::codegen::amxScratchBytes(const AmxSchedule &schedule, const ContractionSize &size) {
  return AmxScratch(schedule, size.k, amxSteps(size.element), size.split).bytes;
}
