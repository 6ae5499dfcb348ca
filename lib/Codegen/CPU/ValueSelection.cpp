//===- ValueSelection.cpp - top_k and scatter at an index --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Selection.h"
#include "ValueEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::CompareKind;
using tfm::DimExprAttr;

//===----------------------------------------------------------------------===//
// The best elements of a row
//===----------------------------------------------------------------------===//

Value codegen::isAhead(KernelBuilder &b, Element element, bool smallest, Value x, Value y) {
  ElementOps ops(b);
  Value ahead = ops.compare(smallest ? CompareKind::Lt : CompareKind::Gt, element, x, y);
  if (!element.isFloat())
    return ahead;
  Value large = smallest ? y : x, small = smallest ? x : y;
  Value onlyOne = arith::AndIOp::create(b, ops.compare(CompareKind::Ne, element, large, large),
                                        ops.compare(CompareKind::Eq, element, small, small));
  return arith::OrIOp::create(b, ahead, onlyOne);
}

void codegen::emitSelection(KernelBuilder &b, const Selection &s, function_ref<void(Value, Value)> take) {
  Value none = b.i64(-1), zero = ElementOps(b).constant(s.element, 0.0), yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
  auto ahead = [&](Value x, Value y) { return isAhead(b, s.element, s.smallest, x, y); };
  auto either = [&](Value x, Value y) -> Value { return arith::OrIOp::create(b, x, y); };
  auto both = [&](Value x, Value y) -> Value { return arith::AndIOp::create(b, x, y); };
  b.loop(b.i64(0), s.count, 1, {zero, none}, [&](Value slot, ValueRange last) {
    auto best = b.loop(b.i64(0), s.size, 1, {zero, none}, [&](Value position, ValueRange so) {
      // Behind the one chosen before: worse, or as good and further on. -1: none was, or none is yet.
      Value x = s.at(position), better = ahead(x, last[0]);
      Value tied = both(arith::XOrIOp::create(b, better, yes), b.less(last[1], position));
      Value isFree = either(b.less(last[1], b.i64(0)), either(ahead(last[0], x), tied));
      Value wins = either(b.less(so[1], b.i64(0)), ahead(x, so[0]));
      Value takes = both(isFree, wins);
      return SmallVector<Value>{b.select(takes, x, so[0]), b.select(takes, position, so[1])};
    });
    take(slot, best[1]);
    return best;
  });
}

Value ValueEmitter::emit(tfm::TopKOp op, const Site &site) {
  if (!op.getK())
    return unsupportedHere(op, "a top_k whose k is computed while running");
  tfm::Dims own = dims(op.getResult());
  Site full = toFull(site, own);
  if (full.isVector())
    return lose(op, site);
  int64_t axis = op.getAxis();
  tfm::Dims others = own;
  others[axis] = DimExprAttr::constant(op.getContext(), 1);
  Index place(full.indices);
  place[axis] = b.i64(0);
  Value memory = b.at(slotOf(op), 64);
  remembered(op, linearize(place, others), TypeRange(), [&] {
    auto element = [&](Value position) {
      place[axis] = position;
      return at(op.getInput(), Site::full(place));
    };
    Selection selection{Element::of(op.getInput()), extent(dims(op.getInput())[axis]), extent(own[axis]),
                        op.getSmallest(), element};
    emitSelection(b, selection, [&](Value slot, Value position) { b.store(position, b.at(memory, b.mul(slot, 8)), 8); });
    return SmallVector<Value>();
  });
  return b.load(b.getI64Type(), b.at(memory, b.mul(full.indices[axis], 8)), 8);
}

//===----------------------------------------------------------------------===//
// Scatter
//===----------------------------------------------------------------------===//

/// The element after an update.
static Value joined(ElementOps &ops, tfm::ScatterReduction kind, Element e, Value old, Value update) {
  switch (kind) {
  case tfm::ScatterReduction::None: return update;
  case tfm::ScatterReduction::Add: return ops.round(e, ops.binary(tfm::BinaryKind::Add, e, old, update));
  case tfm::ScatterReduction::Mul: return ops.round(e, ops.binary(tfm::BinaryKind::Mul, e, old, update));
  case tfm::ScatterReduction::Max: return ops.binary(tfm::BinaryKind::Max, e, old, update);
  case tfm::ScatterReduction::Min: return ops.binary(tfm::BinaryKind::Min, e, old, update);
  }
  llvm_unreachable("all reductions are listed");
}

/// An element asks all updates that may concern it, in their order: right before fast, and the same for any grid.
Value ValueEmitter::emit(tfm::ScatterOp op, const Site &site) {
  tfm::Dims own = dims(op.getResult()), indices = dims(op.getIndices());
  Site full = toFull(site, own);
  if (full.isVector())
    return lose(op, site);
  Element e = Element::of(op.getResult());
  Value data = at(op.getData(), full);
  auto isChosen = [&](ArrayRef<Value> place, int64_t axis) {
    Value index = ops.cast(Element::of(op.getIndices()), Element::of(b.getI64Type()), at(op.getIndices(), Site::full(place)));
    index = b.select(b.less(index, b.i64(0)), b.add(index, extent(own[axis])), index);
    return b.equal(index, full.indices[axis]);
  };
  auto update = [&](Value hit, ArrayRef<Value> place, Value old) {
    return choose(
        hit,
        [&] { return SmallVector<Value>{joined(ops, op.getReduction(), e, old, at(op.getUpdates(), Site::full(place)))}; },
        [&] { return SmallVector<Value>{old}; });
  };
  if (op.getAxis()) {
    int64_t axis = *op.getAxis();
    Value inside = arith::ConstantOp::create(b, b.getBoolAttr(true));
    for (auto [d, dim] : llvm::enumerate(indices))
      if (int64_t(d) != axis && dim != own[d])
        inside = arith::AndIOp::create(b, inside, b.less(full.indices[d], extent(dim)));
    Value count = b.select(inside, extent(indices[axis]), b.i64(0));
    return b.loop(b.i64(0), count, 1, {data}, [&](Value position, ValueRange so) {
      Index place(full.indices);
      place[axis] = position;
      return update(isChosen(place, axis), place, so[0]);
    })[0];
  }
  int64_t tuple = *indices.back().asConstant();
  return nest(ArrayRef(indices).drop_back(), {data}, [&](ArrayRef<Value> outer, ValueRange so) {
    Value hit = arith::ConstantOp::create(b, b.getBoolAttr(true));
    for (int64_t d = 0; d < tuple; ++d) {
      Index place(outer);
      place.push_back(b.i64(d));
      hit = arith::AndIOp::create(b, hit, isChosen(place, d));
    }
    Index place(outer);
    llvm::append_range(place, ArrayRef(full.indices).drop_front(tuple));
    return update(hit, place, so[0]);
  })[0];
}
