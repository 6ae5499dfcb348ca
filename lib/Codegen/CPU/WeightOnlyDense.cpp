//===- WeightOnlyDense.cpp - more rows: panels of codes become f32 in scratch -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "WeightOnlyEmitter.h"
#include "permalloy/Codegen/CPU/MicroKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

static constexpr int64_t kRowBytes = 64;

/// How far ahead codes are fetched, and steps of one turn of the loop over K.
static constexpr int64_t kStreamAheadBytes = 2048;
static constexpr unsigned kUnrolledSteps = 4;

void WeightOnlyEmitter::emitMany() {
  // Blocks of equal height rather than whole ones and a rest.
  Value blocks = b.max(b.ceilDiv(c.rows, s.blockRows), b.i64(1));
  Value height = b.mul(b.ceilDiv(b.div(b.add(c.rows, b.sub(blocks, 1)), blocks), denseRows()), denseRows());
  a = b.at(b.scratch(), scratch.rows);
  aRowBytes = scratch.stagesMany ? scratch.rowBytes : c.k * 4;
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value index) {
    openTile(b.rem(index, groups));
    emitBlock(b.div(index, groups), height);
  });
}

void WeightOnlyEmitter::emitBlock(Value block, Value height) {
  first = b.mul(block, height);
  last = b.min(b.add(first, height), c.rows);
  if (!scratch.stagesMany)
    a = b.at(c.a, b.mul(first, aRowBytes));
  else
    stageOnce(block, [&] {
      int64_t bytes = c.k * Element::of(c.element).bytes();
      b.loop(first, last, 1, [&](Value row) {
        stageRow(b.at(c.a, b.mul(row, bytes)), b.at(a, b.mul(b.sub(row, first), aRowBytes)));
      });
    });
  decodePanels();
  b.loop(first, last, denseRows(), [&](Value row) {
    Value count = b.min(b.sub(last, row), b.i64(denseRows()));
    b.switchOn(b.sub(count, 1), denseRows(), [&](unsigned fewer) { emitDenseRows(fewer + 1, row); });
    emitEpilogues(row, count);
  });
}

/// The panels of the tile as f32 in scratch.
void WeightOnlyEmitter::decodePanels() {
  b.loop(b.i64(0), b.i64(panels), 1, [&](Value panel) {
    int64_t whole = layout.groups - (layout.lastRows != layout.groupRows);
    b.loop(b.i64(0), b.i64(whole), 1, [&](Value group) { decodeGroup(panel, group, layout.groupRows); });
    if (whole < layout.groups)
      decodeGroup(panel, b.i64(whole), layout.lastRows);
  });
}

void WeightOnlyEmitter::decodeGroup(Value panel, Value group, int64_t groupRows) {
  Value from = b.add(startPanel, panel), firstRow = b.mul(group, layout.groupRows);
  int64_t vectors = kRowBytes / laneBytes;
  SmallVector<Value> scales, zeros;
  for (int64_t v = 0; v < vectors; ++v) {
    scales.push_back(scaleAt(b.at(weight.scales, b.mul(from, layout.scaleBytes)), group, v));
    if (weight.zeroPoints)
      zeros.push_back(scaleAt(b.at(weight.zeroPoints, b.mul(from, layout.scaleBytes)), group, v));
  }
  Value codes = b.at(weight.codes, b.add(b.mul(from, layout.bytes), b.mul(firstRow, kRowBytes)));
  Value to = b.at(b.at(b.scratch(), scratch.decoded),
                  b.add(b.mul(panel, scratch.decodedPanelBytes), b.mul(firstRow, layout.steps * kRowBytes)));
  b.loop(b.i64(0), b.i64(groupRows), 1, [&](Value row) {
    Value line = b.at(codes, b.mul(row, kRowBytes)), place = b.at(to, b.mul(row, layout.steps * kRowBytes));
    b.prefetch(b.at(line, kStreamAheadBytes), 1);
    for (int64_t v = 0; v < vectors; ++v) {
      Value dwords = reader.load(b.at(line, v * laneBytes));
      for (int64_t step = 0; step < layout.steps; ++step) {
        Value value = reader.value(dwords, step);
        if (weight.zeroPoints)
          value = arith::SubFOp::create(b, value, zeros[v]);
        b.store(b.mulf(value, scales[v]), b.at(place, step * kRowBytes + v * laneBytes), laneBytes);
      }
    }
  });
}

/// The products of a tile of rows with the decoded panels.
void WeightOnlyEmitter::emitDenseRows(unsigned rows, Value row) {
  int64_t width = densePanels();
  b.loop(b.i64(0), b.i64(panels), width, [&](Value panel) {
    TileOperands operands;
    operands.a = b.at(a, b.mul(b.sub(row, first), aRowBytes));
    operands.aRowStride = aRowBytes;
    operands.aStepStride = 4;
    operands.b = b.at(b.at(b.scratch(), scratch.decoded), b.mul(panel, scratch.decodedPanelBytes));
    operands.bStepStride = kRowBytes;
    for (int64_t offset = 0; offset < width * kRowBytes; offset += laneBytes)
      operands.bVectorOffsets.push_back(offset / kRowBytes * scratch.decodedPanelBytes + offset % kRowBytes);
    SmallVector<Value> init = zeroTile(b, rows * operands.bVectorOffsets.size());
    storeTile(b, emitTile(b, rows, operands, b.i64(c.k), init, {kUnrolledSteps}), rows,
              b.at(products, b.mul(panel, kRowBytes)), productRowBytes);
  });
}
