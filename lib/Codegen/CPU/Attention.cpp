//===- Attention.cpp - grid, packing and output of attention ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionDecode.h"
#include "permalloy/Codegen/CPU/Transpose.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy::codegen;
using namespace mlir;

/// Scores of a block are scratch of every worker.
static constexpr int64_t kMaxKeyBlock = 4096;

AttentionSchedule AttentionSchedule::choose(const CpuTarget &target) {
  return target.isAvx512() ? AttentionSchedule{8, 8, 128} : AttentionSchedule{6, 4, 128};
}

bool AttentionSchedule::fits(const CpuTarget &target) const {
  auto tileFits = [&](unsigned rows) {
    return rows > 0 && rows * kQueryVectors + kQueryVectors + 1 <= target.vectorRegisters;
  };
  return tileFits(keyRows) && tileFits(queryRows) && attentionQueryBlock(target) % queryRows == 0 &&
         keyBlock >= keyRows;
}

ScheduleSpaceOf<AttentionSchedule> permalloy::codegen::attentionSpace(const CpuTarget &target) {
  using S = AttentionSchedule;
  ScheduleSpaceOf<S> space;
  space.add("tile_keys", "keys of a register tile of scores", &S::keyRows, {2, 4, 6, 8, 10, 12, 14});
  space.add("tile_queries", "queries of a register tile of the output", &S::queryRows, {2, 4, 8});
  space.add("block_keys", "keys of one step of the online softmax", &S::keyBlock, {32, 64, 128, 256, 512});
  space.require([=](const S &s) -> std::string {
    if (s.keyBlock > kMaxKeyBlock)
      return "block_keys is more than " + std::to_string(kMaxKeyBlock);
    if (s.fits(target))
      return "";
    return "tile_keys and tile_queries must leave their tiles within " + std::to_string(target.vectorRegisters) +
           " registers, tile_queries divide " + std::to_string(attentionQueryBlock(target)) +
           ", and block_keys be no less than tile_keys";
  });
  return space;
}

int64_t permalloy::codegen::attentionQueryBlock(const CpuTarget &target) {
  return kQueryVectors * target.lanes();
}

int64_t permalloy::codegen::attentionScratchBytes(const CpuTarget &target,
                                                  const AttentionSchedule &schedule, int64_t group,
                                                  int64_t headSize, Type element) {
  bool widens = element && Element::of(element).isHalf();
  return std::max(AttentionScratch(target, schedule, headSize, widens).end,
                  DecodeScratch(target, schedule, group, headSize, widens).end);
}

void AttentionEmitter::emit() {
  Value few = b.less(a.queries, b.i64(decodeQueries(b.target()) + 1));
  b.ifElse(few, [&] { emitDecode(); }, [&] { emitBlocks(); });
}

/// One tile of the grid for each head: the first head of a group does all of the group.
void AttentionEmitter::emitDecode() {
  int64_t group = a.heads / a.kvHeads;
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value tile) {
    Value head = b.rem(tile, a.heads);
    b.ifThen(b.equal(b.rem(head, group), b.i64(0)), [&] {
      DecodeEmitter(b, a, s).emit(b.div(tile, a.heads), b.div(head, group));
    });
  });
}

void AttentionEmitter::emitBlocks() {
  Value blocks = b.ceilDiv(a.queries, width);
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value tile) {
    Value head = b.div(tile, blocks);
    emitTile(b.div(head, a.heads), b.rem(head, a.heads), b.mul(b.rem(tile, blocks), width));
  });
}

void AttentionEmitter::emitTile(Value batch, Value head, Value first) {
  firstQuery = first;
  queryCount = b.min(b.sub(a.queries, first), b.i64(width));
  Value kvHead = a.heads == a.kvHeads ? head : b.div(head, a.heads / a.kvHeads);
  queryRows = b.at(headBase(a.query, batch, head), b.mul(first, a.query.rowStride));
  keyRows = headBase(a.key, batch, kvHead);
  valueRows = headBase(a.value, batch, kvHead);
  outputRows = b.at(headBase(a.output, batch, head), b.mul(first, a.output.rowStride));
  if (a.mask)
    maskBase = b.at(b.at(b.at(a.mask->base, b.mul(batch, a.mask->batchStride)),
                         b.mul(head, a.mask->headStride)),
                    b.mul(first, a.mask->queryStride));
  packQueries();
  for (unsigned v = 0; v < kQueryVectors; ++v) {
    setLanes(b.splat(-kInfinity), layout.maximum, v);
    setLanes(b.splat(0), layout.sum, v);
  }
  b.loop(b.i64(0), b.i64(width * paddedSize * 4), vectorBytes, [&](Value offset) {
    b.store(b.splat(0), b.at(part(layout.output), offset), vectorBytes);
  });
  auto [begin, end] = keyRange(first, queryCount); // blocks that nobody sees are skipped
  b.loop(begin, end, s.keyBlock,
         [&](Value key) { emitKeyBlock(key, b.min(b.sub(end, key), b.i64(s.keyBlock))); });
  storeRows();
}

/// Qt[d][query] = scale * log2(e) * Q[query][d]. Lanes past the last query repeat it.
void AttentionEmitter::packQueries() {
  Value factor = b.splat(a.scale * kLog2e);
  Value lastQuery = b.sub(queryCount, 1);
  for (unsigned v = 0; v < kQueryVectors; ++v)
    forColumns([&](int64_t column, unsigned valid) {
      SmallVector<Value> rows;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        Value query = b.min(b.i64(v * lanes + lane), lastQuery);
        Value address = b.at(queryRows, b.mul(query, a.query.rowStride));
        Value part = ops.loadLanes(element, b.at(address, column * element.bytes()), valid);
        rows.push_back(b.mulf(part, factor));
      }
      rows = emitTranspose(b, rows);
      for (unsigned d = 0; d < valid; ++d)
        setLanes(rows[d], layout.queries + (column + d) * rowBytes, v);
    });
}

/// out = O / l for the queries that exist.
void AttentionEmitter::storeRows() {
  b.loop(b.i64(0), queryCount, 1, [&](Value query) {
    Value sum = b.loadF32(b.at(part(layout.sum), b.mul(query, 4)));
    Value from = b.at(part(layout.output), b.mul(query, paddedSize * 4));
    storeOutputRow(from, b.at(outputRows, b.mul(query, a.output.rowStride)), sum, valueRows);
  });
}

void permalloy::codegen::emitAttention(KernelBuilder &b, const Attention &attention,
                                       const AttentionSchedule &schedule) {
  AttentionEmitter(b, attention, schedule).emit();
}
