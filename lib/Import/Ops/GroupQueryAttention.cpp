//===- GroupQueryAttention.cpp - GroupQueryAttention of onnxruntime -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The meaning is that of onnxruntime's CPU kernel with caches that are not shared. Sequence b of
// the batch has seqlens_k[b] + 1 keys, of which the last S are new; so its past has
//
//   past[b] = max(0, seqlens_k[b] + 1 - S)            (0 where a prompt is padded at its end)
//
// keys, and query i stands at position past[b] + i. The present has max(rows of the past,
// total_sequence_length) rows: past[b] of the past, the S new ones, zeros. Where it is known that
// every sequence fills its past, that is concat(past, new), which the cache pass appends in place;
// otherwise each row is gathered from where it stands. What a padded query gives is undefined.
//
//===----------------------------------------------------------------------===//

#include "AttentionParts.h"

#include <cmath>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class GroupQueryImporter {
public:
  explicit GroupQueryImporter(OpBinder &b) : b(b) {}
  LogicalResult run();

private:
  LogicalResult refuseUnsupported();
  LogicalResult readAttributes();
  LogicalResult readProjections();
  LogicalResult rotate();
  void buildCaches();
  /// past[b] as [batch, 1] i64.
  Value pastLengths();
  bool fillsPast();
  /// The present of one cache; `source` [batch, rows] is the new row that each row takes.
  Value placed(Value past, Value fresh, Value source);
  void buildMask();
  /// A first key of zeros, to which each query gives weight as to a score of 0 or head_sink[head].
  void addSink();
  /// Output 3: scores before softmax (qk_output 1) or after (2), 0 where a key is not seen.
  LogicalResult yieldScores(const AttentionParts &withoutSink);

  OpBinder &b;
  AttentionParts parts;
  Value pastKey, pastValue, lengths, bias, sink;
  int64_t window = -1; ///< keys before the query that it sees; -1: all
  int64_t headSize = 0;
  bool isPlaced = false, smooth = false;
};

LogicalResult GroupQueryImporter::refuseUnsupported() {
  for (size_t i : {12, 13, 14, 15})
    if (b.hasInput(i))
      return b.unsupported(i < 14
                               ? "k_scale and v_scale: a quantized cache"
                               : "q_norm_weight and k_norm_weight; accepted are norms before it");
  for (const char *name : {"k_quant_type", "v_quant_type"})
    if (std::string type = b.stringAttr(name, "NONE"); type != "NONE")
      return b.unsupported(Twine(name) + " " + type + "; accepted is NONE");
  for (const char *name : {"kv_cache_bit_width", "sliding_window_cache"})
    if (int64_t value = b.intAttr(name, 0))
      return b.unsupported(Twine(name) + " " + Twine(value) + "; accepted is 0");
  return success(!b.failed());
}

LogicalResult GroupQueryImporter::readAttributes() {
  parts.queryHeads = b.intAttr("num_heads", 0);
  parts.keyHeads = b.intAttr("kv_num_heads", 0);
  parts.softcap = b.floatAttr("softcap", 0);
  parts.causal = b.intAttr("causal", 1);
  smooth = b.intAttr("smooth_softmax", 0) == 1;
  // onnxruntime counts the query itself, and takes 0 for no window.
  int64_t size = b.intAttr("local_window_size", -1);
  window = size > 0 ? size - 1 : -1;
  if (parts.queryHeads <= 0 || parts.keyHeads <= 0 || parts.queryHeads % parts.keyHeads)
    return b.error("num_heads " + Twine(parts.queryHeads) + " must be a multiple of kv_num_heads " +
                   Twine(parts.keyHeads));
  if (!parts.causal && window >= 0)
    return b.error("local_window_size needs causal = 1");
  return success(!b.failed());
}

