//===- SelectKernel.cpp - the best elements of rows -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A tfm.top_k along the last dimension (k = 1: argmax), a block for each row. Each round, every thread
// looks for the best of its elements that comes behind the one chosen before, and the block takes the
// best of these, through shared memory. So k rounds read the row k times, and no list is kept; of equal
// elements the first one is taken, whatever thread has it.
//
//===----------------------------------------------------------------------===//
#include "../CPU/Selection.h"
#include "../CPU/ValueEmitter.h"
#include "Elements.h"
#include "Forms.h"
#include "Trial.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

/// Rounds up to which reading the row again is better than sorting it.
static constexpr int64_t kMostRounds = 64;

namespace {

struct SelectSchedule {
  int64_t threads = 256; ///< of a row, a block
};

/// An element and where it stands; -1: there is none.
struct Candidate {
  Value value, position;
};

class SelectBlock {
public:
  SelectBlock(KernelFrame &frame, GpuBuilder &b, tfm::TopKOp op, int64_t threads)
      : frame(frame), b(b), warp(b), op(op), threads(threads), values(frame),
        ops(values.elements()), e(Element::of(op.getInput())), thread(b.threadInBlock()),
        shared(warp.sharedMemory()) {}

  /// Whether every value was emitted.
  bool emit();

private:
  Value wins(const Candidate &x, const Candidate &y);
  Candidate ownBest(const Candidate &before);
  Candidate blockBest(Candidate own);
  SmallVector<Value> list(const Candidate &x) { return {x.value, x.position}; }

  KernelFrame &frame;
  GpuBuilder &b;
  WarpBuilder warp;
  tfm::TopKOp op;
  int64_t threads;
  ValueEmitter values;
  ElementOps &ops;
  Element e;
  Value thread, shared;
};

} // namespace

static ScheduleSpaceOf<SelectSchedule> selectSpace() {
  ScheduleSpaceOf<SelectSchedule> space;
  space.add("threads", "threads of a block, which has a row", &SelectSchedule::threads,
            {32, 128, 256, 512});
  space.require([](const SelectSchedule &s) {
    bool isLegal = s.threads >= 32 && s.threads <= 1024 && llvm::isPowerOf2_64(s.threads);
    return isLegal ? "" : "threads must be a power of two from 32 to 1024";
  });
  return space;
}

static tfm::TopKOp rootOf(kern::KernelOp kernel) {
  auto all = kernel.getBlock().getOps<tfm::TopKOp>();
  return llvm::hasSingleElement(all) ? *all.begin() : tfm::TopKOp();
}

/// Whether x is taken before y.
Value SelectBlock::wins(const Candidate &x, const Candidate &y) {
  auto both = [&](Value p, Value q) -> Value { return arith::AndIOp::create(b, p, q); };
  auto either = [&](Value p, Value q) -> Value { return arith::OrIOp::create(b, p, q); };
  auto ahead = [&](const Candidate &p, const Candidate &q) {
    return isAhead(b, e, op.getSmallest(), p.value, q.value);
  };
  Value isOne = b.less(b.i64(-1), x.position), isAlone = b.less(y.position, b.i64(0));
  Value yes = arith::ConstantOp::create(b, b.getBoolAttr(true));
  Value tied = arith::XOrIOp::create(b, either(ahead(x, y), ahead(y, x)), yes);
  Value better = either(ahead(x, y), both(tied, b.less(x.position, y.position)));
  return both(isOne, either(isAlone, better));
}

Candidate SelectBlock::ownBest(const Candidate &before) {
  Value size = values.extent(values.dims(op.getInput()).back());
  Value none = b.i64(-1), isFirst = b.less(before.position, b.i64(0));
  auto best = b.loop(thread, size, threads, list({ops.constant(e, 0.0), none}),
                     [&](Value position, ValueRange so) {
                       Site site = Site::rows(b.blockNumber(), position);
                       if (values.dims(op.getInput()).size() == 1)
                         site = Site::full({position});
                       Candidate own{values.at(op.getInput(), site), position};
                       Value isBehind = arith::OrIOp::create(b, isFirst, wins(before, own));
                       Value isBest = wins(own, {so[0], so[1]});
                       Value takes = arith::AndIOp::create(b, isBehind, isBest);
                       return list({b.select(takes, own.value, so[0]),
                                    b.select(takes, own.position, so[1])});
                     });
  return {best[0], best[1]};
}

