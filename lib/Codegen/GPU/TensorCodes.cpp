//===- TensorCodes.cpp - codes and scales as words of operand B -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Codes stay codes in shared memory and become elements in registers: (code - zero) * scale in f32, then rounded, as tfm.dequantize
// says. A lane needs steps 2 t, 2 t + 1 of a column for one word; they stand side by side in its dword: bytes of 8 bits, or halves of
// bytes, the low ones for the first four steps of a line, the high ones for the others. A code becomes f32 without a conversion: put
// behind the exponent of 2^23 it is 2^23 + code. Of tf32 a word is one step: t and t + 4, byte t of a line, its low and its high half, or of
// two lines.
//
//===----------------------------------------------------------------------===//
#include "TensorBlock.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

void TensorColumns::placeScales() {
  const TensorCodes &codes = *size.codes;
  int64_t chunks = t.layout.scaleRowBytes / kChunkBytes, inPanel = t.layout.groups * chunks;
  Value own = b.div(t.thread, inPanel), part = b.rem(t.thread, inPanel);
  scalePanel = b.add(b.div(t.firstColumn, tfm::kPanelColumns), own);
  scaleGroup = b.div(part, chunks);
  Value offset = b.add(b.mul(b.wide(scalePanel), size.groups() * t.layout.scaleRowBytes), b.mul(b.wide(part), kChunkBytes));
  scaleFrom = b.at(t.p.scales, offset);
  if (codes.hasZeroPoints)
    zeroFrom = b.at(t.p.zeroPoints, offset);
  scaleTo = b.at(t.shared, b.add(b.mul(t.thread, kChunkBytes), t.layout.rowBytes + t.layout.columnBytes));

  Value panel = b.add(b.div(t.warpColumn, tfm::kPanelColumns), b.div(t.group, 4));
  Value inRow = b.mul(b.bitAnd(t.group, 3), 4 * codes.scaleBytes);
  Value at = b.add(b.mul(panel, t.layout.groups * t.layout.scaleRowBytes), inRow);
  scaleRead = b.at(t.shared, b.add(at, t.layout.rowBytes + t.layout.columnBytes));
  Value odd = b.bitAnd(t.inGroup, 1);
  if (size.type == OperandType::tf32)
    shift = b.mul(t.inGroup, 8);
  else
    shift = codes.bits == 8 ? b.mul(odd, 16) : b.add(b.mul(odd, 16), b.mul(b.div(t.inGroup, 2), 4));
  scale.resize(s.warpColumns / kGroupColumns * 4);
  zero.resize(scale.size());
  tableRead = b.at(b.at(t.shared, t.layout.table), b.mul(b.bitAnd(t.thread, 31), 4));
  if (!t.p.table.empty())
    b.ifThen(b.less(t.thread, 32), [&] { // which the tiles' first barrier shows to the other warps
      for (auto [code, value] : llvm::enumerate(t.p.table))
        b.store(value, b.at(tableRead, code * kTableRowBytes), 4);
    });
}

/// One chunk for each of the first threads.
void TensorColumns::copyScales(Value tile, Value stage) {
  int64_t steps = s.blockWords * elementsPerWord(size.type), group = size.codes->group;
  Value first = group >= size.depth ? b.i32(0) : group >= steps ? b.div(b.mul(tile, steps), group) : b.mul(tile, steps / group);
  Value exists = b.less(scalePanel, llvm::divideCeil(size.columns, tfm::kPanelColumns));
  exists = b.both(exists, b.less(b.add(first, scaleGroup), size.groups()));
  Value ahead = b.mul(b.wide(first), t.layout.scaleRowBytes), target = b.at(scaleTo, stage);
  auto copy = [&] {
    WarpBuilder(b).copyAsync(target, b.at(scaleFrom, ahead), exists);
    if (zeroFrom)
      WarpBuilder(b).copyAsync(b.at(target, t.layout.scaleBytes), b.at(zeroFrom, ahead), exists);
  };
  int64_t chunks = t.layout.scaleBytes / kChunkBytes;
  if (chunks < s.threads())
    b.ifThen(b.less(t.thread, chunks), copy);
  else
    copy();
}

/// Where a group of K begins, its scales come to the registers.
void TensorColumns::readScales(int64_t group, int64_t first, Value stage) {
  const TensorCodes &codes = *size.codes;
  int64_t step = first * elementsPerWord(size.type);
  if (step != 0 && (t.layout.groups == 1 || step % codes.group != 0))
    return;
  int64_t row = t.layout.groups == 1 ? 0 : step / codes.group;
  auto read = [&](SmallVector<Value> &into, int64_t offset) {
    Value from = b.at(b.at(scaleRead, stage), (group * 2 * t.layout.groups + row) * t.layout.scaleRowBytes + offset);
    auto f32 = VectorType::get(4, b.getF32Type());
    Value four = codes.scaleBytes == 4 ? b.load(f32, from, 16) : b.load(VectorType::get(4, b.getF16Type()), from, 8);
    if (codes.scaleBytes == 2)
      four = arith::ExtFOp::create(b, f32, four);
    for (int64_t of = 0; of < 4; ++of)
      into[group * 4 + of] = vector::ExtractOp::create(b, four, of);
  };
  read(scale, 0);
  if (codes.hasZeroPoints)
    read(zero, t.layout.scaleBytes);
}

/// Code `step` (0 or 1) of a dword that was shifted, as f32.
Value TensorColumns::codeValue(Value dword, int64_t step) {
  const TensorCodes &codes = *size.codes;
  Value bits = step ? arith::ShRUIOp::create(b, dword, b.i32(8)).getResult() : dword;
  bits = b.bitAnd(bits, codes.bits == 8 ? 0xff : 15);
  if (codes.entries)
    return b.load(b.getF32Type(), b.at(tableRead, b.mul(bits, kTableRowBytes)), 4);
  // A signed code with its sign turned is so much more than it was.
  int64_t sign = codes.isSigned ? codes.bits == 8 ? 128 : 8 : 0;
  Value number = LLVM::BitcastOp::create(b, b.getF32Type(), b.bitXor(bits, 0x4b000000 + sign));
  return arith::SubFOp::create(b, number, b.f32(8388608.0f + sign));
}

/// Word `word` of K of a column: of two steps, or one of tf32.
Value TensorColumns::decode(Value dword, int64_t group, int64_t of, int64_t word) {
  Value shifted = arith::ShRUIOp::create(b, dword, shift);
  auto number = [&](int64_t step) {
    Value value = codeValue(shifted, step);
    if (size.codes->hasZeroPoints)
      value = arith::SubFOp::create(b, value, zero[group * 4 + of]);
    return b.mulf(value, scale[group * 4 + of]);
  };
  if (size.type == OperandType::tf32) {
    if (word % size.lineSteps()) // the high halves of bytes
      shifted = arith::ShRUIOp::create(b, shifted, b.i32(4));
    return number(0);
  }
  Type element = size.type == OperandType::bf16 ? Type(b.getBF16Type()) : Type(b.getF16Type());
  SmallVector<Value> pair;
  for (int64_t step = 0; step < 2; ++step)
    pair.push_back(arith::TruncFOp::create(b, element, number(step)));
  Value halves = vector::FromElementsOp::create(b, VectorType::get(2, element), pair);
  return LLVM::BitcastOp::create(b, b.getI32Type(), halves);
}