LogicalResult GroupQueryImporter::readProjections() {
  Value query = b.input(0);
  if (b.failed())
    return failure();
  auto width = b.rank(query) == 3 ? b.staticDim(query, 2) : std::nullopt;
  if (!width)
    return b.unsupported("with a query that is not [batch, sequence, a known size]");
  bool isPacked = !b.hasInput(1);
  int64_t heads = isPacked ? parts.queryHeads + 2 * parts.keyHeads : parts.queryHeads;
  if (isPacked != !b.hasInput(2) || *width % heads)
    return b.error("the hidden size " + Twine(*width) + " does not fit " + Twine(heads) + " heads");
  headSize = *width / heads;
  int64_t first = headSize * parts.queryHeads, second = first + headSize * parts.keyHeads;
  parts.query = isPacked ? lastColumns(b, query, 0, first) : query;
  parts.key = isPacked ? lastColumns(b, query, first, second) : b.input(1);
  parts.value = isPacked ? lastColumns(b, query, second, *width) : b.input(2);
  pastKey = b.optionalInput(3);
  pastValue = b.optionalInput(4);
  lengths = b.input(5);
  bias = b.optionalInput(10);
  sink = b.optionalInput(11);
  if (!pastKey != !pastValue)
    return b.error("past_key and past_value come together");
  if (b.failed())
    return failure();
  if (b.rank(lengths) != 1)
    lengths = b.reshape(lengths, {Extent(lengths, 0, b.rank(lengths))});
  parts.scale = b.floatAttr("scale", 0);
  if (parts.scale == 0)
    parts.scale = 1 / std::sqrt(double(headSize));
  return success(!b.failed());
}

Value GroupQueryImporter::pastLengths() {
  Type i64 = b.builder.getI64Type();
  Value total = b.add(b.cast(lengths, i64), b.scalar(i64, 1));
  Value past = b.sub(total, b.shapeTensor(Extent(parts.query, 1)));
  return b.alongAxis(b.binary(BinaryKind::Max, past, b.scalar(i64, 0)), 0, 2);
}

/// total_sequence_length is that of the longest sequence. One sequence of past + new keys fills its
/// past.
bool GroupQueryImporter::fillsPast() {
  Value total = b.input(6);
  if (b.failed() || b.staticDim(parts.query, 0) != 1)
    return false;
  auto known = b.contents(total);
  return known && !known->empty() && known->front() &&
         known->front() == DimExprAttr::add(b.dim(pastKey, 2), b.dim(parts.query, 1));
}

LogicalResult GroupQueryImporter::rotate() {
  if (!b.intAttr("do_rotary", 0))
    return success(!b.failed());
  Value cosTable = b.input(7), sinTable = b.input(8), positions = b.optionalInput(9);
  if (!positions) {
    Value steps = b.alongAxis(b.iota(Extent(parts.query, 1)), 1, 2);
    positions = pastKey ? b.add(steps, pastLengths()) : steps;
  }
  Value cosines = b.gather(cosTable, positions, 0), sines = b.gather(sinTable, positions, 0);
  bool interleaved = b.intAttr("rotary_interleaved", 0);
  auto turned = [&](Value x, int64_t heads) {
    return b.failed() ? Value()
                      : b.create<RotaryOp>(b.elementType(x), x, cosines, sines,
                                           interleaved ? b.builder.getUnitAttr() : UnitAttr(),
                                           b.builder.getI64IntegerAttr(heads));
  };
  parts.query = turned(parts.query, parts.queryHeads);
  parts.key = turned(parts.key, parts.keyHeads);
  return success(!b.failed());
}

Value GroupQueryImporter::placed(Value past, Value fresh, Value source) {
  if (b.failed())
    return {};
  Type i64 = b.builder.getI64Type();
  Value newest = b.sub(b.shapeTensor(Extent(fresh, 1)), b.scalar(i64, 1));
  Value row =
      b.binary(BinaryKind::Max, b.binary(BinaryKind::Min, source, newest), b.scalar(i64, 0));
  Value tuples = b.failed() ? Value() : b.reshape(row, {Extent(row, 0), Extent(row, 1), Extent(1)});
  if (b.failed())
    return {};
  Value rows =
      b.create<GatherNDOp>(b.elementType(fresh), fresh, tuples, b.builder.getI64IntegerAttr(1));
  auto perRow = [&](Value condition) {
    return b.failed() ? Value()
                      : b.reshape(condition, {Extent(condition, 0), Extent(1), Extent(condition, 1),
                                              Extent(1)});
  };
  Value zero = b.scalar(fresh, 0);
  Value isNew = perRow(b.compare(CompareKind::Le, source, newest));
  Value isPast = perRow(b.compare(CompareKind::Lt, source, b.scalar(i64, 0)));
  Value written = b.select(isNew, splitHeads(b, rows, parts.keyHeads), zero);
  return b.select(isPast, past, written);
}

