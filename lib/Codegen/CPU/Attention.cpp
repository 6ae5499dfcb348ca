//===- Attention.cpp - grid, packing and output of attention ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AmxAttention.h"
#include "AttentionDecode.h"
#include "permalloy/Codegen/CPU/Transpose.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy::codegen;
using namespace mlir;

/// Scores of a block are scratch of every worker.
static constexpr int64_t kMaxKeyBlock = 4096;
static constexpr int64_t kMaxQueryBlocks = 256;

bool permalloy::codegen::attentionUsesAmx(const CpuTarget &target, Type element) {
  return target.hasAmx() && element && element.isBF16();
}

AttentionSchedule AttentionSchedule::choose(const CpuTarget &target, Type element) {
  if (attentionUsesAmx(target, element))
    return AttentionSchedule{0, 0, 256, 8};
  return target.isAvx512() ? AttentionSchedule{8, 6, 128, 6, 3} : AttentionSchedule{6, 4, 128, 8, 2};
}

bool AttentionSchedule::fits(const CpuTarget &target, Type element) const {
  if (attentionUsesAmx(target, element))
    return keyBlock > 0 && keyBlock % AmxAttentionEmitter::kKeys == 0 && queryBlocks > 0;
  auto tileFits = [&](unsigned rows, unsigned columns) {
    return rows > 0 && rows * columns + columns + 1 <= target.vectorRegisters;
  };
  return queryVectors > 0 && queryVectors <= kMaxQueryVectors && tileFits(keyRows, queryVectors) && tileFits(queryRows, 1) &&
         attentionQueryBlock(target, *this) % queryRows == 0 && keyBlock >= keyRows && queryBlocks > 0;
}

ScheduleSpaceOf<AttentionSchedule> permalloy::codegen::attentionSpace(const CpuTarget &target,
                                                                       Type element) {
  using S = AttentionSchedule;
  ScheduleSpaceOf<S> space;
  bool usesAmx = attentionUsesAmx(target, element);
  if (!usesAmx) {
    space.add("tile_keys", "keys of a register tile of scores", &S::keyRows, {2, 4, 6, 8, 10, 12, 14});
    space.add("query_vectors", "registers of queries of a block", &S::queryVectors, {2, 3});
    space.add("tile_queries", "queries of a register tile of the output", &S::queryRows, {2, 4, 6, 8, 12});
  }
  space.add("block_keys", "keys of one step of the online softmax", &S::keyBlock, {32, 64, 128, 256, 512});
  space.add("query_blocks", "blocks of queries that share a block of keys", &S::queryBlocks, {1, 2, 4, 8, 16});
  space.require([=](const S &s) -> std::string {
    if (s.keyBlock > kMaxKeyBlock)
      return "block_keys is more than " + std::to_string(kMaxKeyBlock);
    if (s.queryBlocks > kMaxQueryBlocks)
      return "query_blocks is more than " + std::to_string(kMaxQueryBlocks);
    if (s.fits(target, element))
      return "";
    if (usesAmx)
      return "block_keys must be a multiple of " + std::to_string(AmxAttentionEmitter::kKeys);
    return "tile_keys and tile_queries must leave their tiles within " + std::to_string(target.vectorRegisters) +
           " registers, tile_queries divide " + std::to_string(attentionQueryBlock(target, s)) +
           ", query_vectors be at most " + std::to_string(kMaxQueryVectors) + ", and block_keys be no less than tile_keys";
  });
  return space;
}

int64_t permalloy::codegen::attentionQueryBlock(const CpuTarget &target, const AttentionSchedule &schedule) {
  return schedule.queryVectors * target.lanes();
}

int64_t permalloy::codegen::attentionTilesPerHead(const CpuTarget &target,
                                                  const AttentionSchedule &schedule, int64_t group,
                                                  int64_t queries) {
  int64_t blocks = llvm::divideCeil(queries, attentionQueryBlock(target, schedule));
  return llvm::divideCeil(group * blocks, schedule.queryBlocks);
}

int64_t permalloy::codegen::attentionScratchBytes(const CpuTarget &target,
                                                  const AttentionSchedule &schedule, int64_t group,
                                                  int64_t headSize, Type element, bool masksByQuery) {
  int64_t blocks = attentionUsesAmx(target, element)
                       ? AmxAttentionScratch(schedule, headSize, masksByQuery).end
                       : AttentionScratch(target, schedule, headSize, /*copies=*/true).end;
  return std::max(blocks, DecodeScratch(target, schedule, group, headSize).end);
}

bool AttentionEmitter::copies(const Attention &a) {
  return (a.element && Element::of(a.element).isHalf()) || a.key.rowStride != a.headSize * 4 ||
         a.value.rowStride != a.headSize * 4;
}

void AttentionEmitter::emit() {
  auto emitMany = [&] { attentionUsesAmx(b.target(), a.element) ? AmxAttentionEmitter(b, a, s).emit() : emitBlocks(); };
  if (a.offsets)
    return emitMany();
  Value few = b.less(a.queries, b.i64(decodeQueries(b.target()) + 1));
  b.ifElse(few, [&] { emitDecode(); }, emitMany);
}

/// The first tile of each key/value head does all of it.
void AttentionEmitter::emitDecode() {
  Value perHead = b.i64(attentionTilesPerHead(b.target(), s, group, 1));
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value tile) {
    b.ifThen(b.equal(b.rem(tile, perHead), b.i64(0)), [&] {
      Value index = b.div(tile, perHead);
      DecodeEmitter(b, a, s).emit(b.div(index, a.kvHeads), b.rem(index, a.kvHeads));
    });
  });
}

