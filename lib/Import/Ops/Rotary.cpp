//===- Rotary.cpp - rotary position embeddings of ONNX -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// x, cos_cache, sin_cache, position_ids. The caches are tables [positions, rotary / 2] that the ids choose rows of, or, without
/// ids, [batch, sequence, rotary / 2]; a batch of 1 serves all.
LogicalResult importRotaryEmbedding(OpBinder &b) {
  Value x = b.input(0), cos = b.input(1), sin = b.input(2), ids = b.optionalInput(3);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(x), heads = b.intAttr("num_heads", 0), width = b.intAttr("rotary_embedding_dim", 0);
  if (rank != 3 && rank != 4)
    return b.error("the input has rank " + Twine(rank) + "; accepted are 3 and 4");
  if (rank == 3 && heads <= 0)
    return b.error("an input of rank 3 needs num_heads");
  if (b.rank(cos) != (ids ? 2 : 3) || b.rank(sin) != b.rank(cos))
    return b.error("the caches have ranks " + Twine(b.rank(cos)) + " and " + Twine(b.rank(sin)) +
                   "; accepted are 2 with position_ids and 3 without");
  if (auto half = b.staticDim(cos, b.rank(cos) - 1); width && half && 2 * *half != width)
    return b.error("caches of " + Twine(*half) + " angles do not fit rotary_embedding_dim " + Twine(width));
  if (ids) {
    cos = b.gather(cos, ids, 0);
    sin = b.gather(sin, ids, 0);
  }
  Type type = b.elementType(x);
  return b.yield(b.create<RotaryOp>(type, x, b.cast(cos, type), b.cast(sin, type), b.intAttr("interleaved", 0) != 0,
                                    rank == 3 ? b.builder.getI64IntegerAttr(heads) : IntegerAttr()));
}

const OpRow rows[] = {
    {"", "RotaryEmbedding", 23, 23, OpClass::Concept, importRotaryEmbedding},
};

} // namespace

ArrayRef<OpRow> permalloy::rotaryRows() { return rows; }