/// Row p of the present is row p - past[b] of what is new, or row p of the past where that is
/// negative.
void GroupQueryImporter::buildCaches() {
  if (b.failed() || !pastKey) {
    parts.key = splitHeads(b, parts.key, parts.keyHeads);
    parts.value = splitHeads(b, parts.value, parts.keyHeads);
    return;
  }
  if (fillsPast()) {
    parts.key = appendToPast(b, pastKey, parts.key, parts.keyHeads);
    parts.value = appendToPast(b, pastValue, parts.value, parts.keyHeads);
    return;
  }
  isPlaced = true;
  Type i64 = b.builder.getI64Type();
  Value total = b.cast(b.input(6), i64);
  if (b.failed())
    return;
  total = b.reshape(total, {Extent(1)});
  Value missing =
      b.binary(BinaryKind::Max, b.sub(total, b.shapeTensor(Extent(pastKey, 2))), b.ints({0}));
  Value shape = b.concat({b.shapeTensor({Extent(pastKey, 0), Extent(pastKey, 1)}), missing,
                          b.shapeTensor(Extent(pastKey, 3))},
                         0);
  if (b.failed())
    return;
  Value space =
      b.create<BroadcastOp>(b.elementType(pastKey), b.scalar(pastKey, 0), shape, ArrayAttr());
  if (b.failed())
    return;
  Value key = b.concat({pastKey, space}, 2), value = b.concat({pastValue, space}, 2);
  if (b.failed())
    return;
  Value source = b.sub(b.iota(Extent(key, 2)), pastLengths());
  parts.key = placed(key, parts.key, source);
  parts.value = placed(value, parts.value, source);
}

void GroupQueryImporter::buildMask() {
  if (b.failed())
    return;
  Type i64 = b.builder.getI64Type();
  Extent queries(parts.query, 1), keys(parts.key, 2);
  Value &mask = parts.mask;
  mask = bias;
  if (bias && b.dim(bias, 3) != b.dim(parts.key, 2)) { // the present may have rows to spare
    Value missing = b.sub(b.shapeTensor(keys), b.shapeTensor(Extent(bias, 3)));
    Value shape =
        b.concat({b.shapeTensor({Extent(bias, 0), Extent(bias, 1), Extent(bias, 2)}), missing}, 0);
    if (b.failed())
      return;
    Value space = b.create<BroadcastOp>(b.elementType(bias), b.scalar(bias, 0), shape, ArrayAttr());
    mask = b.failed() ? Value() : b.concat({bias, space}, 3);
  }
  Value perSequence = isPlaced || !parts.causal ? pastLengths() : Value();
  if (!parts.causal) {
    Value total = b.alongAxis(b.add(b.cast(lengths, i64), b.scalar(i64, 1)), 0, 4);
    restrictMask(b, mask, b.compare(CompareKind::Lt, b.iota(keys), total));
  } else if (isPlaced || (smooth || sink)) {
    // Placed rows end at another key in each sequence, and a window would hide the sink.
    Value start = isPlaced ? b.alongAxis(b.reshape(perSequence, {Extent(perSequence, 0)}), 0, 4)
                           : b.sub(b.shapeTensor(keys), b.shapeTensor(queries));
    Value distance = queryMinusKey(b, queries, start, keys);
    if (isPlaced)
      restrictMask(b, mask, b.compare(CompareKind::Ge, distance, b.scalar(i64, 0)));
    if (window >= 0)
      restrictMask(b, mask, b.compare(CompareKind::Le, distance, b.scalar(i64, double(window))));
    parts.causal = !isPlaced;
  } else {
    parts.left = window;
  }
  mask = maskOfRank4(b, mask);
}