void AttentionEmitter::emitBlocks() {
  forTiles([&](const Attention &one, Value batchIndex, Value kvHeadIndex, Value number) {
    AttentionEmitter(b, one, s).emitShare(batchIndex, kvHeadIndex, number);
  });
}

void AttentionEmitter::emitShare(Value batchIndex, Value kvHeadIndex, Value number) {
  forShare(number, [&](Value first, Value count) { emitTile(batchIndex, kvHeadIndex, first, count); });
}

void AttentionEmitter::emitTile(Value batchIndex, Value kvHead, Value firstBlock, Value blockCount) {
  batch = batchIndex;
  keyRows = headBase(a.key, batch, kvHead);
  valueRows = headBase(a.value, batch, kvHead);
  auto eachBlock = [&](function_ref<void()> body) {
    forBlocks(kvHead, firstBlock, blockCount, layout.blocks, layout.blockBytes, body);
  };
  eachBlock([&] {
    packQueries();
    clearOutput();
  });
  std::pair<Value, Value> attended = attendedRange(batch);
  auto [first, count] = queryRange(firstBlock, blockCount);
  auto [firstKey, endKey] = keyRange(attended, first, count);
  b.loop(firstKey, endKey, s.keyBlock, [&](Value key) {
    Value count = b.min(b.sub(endKey, key), b.i64(s.keyBlock));
    loadKeys(key, count);
    Value next = b.add(key, s.keyBlock);
    nextKeys = b.at(keyRows, b.mul(next, a.key.rowStride));
    nextValues = b.at(valueRows, b.mul(next, a.value.rowStride));
    fetchedRows = b.select(b.less(next, endKey), b.div(b.add(blockCount, s.keyRows - 1), blockCount), b.i64(0));
    eachBlock([&] { emitVisibleKeys(key, count, attended); });
  });
  eachBlock([&] { storeRows(); });
}

/// Qt[d][query] = scale * log2(e) * Q[query][d]. Lanes past the last query repeat it.
void AttentionEmitter::packQueries() {
  Value factor = b.splat(a.scale * kLog2e), lastQuery = b.sub(queryCount, 1);
  Value rows = b.at(headBase(a.query, batch, head), b.mul(firstQuery, a.query.rowStride));
  auto packSquare = [&](Value firstLane, Value column, unsigned valid) {
    SmallVector<Value> square;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      Value query = b.min(b.add(firstLane, lane), lastQuery);
      Value address = b.at(b.at(rows, b.mul(query, a.query.rowStride)), b.mul(column, element.bytes()));
      square.push_back(b.mulf(ops.loadLanes(element, address, valid), factor));
    }
    square = emitTranspose(b, square);
    Value to = b.at(ofBlock(layout.queries), b.add(b.mul(column, rowBytes), b.mul(firstLane, 4)));
    for (unsigned d = 0; d < valid; ++d)
      setLanes(square[d], b.at(to, d * rowBytes), 0);
  };
  int64_t whole = a.headSize / lanes * lanes;
  b.loop(b.i64(0), queryCount, lanes, [&](Value lane) {
    b.loop(b.i64(0), b.i64(whole), lanes, [&](Value column) { packSquare(lane, column, lanes); });
    if (whole < a.headSize)
      packSquare(lane, b.i64(whole), a.headSize - whole);
  });
}

/// m = -inf, l = 0, O = 0.
void AttentionEmitter::clearOutput() {
  for (unsigned v = 0; v < s.queryVectors; ++v) {
    setLanes(b.splat(-kInfinity), ofBlock(layout.maximum), v);
    setLanes(b.splat(0), ofBlock(layout.sum), v);
  }
  b.loop(b.i64(0), b.i64(width * paddedSize * 4), vectorBytes, [&](Value offset) {
    b.store(b.splat(0), b.at(ofBlock(layout.output), offset), vectorBytes);
  });
}

/// The rows of a block of keys and values, and the mask that all queries share.
void AttentionEmitter::loadKeys(Value firstKey, Value count) {
  keyBlock = b.at(keyRows, b.mul(firstKey, a.key.rowStride));
  valueBlock = b.at(valueRows, b.mul(firstKey, a.value.rowStride));
  keyStride = valueStride = copiesRows ? paddedSize * 4 : a.headSize * 4;
  if (copiesRows) {
    keyBlock = copyRows(keyBlock, a.key.rowStride, layout.keys, count);
    valueBlock = copyRows(valueBlock, a.value.rowStride, layout.values, count);
  }
  maskRow = part(layout.maskRow);
  if (sharesMask())
    fillMask(maskRowOf(batch, b.i64(0), b.i64(0)), firstKey, count, maskRow);
}

/// out = O / l for the queries that exist.
void AttentionEmitter::storeRows() {
  Value outputRows = b.at(headBase(a.output, batch, head), b.mul(firstQuery, a.output.rowStride));
  b.loop(b.i64(0), queryCount, 1, [&](Value query) {
    Value sum = b.loadF32(b.at(ofBlock(layout.sum), b.mul(query, 4)));
    Value from = b.at(ofBlock(layout.output), b.mul(query, paddedSize * 4));
    storeOutputRow(from, b.at(outputRows, b.mul(query, a.output.rowStride)), sum, valueRows);
  });
}

void permalloy::codegen::emitAttention(KernelBuilder &b, const Attention &attention,
                                       const AttentionSchedule &schedule) {
  AttentionEmitter(b, attention, schedule).emit();
}
