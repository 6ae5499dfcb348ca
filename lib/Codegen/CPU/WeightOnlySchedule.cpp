//===- WeightOnlySchedule.cpp - how a product with coded weights may run -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ContractionLayout.h"
#include "WeightOnly.h"
#include "WeightOnlyCodes.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// A tile's panels as f32, in a second-level cache beside rows of A.
static constexpr int64_t kMaxDecodedBytes = 1 << 20;

/// A block of rows of A, likewise.
static constexpr int64_t kMaxBlockBytes = 768 << 10;

WeightOnlySchedule WeightOnlySchedule::choose(const CpuTarget &target, const ContractionSize &size) {
  WeightOnlySchedule schedule;
  int64_t k = std::max<int64_t>(size.k, 1), widest = target.isAvx512() ? 4 : 2;
  schedule.panels = std::clamp<int64_t>(kMaxDecodedBytes / (k * tfm::kPanelColumns * 4), 2, widest);
  schedule.panels = std::max<int64_t>(std::min(schedule.panels, panelsOf(size.n)), 1);
  if (schedule.panels == 3)
    schedule.panels = 2;
  schedule.aheadBytes = 2048;
  schedule.blockRows = std::clamp<int64_t>(kMaxBlockBytes / widenedRowBytes(k) / 12, 4, 20) * 12;
  return schedule;
}

ScheduleSpaceOf<WeightOnlySchedule> permalloy::codegen::weightOnlySpace(const CpuTarget &target,
                                                                        const ContractionSize &size) {
  using S = WeightOnlySchedule;
  ScheduleSpaceOf<S> space;
  ScheduleSpace::Values panels;
  for (int64_t width : {1, 2, 4})
    if (width <= std::min<int64_t>(target.isAvx512() ? 4 : 2, std::max<int64_t>(panelsOf(size.n), 1)))
      panels.push_back(width);
  space.add("tile_panels", "packed panels of 16 columns side by side", &S::panels, panels);
  space.add("ahead_bytes", "bytes of codes that up to 16 rows fetch ahead in each panel; 0: no prefetch", &S::aheadBytes,
            {0, 1024, 2048, 3072, 4096});
  space.add("block_rows", "rows of A in one tile of the grid, where they are more than 16", &S::blockRows,
            {48, 96, 144, 192, 240});
  space.require([=](const S &s) -> std::string {
    if (!llvm::is_contained(panels, s.panels))
      return "tile_panels must be 1, 2 or 4, no more than the weight has, and 2 at most on AVX2";
    if (s.aheadBytes < 0 || s.aheadBytes % 64 != 0)
      return "ahead_bytes must be a multiple of 64";
    return s.blockRows > kFewCodedRows && s.blockRows % 12 == 0 ? "" : "block_rows must be a multiple of 12 above 16";
  });
  return space;
}

int64_t permalloy::codegen::weightOnlyGroups(const WeightOnlySchedule &schedule, int64_t n) {
  return llvm::divideCeil(panelsOf(n), schedule.panels);
}

int64_t permalloy::codegen::weightOnlyScratchBytes(const WeightOnlySchedule &schedule, const CpuTarget &target,
                                                   const ContractionSize &size) {
  return WeightOnlyScratch(schedule, *size.coded, size.k, size.element, !target.isAvx512()).bytes;
}

WeightOnlyScratch::WeightOnlyScratch(const WeightOnlySchedule &schedule, const CodeFormat &format, int64_t k, Type element,
                                     bool isAvx2) {
  CodeLayout layout(format, k);
  bool inPlace = isAvx2 && format.storedBits == 4 && !format.hasCodebook;
  stagesFew = isHalf(element) || k % layout.steps != 0 || inPlace;
  stagesMany = isHalf(element);
  rowBytes = widenedRowBytes(layout.rows * layout.steps);
  sumBytes = format.hasZeroPoints || (inPlace && format.isSigned) ? llvm::alignTo(layout.groups * 4, 64) : 0;
  decodedPanelBytes = layout.rows * layout.steps * tfm::kPanelColumns * 4;
  rows = 64;
  sums = rows + (stagesFew ? kFewCodedRows * rowBytes : 0);
  int64_t few = sums + kFewCodedRows * sumBytes;
  decoded = rows + (stagesMany ? schedule.blockRows * rowBytes : 0);
  bytes = std::max(few, decoded + schedule.panels * decodedPanelBytes);
}

std::string permalloy::codegen::whyNotWeightOnly(const CodeFormat &format, int64_t k) {
  if (k < 1)
    return "its weight has no steps";
  if (!format.scales.isF16() && !format.scales.isF32())
    return "its scales are neither f16 nor f32";
  if (format.hasCodebook && format.bits > 4)
    return "its codebook has more than 16 values";
  int64_t steps = 32 / format.storedBits;
  if (format.group < k && format.group % steps != 0)
    return "groups of " + std::to_string(format.group) + " are no multiple of " + std::to_string(steps);
  return "";
}
