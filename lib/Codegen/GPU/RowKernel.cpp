//===- RowKernel.cpp - rows by warps and blocks -----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels with row statistics: softmax, norms, reductions along the last dimension, codes of 8 bits and
// their outliers, with what is fused before and behind them. Several threads share a row (RowFolds.h): a
// part of a warp or a warp, so that a block has several rows, or a block. Threads of rows that do not
// exist work on the last row and store nothing, so all come by every shuffle and barrier.
//
//===----------------------------------------------------------------------===//
#include "../CPU/Generic.h"
#include "../CPU/RowGroups.h"
#include "Elements.h"
#include "Forms.h"
#include "RowFolds.h"
#include "Trial.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

namespace {

struct RowSchedule {
  int64_t threadsPerRow = 32;
  int64_t rowsPerBlock = 4;
  int64_t elements = 4; ///< of a part, at most

  int64_t threads() const { return threadsPerRow * rowsPerBlock; }
};

/// The results of a kernel: groups with statistics, and those that are single elements.
struct Results {
  SmallVector<RowGroup> groups;
  SmallVector<unsigned> others;

  Results(kern::KernelOp kernel, SymbolicShapes &shapes) {
    SmallVector<bool> isRow(kernel.yielded().size());
    for (RowGroup &group : rowGroups(kernel, shapes)) {
      if (group.statistics.empty())
        continue;
      groups.push_back(group);
      for (unsigned index : group.results)
        isRow[index] = true;
    }
    for (auto [index, is] : llvm::enumerate(isRow))
      if (!is)
        others.push_back(index);
  }
};

} // namespace

/// Declares vectors of up to `mostElements` elements.
static ScheduleSpaceOf<RowSchedule> rowSpace(int64_t mostElements = 8) {
  ScheduleSpaceOf<RowSchedule> space;
  space.add("threads_per_row", "threads that share a row", &RowSchedule::threadsPerRow,
            {8, 16, 32, 64, 128, 256, 512});
  space.add("rows_per_block", "rows of a block", &RowSchedule::rowsPerBlock,
            [](const RowSchedule &s) {
              return s.threadsPerRow > 32 ? ScheduleSpace::Values{1}
                                          : ScheduleSpace::Values{64 / s.threadsPerRow, 128 / s.threadsPerRow,
                                                                  256 / s.threadsPerRow};
            });
  space.add("elements", "neighbours of a row that a thread takes at once, at most",
            &RowSchedule::elements, elementChoices(mostElements));
  space.require([](const RowSchedule &s) -> std::string {
    if (s.threadsPerRow < 2 || s.threadsPerRow > 1024 || !llvm::isPowerOf2_64(s.threadsPerRow))
      return "threads_per_row must be a power of two up to 1024";
    if (s.rowsPerBlock < 1 || s.threads() > 1024 || s.threads() % 32)
      return "a block must have a multiple of 32 threads, up to 1024";
    if (s.threadsPerRow > 32 && s.rowsPerBlock != 1)
      return "several warps of a row are a block";
    return llvm::is_contained({1, 4, 8}, s.elements) ? "" : "elements must be 1, 4 or 8";
  });
  return space;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

/// Stores one result of a row; `isRow` is null where the row certainly exists.
static void storeResult(ValueEmitter &values, const RowGroup &group, RowFolds &folds,
                        RowThreads &threads, Value row, Value isRow, Value tensor, Value base) {
  KernelBuilder &b = values.builder();
  Element e = Element::of(tensor);
  tfm::Dims dims = values.dims(tensor);
  auto both = [&](Value x, Value y) -> Value {
    return x && y ? arith::AndIOp::create(b, x, y).getResult() : x ? x : y;
  };
  if (DimExprAttr::product(b.getContext(), dims) == group.rows) {
    Value value = values.at(tensor, Site::full(values.split(row, dims)));
    b.ifThen(both(isRow, b.equal(threads.lane(), b.i64(0))), [&] {
      values.elements().store(e, value, b.at(base, b.mul(row, e.bytes())));
    });
    return;
  }
  Value start = b.mul(row, values.extent(dims.back()));
  folds.forEachPart(dims.back(), [&](const Site &site, Value exists) {
    Value pointer = b.at(base, b.mul(b.add(start, site.indices[1]), e.bytes()));
    Value value = values.vectorAt(tensor, site);
    auto store = [&] {
      if (site.isVector())
        values.storeInRow(e, value, pointer, dims.back());
      else
        values.elements().store(e, value, pointer);
    };
    if (Value condition = both(isRow, exists))
      b.ifThen(condition, store);
    else
      store();
  });
}

/// Whether every value was emitted and kept its lanes. `isWhole`: the rows' length is not known but a multiple of the vectors'.
static bool emitRows(KernelFrame &frame, RowThreads &threads, const RowGroup &group,
                     const RowSchedule &schedule, bool isWhole) {
  KernelBuilder &b = frame.builder();
  ValueEmitter values(frame);
  DimExprAttr width = isWhole ? group.dims.back() : DimExprAttr();
  values.assumeWhole(width);
  Value last = b.sub(values.extent(group.rows), 1), isRow, row = threads.row();
  if (schedule.rowsPerBlock > 1) {
    isRow = b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::sle, row, last);
    row = b.min(row, last);
  }
  RowFolds folds(values, threads, row, schedule.elements, width);
  for (Operation &op : frame.kernel().getBlock())
    if (llvm::is_contained(group.statistics, &op))
      folds.prepare(&op);
  for (unsigned index : group.results)
    storeResult(values, group, folds, threads, row, isRow, frame.kernel().yielded()[index],
                frame.result(index));
  return !values.failed() && !values.lostLanes();
}

