//===- TensorColumns.cpp - operand B of tensor cores ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TensorBlock.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

TensorColumns::TensorColumns(const TensorBlock &block)
    : t(block), b(block.b), s(block.s), size(block.p.size), isHalves(size.type == OperandType::f16 && !size.codes) {
  // Rows of f16 may end within a line; all else is padded to whole lines.
  panelBytes = isHalves ? size.depth * 2 * tfm::kPanelColumns : llvm::divideCeil(size.depth, size.lineSteps()) * kLineBytes;
  placeCopies();
  placeReads();
  if (size.codes)
    placeScales();
}

/// Codes have no permutation: their readers meet no conflict without.
static Value chunkOfLine(GpuBuilder &b, const TensorSize &size, Value line, Value chunk) {
  return size.codes ? chunk : b.bitXor(chunk, b.bitAnd(line, 2));
}

/// Chunks are numbered along a panel, then panels; each thread has every threads()-th one, which lie a constant apart.
void TensorColumns::placeCopies() {
  Value own = b.div(t.thread, panelChunks()), line = b.div(b.rem(t.thread, panelChunks()), 4), part = b.bitAnd(t.thread, 3);
  place = b.rem(t.thread, panelChunks());
  panel = b.add(b.div(t.firstColumn, tfm::kPanelColumns), own);
  from = b.at(t.p.weights, b.add(b.mul(b.wide(panel), panelBytes), b.mul(b.wide(place), kChunkBytes)));
  Value inLine = b.mul(chunkOfLine(b, size, line, part), kChunkBytes);
  Value at = b.add(b.mul(own, t.layout.lines * kLineBytes), b.add(b.mul(line, kLineBytes), inLine));
  to = b.at(t.shared, b.add(at, t.layout.rowBytes));
}

void TensorColumns::placeReads() {
  Value chunk = b.bitAnd(t.group, 3), line = t.inGroup, inLine;
  if (size.codes) {
    int64_t words = size.lineSteps() / elementsPerWord(size.type); // of mma, in a line
    line = b.div(t.inGroup, words);
    inLine = b.mul(chunk, kChunkBytes);
  } else if (isHalves) {
    inLine = b.add(b.mul(b.bitXor(b.div(chunk, 2), b.bitAnd(line, 2)), kChunkBytes), b.mul(b.bitAnd(chunk, 1), 8));
  } else {
    inLine = b.mul(chunkOfLine(b, size, line, chunk), kChunkBytes);
  }
  Value own = b.add(b.div(t.warpColumn, tfm::kPanelColumns), b.div(t.group, 4));
  Value at = b.add(b.mul(own, t.layout.lines * kLineBytes), b.add(b.mul(line, kLineBytes), inLine));
  readFrom = b.at(t.shared, b.add(at, t.layout.rowBytes));
  if (isHalves) // the other half of the line
    readOdd = b.at(t.shared, b.add(b.bitXor(at, kLineBytes / 2), t.layout.rowBytes));
}

void TensorColumns::copy(Value tile, Value stage) {
  int64_t threads = s.threads(), all = panels() * panelChunks();
  Value inPanel;
  if (panelBytes % (t.layout.lines * kLineBytes))
    inPanel = b.less(b.add(b.mul(tile, panelChunks()), place), panelBytes / kChunkBytes);
  bool isWhole = size.columns % s.blockColumns == 0;
  Value source = b.at(from, b.mul(b.wide(tile), panelChunks() * kChunkBytes)), target = b.at(to, stage);
  auto copyAll = [&] {
    for (int64_t i = 0; i * threads < all; ++i) {
      // Threads are a part or a multiple of a panel's chunks.
      int64_t first = i * threads, ahead = first / panelChunks(), chunks = first % panelChunks();
      Value exists = inPanel && chunks ? b.less(b.add(b.mul(tile, panelChunks()), b.add(place, chunks)), panelBytes / kChunkBytes) : inPanel;
      if (!isWhole)
        exists = b.both(exists, b.less(b.add(panel, ahead), llvm::divideCeil(size.columns, tfm::kPanelColumns)));
      int64_t place = ahead * t.layout.lines * kLineBytes + chunks * kChunkBytes;
      WarpBuilder(b).copyAsync(b.at(target, place), b.at(source, ahead * panelBytes + chunks * kChunkBytes), exists);
    }
  };
  if (all < threads)
    b.ifThen(b.less(t.thread, all), copyAll);
  else
    copyAll();
  if (size.codes)
    copyScales(tile, stage);
}

/// The words of 4 columns, which are neighbours.
void TensorColumns::readFour(Value (&words)[4], int64_t group, int64_t line, Value stage) {
  Value from = b.at(b.at(readFrom, stage), (group * 2 * t.layout.lines + line) * kLineBytes);
  Value four = b.load(VectorType::get(4, b.getI32Type()), from, 16);
  for (int64_t of = 0; of < 4; ++of)
    words[of] = vector::ExtractOp::create(b, four, of);
}

/// Words from 4 halves of an even and of the odd step behind it.
void TensorColumns::readHalves(Value (&words)[4], int64_t group, int64_t line, Value stage) {
  int64_t offset = (group * 2 * t.layout.lines + line) * kLineBytes;
  Value even = b.load(b.getI64Type(), b.at(b.at(readFrom, stage), offset), 8), odd = b.load(b.getI64Type(), b.at(b.at(readOdd, stage), offset), 8);
  for (int64_t of = 0; of < 4; ++of) {
    auto part = [&](Value halves) {
      return b.narrow(of / 2 ? arith::ShRUIOp::create(b, halves, b.i64(32)).getResult() : halves);
    };
    Value low = part(even), high = part(odd), sixteen = b.i32(16);
    if (of % 2)
      words[of] = arith::OrIOp::create(b, arith::ShRUIOp::create(b, low, sixteen), b.bitAnd(high, int32_t(0xffff0000)));
    else
      words[of] = arith::OrIOp::create(b, b.bitAnd(low, 0xffff), arith::ShLIOp::create(b, high, sixteen));
  }
}

TensorColumns::Words TensorColumns::read(int64_t group, int64_t first, Value stage) {
  Words words;
  auto readAt = [&](Value (&part)[4], int64_t word) {
    if (isHalves)
      return readHalves(part, group, word, stage);
    if (!size.codes)
      return readFour(part, group, word, stage);
    readFour(part, group, word / (size.lineSteps() / elementsPerWord(size.type)), stage);
    for (int64_t of = 0; of < 4; ++of)
      part[of] = decode(part[of], group, of, word);
  };
  if (size.codes)
    readScales(group, first, stage);
  readAt(words.low, first);
  readAt(words.high, first + 4);
  for (Value(&part)[4] : {std::ref(words.low), std::ref(words.high)})
    for (Value &word : part)
      if (size.type == OperandType::tf32)
        word = WarpBuilder(b).roundTf32(word);
  return words;
}
