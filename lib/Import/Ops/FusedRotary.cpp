//===- FusedRotary.cpp - RotaryEmbedding of onnxruntime ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// [batch, sequence] as given, or one number: the position of the first token of each sequence.
Value positions(OpBinder &b, Value ids, Value x) {
  if (b.failed() || b.rank(ids) == 2)
    return b.failed() ? Value() : ids;
  if (b.rank(ids) > 1 || (b.rank(ids) == 1 && b.staticDim(ids, 0) != 1)) {
    (void)b.unsupported("position_ids that are neither [batch, sequence] nor one number");
    return {};
  }
  Value first = b.reshape(b.cast(ids, b.builder.getI64Type()), {});
  Value steps = b.iota(Extent(x, b.rank(x) == 3 ? 1 : 2));
  return b.alongAxis(b.add(steps, first), 1, 2);
}

/// com.microsoft: input, position_ids, cos_cache, sin_cache. `is_packed_batching` only lifts the
/// limit on the length of a sequence.
LogicalResult importRotaryEmbedding(OpBinder &b) {
  Value x = b.input(0), ids = b.input(1), cosTable = b.input(2), sinTable = b.input(3);
  int64_t heads = b.intAttr("num_heads", 0), rotated = b.intAttr("rotary_embedding_dim", 0);
  if (b.failed())
    return failure();
  if (double scale = b.floatAttr("scale", 1); scale != 1)
    return b.unsupported("scale " + std::to_string(scale) +
                         ", which onnxruntime's CPU kernel ignores; accepted is 1");
  int64_t rank = b.rank(x);
  if ((rank != 3 && rank != 4) || b.rank(cosTable) != 2 || b.rank(sinTable) != 2)
    return b.error("takes an input of rank 3 or 4 and caches of rank 2");
  auto half = b.staticDim(cosTable, 1), width = b.staticDim(x, rank - 1);
  if (rotated && (half.value_or(rotated / 2) != rotated / 2 || (rank == 3 && heads <= 0)))
    return b.error("rotary_embedding_dim " + Twine(rotated) +
                   " needs num_heads and caches of half as many columns");
  if (rank == 3 && heads <= 0) { // the caches then turn whole heads
    if (!half || !width || *half == 0 || *width % (2 * *half))
      return b.unsupported("without num_heads, where the sizes of input and caches do not tell it");
    heads = *width / (2 * *half);
  }
  Value at = positions(b, ids, x);
  Value cosines = b.gather(cosTable, at, 0), sines = b.gather(sinTable, at, 0);
  if (b.failed())
    return failure();
  bool interleaved = b.intAttr("interleaved", 0);
  return b.yield(b.create<RotaryOp>(
      b.elementType(x), x, cosines, sines, interleaved ? b.builder.getUnitAttr() : UnitAttr(),
      rank == 3 ? b.builder.getI64IntegerAttr(heads) : IntegerAttr()));
}

const OpRow rows[] = {
    {"com.microsoft", "RotaryEmbedding", 1, 1, OpClass::Concept, importRotaryEmbedding},
};

} // namespace

ArrayRef<OpRow> permalloy::fusedRotaryRows() { return rows; }