/// Rows of unknown length have code for whole vectors and for others.
static bool emitGroup(KernelFrame &frame, RowThreads &threads, const RowGroup &group,
                      const RowSchedule &schedule) {
  DimExprAttr width = group.dims.back();
  if (schedule.elements == 1 || width.asConstant())
    return emitRows(frame, threads, group, schedule, false);
  bool isEmitted = true;
  chooseVectors(frame, width, schedule.elements, [&](bool isWhole) {
    isEmitted &= emitRows(frame, threads, group, schedule, isWhole);
  });
  return isEmitted;
}

/// Results without statistics, an element a thread.
static bool emitOthers(KernelFrame &frame, GpuBuilder &b, ArrayRef<unsigned> others) {
  SymbolicShapes shapes;
  ValueEmitter values(frame);
  SmallVector<tfm::Dims> walks = genericWalks(frame.kernel(), shapes);
  for (unsigned index : others) {
    const tfm::Dims &walk = walks[index];
    Value count = values.extent(DimExprAttr::product(b.getContext(), walk));
    Value width = walk.empty() ? b.i64(1) : values.extent(walk.back());
    b.ifThen(b.less(b.threadInGrid(), count), [&] {
      emitGenericElement(frame, values, index, b.div(b.threadInGrid(), width),
                         b.rem(b.threadInGrid(), width));
    });
  }
  return !values.failed() && !values.lostLanes();
}

static DimExprAttr blocksOf(const RowGroup &group, const RowSchedule &schedule) {
  return DimExprAttr::ceilDiv(
      group.rows, DimExprAttr::constant(group.rows.getContext(), schedule.rowsPerBlock));
}

static bool emitAll(KernelFrame &frame, GpuBuilder &b, const RowSchedule &schedule) {
  SymbolicShapes shapes;
  Results results(frame.kernel(), shapes);
  b.setLanes(schedule.elements == 8 ? 8 : 4);
  shortenDivisions(frame, b);
  RowThreads threads(b, schedule.threadsPerRow, schedule.rowsPerBlock);
  bool isWhole = true, isAlone = results.groups.size() == 1 && results.others.empty();
  for (const RowGroup &group : results.groups) {
    auto emit = [&] {
      if (&group != results.groups.begin())
        threads.separate(); // blocks beyond a group between skip its barriers
      isWhole &= emitGroup(frame, threads, group, schedule);
    };
    if (isAlone)
      emit();
    else // all threads of a block, or none
      b.ifThen(b.less(b.blockNumber(), frame.emit(blocksOf(group, schedule))), emit);
  }
  if (!results.others.empty())
    isWhole &= emitOthers(frame, b, results.others);
  return isWhole;
}

//===----------------------------------------------------------------------===//
// The form
//===----------------------------------------------------------------------===//

static bool succeeds(Trial &trial, const RowSchedule &schedule) {
  return trial.succeeds(schedule.threads(), schedule.elements == 8 ? 8 : 4,
                        [&](KernelFrame &frame, GpuBuilder &b) {
                          return emitAll(frame, b, schedule);
                        });
}

