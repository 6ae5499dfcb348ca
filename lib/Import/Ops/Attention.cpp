//===- Attention.cpp - Attention of ONNX opsets 23 to 25 ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The meaning is that of onnx 1.23: a query without any key to see gives 0, and causal masks are
// aligned so that query i sees key j <= i + offset, where offset is the length of the past, or the
// number of valid keys minus that of queries, or 0.
//
//===----------------------------------------------------------------------===//

#include "OpTable.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class AttentionImporter {
public:
  explicit AttentionImporter(OpBinder &b) : b(b) {}
  LogicalResult run();

private:
  LogicalResult refuseUnsupported();
  LogicalResult readInputs();
  LogicalResult readHeads();
  /// [batch, sequence, heads * size] to [batch, heads, sequence, size].
  Value splitHeads(Value x, int64_t heads);
  void appendToPast();
  /// Mask of rank 4 with the given mask, the valid lengths, the window and, where tfm's flag does
  /// not say it, causality.
  Value buildMask();
  void restrict(Value &mask, Value allowed);
  /// Is the offset of causality keys - queries, as tfm's flag has it?
  bool causalFitsFlag();
  Value distances();

  OpBinder &b;
  Value query, key, value, mask, pastKey, pastValue, validKeys;
  int64_t queryHeads = 0, keyHeads = 0, headSize = 0, left = -1, right = -1;
  bool causal = false, wasPacked = false, isPacked = false;
};

LogicalResult AttentionImporter::refuseUnsupported() {
  if (double softcap = b.floatAttr("softcap", 0); softcap != 0)
    return b.unsupported("softcap " + std::to_string(softcap));
  if (b.hasOutput(3))
    return b.unsupported("the output qk_matmul_output");
  return success();
}

LogicalResult AttentionImporter::readInputs() {
  query = b.input(0);
  key = b.input(1);
  value = b.input(2);
  mask = b.optionalInput(3);
  pastKey = b.optionalInput(4);
  pastValue = b.optionalInput(5);
  validKeys = b.optionalInput(6);
  causal = b.intAttr("is_causal", 0);
  left = b.intAttr("left_window_size", -1);
  right = b.intAttr("right_window_size", -1);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(query);
  if ((rank != 3 && rank != 4) || b.rank(key) != rank || b.rank(value) != rank)
    return b.error("query, key and value must all have rank 3 or all rank 4, not " + Twine(rank) +
                   ", " + Twine(b.rank(key)) + ", " + Twine(b.rank(value)));
  if (!pastKey != !pastValue || (pastKey && validKeys))
    return b.error("past_key and past_value come together, and without nonpad_kv_seqlen");
  wasPacked = isPacked = rank == 3;
  return success();
}

LogicalResult AttentionImporter::readHeads() {
  queryHeads = b.intAttr("q_num_heads", 0);
  keyHeads = b.intAttr("kv_num_heads", 0);
  std::optional<int64_t> size;
  if (isPacked) {
    if (queryHeads <= 0 || keyHeads <= 0)
      return b.error("inputs of rank 3 need q_num_heads and kv_num_heads");
    size = b.staticDim(query, 2);
    size = size ? std::optional(*size / queryHeads) : std::nullopt;
  } else {
    auto heads = b.staticDim(query, 1), kvHeads = b.staticDim(key, 1);
    if (!heads || !kvHeads)
      return b.unsupported("with a dynamic number of heads");
    queryHeads = *heads;
    keyHeads = *kvHeads;
    size = b.staticDim(query, 3);
  }
  if (!size && !b.hasAttr("scale"))
    return b.unsupported("with a dynamic head size and without a scale");
  headSize = size.value_or(0);
  return success();
}

Value AttentionImporter::splitHeads(Value x, int64_t heads) {
  if (b.failed())
    return {};
  auto width = b.staticDim(x, 2);
  if (!width) {
    (void)b.unsupported("with a dynamic hidden size");
    return {};
  }
  return b.transpose(
      b.reshape(x, {Extent(x, 0), Extent(x, 1), Extent(heads), Extent(*width / heads)}),
      {0, 2, 1, 3});
}

/// Keys and values of rank 3 are unpacked where the past, or an output of the present, has rank 4.
void AttentionImporter::appendToPast() {
  if (isPacked && (pastKey || b.hasOutput(1) || b.hasOutput(2))) {
    query = splitHeads(query, queryHeads);
    key = splitHeads(key, keyHeads);
    value = splitHeads(value, keyHeads);
    isPacked = false;
  }
  if (pastKey) {
    key = b.concat({pastKey, key}, 2);
    value = b.concat({pastValue, value}, 2);
  }
}

