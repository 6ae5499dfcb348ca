//===- AttentionSchedule.cpp - the schedules of attention on a GPU -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionSchedule.h"

using namespace permalloy::codegen;

/// What queries, scores and outputs may take of the 255 registers of a thread.
static constexpr int64_t kRegisters = 200;
/// What the default schedule takes at most, so that nothing spills.
static constexpr int64_t kDefaultRegisters = 150;
/// Of a multiprocessor.
static constexpr int64_t kAllRegisters = 65536;

bool GpuAttentionSchedule::keepsQueries(const AttentionShape &shape, int64_t rows) const {
  return shape.onTensorCores && queryRegisters(shape, rows) <= 32;
}

int64_t GpuAttentionSchedule::registers(const AttentionShape &shape) const {
  int64_t queries = keepsQueries(shape, warpRows) ? queryRegisters(shape, warpRows) : 0;
  return queries + warpRows * (keys + shape.paddedSize()) / 32;
}

/// Beside those a lane has operands on their way, addresses and statistics.
int64_t GpuAttentionSchedule::wantedRegisters(const AttentionShape &shape) const {
  return registers(shape) + (shape.onTensorCores ? 90 : 140) + (shape.hasMask ? 10 : 0);
}

/// Left alone, ptxas may spill to fit one block more.
int64_t GpuAttentionSchedule::blocksTogether(const AttentionShape &shape) const {
  return std::max<int64_t>(1, kAllRegisters / (threads() * wantedRegisters(shape)));
}

/// The widest rows of a warp and tiles of keys that registers and shared memory hold: each tile that is read from shared
/// memory then serves most products.
GpuAttentionSchedule GpuAttentionSchedule::choose(const AttentionShape &shape, int64_t sharedBytes) {
  GpuAttentionSchedule s;
  if (!shape.onTensorCores) {
    s.warpRows = shape.paddedSize() <= 64 ? 32 : 16;
    s.keys = 32;
    s.fewRows = std::clamp<int64_t>(llvm::PowerOf2Ceil(shape.group), 4, 16);
  }
  if (shape.isTf32 && shape.paddedSize() > 64)
    s.keys = 32; // two blocks in a multiprocessor's shared memory
  int64_t least = shape.onTensorCores ? 16 : 8;
  while (s.keys > least && (s.sharedBytes(shape) > sharedBytes || s.registers(shape) > kDefaultRegisters))
    s.keys /= 2;
  while (s.warps > 1 && s.sharedBytes(shape) > sharedBytes)
    s.warps /= 2;
  while (s.fewKeys > least && s.fewSharedBytes(shape) > sharedBytes)
    s.fewKeys /= 2;
  while (s.warps > 1 && s.fewSharedBytes(shape) > sharedBytes)
    s.warps /= 2;
  return s;
}

ScheduleSpaceOf<GpuAttentionSchedule> permalloy::codegen::gpuAttentionSpace(const AttentionShape &shape, int64_t sharedBytes) {
  using S = GpuAttentionSchedule;
  ScheduleSpaceOf<S> space;
  bool isTensor = shape.onTensorCores;
  ScheduleSpace::Values rows = isTensor ? ScheduleSpace::Values{16, 32} : ScheduleSpace::Values{8, 16, 32};
  ScheduleSpace::Values few = isTensor ? ScheduleSpace::Values{16} : ScheduleSpace::Values{4, 8, 16};
  space.add("warps", "warps of a block", &S::warps, {2, 4, 8});
  space.add("warp_rows", "rows of a warp, each a query of one head", &S::warpRows, rows);
  space.add("keys", "keys of a tile", &S::keys, {16, 32, 64, 128});
  space.add("stages", "tiles of keys and of values in shared memory", &S::stages, {1, 2});
  space.add("few_rows", "rows of a warp where there are no more", &S::fewRows, few);
  space.add("few_keys", "keys of a warp's tile then", &S::fewKeys, {16, 32});
  space.add("split_keys", "least keys of a block then", &S::splitKeys, {128, 256, 512});
  space.require([=](const S &s) -> std::string {
    int64_t unit = isTensor ? 16 : 4, tile = isTensor ? 16 : 8;
    auto isWrong = [](int64_t value, int64_t of, int64_t most) { return value <= 0 || value % of || value > most; };
    if (isWrong(s.warpRows, unit, 32) || isWrong(s.fewRows, unit, 32))
      return "warp_rows and few_rows must be multiples of " + std::to_string(unit) + " up to 32";
    if (isWrong(s.keys, tile, 256) || isWrong(s.fewKeys, tile, 256))
      return "keys and few_keys must be multiples of " + std::to_string(tile) + " up to 256";
    if (isWrong(s.warps, 1, 16) || isWrong(s.stages, 1, 2) || isWrong(s.splitKeys, s.fewKeys, 1 << 20))
      return "warps must be up to 16, stages 1 or 2, and split_keys a multiple of few_keys";
    return s.registers(shape) > kRegisters ? "queries, scores and outputs do not fit the registers" : "";
  });
  space.require([=](const S &s) -> std::string {
    int64_t bytes = std::max(s.sharedBytes(shape), s.fewSharedBytes(shape));
    return bytes > sharedBytes ? "the tiles need " + std::to_string(bytes) + " bytes of shared memory; there are " +
                                     std::to_string(sharedBytes)
                               : "";
  });
  return space;
}