static std::string whyNot(kern::KernelOp kernel, const GpuTarget &target) {
  if (kernel.getEmitter() != kern::Emitter::Row && kernel.getEmitter() != kern::Emitter::Generic)
    return "it is no row or generic kernel";
  SymbolicShapes shapes;
  Results results(kernel, shapes);
  if (results.groups.empty())
    return "it has no statistics of its results' rows";
  for (const tfm::Dims &walk : genericWalks(kernel, shapes))
    if (!llvm::all_of(walk, isDerived))
      return "a result of dimensions " + tfm::str(walk) + " has a size that depends on data";
  for (const RowGroup &group : results.groups)
    if (!isDerived(group.rows) || !llvm::all_of(group.dims, isDerived))
      return "it has rows whose size depends on data";
  RowSchedule single;
  single.elements = 1;
  Trial trial(kernel, target);
  return succeeds(trial, single) ? "" : "its statistics are used for other rows, too";
}

/// A thread has 4 to 8 parts of long rows, one of short ones. A row of unknown length has a warp.
static RowSchedule chooseSchedule(kern::KernelOp kernel, const GpuTarget &target) {
  SymbolicShapes shapes;
  RowSchedule schedule;
  int64_t width = 0, bytes = 1;
  for (const RowGroup &group : Results(kernel, shapes).groups)
    width = std::max(width, group.dims.back().asConstant().value_or(0));
  auto look = [&](Value v) {
    if (getElementTypeOrSelf(v).isIntOrFloat()) // codes are decoded first
      bytes = std::max(bytes, Element::of(v).bytes());
  };
  llvm::for_each(kernel.getBlock().getArguments(), look);
  llvm::for_each(kernel.yielded(), look);
  Trial trial(kernel, target);
  schedule.elements = bytes <= 2 && width % 8 == 0 ? 8 : 4;
  if (schedule.elements == 8 && !succeeds(trial, schedule))
    schedule.elements = 4;
  if (schedule.elements == 4 && !succeeds(trial, schedule))
    schedule.elements = 1;
  if (width > 1024) {
    schedule.rowsPerBlock = 1;
    schedule.threadsPerRow = width <= 2048 ? 128 : width <= 4096 ? 256 : 512;
  } else if (width > 0) {
    int64_t parts = llvm::divideCeil(width, width % schedule.elements ? 1 : schedule.elements);
    schedule.threadsPerRow = parts <= 8 ? 8 : parts <= 16 ? 16 : 32;
    schedule.rowsPerBlock = 128 / schedule.threadsPerRow;
  }
  return schedule;
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &target,
                              DictionaryAttr wanted) {
  RowSchedule choice = wanted ? RowSchedule() : chooseSchedule(kernel, target);
  auto schedule = writeGpuSchedule(kernel, rowSpace(), choice, wanted);
  if (failed(schedule))
    return failure();
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  SymbolicShapes shapes;
  Results results(kernel, shapes);
  DimExprAttr blocks = blocksOf(results.groups.front(), *schedule);
  for (const RowGroup &group : ArrayRef(results.groups).drop_front())
    blocks = DimExprAttr::max(blocks, blocksOf(group, *schedule));
  SmallVector<tfm::Dims> walks = genericWalks(kernel, shapes);
  for (unsigned index : results.others) {
    DimExprAttr count = DimExprAttr::product(kernel.getContext(), walks[index]);
    blocks = DimExprAttr::max(blocks, DimExprAttr::ceilDiv(count, constant(schedule->threads())));
  }
  setBlocks(kernel, blocks);
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = readGpuSchedule(kernel, rowSpace());
  if (failed(schedule))
    return failure();
  return launchBlocks(kernel, schedule->threads(),
                      RowThreads::sharedBytes(schedule->threadsPerRow));
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  auto schedule = readGpuSchedule(frame.kernel(), rowSpace());
  if (failed(schedule))
    return failure();
  if (emitAll(frame, b, *schedule))
    return success();
  return frame.kernel().emitError("has no vectors of ") << schedule->elements << " elements";
}

/// No wider vectors than the rule found its values to have.
static std::unique_ptr<ScheduleSpace> space(kern::KernelOp kernel, const GpuTarget &target) {
  return offerSpace(rowSpace(chooseSchedule(kernel, target).elements));
}

const GpuForm codegen::kRowForm = {"row", whyNot, schedule, launch, emit, space};
