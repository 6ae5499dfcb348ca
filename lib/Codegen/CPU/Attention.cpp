//===- Attention.cpp - grid, packing and output of attention ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionEmitter.h"
#include "permalloy/Codegen/CPU/Transpose.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy::codegen;
using namespace mlir;

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

int64_t permalloy::codegen::attentionQueryBlock(const CpuTarget &target) {
  return kQueryVectors * target.lanes();
}

int64_t permalloy::codegen::attentionScratchBytes(const CpuTarget &target,
                                                  const AttentionSchedule &schedule,
                                                  int64_t headSize, Type element) {
  bool widens = element && Element::of(element).isHalf();
  return AttentionScratch(target, schedule, headSize, widens).end;
}

void AttentionEmitter::emit() {
  Value blocks = b.ceilDiv(a.queries, width);
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value tile) {
    Value head = b.div(tile, blocks);
    emitTile(b.div(head, a.heads), b.rem(head, a.heads), b.mul(b.rem(tile, blocks), width));
  });
}

void AttentionEmitter::emitTile(Value batch, Value head, Value first) {
  firstQuery = first;
  queryCount = b.min(b.sub(a.queries, first), b.i64(width));
  auto headBase = [&](const HeadTensor &tensor, Value index) {
    return b.at(b.at(tensor.base, b.mul(batch, tensor.batchStride)),
                b.mul(index, tensor.headStride));
  };
  Value kvHead = a.heads == a.kvHeads ? head : b.div(head, a.heads / a.kvHeads);
  queryRows = b.at(headBase(a.query, head), b.mul(first, a.query.rowStride));
  keyRows = headBase(a.key, kvHead);
  valueRows = headBase(a.value, kvHead);
  outputRows = b.at(headBase(a.output, head), b.mul(first, a.output.rowStride));
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
  Value end = a.keys;
  if (a.causal) // Keys after the last query's own see no query of this tile.
    end = b.max(b.i64(0), b.min(end, b.add(b.add(first, queryCount), b.sub(a.keys, a.queries))));
  b.loop(b.i64(0), end, s.keyBlock,
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
    Value inverse = arith::DivFOp::create(b, b.f32(1), sum); // inf where empty: 0 * inf is NaN
    if (a.noKeys == NoKeys::Zero) {
      Value empty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.f32(0));
      inverse = b.select(empty, b.f32(0), inverse);
    }
    Value factor = b.broadcast(inverse);
    Value from = b.at(part(layout.output), b.mul(query, paddedSize * 4));
    Value to = b.at(outputRows, b.mul(query, a.output.rowStride));
    forColumns([&](int64_t column, unsigned valid) {
      Value value = b.mulf(b.loadVector(b.at(from, column * 4), vectorBytes), factor);
      if (a.noKeys == NoKeys::MeanOfValues)
        value = emptyRow(sum, value, column, valid);
      ops.storeLanes(element, value, b.at(to, column * element.bytes()), valid);
    });
  });
}

/// `value`, or the mean of all values where `sum` says that no key was seen.
Value AttentionEmitter::emptyRow(Value sum, Value value, int64_t column, unsigned valid) {
  Value empty = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, sum, b.f32(0));
  // A loop over no keys unless the row is empty.
  Value count = b.select(empty, a.keys, b.i64(0));
  SmallVector<Value> total =
      b.loop(b.i64(0), count, 1, {b.splat(0)}, [&](Value key, ValueRange carried) {
        Value address =
            b.at(b.at(valueRows, b.mul(key, a.value.rowStride)), column * element.bytes());
        return SmallVector<Value>{b.addf(carried[0], ops.loadLanes(element, address, valid))};
      });
  Value keys = arith::SIToFPOp::create(b, b.getF32Type(), a.keys);
  Value mean = b.mulf(total[0], b.broadcast(arith::DivFOp::create(b, b.f32(1), keys)));
  return b.select(empty, mean, value);
}

void permalloy::codegen::emitAttention(KernelBuilder &b, const Attention &attention,
                                       const AttentionSchedule &schedule) {
  AttentionEmitter(b, attention, schedule).emit();
}
