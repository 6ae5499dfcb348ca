//===- ValueProduct.cpp - matrix products and attention at an index -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ValueEmitter.h"
#include "permalloy/Codegen/CPU/ExprEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::BinaryKind;
using tfm::DimExprAttr;

/// f32 for f16 and bf16, else the type itself.
static Element accumulatorOf(Element e) {
  return e.isHalf() ? Element::of(Float32Type::get(e.stored.getContext())) : e;
}

/// Sum over k of lhs * rhs at the sites given for k, in elements `e`.
Value ValueEmitter::dot(Value lhs, Value rhs, Element e, DimExprAttr depth, function_ref<std::pair<Site, Site>(Value)> sites) {
  auto probe = sites(b.i64(0));
  bool isVector = probe.first.isVector() || probe.second.isVector();
  Value init = ops.constant(e, 0.0);
  if (isVector)
    init = ops.toVector(init);
  return nest({depth}, {init}, [&](ArrayRef<Value> k, ValueRange carried) {
    auto [left, right] = sites(k[0]);
    Value x = at(lhs, left), y = at(rhs, right), sum = carried[0];
    if (!e.isFloat() && !e.isBool()) { // codes of 8 bits are widened
      x = ops.cast(Element::of(lhs), e, x);
      y = ops.cast(Element::of(rhs), e, y);
    }
    ops.match(x, y);
    ops.match(x, sum);
    ops.match(y, sum);
    if (e.isFloat())
      return SmallVector<Value>{b.fma(x, y, sum)};
    Value product = ops.binary(e.isBool() ? BinaryKind::And : BinaryKind::Mul, e, x, y);
    return SmallVector<Value>{ops.binary(e.isBool() ? BinaryKind::Or : BinaryKind::Add, e, sum, product)};
  })[0];
}

Value ValueEmitter::emit(tfm::MatmulOp op, const Site &site) {
  tfm::Dims own = dims(op.getResult()), lhs = dims(op.getLhs()), rhs = dims(op.getRhs());
  Site full = toFull(site, own);
  bool vectorLhs = lhs.size() == 1, vectorRhs = rhs.size() == 1;
  size_t batch = own.size() - !vectorLhs - !vectorRhs;
  // One operand's place: its batch indices broadcast, then row and column. `lane` is the result's lane.
  auto place = [&](ArrayRef<DimExprAttr> dims, bool swapped, Value row, Value column, int rowLane, int columnLane) {
    Site result = full;
    result.indices.clear();
    result.lane = -1;
    if (dims.size() == 1) {
      result.indices.push_back(row ? row : column);
      result.lane = rowLane >= 0 || columnLane >= 0 ? 0 : -1;
      return result;
    }
    size_t ownBatch = dims.size() - 2, shift = batch - ownBatch;
    for (size_t i = 0; i < ownBatch; ++i) {
      Value index = full.indices[shift + i];
      bool repeats = dims[i].isConstant(1);
      bool unknown = !dims[i].asConstant() && dims[i] != own[shift + i];
      if (unknown)
        index = b.select(b.equal(extent(dims[i]), b.i64(1)), b.i64(0), index);
      lost |= full.lane == int(shift + i);
      result.indices.push_back(repeats ? b.i64(0) : index);
    }
    result.indices.push_back(swapped ? column : row);
    result.indices.push_back(swapped ? row : column);
    if (rowLane >= 0)
      result.lane = ownBatch + swapped;
    if (columnLane >= 0)
      result.lane = ownBatch + !swapped;
    return result;
  };
  int laneOfRow = !vectorLhs && full.lane == int(batch) ? 1 : -1;
  int laneOfColumn = !vectorRhs && full.isVector() && full.lane == int(own.size()) - 1 ? 1 : -1;
  Value row = vectorLhs ? Value() : full.indices[batch], column = vectorRhs ? Value() : full.indices.back();
  if (laneOfRow > 0 && laneOfColumn > 0)
    laneOfRow = -1;
  DimExprAttr depth = lhs[lhs.size() - (op.getTransposeA() ? 2 : 1)];
  Value sum = dot(op.getLhs(), op.getRhs(), accumulatorOf(Element::of(op.getLhs())), depth, [&](Value k) {
    Site left = vectorLhs ? place(lhs, false, k, Value(), -1, -1) : place(lhs, op.getTransposeA(), row, k, laneOfRow, -1);
    Site right = vectorRhs ? place(rhs, false, k, Value(), -1, -1)
                           : place(rhs, op.getTransposeB(), k, column, -1, laneOfColumn);
    return std::pair(left, right);
  });
  return ops.round(Element::of(op.getResult()), sum);
}

