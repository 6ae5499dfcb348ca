//===- SparseQuads.cpp - products with some of each four steps ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "SparseQuads.h"
#include "ContractionLayout.h"
#include "permalloy/Codegen/CPU/MicroKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::kPanelColumns;

static constexpr int64_t kRowBytes = kPanelColumns * 4;

/// Few rows fetch the weights that they read themselves so far ahead: rows of values, and words.
static constexpr int64_t kRowsAhead = 32, kWordsAhead = 4;

//===----------------------------------------------------------------------===//
// Rows in the lanes
//===----------------------------------------------------------------------===//

/// The first `count` kept weights of word `word`.
static SmallVector<Value> emitWord(KernelBuilder &b, const QuadsTile &tile, unsigned columns, unsigned vectors, Value word, int64_t count,
                                   ValueRange init) {
  SmallVector<Value> sums(init), choices;
  for (unsigned column = 0; column < columns; ++column) {
    Value bits = b.load(b.getI32Type(), b.at(b.at(tile.words, b.mul(word, kRowBytes)), column * 4), 4);
    choices.push_back(arith::ExtUIOp::create(b, b.getI64Type(), bits));
  }
  Value a = b.at(tile.a, b.mul(word, quadsWordSteps(tile.keptOfFour) * tile.stepBytes));
  Value values = b.at(tile.values, b.mul(word, kQuadsWord * kRowBytes));
  int64_t lanes = b.target().lanes();
  for (int64_t i = 0; i < count; ++i) {
    if (tile.fetch && i % (kQuadsWord / columns) == 0)
      tile.fetch(word, i / (kQuadsWord / columns));
    for (unsigned column = 0; column < columns; ++column) {
      Value bits = arith::ShRUIOp::create(b, choices[column], b.i64(2 * i));
      Value step = b.at(b.at(a, b.mul(arith::AndIOp::create(b, bits, b.i64(3)), tile.stepBytes)), i / tile.keptOfFour * 4 * tile.stepBytes);
      Value weight = b.broadcast(b.loadF32(b.at(values, i * kRowBytes + column * 4)));
      for (unsigned v = 0; v < vectors; ++v) {
        Value &sum = sums[column * vectors + v];
        sum = b.fma(weight, b.loadVector(b.at(step, v * lanes * 4), lanes * 4), sum);
      }
    }
  }
  return sums;
}

SmallVector<Value> permalloy::codegen::emitQuadsTile(KernelBuilder &b, const QuadsTile &tile, unsigned columns, unsigned vectors, ValueRange init) {
  SmallVector<Value> sums = b.loop(b.i64(0), tile.wholeWords, 1, init, [&](Value word, ValueRange so) {
    return emitWord(b, tile, columns, vectors, word, kQuadsWord, so);
  });
  if (tile.rest == 0)
    return sums;
  Value end = b.select(tile.hasRest, b.add(tile.wholeWords, 1), tile.wholeWords);
  return b.loop(tile.wholeWords, end, 1, sums,
                [&](Value word, ValueRange so) { return emitWord(b, tile, columns, vectors, word, tile.rest, so); });
}

//===----------------------------------------------------------------------===//
// Columns in the lanes
//===----------------------------------------------------------------------===//

namespace {
/// Emits a product of few rows.
class FewQuadsEmitter {
public:
  FewQuadsEmitter(KernelBuilder &b, const Contraction &c)
      : b(b), c(c), depth(c.sparse->kept), groups(panelsOf(c.n)), lanes(b.target().lanes()), vectors(kPanelColumns / lanes),
        rows(b.target().isAvx512() ? 8 : 4), products(b.stackBuffer(rows * kRowBytes)) {}
  void emit();

private:
  void emitRows(unsigned count);
  SmallVector<Value> emitWord(Value word, int64_t kept, unsigned count, ValueRange init);
  Value inputsOfQuad(Value x);
  Value choose(Value inputs, Value choices);
  void finish(int64_t width, Value count);

  KernelBuilder &b;
  const Contraction &c;
  int64_t depth, groups, lanes, vectors, rows;
  Value products;
  // The panel and the first row at hand.
  Value panel, first, values, words;
};
} // namespace