void GroupQueryImporter::addSink() {
  if (b.failed() || (!smooth && !sink))
    return;
  Value zero = b.scalar(parts.key, 0), keys = parts.key;
  for (Value *x : {&parts.key, &parts.value}) {
    Value row = b.broadcast(zero, {Extent(*x, 0), Extent(*x, 1), Extent(1), Extent(*x, 3)});
    *x = b.failed() ? Value() : b.concat({row, *x}, 2);
  }
  Value &mask = parts.mask;
  if (b.failed() || (!mask && !sink))
    return;
  if (!mask)
    mask = b.broadcast(zero, {Extent(1), Extent(1), Extent(1), Extent(keys, 2)});
  if (sink && !b.failed() && b.isBool(mask))
    mask = b.select(mask, zero, b.scalar(zero, -INFINITY));
  if (b.failed())
    return;
  SmallVector<Extent> column = {Extent(mask, 0), Extent(mask, 1), Extent(mask, 2), Extent(1)};
  Value first = b.scalar(mask, b.isBool(mask) ? 1 : 0);
  if (sink) {
    column[1] = Extent(parts.queryHeads);
    first =
        b.reshape(b.cast(sink, b.elementType(mask)), {Extent(1), column[1], Extent(1), Extent(1)});
  }
  SmallVector<Extent> rest = column;
  rest.back() = Extent(mask, 3);
  mask = b.concat({b.broadcast(first, column), b.broadcast(mask, rest)}, 3);
}

LogicalResult GroupQueryImporter::yieldScores(const AttentionParts &withoutSink) {
  int64_t mode = b.intAttr("qk_output", 0);
  if (b.failed() || !b.hasOutput(3))
    return success(!b.failed());
  if (mode != 1 && mode != 2)
    return b.error("output 3 needs qk_output 1 (before softmax) or 2 (after), not " + Twine(mode));
  Value scores;
  if (mode == 1) {
    scores = makeScores(b, withoutSink, ScoreStage::Masked);
    Value isHidden = b.compare(CompareKind::Eq, scores, b.scalar(scores, -INFINITY));
    scores = b.select(isHidden, b.scalar(scores, 0), scores);
  } else {
    scores = makeScores(b, parts, ScoreStage::Weights);
  }
  // Without the sink and the rows to spare: total_sequence_length columns.
  if (b.failed())
    return failure();
  Value first = b.ints({mode == 2 && (smooth || sink) ? 1 : 0});
  Value total = b.cast(b.input(6), b.builder.getI64Type());
  Value end = b.failed() ? Value() : b.add(b.reshape(total, {Extent(1)}), first);
  return b.yield(3, b.create<SliceOp>(b.failed() ? Type() : b.elementType(scores), scores, first,
                                      end, Value(), b.builder.getDenseI64ArrayAttr({3}),
                                      ArrayAttr(), ArrayAttr(), DenseI64ArrayAttr()));
}

LogicalResult GroupQueryImporter::run() {
  if (failed(refuseUnsupported()) || failed(readAttributes()) || failed(readProjections()) ||
      failed(rotate()))
    return failure();
  buildCaches();
  for (auto [i, present] : {std::pair<size_t, Value>(1, parts.key), {2, parts.value}})
    if (b.hasOutput(i) && failed(b.yield(i, present)))
      return failure();
  buildMask();
  AttentionParts plain = parts;
  addSink();
  if (failed(yieldScores(plain)))
    return failure();
  return b.yield(makeAttention(b, parts));
}

LogicalResult importGroupQueryAttention(OpBinder &b) { return GroupQueryImporter(b).run(); }

const OpRow rows[] = {
    {"com.microsoft", "GroupQueryAttention", 1, 1, OpClass::Decomposed, importGroupQueryAttention},
};

} // namespace

ArrayRef<OpRow> permalloy::groupQueryRows() { return rows; }
