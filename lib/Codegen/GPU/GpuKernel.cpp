//===- GpuKernel.cpp - chooses and drives the GPU emitters ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "../CPU/Generic.h"
#include "TensorKernel.h"
#include "Tfm/Outliers.h"
#include "permalloy/Codegen/CPU/Emitters.h"
#include "permalloy/Codegen/GPU/GpuBuilder.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static constexpr llvm::StringLiteral kThreads = "threads";
/// Blocks of the rows form: as small as keeps a few hundred rows from standing on one multiprocessor.
static constexpr int64_t kRowThreads = 64;
static constexpr int64_t kElementThreads = 256;

static DimExprAttr constant(kern::KernelOp kernel, int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); }

/// Nothing of a row is remembered, so each element stands for itself.
static bool hasElementsForm(kern::KernelOp kernel) {
  SymbolicShapes shapes;
  return ScratchLayout(kernel, shapes).bytes.isConstant(0);
}

/// Whether ValueEmitter knows the operations: those of the row, contraction, attention and generic emitters.
static LogicalResult checkOperations(kern::KernelOp kernel) {
  if (kernel.getEmitter() == kern::Emitter::Route || kernel.getEmitter() == kern::Emitter::Tokens)
    return kernel.emitError("kernel '") << kernel.getSymName() << "' is unsupported on GPU targets: they have no "
                                        << kern::stringifyEmitter(kernel.getEmitter()) << " kernels";
  for (Operation &op : kernel.getBlock())
    if (isa<tfm::GroupedLinearOp, tfm::ExpandBlocksOp, tfm::ExpandQuadsOp, tfm::OutlierLimitOp, tfm::OutlierPositionsOp,
            tfm::OutlierValuesOp, tfm::OutlierLinearOp>(op))
      return kernel.emitError("kernel '") << kernel.getSymName() << "' is unsupported on GPU targets: " << op.getName();
  return success();
}

static DimExprAttr elementCount(kern::KernelOp kernel, ArrayRef<tfm::Dims> walks) {
  DimExprAttr most;
  for (const tfm::Dims &walk : walks) {
    DimExprAttr count = constant(kernel, 1);
    for (DimExprAttr dim : walk)
      count = DimExprAttr::mul(count, dim);
    most = most ? DimExprAttr::max(most, count) : count;
  }
  return most;
}

static LogicalResult scheduleElements(kern::KernelOp kernel) {
  SymbolicShapes shapes;
  SmallVector<tfm::Dims> walks = genericWalks(kernel, shapes);
  for (const tfm::Dims &walk : walks)
    if (!llvm::all_of(walk, isDerived))
      return kernel.emitError("unsupported in a compiled kernel: a result of dimensions ")
             << tfm::str(walk) << " whose size depends on data";
  Builder builder(kernel.getContext());
  kernel.setScheduleAttr(builder.getDictionaryAttr(builder.getNamedAttr(kThreads, builder.getI64IntegerAttr(kElementThreads))));
  kernel.setTilesAttr(elementCount(kernel, walks));
  kernel.setScratchBytesAttr(constant(kernel, 0));
  return success();
}

LogicalResult codegen::selectGpuSchedule(kern::KernelOp kernel, const GpuTarget &target) {
  if (failed(checkOperations(kernel)))
    return failure();
  if (whyNotTensor(kernel).empty())
    return scheduleTensorKernel(kernel);
  if (hasElementsForm(kernel))
    return scheduleElements(kernel);
  Builder builder(kernel.getContext());
  auto oneRow = builder.getDictionaryAttr(builder.getNamedAttr("tile_elements", builder.getI64IntegerAttr(1)));
  return scheduleGenericKernel(kernel, target.thread(), oneRow);
}

/// Threads of a block; those of the rows form are no part of its schedule, which is that of a CPU worker.
static int64_t threadsOf(kern::KernelOp kernel) {
  auto threads = kernel.getScheduleAttr().getAs<IntegerAttr>(kThreads);
  return threads ? threads.getInt() : kRowThreads;
}

GpuLaunch codegen::gpuLaunch(kern::KernelOp kernel) {
  if (auto tensor = tensorScheduleOf(kernel))
    return {unsigned(tensor->threads()), *kernel.getTiles(), constant(kernel, tensor->sharedBytes()), constant(kernel, 0)};
  int64_t threads = threadsOf(kernel);
  DimExprAttr blocks = DimExprAttr::ceilDiv(*kernel.getTiles(), constant(kernel, threads));
  DimExprAttr inGrid = DimExprAttr::mul(blocks, constant(kernel, threads));
  return {unsigned(threads), blocks, constant(kernel, 0), DimExprAttr::mul(inGrid, *kernel.getScratchBytes())};
}

static LogicalResult emitElements(KernelFrame &frame, GpuBuilder &b) {
  kern::KernelOp kernel = frame.kernel();
  SymbolicShapes shapes;
  ValueEmitter values(frame);
  for (auto [index, walk] : llvm::enumerate(genericWalks(kernel, shapes))) {
    DimExprAttr width = walk.empty() ? constant(kernel, 1) : walk.back();
    Value count = values.extent(elementCount(kernel, {walk})), columns = values.extent(width);
    b.ifThen(b.less(b.threadInGrid(), count), [&] {
      emitGenericElement(frame, values, index, b.div(b.threadInGrid(), columns), b.rem(b.threadInGrid(), columns));
    });
  }
  return failure(values.failed());
}

static LogicalResult emitRows(KernelFrame &frame, GpuBuilder &b) {
  Value row = b.threadInGrid();
  Value scratch = b.at(b.launchScratch(), b.mul(row, frame.emit(*frame.kernel().getScratchBytes())));
  b.setWorker(row, b.add(row, 1), scratch);
  return emitGenericKernel(frame);
}

LogicalResult codegen::emitGpuKernel(kern::KernelOp kernel, const GpuTarget &target, StringRef name, ModuleOp module) {
  if (!kernel.getTiles())
    return kernel.emitError("has no schedule; run select-schedules first");
  unsigned buffers = kernel.getBlock().getNumArguments() + kernel.yielded().size();
  auto tensor = tensorScheduleOf(kernel);
  GpuBuilder b(module, kernel.getLoc(), name, target, gpuLaunch(kernel).threads, buffers, kernel.getSymbols().size());
  KernelFrame frame(b, kernel);
  LogicalResult emitted = tensor ? emitTensorKernel(frame, b) : hasElementsForm(kernel) ? emitElements(frame, b) : emitRows(frame, b);
  if (failed(emitted))
    return failure();
  b.finish();
  return success();
}
