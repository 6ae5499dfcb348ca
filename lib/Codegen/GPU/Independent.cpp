//===- Independent.cpp - forms whose threads know nothing of each other *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What no faster form takes, through ValueEmitter: one thread per element where a kernel remembers
// nothing from one element to the next; else one thread per row, with scratch of its own in device
// memory.
//
//===----------------------------------------------------------------------===//
#include "../CPU/Generic.h"
#include "Elements.h"
#include "Forms.h"
#include "Tfm/Outliers.h"
#include "permalloy/Codegen/CPU/Emitters.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

/// Blocks of the rows form: as small as keeps a few hundred rows from standing on one
/// multiprocessor.
static constexpr int64_t kRowThreads = 64;
static constexpr int64_t kElementThreads = 256;

static DimExprAttr constant(kern::KernelOp kernel, int64_t value) {
  return DimExprAttr::constant(kernel.getContext(), value);
}

/// It knows the operations of the row, contraction, attention and generic emitters.
std::string codegen::whyNotValues(kern::KernelOp kernel) {
  if (kernel.getEmitter() == kern::Emitter::Route || kernel.getEmitter() == kern::Emitter::Tokens)
    return ("they have no " + kern::stringifyEmitter(kernel.getEmitter()) + " kernels").str();
  for (Operation &op : kernel.getBlock())
    if (isa<tfm::GroupedLinearOp, tfm::ExpandBlocksOp, tfm::ExpandQuadsOp, tfm::OutlierLimitOp,
            tfm::OutlierPositionsOp, tfm::OutlierValuesOp>(op))
      return op.getName().getStringRef().str();
  return "";
}

static std::string whyNoRows(kern::KernelOp kernel, const GpuTarget &) {
  return whyNotValues(kernel);
}

static std::string whyNoElements(kern::KernelOp kernel, const GpuTarget &target) {
  if (std::string reason = whyNoRows(kernel, target); !reason.empty())
    return reason;
  SymbolicShapes shapes;
  return ScratchLayout(kernel, shapes).bytes.isConstant(0) ? "" : "it keeps statistics of rows";
}

static DimExprAttr elementCount(kern::KernelOp kernel, ArrayRef<tfm::Dims> walks) {
  DimExprAttr most;
  for (const tfm::Dims &walk : walks) {
    DimExprAttr count = DimExprAttr::product(kernel.getContext(), walk);
    most = most ? DimExprAttr::max(most, count) : count;
  }
  return most;
}

/// They have one schedule.
static LogicalResult scheduleElements(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr) {
  SymbolicShapes shapes;
  SmallVector<tfm::Dims> walks = genericWalks(kernel, shapes);
  for (const tfm::Dims &walk : walks)
    if (!llvm::all_of(walk, isDerived))
      return kernel.emitError("unsupported in a compiled kernel: a result of dimensions ")
             << tfm::str(walk) << " whose size depends on data";
  kernel.setScheduleAttr(DictionaryAttr::get(kernel.getContext()));
  setBlocks(kernel, elementCount(kernel, walks));
  return success();
}

static GpuLaunch launchThreads(kern::KernelOp kernel, int64_t threads) {
  DimExprAttr blocks = DimExprAttr::ceilDiv(*kernel.getTiles(), constant(kernel, threads));
  DimExprAttr inGrid = DimExprAttr::mul(blocks, constant(kernel, threads));
  return {unsigned(threads), blocks, constant(kernel, 0),
          DimExprAttr::mul(inGrid, *kernel.getScratchBytes())};
}

static FailureOr<GpuLaunch> launchElements(kern::KernelOp kernel) {
  return launchThreads(kernel, kElementThreads);
}
static FailureOr<GpuLaunch> launchRows(kern::KernelOp kernel) {
  return launchThreads(kernel, kRowThreads);
}

static LogicalResult emitElements(KernelFrame &frame, GpuBuilder &b) {
  kern::KernelOp kernel = frame.kernel();
  SymbolicShapes shapes;
  shortenDivisions(frame, b);
  ValueEmitter values(frame);
  for (auto [index, walk] : llvm::enumerate(genericWalks(kernel, shapes))) {
    DimExprAttr width = walk.empty() ? constant(kernel, 1) : walk.back();
    Value count = values.extent(elementCount(kernel, {walk})), columns = values.extent(width);
    b.ifThen(b.less(b.threadInGrid(), count), [&] {
      emitGenericElement(frame, values, index, b.div(b.threadInGrid(), columns),
                         b.rem(b.threadInGrid(), columns));
    });
  }
  return failure(values.failed());
}

static LogicalResult scheduleRows(kern::KernelOp kernel, const GpuTarget &target,
                                  DictionaryAttr wanted) {
  Builder builder(kernel.getContext());
  auto oneRow = builder.getDictionaryAttr(
      builder.getNamedAttr("tile_elements", builder.getI64IntegerAttr(1)));
  return scheduleGenericKernel(kernel, target.thread(), wanted ? wanted : oneRow);
}

static LogicalResult emitRows(KernelFrame &frame, GpuBuilder &b) {
  shortenDivisions(frame, b);
  Value row = b.threadInGrid();
  Value scratch =
      b.at(b.launchScratch(), b.mul(row, frame.emit(*frame.kernel().getScratchBytes())));
  b.setWorker(row, b.add(row, 1), scratch);
  // The emitter for one worker reads a schedule of its own parameters alone.
  kern::KernelOp kernel = frame.kernel();
  DictionaryAttr schedule = kernel.getScheduleAttr();
  kernel.setScheduleAttr(formParameters(kernel));
  LogicalResult emitted = emitGenericKernel(frame);
  kernel.setScheduleAttr(schedule);
  return emitted;
}

const GpuForm codegen::kElementsForm = {"elements", whyNoElements, scheduleElements, launchElements,
                                        emitElements};
const GpuForm codegen::kRowsForm = {"rows", whyNoRows, scheduleRows, launchRows, emitRows};
