//===- ContractionSchedule.cpp - how a contraction may run --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ContractionLayout.h"
#include "IntegerProduct.h"
#include "SparseColumns.h"
#include "permalloy/Codegen/CPU/Contraction.h"

#include "llvm/ADT/Sequence.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

/// The longest K that is done in one go; longer ones accumulate blocks in scratch.
static constexpr int64_t kMaxWholeSteps = 1024, kMaxBlockSteps = 512;

/// The widened block of A of one worker stays below this.
static constexpr int64_t kMaxWidenedBytes = 4 << 20;

/// A block of A on AVX2, whose CPUs have smaller caches.
static constexpr int64_t kMaxAllStepsBytes = 512 << 10;

/// From how many columns on, a vocabulary's, tiles of the grid are taken together, how many then,
/// and for how many rows: A is read seldom enough to come from beyond the L2 cache.
static constexpr int64_t kWideColumns = 8192, kWideTiles = 4, kWideRows = 1024;

/// f16 and bf16 are not: all their rows of A would have to be widened in scratch.
static bool takesRuns(const ContractionSize &size) {
  return size.n >= kWideColumns && !isHalf(size.element) && !size.gated && !size.kept && !size.isIntegral();
}

/// The default on AVX2: all of K at once, with few enough rows to keep A in a second-level cache, and turns of four steps, in which
/// 6 x 1 has registers enough (ContractionEmitter::unrolls).
static void takeAllSteps(ContractionSchedule &schedule, int64_t k) {
  schedule.blockSteps = llvm::alignTo(k, 16);
  schedule.blockRows = std::clamp<int64_t>(kMaxAllStepsBytes / (schedule.blockSteps * 4), 40, 240) / schedule.rows * schedule.rows;
  schedule.prefetchPeriod = 4;
}

static bool isInteger(Type element) { return element && element.isInteger(8); }

/// A step of B stands in registers twice: as stored, and half of it widened.
static bool widensPairs(const CpuTarget &target, Type element) {
  return element && (element.isBF16() || (isInteger(element) && !target.hasVnni()));
}

ContractionSchedule ContractionSchedule::choose(const CpuTarget &target, int64_t n, int64_t k,
                                                Type element) {
  ContractionSchedule schedule;
  k = std::max<int64_t>(k, 1); // products of no steps have a block all the same
  int64_t panels = panelsOf(n);
  bool pairs = widensPairs(target, element);
  if (!target.isAvx512())
    std::tie(schedule.rows, schedule.panels) = std::pair(pairs ? 5u : 6u, 1u);
  else if (panels == 1)
    std::tie(schedule.rows, schedule.panels) = std::pair(12u, 1u);
  else if (panels % 3 != 0 && panels % 2 == 0)
    std::tie(schedule.rows, schedule.panels) = std::pair(12u, 2u);
  else
    std::tie(schedule.rows, schedule.panels) = std::pair(8u, 3u);
  // Blocks of K of equal length, short enough that 240 rows of A, and the panels of this block and
  // the next, stay in an L2 cache of 2 MB.
  // A step of integers is a quarter as long.
  int64_t longer = isInteger(element) ? 4 : 1;
  int64_t blocks = k <= kMaxWholeSteps * longer ? 1 : llvm::divideCeil(k, kMaxBlockSteps * longer);
  schedule.blockSteps = llvm::divideCeil(llvm::divideCeil(k, blocks), 16) * 16;
  int64_t blockRows = 240;
  if (takesRuns({n, k, element}) && blocks == 1)
    schedule.runTiles = kWideTiles, blockRows = kWideRows;
  if (isHalf(element))
    blockRows =
        std::clamp(kMaxWidenedBytes / widenedRowBytes(k), int64_t(schedule.rows), blockRows);
  schedule.blockRows = blockRows / schedule.rows * schedule.rows;
  schedule.prefetchPeriod = target.isAvx512() ? 4 : 8;
  if (!target.isAvx512() && !isHalf(element) && !isInteger(element) && schedule.runTiles == 1)
    takeAllSteps(schedule, k);
  return schedule;
}

