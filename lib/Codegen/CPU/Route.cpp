//===- Route.cpp - choosing and grouping the experts of tokens --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The router of a mixture of experts, one kernel of one tile: top_k of each token's logits, the weights of what was chosen,
// and a stable counting sort of (token, slot) by expert. A few operations per logit beside the thousands per logit of the
// experts behind it, so it is written for few launches, not for many workers. A group_by alone is the last part of it.
//
//===----------------------------------------------------------------------===//
#include "Router.h"
#include "Selection.h"
#include "permalloy/Codegen/CPU/Emitters.h"
#include "permalloy/Codegen/CPU/VectorMath.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

Router::Router(kern::KernelOp kernel) {
  for (Operation &op : kernel.getBlock()) {
    if (auto top = dyn_cast<tfm::TopKOp>(op))
      choice = top;
    if (auto w = dyn_cast<tfm::MoeWeightsOp>(op))
      weights = w;
    if (auto g = dyn_cast<tfm::GroupByOp>(op))
      groups = g;
    if (auto c = dyn_cast<tfm::PrefixCountOp>(op))
      counts = c;
  }
}

std::string Router::check() {
  if (counts)
    return isa<BlockArgument>(counts.getInput()) && llvm::hasSingleElement(counts->getBlock()->without_terminator())
               ? ""
               : "what it counts is no argument, or it does more than count";
  if (!choice && !weights && groups)
    return isa<BlockArgument>(groups.getInput()) && getElementTypeOrSelf(groups.getInput()).isInteger(64)
               ? ""
               : "what it groups is no argument of i64";
  if (!choice || !weights || !groups || groups.getInput() != choice.getResult() ||
      weights.getExperts() != choice.getResult() || weights.getLogits() != choice.getInput())
    return "it is no top_k with its weights and groups";
  auto logits = cast<RankedTensorType>(choice.getInput().getType());
  auto k = choice.getK() ? choice.getK()->asConstant() : std::nullopt;
  if (!isa<BlockArgument>(choice.getInput()) || logits.getRank() != 2 || logits.isDynamicDim(1) || !k ||
      choice.getAxis() != 1 || choice.getSmallest() || !Element::of(choice.getInput()).isFloat() ||
      Element::of(choice.getInput()).isDouble())
    return "its logits are no argument [tokens, experts] of f32, f16 or bf16, or k is not known";
  experts = logits.getDimSize(1);
  count = *k;
  return int64_t(groups.getGroups()) == experts ? "" : "it groups by another number than that of its experts";
}

Value Router::input() { return counts ? counts.getInput() : onlyGroups() ? groups.getInput() : choice.getInput(); }

Value Router::placeOf(KernelFrame &frame, Value result, Value otherwise) {
  auto yielded = frame.kernel().yielded();
  auto it = llvm::find(yielded, result);
  return it == yielded.end() ? otherwise : frame.result(it - yielded.begin());
}

TokenRouter::TokenRouter(KernelFrame &frame, const Router &router)
    : frame(frame), b(frame.builder()), ops(b), router(router),
      element(Element::of(this->router.input())) {}

Value TokenRouter::logit(Value token, Value expert) {
  Value index = b.add(b.mul(token, router.experts), expert);
  return ops.load(element, b.at(logits, b.mul(index, element.bytes())));
}

void TokenRouter::choose(Value token) {
  auto at = [&](Value expert) { return logit(token, expert); };
  emitSelection(b, {element, b.i64(router.experts), b.i64(router.count), /*smallest=*/false, at},
                [&](Value slot, Value expert) { storeWord(expert, chosen, b.add(b.mul(token, router.count), slot)); });
}

/// exp(x - max) of those chosen, over the sum of the same or of all; the first one chosen is the largest.
void TokenRouter::weigh(Value token) {
  Value first = b.mul(token, router.count);
  Value max = logit(token, loadWord(chosen, first));
  auto power = [&](Value expert) -> Value {
    return emitExp(b, arith::SubFOp::create(b, logit(token, expert), max));
  };
  auto chosenPower = [&](Value slot) { return power(loadWord(chosen, b.add(first, slot))); };
  bool overChosen = router.weights.getNormalize() || router.weights.getScore() == tfm::MoeScore::TopSoftmax;
  Value terms = b.i64(overChosen ? router.count : router.experts);
  Value sum = b.loop(b.i64(0), terms, 1, {b.f32(0)}, [&](Value i, ValueRange carried) {
    return SmallVector<Value>{b.addf(carried[0], overChosen ? chosenPower(i) : power(i))};
  })[0];
  b.loop(b.i64(0), b.i64(router.count), 1, [&](Value slot) {
    Value weight = arith::DivFOp::create(b, chosenPower(slot), sum);
    ops.store(element, ops.round(element, weight), b.at(weights, b.mul(b.add(first, slot), element.bytes())));
  });
}

