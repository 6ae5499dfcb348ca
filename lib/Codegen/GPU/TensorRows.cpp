//===- TensorRows.cpp - operand A of tensor cores ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TensorBlock.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Chunks are numbered along K, then rows; each thread has every threads()-th one, which lie a constant apart.
TensorRows::TensorRows(const TensorBlock &block) : t(block), b(block.b), s(block.s) {
  Value inBlock = b.div(t.thread, chunks());
  chunk = b.rem(t.thread, chunks());
  row = b.add(t.firstRow, inBlock);
  to = b.at(t.shared, b.add(b.mul(inBlock, s.blockWords * 4), b.mul(chunkOfRow(inBlock, chunk), kChunkBytes)));
  if (t.p.a)
    from = b.at(t.p.a, b.add(b.mul(b.wide(row), t.p.size.words() * 4), b.mul(b.wide(chunk), kChunkBytes)));
  Value lane = b.bitAnd(t.thread, 31), readRow = b.add(t.warpRow, b.bitAnd(lane, 15));
  readFrom = b.add(b.mul(readRow, s.blockWords * 4), b.mul(chunkOfRow(readRow, b.div(lane, 16)), kChunkBytes));
}

Value TensorRows::chunkOfRow(Value row, Value chunk) {
  return b.bitXor(chunk, s.blockWords == 16 ? b.bitAnd(b.div(row, 2), 3) : b.bitAnd(row, 7));
}

/// Whether this thread's chunks of a tile begin within K; null: always.
Value TensorRows::existsInK(Value tile) {
  int64_t words = t.p.size.words();
  if (words % s.blockWords == 0)
    return {};
  return b.less(b.add(b.mul(tile, chunks()), chunk), llvm::divideCeil(words, 4));
}

void TensorRows::copy(Value tile, Value stage) {
  if (!t.p.a)
    return;
  Value inK = existsInK(tile), source = b.at(from, b.mul(b.wide(tile), s.blockWords * 4)), target = b.at(to, stage);
  WarpBuilder warp(b);
  for (int64_t i = 0; i < copies(); ++i) {
    int64_t rows = i * rowsApart();
    Value exists = b.both(b.less(b.add(row, rows), t.rows), inK);
    warp.copyAsync(b.at(target, rows * s.blockWords * 4), b.at(source, rows * t.p.size.words() * 4), exists);
  }
}

/// The words of four elements.
static SmallVector<Value> wordsOf(GpuBuilder &b, Value four) {
  auto type = cast<VectorType>(four.getType());
  if (type.getElementTypeBitWidth() == 8)
    return {LLVM::BitcastOp::create(b, b.getI32Type(), four)};
  if (type.getElementTypeBitWidth() == 32)
    return llvm::map_to_vector<4>(llvm::seq<int64_t>(0, 4), [&](int64_t i) -> Value {
      return LLVM::BitcastOp::create(b, b.getI32Type(), vector::ExtractOp::create(b, four, i));
    });
  Value bits = LLVM::BitcastOp::create(b, b.getI64Type(), four);
  return {b.narrow(bits), b.narrow(arith::ShRUIOp::create(b, bits, b.i64(32)))};
}

/// Four elements along K at a time, which fill a part of a chunk. Chunks come out as four words each.
SmallVector<Value> TensorRows::compute(Value tile) {
  SmallVector<Value> values;
  if (t.p.a)
    return values;
  int64_t inWord = elementsPerWord(t.p.size.type);
  Value first = b.mul(b.add(b.mul(tile, chunks()), chunk), 4 * inWord);
  for (int64_t i = 0; i < copies(); ++i)
    for (int64_t part = 0; part < partsOfChunk(); ++part) {
      Value own = b.add(row, i * rowsApart()), k = b.add(first, part * 4);
      Value exists = b.both(b.less(own, t.rows), b.less(k, t.p.size.depth));
      auto read = [&] { return wordsOf(b, t.p.computed(b.wide(own), b.wide(k))); };
      auto none = [&] { return SmallVector<Value>(4 / partsOfChunk(), b.i32(0)); };
      llvm::append_range(values, b.choose(exists, read, none));
    }
  return values;
}

void TensorRows::store(ArrayRef<Value> values, Value stage) {
  auto four = VectorType::get(4, b.getI32Type());
  for (size_t i = 0; i < values.size(); i += 4)
    b.store(vector::FromElementsOp::create(b, four, values.slice(i, 4)), b.at(b.at(to, stage), i / 4 * rowsApart() * s.blockWords * 4), kChunkBytes);
}

SmallVector<Value> TensorRows::read(int64_t tile, int64_t first, Value stage) {
  // A step is two chunks of a row; the permutation is an exclusive or, which commutes.
  Value rows = b.at(b.at(t.shared, b.bitXor(readFrom, first * 4)), stage);
  WarpBuilder warp(b);
  SmallVector<Value> words = warp.loadMatrix(b.at(rows, tile * 16 * s.blockWords * 4));
  for (Value &word : words)
    if (t.p.size.type == OperandType::tf32)
      word = warp.roundTf32(word);
  return words;
}