/// Where rows of A are in the lanes: steps of K from which on it is cut, unless so few are kept of a cut that a tile's sums cost more
/// than they save; bytes of a tile's columns in a cut, which stay in the first cache; and the panels that pass by them.
static constexpr int64_t kLongDepth = 1024, kLeastKeptOfCut = 64, kSliceBytes = 36 << 10, kSlicePanels = 16;

/// And where K is not cut, bytes of A as columns: a second-level cache has 2 MB.
static constexpr int64_t kMaxColumnBytes = 5 << 18;

/// Cuts K where that helps a tile of so many rows that `kept` of K's steps are kept.
static void chooseCut(ContractionSchedule &schedule, const ContractionSize &size) {
  int64_t cut = kSliceBytes / (schedule.rows * 4) / 64 * 64, steps = size.laneSteps();
  if (size.keptOfFour || (steps >= kLongDepth && size.kept * cut / steps >= kLeastKeptOfCut)) {
    schedule.blockSteps = cut, schedule.runTiles = kSlicePanels, schedule.blockRows = 256 / schedule.rows * schedule.rows;
    return;
  }
  int64_t rows = kMaxColumnBytes / (steps * 4) / schedule.rows * schedule.rows;
  schedule.blockSteps = llvm::alignTo(steps, 16), schedule.blockRows = std::clamp<int64_t>(rows, schedule.rows, 240);
}

/// Whether rows of A are in the lanes of products of 8-bit integers.
static bool lanesOfIntegers(const CpuTarget &target) { return target.isAvx512() && target.hasVnni(); }

/// One panel wide and on AVX-512: rows of A in the lanes. Else as the dense product of so many steps as are kept, its tile as wide
/// as divides a slab.
ContractionSchedule ContractionSchedule::chooseSparse(const CpuTarget &target, const ContractionSize &size) {
  ContractionSchedule schedule = choose(target, size.n, size.keptSteps(), size.element);
  schedule.runTiles = 1;
  if (size.isIntegral() && !lanesOfIntegers(target)) { // one panel wide
    schedule.panels = 1, schedule.rows = target.isAvx512() ? 24 : schedule.rows;
    schedule.blockRows = 240 / schedule.rows * schedule.rows;
    return schedule;
  }
  if (size.keptOfFour) {
    schedule.panels = 1, schedule.laneColumns = target.isAvx512() ? 2 : 1, schedule.rows = 8 * target.lanes();
    chooseCut(schedule, size);
    return schedule;
  }
  if (!target.isAvx512())
    return schedule;
  static constexpr std::pair<unsigned, unsigned> kTiles[] = {{8, 3}, {12, 2}, {48, 1}};
  for (auto tile : kTiles)
    if (size.slabPanels % tile.second == 0) {
      std::tie(schedule.rows, schedule.panels) = tile;
      break;
    }
  schedule.blockRows = 240;
  if (schedule.panels == 1 && size.slabPanels > 1) {
    schedule.rows = 24; // lanes of rows are of blocks of one panel only
  } else if (schedule.panels == 1) {
    schedule.laneColumns = 8;
    chooseCut(schedule, size);
  }
  return schedule;
}

int64_t permalloy::codegen::sparseScratchBytes(const ContractionSchedule &schedule, const ContractionSize &size) {
  if (schedule.laneColumns)
    return columnsScratchBytes(schedule, size);
  if (!size.isIntegral())
    return contractionScratchBytes(schedule, size.kept);
  // All steps of A are there, but sums wait only where those that are kept take several blocks.
  bool accumulates = int64_t(llvm::alignTo(schedule.blockSteps, 4)) < size.keptSteps();
  return schedule.blockRows * (integerRowBytes(size.k) + (accumulates ? schedule.panels * kPanelColumns * 4 : 0));
}

