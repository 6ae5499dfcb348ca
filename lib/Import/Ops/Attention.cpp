//===- Attention.cpp - Attention of ONNX opsets 23 to 25 ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The meaning is that of onnx 1.23: a query without any key to see gives 0, and causal masks and
// windows are aligned so that query i stands at position i + offset, where offset is the length of
// the past, or the number of valid keys minus that of queries, or 0.
//
//===----------------------------------------------------------------------===//

#include "AttentionParts.h"

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
  LogicalResult readAttributes();
  LogicalResult readInputs();
  LogicalResult readHeads();
  void append();
  /// The mask's last dimension padded with false or -inf up to the keys (opset 24).
  Value padded(Value mask);
  /// The given mask, the valid lengths, and causality and windows where tfm's attributes do not
  /// fit.
  void buildMask();
  /// Does query i stand at key i + (keys - queries), as tfm's attributes have it?
  bool isAlignedAtTheEnd();
  LogicalResult yieldScores(Type type);

  OpBinder &b;
  AttentionParts parts;
  Value pastKey, pastValue, validKeys;
  bool isDouble = false; ///< softmax_precision; up to float it is met anyway
};

LogicalResult AttentionImporter::readAttributes() {
  parts.causal = b.intAttr("is_causal", 0);
  parts.softcap = b.floatAttr("softcap", 0);
  parts.left = b.intAttr("left_window_size", -1);
  parts.right = b.intAttr("right_window_size", -1);
  parts.emptyRows = EmptyRows::Zero;
  if (parts.softcap < 0 || parts.left < -1 || parts.right < -1)
    return b.error("softcap must not be negative, and windows must be -1 (open), 0 or more");
  isDouble = b.intAttr("softmax_precision", onnx::TensorProto::FLOAT) == onnx::TensorProto::DOUBLE;
  return success(!b.failed());
}

LogicalResult AttentionImporter::readInputs() {
  parts.query = b.input(0);
  parts.key = b.input(1);
  parts.value = b.input(2);
  parts.mask = b.optionalInput(3);
  pastKey = b.optionalInput(4);
  pastValue = b.optionalInput(5);
  validKeys = b.optionalInput(6);
  if (b.failed())
    return failure();
  int64_t rank = b.rank(parts.query), keyRank = b.rank(parts.key), valueRank = b.rank(parts.value);
  if ((rank != 3 && rank != 4) || keyRank != rank || valueRank != rank)
    return b.error("query, key and value must all have rank 3 or all rank 4, not " + Twine(rank) +
                   ", " + Twine(keyRank) + ", " + Twine(valueRank));
  if (!pastKey != !pastValue || (pastKey && validKeys))
    return b.error("past_key and past_value come together, and without nonpad_kv_seqlen");
  if (parts.mask && (b.rank(parts.mask) < 1 || b.rank(parts.mask) > 4))
    return b.error("the mask has rank " + Twine(b.rank(parts.mask)) + "; accepted are 1 to 4");
  return success();
}

LogicalResult AttentionImporter::readHeads() {
  parts.queryHeads = b.intAttr("q_num_heads", 0);
  parts.keyHeads = b.intAttr("kv_num_heads", 0);
  std::optional<int64_t> size;
  if (b.rank(parts.query) == 3) {
    if (parts.queryHeads <= 0 || parts.keyHeads <= 0)
      return b.error("inputs of rank 3 need q_num_heads and kv_num_heads");
    size = b.staticDim(parts.query, 2);
    size = size ? std::optional(*size / parts.queryHeads) : std::nullopt;
  } else {
    if (b.opset() >= 25 && (parts.queryHeads || parts.keyHeads))
      return b.error("inputs of rank 4 take no q_num_heads and kv_num_heads");
    auto heads = b.staticDim(parts.query, 1), kvHeads = b.staticDim(parts.key, 1);
    if (!heads || !kvHeads)
      return b.unsupported("with a dynamic number of heads");
    parts.queryHeads = *heads;
    parts.keyHeads = *kvHeads;
    size = b.staticDim(parts.query, 3);
  }
  if (!size && !b.hasAttr("scale"))
    return b.unsupported("with a dynamic head size and without a scale");
  parts.scale = b.floatAttr("scale", size ? 1 / std::sqrt(double(*size)) : 1);
  return success(!b.failed());
}

/// Packed keys and values are unpacked where the past, or an output of the present, has rank 4.
void AttentionImporter::append() {
  if (pastKey) {
    parts.key = appendToPast(b, pastKey, parts.key, parts.keyHeads);
    parts.value = appendToPast(b, pastValue, parts.value, parts.keyHeads);
  } else if (b.hasOutput(1) || b.hasOutput(2)) {
    parts.key = splitHeads(b, parts.key, parts.keyHeads);
    parts.value = splitHeads(b, parts.value, parts.keyHeads);
  }
}