/// The same for all threads.
Candidate SelectBlock::blockBest(Candidate own) {
  Value positions = b.at(shared, threads * 8);
  auto place = [&](Value base, Value number) { return b.at(base, b.mul(number, 8)); };
  auto load = [&](Value number) {
    return Candidate{ops.load(e, place(shared, number)),
                     b.load(b.getI64Type(), place(positions, number), 8)};
  };
  auto store = [&](const Candidate &x) {
    ops.store(e, x.value, place(shared, thread));
    b.store(x.position, place(positions, thread), 8);
  };
  warp.barrier(); // those of the round before have been read
  store(own);
  for (int64_t half = threads / 2; half > 0; half /= 2) {
    warp.barrier();
    b.ifThen(b.less(thread, b.i64(half)), [&] {
      Candidate mine = load(thread), other = load(b.add(thread, half));
      b.ifThen(wins(other, mine), [&] { store(other); });
    });
  }
  warp.barrier();
  return load(b.i64(0));
}

bool SelectBlock::emit() {
  Value rounds = values.extent(values.dims(op.getResult()).back());
  Value first = b.mul(b.blockNumber(), rounds), none = b.i64(-1);
  b.loop(b.i64(0), rounds, 1, list({ops.constant(e, 0.0), none}), [&](Value slot, ValueRange so) {
    Candidate best = blockBest(ownBest({so[0], so[1]}));
    b.ifThen(b.equal(thread, b.i64(0)), [&] {
      b.store(best.position, b.at(frame.result(0), b.mul(b.add(first, slot), 8)), 8);
    });
    return list(best);
  });
  return !values.failed() && !values.lostLanes();
}

//===----------------------------------------------------------------------===//
// The form
//===----------------------------------------------------------------------===//

static std::string whyNot(kern::KernelOp kernel, const GpuTarget &target) {
  if (kernel.getEmitter() != kern::Emitter::Row && kernel.getEmitter() != kern::Emitter::Generic)
    return "it is no row or generic kernel";
  tfm::TopKOp op = rootOf(kernel);
  if (!op || kernel.yielded().size() != 1 || kernel.yielded()[0] != op.getResult())
    return "it is no selection";
  int64_t rank = cast<RankedTensorType>(op.getInput().getType()).getRank();
  auto rounds = op.getK() ? op.getK()->asConstant() : std::nullopt;
  if (int64_t(op.getAxis()) != rank - 1 || !rounds || *rounds > kMostRounds)
    return "it selects along another dimension than the last, or not a known number up to 64";
  if (Element::of(op.getInput()).isBool())
    return "it selects from booleans";
  SymbolicShapes shapes;
  if (!llvm::all_of(shapes.dims(op.getInput()), isDerived))
    return "its size depends on data";
  Trial trial(kernel, target);
  bool isWhole = trial.succeeds(256, 4, [](KernelFrame &frame, GpuBuilder &b) {
    return SelectBlock(frame, b, rootOf(frame.kernel()), 256).emit();
  });
  return isWhole ? "" : "what it selects from is computed from rows";
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  auto schedule = writeGpuSchedule(kernel, selectSpace(), SelectSchedule(), wanted);
  if (failed(schedule))
    return failure();
  SymbolicShapes shapes;
  tfm::Dims dims = shapes.dims(rootOf(kernel).getInput());
  setBlocks(kernel, DimExprAttr::product(kernel.getContext(), ArrayRef(dims).drop_back()));
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = readGpuSchedule(kernel, selectSpace());
  if (failed(schedule))
    return failure();
  return launchBlocks(kernel, schedule->threads, schedule->threads * 16);
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  auto schedule = readGpuSchedule(frame.kernel(), selectSpace());
  if (failed(schedule))
    return failure();
  shortenDivisions(frame, b);
  if (SelectBlock(frame, b, rootOf(frame.kernel()), schedule->threads).emit())
    return success();
  return frame.kernel().emitError("selects from what is computed from rows");
}

static std::unique_ptr<ScheduleSpace> space(kern::KernelOp, const GpuTarget &) {
  return offerSpace(selectSpace());
}

const GpuForm codegen::kSelectForm = {"select", whyNot, schedule, launch, emit, space};
