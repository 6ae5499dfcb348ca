//===- RouteKernel.cpp - choosing and grouping experts by one block -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The router of a mixture of experts, as CPU/Route.cpp has it, in one block, which is what its
// threads can wait for each other in:
//
//   a thread for each token     the experts of the token and their weights
//   a warp for each group       counts the pairs (token, slot) of the group, 32 at a time
//   a warp for each group       writes their numbers behind those of the groups before, in order
//
// Few operations per token beside the thousands of each expert, so it is written for few launches.
//
//===----------------------------------------------------------------------===//
#include "../CPU/Router.h"
#include "Forms.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static constexpr int64_t kThreads = 256, kWarp = 32;

namespace {

class RouteBlock : TokenRouter {
public:
  RouteBlock(KernelFrame &frame, GpuBuilder &b, const Router &router)
      : TokenRouter(frame, router), b(b), warp(b), thread(b.threadInBlock()),
        lane(b.rem(thread, kWarp)), ownWarp(b.div(thread, kWarp)) {}

  void emit();

private:
  void group();
  void countGroup(Value group);
  void writeGroup(Value group);
  void count();
  void ifFirstLane(function_ref<void()> body) { b.ifThen(b.equal(lane, b.i64(0)), body); }
  Value bits(Value word) {
    return arith::ExtUIOp::create(b, b.getI64Type(), LLVM::CtPopOp::create(b, word));
  }
  /// Runs `step` for 32 pairs at once, with a bit for each that is of the group; the same in all lanes.
  Value overPairs(Value group, Value init,
                  function_ref<Value(Value carried, Value pair, Value isOwn, Value ballot)> step);

  GpuBuilder &b;
  WarpBuilder warp;
  Value thread, lane, ownWarp;
  Value counts; ///< of each group
};

} // namespace

Value RouteBlock::overPairs(
    Value group, Value init,
    function_ref<Value(Value carried, Value pair, Value isOwn, Value ballot)> step) {
  Value last = b.sub(pairs, 1);
  return b.loop(b.i64(0), pairs, kWarp, {init}, [&](Value first, ValueRange carried) {
    Value pair = b.add(first, lane);
    Value isGroup = b.equal(loadWord(chosen, b.min(pair, last)), group);
    Value isOwn = arith::AndIOp::create(b, isGroup, b.less(pair, pairs));
    return SmallVector<Value>{step(carried[0], pair, isOwn, warp.ballot(isOwn))};
  })[0];
}

void RouteBlock::countGroup(Value group) {
  Value count = overPairs(group, b.i64(0), [&](Value sum, Value, Value, Value ballot) {
    return b.add(sum, bits(ballot));
  });
  ifFirstLane([&] { storeWord(count, counts, group); });
}

/// The place of a pair: those of the groups before, those of its own before these 32, those in the lanes
/// before.
void RouteBlock::writeGroup(Value group) {
  Value start = b.loop(b.i64(0), group, 1, {b.i64(0)}, [&](Value before, ValueRange carried) {
    return SmallVector<Value>{b.add(carried[0], loadWord(counts, before))};
  })[0];
  ifFirstLane([&] {
    Value next = b.add(group, 1);
    storeWord(b.add(start, loadWord(counts, group)), groups, next);
    b.ifThen(b.equal(group, b.i64(0)), [&] { storeWord(b.i64(0), groups, group); });
  });
  Value sorted = b.at(groups, (int64_t(router.groups.getGroups()) + 1) * 8);
  Value one = arith::ConstantOp::create(b, b.getI32IntegerAttr(1));
  Value laneBit = arith::ShLIOp::create(b, one, arith::TruncIOp::create(b, b.getI32Type(), lane));
  Value before = arith::SubIOp::create(b, laneBit, one);
  overPairs(group, start, [&](Value place, Value pair, Value isOwn, Value ballot) {
    Value own = b.add(place, bits(arith::AndIOp::create(b, ballot, before)));
    b.ifThen(isOwn, [&] { storeWord(pair, sorted, own); });
    return b.add(place, bits(ballot));
  });
}