bool AttentionImporter::isAlignedAtTheEnd() {
  if (validKeys || b.failed())
    return false;
  DimExprAttr offset =
      pastKey ? b.dim(pastKey, 2) : DimExprAttr::constant(b.builder.getContext(), 0);
  return DimExprAttr::sub(b.dim(parts.key, parts.keyAxis()),
                          b.dim(parts.query, parts.queryAxis())) == offset;
}

Value AttentionImporter::padded(Value mask) {
  int64_t last = b.rank(mask) - 1;
  Extent keys(parts.key, parts.keyAxis());
  if (b.opset() < 24 || b.dim(mask, last) == b.dim(parts.key, parts.keyAxis()))
    return mask;
  Value missing = b.sub(b.shapeTensor(keys), b.shapeTensor(Extent(mask, last)));
  SmallVector<Value> shape;
  for (int64_t i = 0; i < last; ++i)
    shape.push_back(b.shapeTensor(Extent(mask, i)));
  shape.push_back(missing);
  Value hidden = b.scalar(mask, b.isBool(mask) ? 0 : -INFINITY);
  Value extents = b.concat(shape, 0);
  if (b.failed())
    return {};
  Value padding = b.create<BroadcastOp>(b.elementType(mask), hidden, extents, ArrayAttr());
  return b.failed() ? Value() : b.concat({mask, padding}, last);
}

void AttentionImporter::buildMask() {
  if (b.failed())
    return;
  Value &mask = parts.mask;
  Extent queries(parts.query, parts.queryAxis()), keys(parts.key, parts.keyAxis());
  if (mask)
    mask = padded(b.isBool(mask) ? mask : b.cast(mask, b.elementType(parts.query)));
  if (validKeys)
    restrictMask(b, mask, b.compare(CompareKind::Lt, b.iota(keys), b.alongAxis(validKeys, 0, 4)));
  if (!isAlignedAtTheEnd() && (parts.causal || parts.left >= 0 || parts.right >= 0)) {
    Value start;
    if (pastKey)
      start = b.shapeTensor(Extent(pastKey, 2));
    else if (validKeys)
      start = b.alongAxis(b.sub(validKeys, b.shapeTensor(queries)), 0, 4);
    Value distance = queryMinusKey(b, queries, start, keys);
    auto limit = [&](CompareKind kind, int64_t size) {
      restrictMask(b, mask, b.compare(kind, distance, b.scalar(distance, double(size))));
    };
    if (parts.causal)
      limit(CompareKind::Ge, 0);
    if (parts.left >= 0)
      limit(CompareKind::Le, parts.left);
    if (parts.right >= 0)
      limit(CompareKind::Ge, -parts.right);
    parts.causal = false;
    parts.left = parts.right = -1;
  }
  mask = maskOfRank4(b, mask);
}

/// Output 3: the scores at the stage that qk_matmul_output_mode tells.
LogicalResult AttentionImporter::yieldScores(Type type) {
  if (!b.hasOutput(3))
    return success();
  int64_t mode = b.intAttr("qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3)
    return b.error("qk_matmul_output_mode " + Twine(mode) + "; accepted are 0 to 3");
  static constexpr ScoreStage stages[] = {ScoreStage::Scaled, ScoreStage::Capped,
                                          ScoreStage::Masked, ScoreStage::Weights};
  return b.yield(3, b.cast(makeScores(b, parts, stages[mode]), type));
}

LogicalResult AttentionImporter::run() {
  if (failed(readInputs()) || failed(readAttributes()) || failed(readHeads()))
    return failure();
  append();
  buildMask();
  for (auto [i, present] : {std::pair<size_t, Value>(1, parts.key), {2, parts.value}})
    if (b.hasOutput(i) && failed(b.yield(i, present)))
      return failure();
  if (b.failed())
    return failure();
  Type type = b.elementType(parts.query);
  if (isDouble)
    for (Value *operand : {&parts.query, &parts.key, &parts.value, &parts.mask})
      if (*operand && !b.isBool(*operand))
        *operand = b.cast(*operand, b.builder.getF64Type());
  if (failed(yieldScores(type)))
    return failure();
  return b.yield(b.cast(makeAttention(b, parts), type));
}

LogicalResult importAttention(OpBinder &b) { return AttentionImporter(b).run(); }

const OpRow rows[] = {
    {"", "Attention", 23, 25, OpClass::Concept, importAttention},
};

} // namespace

ArrayRef<OpRow> permalloy::attentionRows() { return rows; }