void FewQuadsEmitter::emit() {
  int64_t lastWidth = c.n - (groups - 1) * kPanelColumns, wordRows = llvm::divideCeil(depth, kQuadsWord);
  b.loop(b.tileBegin(), b.min(b.tileEnd(), b.i64(groups)), 1, [&](Value number) {
    panel = number;
    values = b.at(c.weights, b.mul(panel, depth * kRowBytes));
    words = b.at(c.sparse->numbers, b.mul(panel, wordRows * kRowBytes));
    b.loop(b.i64(0), c.rows, rows, [&](Value row) {
      first = row;
      Value count = b.min(b.sub(c.rows, row), b.i64(rows));
      b.switchOn(b.sub(count, 1), rows, [&](unsigned index) { emitRows(index + 1); });
      if (lastWidth == kPanelColumns)
        return finish(kPanelColumns, count);
      b.ifElse(b.less(panel, b.i64(groups - 1)), [&] { finish(kPanelColumns, count); }, [&] { finish(lastWidth, count); });
    });
  });
}

void FewQuadsEmitter::emitRows(unsigned count) {
  int64_t whole = depth / kQuadsWord, rest = depth % kQuadsWord;
  SmallVector<Value> sums = b.loop(b.i64(0), b.i64(whole), 1, zeroTile(b, count * vectors), [&](Value word, ValueRange so) {
    return emitWord(word, kQuadsWord, count, so);
  });
  if (rest)
    sums = emitWord(b.i64(whole), rest, count, sums);
  storeTile(b, sums, count, products, kRowBytes);
}

SmallVector<Value> FewQuadsEmitter::emitWord(Value word, int64_t kept, unsigned count, ValueRange init) {
  SmallVector<Value> sums(init), choices;
  Value ownWords = b.at(words, b.mul(word, kRowBytes)), ownValues = b.at(values, b.mul(word, kQuadsWord * kRowBytes));
  for (int64_t v = 0; v < vectors; ++v)
    choices.push_back(b.load(b.intVectorType(), b.at(ownWords, v * lanes * 4)));
  b.prefetch(b.at(ownWords, kWordsAhead * kRowBytes));
  int64_t keptOfFour = c.sparse->keptOfFour;
  Value x = b.at(b.at(c.a, b.mul(first, c.k * 4)), b.mul(word, quadsWordSteps(keptOfFour) * 4));
  for (int64_t i = 0; i < kept; ++i) {
    b.prefetch(b.at(ownValues, (i + kRowsAhead) * kRowBytes));
    SmallVector<Value> shifted, weights;
    for (int64_t v = 0; v < vectors; ++v) {
      auto shift = arith::ConstantOp::create(b, DenseElementsAttr::get(b.intVectorType(), int32_t(2 * i)));
      shifted.push_back(arith::ShRUIOp::create(b, choices[v], shift));
      weights.push_back(b.loadVector(b.at(ownValues, i * kRowBytes + v * lanes * 4), lanes * 4));
    }
    for (unsigned row = 0; row < count; ++row) {
      Value inputs = inputsOfQuad(b.at(x, row * c.k * 4 + i / keptOfFour * 16));
      for (int64_t v = 0; v < vectors; ++v) {
        Value &sum = sums[row * vectors + v];
        sum = b.fma(choose(inputs, shifted[v]), weights[v], sum);
      }
    }
  }
  return sums;
}

/// Four numbers at `x`, in each quarter of a vector.
Value FewQuadsEmitter::inputsOfQuad(Value x) {
  Value four = b.load(VectorType::get(4, b.getF32Type()), x, 4);
  SmallVector<int64_t> order;
  for (int64_t lane = 0; lane < lanes; ++lane)
    order.push_back(lane % 4);
  return vector::ShuffleOp::create(b, four, four, order);
}

/// Of each quarter of `inputs`, to each lane the one that the two lowest bits of `choices` name.
Value FewQuadsEmitter::choose(Value inputs, Value choices) {
  auto name = b.getStringAttr(b.target().isAvx512() ? "llvm.x86.avx512.vpermilvar.ps.512" : "llvm.x86.avx.vpermilvar.ps.256");
  return LLVM::CallIntrinsicOp::create(b, b.vectorType(), name, ValueRange{inputs, choices}).getResult(0);
}

/// The epilogue of `count` rows of `width` columns.
void FewQuadsEmitter::finish(int64_t width, Value count) {
  b.loop(b.i64(0), count, 1, [&](Value row) {
    for (int64_t column = 0; column < width; column += lanes) {
      Value product = b.loadVector(b.at(b.at(products, b.mul(row, kRowBytes)), column * 4), lanes * 4);
      c.epilogue({b.add(first, row), b.add(b.mul(panel, kPanelColumns), column), unsigned(std::min(lanes, width - column))}, product);
    }
  });
}

void permalloy::codegen::emitFewQuads(KernelBuilder &b, const Contraction &contraction) { FewQuadsEmitter(b, contraction).emit(); }