namespace {

class RouteEmitter : TokenRouter {
public:
  RouteEmitter(KernelFrame &frame, const Router &router) : TokenRouter(frame, router) {}
  void emit();

private:
  void group();
  void count();
  Value placeOf(Value result, Value otherwise) { return Router::placeOf(frame, result, otherwise); }
};

} // namespace

/// A stable counting sort: offsets of the groups, then the numbers of the pairs.
void RouteEmitter::group() {
  int64_t size = router.groups.getGroups();
  Value zero = b.i64(0), one = b.i64(1), count = b.i64(size), sorted = b.at(groups, (size + 1) * 8);
  Value cursors = b.scratch();
  b.loop(zero, b.add(count, 1), 1, [&](Value e) { storeWord(zero, groups, e); });
  b.loop(zero, pairs, 1, [&](Value pair) {
    Value next = b.add(loadWord(chosen, pair), one);
    storeWord(b.add(loadWord(groups, next), one), groups, next);
  });
  b.loop(zero, count, 1, {zero}, [&](Value e, ValueRange carried) {
    storeWord(carried[0], cursors, e);
    Value end = b.add(carried[0], loadWord(groups, b.add(e, one)));
    storeWord(end, groups, b.add(e, one));
    return SmallVector<Value>{end};
  });
  b.loop(zero, pairs, 1, [&](Value pair) {
    Value expert = loadWord(chosen, pair), position = loadWord(cursors, expert);
    storeWord(pair, sorted, position);
    storeWord(b.add(position, one), cursors, expert);
  });
}

/// Entry i is the number of true elements before element i.
void RouteEmitter::count() {
  Value input = router.counts.getInput(), to = frame.result(0), from = frame.argument(input);
  Value elements = frame.product(input, 0, cast<RankedTensorType>(input.getType()).getRank());
  Value zero = b.i64(0), one = b.i64(1);
  Value total = b.loop(zero, elements, 1, {zero}, [&](Value i, ValueRange carried) {
    storeWord(carried[0], to, i);
    return SmallVector<Value>{b.add(carried[0], b.select(ops.load(element, b.at(from, i)), one, zero))};
  })[0];
  storeWord(total, to, elements);
}

void RouteEmitter::emit() {
  if (router.counts)
    return b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value) { count(); });
  if (router.onlyGroups()) {
    Value input = router.groups.getInput();
    pairs = frame.product(input, 0, cast<RankedTensorType>(input.getType()).getRank());
    chosen = frame.argument(input);
    groups = frame.result(0);
    return b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value) { group(); });
  }
  Value tokens = frame.dim(router.choice.getInput(), 0);
  pairs = b.mul(tokens, router.count);
  logits = frame.argument(router.choice.getInput());
  chosen = placeOf(router.choice.getResult(), b.at(b.scratch(), router.experts * 8));
  weights = placeOf(router.weights.getResult(), Value());
  groups = placeOf(router.groups.getResult(), Value());
  b.loop(b.tileBegin(), b.tileEnd(), 1, [&](Value) {
    b.loop(b.i64(0), tokens, 1, [&](Value token) {
      choose(token);
      if (weights)
        weigh(token);
    });
    if (groups)
      group();
  });
}

LogicalResult codegen::scheduleRouteKernel(kern::KernelOp kernel, const CpuTarget &target, DictionaryAttr wanted) {
  Router router(kernel);
  if (std::string reason = router.check(); !reason.empty())
    return kernel.emitError("the route emitter cannot take this kernel: ") << reason;
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  SymbolicShapes shapes;
  if (wanted && !wanted.empty())
    return kernel.emitError("schedule ") << wanted << ": the route emitter has no parameters";
  kernel.setScheduleAttr(DictionaryAttr::get(kernel.getContext()));
  kernel.setTilesAttr(constant(1));
  // Cursors, and the experts of each token.
  DimExprAttr words = constant(router.groups ? router.groups.getGroups() : 0);
  if (router.choice)
    words = DimExprAttr::add(words, DimExprAttr::mul(shapes.dim(router.choice.getInput(), 0), constant(router.count)));
  kernel.setScratchBytesAttr(DimExprAttr::mul(words, constant(8)));
  return success();
}

LogicalResult codegen::emitRouteKernel(KernelFrame &frame) {
  Router router(frame.kernel());
  if (std::string reason = router.check(); !reason.empty())
    return frame.kernel().emitError("the route emitter cannot take this kernel: ") << reason;
  RouteEmitter(frame, router).emit();
  return success();
}