bool ContractionSchedule::fits(const CpuTarget &target, Type element, bool quads) const {
  unsigned vectors = panels * kPanelColumns / target.lanes();
  if (laneColumns) {
    int64_t vectorsOfRows = rows / target.lanes();
    int64_t registers = quads ? laneColumns * vectorsOfRows + 2 : (laneColumns + 1) * vectorsOfRows + 1;
    return vectorsOfRows > 0 && rows % target.lanes() == 0 && panels == 1 && registers <= target.vectorRegisters;
  }
  bool pairs = widensPairs(target, element);
  // AVX-512 takes a broadcast from memory as an operand when it has only one use; a register is
  // counted all the same.
  return rows > 0 && panels > 0 &&
         rows * vectors + vectors * (pairs ? 2 : 1) + 1 <= target.vectorRegisters;
}

//===----------------------------------------------------------------------===//
// The space of schedules
//===----------------------------------------------------------------------===//

using Space = ScheduleSpaceOf<ContractionSchedule>;

/// Multiples of the tile's height near these: cuts of the rows for which A stays in some cache.
static Space::Values blockHeights(const ContractionSchedule &s, bool wide) {
  SmallVector<int64_t> heights = {32, 64, 128, 240, 480};
  if (wide)
    heights.push_back(kWideRows);
  Space::Values values;
  for (int64_t rows : heights)
    if (int64_t height = std::max<int64_t>(rows / s.rows, 1) * s.rows;
        !llvm::is_contained(values, height))
      values.push_back(height);
  return values;
}

/// K in 1, 2, 3, ... equal blocks, of 192 steps at least.
static Space::Values blockLengths(int64_t k) {
  Space::Values values;
  for (int64_t blocks : {8, 6, 4, 3, 2, 1}) {
    int64_t steps = llvm::divideCeil(llvm::divideCeil(k, blocks), 16) * 16;
    if ((steps >= 192 || blocks == 1) && !llvm::is_contained(values, steps))
      values.push_back(steps);
  }
  return values;
}

/// Steps of a cut of K with rows of A in the lanes.
static Space::Values cutLengths(int64_t k) {
  Space::Values values;
  for (int64_t steps : {64, 128, 192, 256, 384})
    if (steps < k)
      values.push_back(steps);
  values.push_back(llvm::alignTo(k, 16));
  return values;
}

Space permalloy::codegen::contractionSpace(const CpuTarget &target, const ContractionSize &size) {
  using S = ContractionSchedule;
  auto fits = [=, element = size.element, quads = size.keptOfFour != 0](S s, unsigned rows) {
    s.rows = rows;
    return s.fits(target, element, quads);
  };
  auto isWidth = [&](int64_t panels) { return !size.kept || size.slabPanels % panels == 0; };
  Space space;
  int64_t widest = std::min<int64_t>(size.gated ? 2 : 4, panelsOf(size.n));
  space.add("tile_panels", "packed panels of 16 columns side by side in the register tile",
            &S::panels, Space::Values(llvm::to_vector(llvm::make_filter_range(llvm::seq<int64_t>(1, widest + 1), isWidth))));
  bool lanes = size.kept && size.slabPanels == 1 && (!size.isIntegral() || lanesOfIntegers(target));
  int64_t depth = size.kept ? size.keptSteps() : size.k;
  if (lanes)
    space.add("lane_columns", "columns of a panel at a time with rows of A in the lanes; 0: rows of A are broadcast", &S::laneColumns,
              size.keptOfFour ? Space::Values{1, 2, 4} : Space::Values{0, 8, 16});
  space.add("tile_rows", "rows of A in the register tile", &S::rows, [=](const S &s) {
    Space::Values values;
    if (s.laneColumns) {
      for (unsigned rows = target.lanes(); fits(s, rows); rows += target.lanes())
        values.push_back(rows);
      return values;
    }
    for (unsigned rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28})
      if (fits(s, rows))
        values.push_back(rows);
    return values;
  });
  space.add("block_rows", "rows of A in one tile of the grid", &S::blockRows,
            [wide = takesRuns(size)](const S &s) { return blockHeights(s, wide); });
  space.add("block_steps", "steps of K done for all rows of a block before the next ones",
            &S::blockSteps, [=](const S &s) {
              return s.laneColumns ? cutLengths(size.laneSteps()) : blockLengths(depth);
            });
  space.add("prefetch_period",
            "steps of K between two prefetches of the weights that come next; 0: none",
            &S::prefetchPeriod, {0, 2, 4, 8, 16});
  if (lanes)
    space.add("run_tiles", "panels that pass by a tile of rows in a cut of K", &S::runTiles, [](const S &s) {
      return s.laneColumns ? Space::Values{1, 8, 16, 48} : Space::Values{1};
    });
  if (takesRuns(
          size)) // a row of the tuning database that lacks the parameter is a row of another space
    space.add("run_tiles", "tiles of the grid done for tile_rows rows of A before the next rows",
              &S::runTiles, {1, 2, 3, 4, 6, 8});
  space.require([=, element = size.element, slab = size.kept ? size.slabPanels : 0, quads = size.keptOfFour](const S &s) -> std::string {
    if (slab && slab % s.panels != 0)
      return "tile_panels must divide the " + std::to_string(slab) + " panels of a block";
    if (s.laneColumns < 0 || s.laneColumns > kPanelColumns)
      return "lane_columns must be from 0 to 16";
    if (quads && (s.laneColumns == 0 || kPanelColumns % s.laneColumns != 0))
      return "lane_columns must divide 16";
    if (!s.fits(target, element, quads != 0))
      return "a tile of tile_rows x tile_panels does not fit " +
             std::to_string(target.vectorRegisters) + " registers";
    if (s.blockRows <= 0 || s.blockRows % s.rows != 0)
      return "block_rows must be a multiple of tile_rows";
    if (s.blockSteps <= 0)
      return "block_steps must be positive";
    if (s.runTiles <= 0)
      return "run_tiles must be positive";
    // A turn of the loop over K has so many steps: a power of two, and no long code.
    bool spreads =
        s.prefetchPeriod == 0 || (llvm::isPowerOf2_64(s.prefetchPeriod) && s.prefetchPeriod <= 16);
    return spreads ? "" : "prefetch_period must be 0, 1, 2, 4, 8 or 16";
  });
  return space;
}

