//===- MatmulTile.cpp - operands of products of two activations -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "MatmulProduct.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static constexpr int64_t kChunkBytes = 16;

MatmulTile::MatmulTile(GpuBuilder &b, const MatmulProduct &product, const MatmulMatrix &matrix, int64_t extent, Value first,
                       const MatmulSchedule &s, Value shared)
    : shared(shared), b(b), matrix(matrix), first(first), bytes(Element::of(product.element).bytes()),
      steps(s.blockWords * 4 / bytes), threads(s.threads()) {
  rows = matrix.alongK ? extent : steps;
  chunks = (matrix.alongK ? steps : extent) / inChunk();
  height = matrix.alongK ? matrix.extent : product.depth;
  width = matrix.alongK ? product.depth : matrix.extent;
}

Value MatmulTile::turnOf(Value row) { return b.rem(b.div(row, 8 / turns()), turns()); }

/// Chunks are numbered along rows; each thread has every threads-th one.
MatmulTile::Place MatmulTile::placeOf(int64_t number) {
  Value own = b.add(b.threadIndex(), number * threads);
  return {b.div(own, chunks), b.rem(own, chunks)};
}

Value MatmulTile::addressOf(const Place &place, Value to) {
  Value chunk = b.bitXor(place.chunk, turnOf(place.row));
  return b.at(to, b.add(b.mul(place.row, rowBytes()), b.mul(chunk, kChunkBytes)));
}

std::pair<Value, Value> MatmulTile::sourceOf(const Place &place, Value tile) {
  Value step = b.mul(tile, steps), row = b.wide(place.row), element = b.wide(b.mul(place.chunk, inChunk()));
  return {b.add(matrix.alongK ? first : step, row), b.add(matrix.alongK ? step : first, element)};
}

void MatmulTile::copyWhole(Value tile, Value to) {
  for (int64_t i = 0; i < copies(); ++i) {
    Place place = placeOf(i);
    auto [row, element] = sourceOf(place, tile);
    Value exists = b.both(b.less(row, height), b.less(element, width));
    Value from = b.at(matrix.base, b.mul(b.add(b.mul(row, width), element), bytes));
    WarpBuilder(b).copyAsync(addressOf(place, to), from, exists);
  }
}

/// Rows that end anywhere: what does not exist is read from the last element and left out.
void MatmulTile::copyElements(Value tile, Value to) {
  Type type = b.getIntegerType(unsigned(bytes * 8));
  Value zero = arith::ConstantOp::create(b, b.getZeroAttr(type));
  for (int64_t i = 0; i < copies(); ++i) {
    Place place = placeOf(i);
    auto [row, element] = sourceOf(place, tile);
    Value isRow = b.less(row, height), start = b.mul(b.min(row, b.sub(height, 1)), width);
    SmallVector<Value> values;
    for (int64_t e = 0; e < inChunk(); ++e) {
      Value own = b.add(element, e), index = b.add(start, b.min(own, b.sub(width, 1)));
      Value loaded = b.load(type, b.at(matrix.base, b.mul(index, bytes)), unsigned(bytes));
      values.push_back(b.select(b.both(isRow, b.less(own, width)), loaded, zero));
    }
    auto chunk = VectorType::get(inChunk(), type);
    b.store(vector::FromElementsOp::create(b, chunk, values), addressOf(place, to), kChunkBytes);
  }
}

void MatmulTile::copy(Value tile, Value stage) {
  Value isWhole = b.equal(b.rem(width, inChunk()), b.i64(0)), to = b.at(shared, stage);
  if (matchPattern(isWhole, m_One()))
    return copyWhole(tile, to);
  if (matchPattern(isWhole, m_Zero()))
    return copyElements(tile, to);
  b.ifElse(isWhole, [&] { copyWhole(tile, to); }, [&] { copyElements(tile, to); });
}
