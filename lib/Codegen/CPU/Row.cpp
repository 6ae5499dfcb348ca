//===- Row.cpp - rows of pointwise trees and row statistics ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One walk over rows, for a layer_norm of a sum that is also a result:
//
//   for row:
//     sum of v = a + b over the columns            v goes to the worker's scratch row, in L1
//     sum of (v - mean)^2                          from the scratch row
//     for column:                                  store v; store (v - mean) * rstd * scale + bias
//
// Everything runs along the last dimension in native vectors, the tail under a mask; sums have several accumulators, added
// up in a fixed order. Trees without row statistics are one such loop. Results that have no vector form are left to the
// generic emitter.
//
//===----------------------------------------------------------------------===//

#include "Generic.h"
#include "RowGroups.h"
#include "RowStatistics.h"
#include "TileGrid.h"
#include "permalloy/Codegen/CPU/Emitters.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

/// A result is walked as its group or, without vector form, by itself: the grid has the tiles of both.
static SmallVector<tfm::Dims> walkedDims(kern::KernelOp kernel, SymbolicShapes &shapes) {
  SmallVector<tfm::Dims> walked;
  for (Value value : kernel.yielded())
    walked.push_back(shapes.dims(value));
  for (const RowGroup &group : rowGroups(kernel, shapes))
    walked.push_back(group.dims);
  return walked;
}

LogicalResult codegen::scheduleRowKernel(kern::KernelOp kernel, const CpuTarget &target, DictionaryAttr wanted) {
  SymbolicShapes shapes;
  for (Value value : kernel.yielded())
    if (cast<RankedTensorType>(value.getType()).getEncoding())
      return kernel.emitError("the row emitter takes plain results, not ") << value.getType();
  DimExprAttr scratch = rowScratch(kernel, shapes, ScratchLayout(kernel, shapes).bytes).lookup(nullptr);
  return setTileSchedule(kernel, target, /*elements=*/4096, scratch, walkedDims(kernel, shapes), wanted);
}

/// A place of the walk in `tensor`, a result of the group.
static Site siteOf(ValueEmitter &values, const RowGroup &group, Value tensor, Value row, Value column) {
  tfm::Dims dims = values.dims(tensor);
  if (group.collapsed)
    return Site::linear(column);
  if (dims.empty())
    return Site::full({});
  if (dims.size() == 1 && group.statistics.empty())
    return Site::full({column});
  return Site::rows(row, column);
}

/// Whether a result holds one element per row of the walk: a reduction without its dimension.
static bool isOnePerRow(ValueEmitter &values, const RowGroup &group, Value tensor) {
  return !group.statistics.empty() &&
         DimExprAttr::product(tensor.getContext(), values.dims(tensor)) == group.rows;
}

/// A row statistic under `value`, itself included.
static bool hasStatistic(Value value) {
  Operation *op = value.getDefiningOp();
  return op && (isRowStatistic(op) || llvm::any_of(op->getOperands(), hasStatistic));
}

/// Index arithmetic and gathered indices that depend on the row alone are emitted before its loops, by asking for the first
/// element: the values are remembered and the rest is dead code.
static void emitRowInvariants(ValueEmitter &values, const RowGroup &group, kern::KernelOp kernel, Value row) {
  bool moves = llvm::any_of(kernel.getBlock(), [](Operation &op) {
    return isa<tfm::GatherOp, tfm::GatherNDOp, tfm::TransposeOp, tfm::SliceOp, tfm::ReshapeOp, tfm::ConcatOp>(op);
  });
  if (!moves || group.collapsed)
    return;
  Value first = values.builder().i64(0);
  for (Operation *op : group.statistics)
    if (!hasStatistic(op->getOperand(0)))
      values.at(op->getOperand(0), Site::rows(row, first));
  for (unsigned index : group.results)
    if (Value tensor = kernel.yielded()[index]; !hasStatistic(tensor))
      values.at(tensor, siteOf(values, group, tensor, row, first));
}