/// A stable counting sort.
void RouteBlock::group() {
  Value count = b.i64(router.groups.getGroups());
  b.loop(ownWarp, count, kThreads / kWarp, [&](Value group) { countGroup(group); });
  warp.barrier();
  b.loop(ownWarp, count, kThreads / kWarp, [&](Value group) { writeGroup(group); });
}

/// Entry i is the number of true elements before element i. Each thread counts a run of elements, and
/// begins behind the runs of the threads before.
void RouteBlock::count() {
  Value input = router.input(), to = frame.result(0), from = frame.argument(input);
  Value all = frame.product(input, 0, cast<RankedTensorType>(input.getType()).getRank());
  Value run = b.ceilDiv(all, kThreads), begin = b.min(b.mul(thread, run), all);
  Value end = b.min(b.add(begin, run), all), shared = warp.sharedMemory();
  auto isTrue = [&](Value i) {
    return b.select(ops.load(element, b.at(from, i)), b.i64(1), b.i64(0));
  };
  Value own = b.loop(begin, end, 1, {b.i64(0)}, [&](Value i, ValueRange carried) {
    return SmallVector<Value>{b.add(carried[0], isTrue(i))};
  })[0];
  storeWord(own, shared, thread);
  warp.barrier();
  Value before = b.loop(b.i64(0), thread, 1, {b.i64(0)}, [&](Value i, ValueRange carried) {
    return SmallVector<Value>{b.add(carried[0], loadWord(shared, i))};
  })[0];
  Value total = b.loop(begin, end, 1, {before}, [&](Value i, ValueRange carried) {
    storeWord(carried[0], to, i);
    return SmallVector<Value>{b.add(carried[0], isTrue(i))};
  })[0];
  b.ifThen(b.equal(thread, b.i64(kThreads - 1)), [&] { storeWord(total, to, all); });
}

void RouteBlock::emit() {
  if (router.counts)
    return count();
  counts = b.launchScratch();
  if (router.onlyGroups()) {
    Value input = router.input();
    pairs = frame.product(input, 0, cast<RankedTensorType>(input.getType()).getRank());
    chosen = frame.argument(input);
    groups = frame.result(0);
    return group();
  }
  Value tokens = frame.dim(router.input(), 0);
  pairs = b.mul(tokens, router.count);
  logits = frame.argument(router.input());
  chosen = Router::placeOf(frame, router.choice.getResult(), b.at(counts, router.experts * 8));
  weights = Router::placeOf(frame, router.weights.getResult(), Value());
  groups = Router::placeOf(frame, router.groups.getResult(), Value());
  b.loop(thread, tokens, kThreads, [&](Value token) {
    choose(token);
    if (weights)
      weigh(token);
  });
  warp.barrier();
  if (groups)
    group();
}

//===----------------------------------------------------------------------===//
// The form
//===----------------------------------------------------------------------===//

static std::string whyNot(kern::KernelOp kernel, const GpuTarget &) {
  if (kernel.getEmitter() != kern::Emitter::Route)
    return "it is no router";
  return Router(kernel).check();
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  if (wanted && !wanted.empty())
    return kernel.emitError("schedule ") << wanted << ": routers have no parameters";
  Router router(kernel);
  (void)router.check(); // fills in sizes
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  SymbolicShapes shapes;
  // Counts of the groups, and the experts of each token.
  DimExprAttr words = constant(router.groups ? router.groups.getGroups() : 0);
  if (router.choice)
    words = DimExprAttr::add(
        words, DimExprAttr::mul(shapes.dim(router.input(), 0), constant(router.count)));
  kernel.setScheduleAttr(DictionaryAttr::get(kernel.getContext()));
  kernel.setTilesAttr(constant(1));
  kernel.setScratchBytesAttr(DimExprAttr::mul(words, constant(8)));
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  return launchBlocks(kernel, kThreads, Router(kernel).counts ? kThreads * 8 : 0);
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  Router router(frame.kernel());
  if (std::string reason = router.check(); !reason.empty())
    return frame.kernel().emitError("is no router: ") << reason;
  RouteBlock(frame, b, router).emit();
  return success();
}

const GpuForm codegen::kRouteForm = {"route", whyNot, schedule, launch, emit};