int64_t permalloy::codegen::contractionGroups(const ContractionSchedule &schedule, int64_t n) {
  return llvm::divideCeil(panelsOf(n), schedule.panels);
}

int64_t permalloy::codegen::contractionScratchBytes(const ContractionSchedule &schedule, int64_t k,
                                                    Type element) {
  int64_t steps = llvm::alignTo(schedule.blockSteps, element ? tfm::panelPairing(element) : 1);
  int64_t products =
      steps < k ? schedule.blockRows * schedule.runTiles * schedule.panels * kPanelColumns * 4 : 0;
  if (isInteger(element))
    return products + schedule.blockRows * integerRowBytes(k);
  return products + (isHalf(element) ? schedule.blockRows * widenedRowBytes(k) : 0);
}

/// Gathered rows of one block: half of a second-level cache of 2 MB at most, where a block has
/// several register tiles.
static constexpr int64_t kMaxGatheredBytes = 1 << 20;

ContractionSchedule permalloy::codegen::chooseGroupedSchedule(const CpuTarget &target, int64_t n,
                                                              int64_t k, bool gated, Type element) {
  ContractionSchedule schedule = ContractionSchedule::choose(target, n, k, element);
  schedule.runTiles = 1;
  if (gated && target.isAvx512())
    std::tie(schedule.rows, schedule.panels) = std::pair(12u, 2u);
  int64_t rows = std::clamp<int64_t>(kMaxGatheredBytes / widenedRowBytes(k), 1, 240);
  schedule.blockRows = std::max<int64_t>(rows / schedule.rows, 1) * schedule.rows;
  return schedule;
}

int64_t permalloy::codegen::groupedContractionGroups(const ContractionSchedule &schedule, int64_t n,
                                                     bool gated) {
  return gated ? panelsOf(n) / 2 : contractionGroups(schedule, n);
}

int64_t permalloy::codegen::groupedScratchBytes(const ContractionSchedule &schedule, int64_t k,
                                                bool gated, Type element) {
  int64_t steps = llvm::alignTo(schedule.blockSteps, element ? tfm::panelPairing(element) : 1);
  int64_t products = steps < k ? gridPanels(schedule, gated) * kPanelColumns * 4 : 0;
  return schedule.blockRows * (products + widenedRowBytes(k));
}