bool AttentionImporter::causalFitsFlag() {
  if (validKeys || b.failed())
    return false;
  int64_t axis = isPacked ? 1 : 2;
  DimExprAttr offset =
      pastKey ? b.dim(pastKey, 2) : DimExprAttr::constant(b.builder.getContext(), 0);
  return DimExprAttr::sub(b.dim(key, axis), b.dim(query, axis)) == offset;
}

/// offset + i - j of shape [queries, keys], or [batch, 1, queries, keys] when the offset differs in
/// the batch.
Value AttentionImporter::distances() {
  int64_t axis = isPacked ? 1 : 2;
  Value position = b.alongAxis(b.iota(Extent(query, axis)), 0, 2);
  if (pastKey) {
    position = b.add(position, b.shapeTensor(Extent(pastKey, 2)));
  } else if (validKeys) {
    Value offset = b.sub(validKeys, b.shapeTensor(Extent(query, axis)));
    position = b.add(position, b.alongAxis(offset, 0, 4));
  }
  return b.sub(position, b.iota(Extent(key, axis)));
}

void AttentionImporter::restrict(Value &result, Value allowed) {
  if (!result)
    result = allowed;
  else if (!b.failed() && b.isBool(result))
    result = b.binary(BinaryKind::And, result, allowed);
  else
    result = b.select(allowed, result, b.scalar(result, -INFINITY));
}

Value AttentionImporter::buildMask() {
  Value result = mask;
  int64_t axis = isPacked ? 1 : 2;
  if (result && !b.failed()) {
    int64_t rank = b.rank(result);
    if (rank < 1 || rank > 4) {
      (void)b.error("the mask has rank " + Twine(rank));
      return {};
    }
    auto width = b.staticDim(result, rank - 1), keys = b.staticDim(key, axis);
    // ONNX pads a mask that is shorter than the keys, even one of width 1.
    bool provable = b.dim(result, rank - 1) == b.dim(key, axis) || (!width && !keys) ||
                    (!width != !keys && width != 1);
    if (!provable) {
      (void)b.unsupported("with a mask that is shorter than the keys");
      return {};
    }
    if (!b.isBool(result))
      result = b.cast(result, b.elementType(query));
  }
  if (validKeys)
    restrict(result,
             b.compare(CompareKind::Lt, b.iota(Extent(key, axis)), b.alongAxis(validKeys, 0, 4)));
  bool byMask = causal && !causalFitsFlag();
  if (byMask || left >= 0 || right >= 0) {
    Value distance = distances();
    Type i64 = b.builder.getI64Type();
    if (byMask)
      restrict(result, b.compare(CompareKind::Ge, distance, b.scalar(i64, 0)));
    if (left >= 0)
      restrict(result, b.compare(CompareKind::Le, distance, b.scalar(i64, double(left))));
    if (right >= 0)
      restrict(result, b.compare(CompareKind::Ge, distance, b.scalar(i64, double(-right))));
  }
  causal = causal && !byMask;
  if (!result || b.failed() || b.rank(result) == 4)
    return result;
  SmallVector<Extent> extents(4 - b.rank(result), Extent(1));
  for (int64_t i = 0; i < b.rank(result); ++i)
    extents.push_back(Extent(result, i));
  return b.reshape(result, extents);
}

LogicalResult AttentionImporter::run() {
  if (failed(refuseUnsupported()) || failed(readInputs()) || failed(readHeads()))
    return failure();
  appendToPast();
  Value fullMask = buildMask();
  if (b.failed())
    return failure();
  double scale = b.floatAttr("scale", headSize ? 1 / std::sqrt(double(headSize)) : 1);
  OpBuilder &builder = b.builder;
  Value result = b.create<AttentionOp>(
      b.elementType(query), query, key, value, fullMask, builder.getI64IntegerAttr(queryHeads),
      builder.getI64IntegerAttr(keyHeads), builder.getF32FloatAttr(float(scale)),
      causal ? builder.getUnitAttr() : UnitAttr(),
      EmptyRowsAttr::get(builder.getContext(), EmptyRows::Zero), FloatAttr(), IntegerAttr(),
      IntegerAttr(), DimExprAttr());
  if (wasPacked && !isPacked && !b.failed()) {
    int64_t valueSize = b.staticDim(result, 3).value_or(0);
    result = b.reshape(b.transpose(result, {0, 2, 1, 3}),
                       {Extent(query, 0), Extent(query, 2), Extent(queryHeads * valueSize)});
  }
  for (auto [i, present] : {std::pair<size_t, Value>(1, key), {2, value}})
    if (b.hasOutput(i) && failed(b.yield(i, present)))
      return failure();
  return b.yield(result);
}

LogicalResult importAttention(OpBinder &b) { return AttentionImporter(b).run(); }

const OpRow rows[] = {
    {"", "Attention", 23, 25, OpClass::Concept, importAttention},
};

} // namespace

ArrayRef<OpRow> permalloy::attentionRows() { return rows; }