/// Stores the columns [first, end) of a row of one result.
static void storeRow(ValueEmitter &values, const RowGroup &group, Value tensor, Value base, Value row, Value first,
                     Value end, std::optional<int64_t> width) {
  KernelBuilder &b = values.builder();
  Element e = Element::of(tensor);
  tfm::Dims dims = values.dims(tensor);
  Value start = group.collapsed || dims.size() < 2 ? b.i64(0) : b.mul(row, values.extent(dims.back()));
  forEachVector(values, first, end, width, [&](Value column, Value mask) {
    Site site = siteOf(values, group, tensor, row, column);
    site.lane = site.indices.size() - 1;
    site.aligned = true;
    site.mask = mask;
    Value pointer = b.at(base, b.mul(b.add(start, column), e.bytes()));
    values.elements().storeVector(e, values.vectorAt(tensor, site), pointer, mask);
  });
}

static void emitGroupRow(ValueEmitter &values, const RowGroup &group, KernelFrame &frame, Value row, Value first,
                         Value end) {
  KernelBuilder &b = frame.builder();
  kern::KernelOp kernel = frame.kernel();
  emitRowInvariants(values, group, kernel, row);
  RowStatistics statistics(values, row);
  for (Operation &op : kernel.getBlock())
    if (llvm::is_contained(group.statistics, &op))
      statistics.prepare(&op);
  for (unsigned index : group.results) {
    Value tensor = kernel.yielded()[index];
    Element e = Element::of(tensor);
    tfm::Dims dims = values.dims(tensor);
    if (isOnePerRow(values, group, tensor)) {
      Value value = values.at(tensor, Site::full(values.split(row, dims)));
      values.elements().store(e, value, b.at(frame.result(index), b.mul(row, e.bytes())));
      continue;
    }
    bool wholeRow = !group.statistics.empty();
    bool isCut = !wholeRow && group.rows.isConstant(1);
    std::optional<int64_t> width = isCut ? std::nullopt : dims.back().asConstant();
    storeRow(values, group, tensor, frame.result(index), row, wholeRow ? b.i64(0) : first,
             wholeRow ? values.extent(dims.back()) : end, width);
  }
}

static void emitGroup(ValueEmitter &values, const RowGroup &group, KernelFrame &frame) {
  TileGrid grid(group.dims, frame.kernel().getContext(), tileElements(frame.kernel()));
  auto extent = [&](DimExprAttr expr) { return values.extent(expr); };
  if (!group.statistics.empty() && group.rows.isConstant(1)) {
    // One row is one tile, however wide: its columns are not cut.
    KernelBuilder &b = frame.builder();
    b.ifThen(b.equal(b.tileBegin(), b.i64(0)),
             [&] { emitGroupRow(values, group, frame, b.i64(0), b.i64(0), extent(group.dims.back())); });
    return;
  }
  grid.forEachRow(frame, extent, [&](Value row, Value first, Value end) {
    emitGroupRow(values, group, frame, row, first, end);
  });
}

LogicalResult codegen::emitRowKernel(KernelFrame &frame) {
  kern::KernelOp kernel = frame.kernel();
  SymbolicShapes shapes;
  if (failed(checkTileSchedule(kernel, frame.builder().target(), walkedDims(kernel, shapes))))
    return failure();
  SmallVector<RowGroup> groups = rowGroups(kernel, shapes);
  llvm::erase_if(groups, [&](RowGroup &group) {
    auto emit = [&](KernelFrame &trial, ValueEmitter &values) { emitGroup(values, group, trial); };
    return !hasVectorForm(kernel, frame.builder().target(), emit);
  });
  llvm::DenseSet<unsigned> done;
  // Each group binds its own rows, so each has its own emitter.
  for (const RowGroup &group : groups) {
    ValueEmitter values(frame);
    emitGroup(values, group, frame);
    done.insert(group.results.begin(), group.results.end());
  }
  ValueEmitter values(frame);
  for (unsigned index = 0; index < kernel.yielded().size(); ++index)
    if (!done.contains(index))
      emitGenericResult(frame, values, index);
  return failure(values.failed());
}