Value ValueEmitter::emit(tfm::LinearOp op, const Site &site) {
  tfm::Dims own = dims(op.getResult()), weight = dims(op.getWeight());
  Site full = toFull(site, own);
  if (full.isVector() && full.lane + 1 != int(own.size()))
    return lose(op, site);
  Element e = Element::of(op.getResult()), sumType = op.isIntegral() ? e : accumulatorOf(Element::of(op.getInput()));
  Value sum = dot(op.getInput(), op.getWeight(), sumType, weight[0], [&](Value k) {
    Index row = full.indices;
    row.back() = k;
    Site column = full;
    column.indices = {k, full.indices.back()};
    column.lane = full.isVector() ? 1 : -1;
    return std::pair(Site::full(row), column);
  });
  if (op.getBias())
    sum = ops.binary(BinaryKind::Add, sumType, sum, at(op.getBias(), operandSite(full, own, op.getBias())));
  static constexpr tfm::UnaryKind kKinds[] = {tfm::UnaryKind::Abs,      tfm::UnaryKind::Relu, tfm::UnaryKind::GeluErf,
                                              tfm::UnaryKind::GeluTanh, tfm::UnaryKind::Silu, tfm::UnaryKind::Tanh,
                                              tfm::UnaryKind::Sigmoid};
  if (op.getActivation() != tfm::Activation::None)
    sum = ops.unary(kKinds[unsigned(op.getActivation())], sumType, sum);
  return ops.round(e, sum);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {
/// One of query, key, value, packed or not: its site at (batch, head, position, feature).
struct Heads {
  ValueEmitter &emitter;
  Value tensor;
  bool packed;
  DimExprAttr size, sequence;

  Heads(ValueEmitter &emitter, Value tensor, int64_t heads) : emitter(emitter), tensor(tensor) {
    tfm::Dims dims = emitter.dims(tensor);
    packed = dims.size() == 3;
    sequence = dims[packed ? 1 : 2];
    size = packed ? DimExprAttr::floorDiv(dims[2], DimExprAttr::constant(tensor.getContext(), heads)) : dims[3];
  }
  Site at(Value batch, Value head, Value position, Value feature) const {
    KernelBuilder &b = emitter.builder();
    if (!packed)
      return Site::full({batch, head, position, feature});
    return Site::full({batch, position, b.add(b.mul(head, emitter.extent(size)), feature)});
  }
};
} // namespace

/// Causality and windows hide key `j` from the query at `position`.
static Value isOutOfReach(KernelBuilder &b, tfm::AttentionOp op, Value position, Value j) {
  Value hidden = arith::ConstantOp::create(b, b.getBoolAttr(false));
  auto hide = [&](Value condition) { hidden = arith::OrIOp::create(b, hidden, condition); };
  if (op.getCausal())
    hide(b.less(position, j));
  if (auto right = op.getWindowRight())
    hide(b.less(b.add(position, int64_t(*right)), j));
  if (auto left = op.getWindowLeft())
    hide(b.less(j, b.sub(position, int64_t(*left))));
  return hidden;
}

/// Weights of all keys for the query at `place` (batch, head, position) into `memory`.
void ValueEmitter::attentionWeights(tfm::AttentionOp op, ArrayRef<Value> place, Value memory) {
  Element e = accumulatorOf(Element::of(op.getQuery()));
  Heads query(*this, op.getQuery(), op.getNumHeads()), key(*this, op.getKey(), op.getNumKvHeads());
  Value kvHead = b.div(place[1], op.getNumHeads() / op.getNumKvHeads());
  DimExprAttr keyCount = op.keys(dims(op.getKey()));
  Value keys = extent(keyCount), queries = extent(query.sequence);
  Value scale = ops.constant(e, APFloat(op.getScale())), lowest = ops.lowest(e), zero = ops.constant(e, 0.0);
  auto binary = [&](BinaryKind kind, Value x, Value y) { return ops.binary(kind, e, x, y); };
  auto entry = [&](Value j) { return b.at(memory, b.mul(j, e.bytes())); };
  Value position = b.add(place[2], b.sub(keys, queries));
  auto scored = b.loop(b.i64(0), keys, 1, {lowest, b.i64(0)}, [&](Value j, ValueRange carried) {
    Value product = dot(op.getQuery(), op.getKey(), accumulatorOf(Element::of(op.getQuery())), query.size, [&](Value d) {
      return std::pair(query.at(place[0], place[1], place[2], d), key.at(place[0], kvHead, j, d));
    });
    Value score = binary(BinaryKind::Mul, product, scale);
    if (op.getSoftcap()) {
      Value cap = ops.constant(e, *op.getSoftcap());
      score = binary(BinaryKind::Mul, cap, ops.unary(tfm::UnaryKind::Tanh, e, binary(BinaryKind::Div, score, cap)));
    }
    Value hidden = isOutOfReach(b, op, position, j);
    if (op.getMask()) {
      DimExprAttr heads = DimExprAttr::constant(op.getContext(), op.getNumHeads());
      tfm::Dims scores = {dims(op.getQuery())[0], heads, query.sequence, keyCount};
      Site there = Site::full({place[0], place[1], place[2], j});
      Value mask = at(op.getMask(), operandSite(there, scores, op.getMask()));
      Value masked;
      if (Element::of(op.getMask()).isBool()) {
        masked = arith::XOrIOp::create(b, mask, arith::ConstantOp::create(b, b.getBoolAttr(true)));
      } else {
        score = binary(BinaryKind::Add, score, mask);
        masked = ops.compare(tfm::CompareKind::Eq, e, mask, lowest);
      }
      hidden = arith::OrIOp::create(b, hidden, masked);
    }
    score = b.select(hidden, lowest, score);
    ops.store(e, score, entry(j));
    Value seen = b.select(hidden, carried[1], b.i64(1));
    return SmallVector<Value>{binary(BinaryKind::Max, carried[0], score), seen};
  });
  Value sum = b.loop(b.i64(0), keys, 1, {zero}, [&](Value j, ValueRange carried) {
    Value power = ops.unary(tfm::UnaryKind::Exp, e, binary(BinaryKind::Sub, ops.load(e, entry(j)), scored[0]));
    ops.store(e, power, entry(j));
    return SmallVector<Value>{binary(BinaryKind::Add, carried[0], power)};
  })[0];
  Value empty;
  if (op.getEmptyRows() == tfm::EmptyRows::Zero)
    empty = zero;
  if (op.getEmptyRows() == tfm::EmptyRows::Uniform)
    empty = binary(BinaryKind::Div, ops.constant(e, 1.0), ops.cast(Element::of(b.getI64Type()), e, keys));
  b.loop(b.i64(0), keys, 1, [&](Value j) {
    Value weight = binary(BinaryKind::Div, ops.load(e, entry(j)), sum);
    if (empty)
      weight = b.select(b.equal(scored[1], b.i64(0)), empty, weight);
    ops.store(e, weight, entry(j));
  });
}

Value ValueEmitter::emit(tfm::AttentionOp op, const Site &site) {
  if (op.getOffsets())
    return unsupportedHere(op, "an attention with offsets that the attention emitter does not take");
  tfm::Dims own = dims(op.getResult());
  Site full = toFull(site, own);
  Heads value(*this, op.getValue(), op.getNumKvHeads());
  bool packed = own.size() == 3;
  unsigned lanes = b.target().lanes();
  auto width = value.size.asConstant();
  bool wholeHeads = !packed || (full.aligned && width && *width % lanes == 0);
  if (full.isVector() && (full.lane + 1 != int(own.size()) || !wholeHeads))
    return lose(op, site);
  Value batch = full.indices[0], head, position, feature;
  if (packed) {
    position = full.indices[1];
    head = b.div(full.indices[2], extent(value.size));
    feature = b.rem(full.indices[2], extent(value.size));
  } else {
    head = full.indices[1];
    position = full.indices[2];
    feature = full.indices[3];
  }
  Value queries = extent(own[op.queryAxis()]);
  Value row = b.add(b.mul(b.add(b.mul(batch, op.getNumHeads()), head), queries), position);
  Value memory = b.at(slotOf(op), 64);
  remembered(op, row, TypeRange(), [&] {
    attentionWeights(op, {batch, head, position}, memory);
    return SmallVector<Value>();
  });
  Element e = Element::of(op.getResult()), sumType = accumulatorOf(e);
  Value kvHead = b.div(head, op.getNumHeads() / op.getNumKvHeads());
  Value init = ops.constant(sumType, 0.0);
  if (full.isVector())
    init = ops.toVector(init);
  Value sum = b.loop(b.i64(0), extent(op.keys(dims(op.getKey()))), 1, {init}, [&](Value j, ValueRange carried) {
    Site there = value.at(batch, kvHead, j, feature);
    there.lane = full.isVector() ? int(there.indices.size()) - 1 : -1;
    there.aligned = full.aligned;
    there.mask = full.mask;
    Value weight = ops.load(sumType, b.at(memory, b.mul(j, sumType.bytes())));
    Value x = at(op.getValue(), there), total = carried[0];
    ops.match(x, total);
    ops.match(weight, total);
    return SmallVector<Value>{b.fma(weight, x, total)};
  })[0];
  return ops.round(e, sum);
}
