//===- Generic.cpp - the emitter that takes everything -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Right before fast: each yielded value is walked element by element (or native vector by native vector, where its tree has
// that form), and ValueEmitter says what stands there. Of an append to a cache only the new rows are walked: the result is
// the cache's own memory.
//
//===----------------------------------------------------------------------===//

#include "Generic.h"
#include "Tfm/Panels.h"
#include "TileGrid.h"
#include "permalloy/Codegen/CPU/Emitters.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static bool isPacked(Value value) {
  return isa_and_nonnull<tfm::PanelsAttr>(cast<RankedTensorType>(value.getType()).getEncoding());
}

/// What a result is computed from: the new rows of an append, whose other rows are in place; otherwise the result itself.
static Value storedValue(Value result) {
  auto append = result.getDefiningOp<tfm::KvAppendOp>();
  return append ? append.getRows() : result;
}

/// The dimensions that a yielded value is walked in: its own, or the panel rows of a packed one.
static tfm::Dims walkedDims(Value value, ArrayRef<DimExprAttr> dims) {
  if (!isPacked(value))
    return tfm::Dims(dims);
  auto constant = [&](int64_t number) { return DimExprAttr::constant(value.getContext(), number); };
  int64_t pairing = tfm::panelPairing(Element::of(value).stored);
  DimExprAttr panels = DimExprAttr::ceilDiv(dims[1], constant(tfm::kPanelColumns));
  DimExprAttr steps = DimExprAttr::ceilDiv(dims[0], constant(pairing));
  return {DimExprAttr::mul(panels, steps), constant(tfm::kPanelColumns * pairing)};
}

SmallVector<tfm::Dims> codegen::genericWalks(kern::KernelOp kernel, SymbolicShapes &shapes) {
  return llvm::map_to_vector(kernel.yielded(), [&](Value v) { return walkedDims(v, shapes.dims(storedValue(v))); });
}

LogicalResult codegen::scheduleGenericKernel(kern::KernelOp kernel, const CpuTarget &target, DictionaryAttr wanted) {
  SymbolicShapes shapes;
  return setTileSchedule(kernel, target, /*elements=*/1024, ScratchLayout(kernel, shapes).bytes,
                         genericWalks(kernel, shapes), wanted);
}

static Site siteOf(ArrayRef<DimExprAttr> dims, Value row, Value column) {
  if (dims.empty())
    return Site::full({});
  return dims.size() == 1 ? Site::full({column}) : Site::rows(row, column);
}

/// Element [k, n] of a packed value at a place of the walk; zero past N and K.
static Value packedElement(ValueEmitter &values, Value tensor, Value row, Value lane) {
  KernelBuilder &b = values.builder();
  tfm::Dims dims = values.dims(tensor);
  int64_t pairing = tfm::panelPairing(Element::of(tensor).stored);
  Value steps = b.ceilDiv(values.extent(dims[0]), pairing);
  Value k = b.add(b.mul(b.rem(row, steps), pairing), b.rem(lane, pairing));
  Value n = b.add(b.mul(b.div(row, steps), tfm::kPanelColumns), b.div(lane, pairing));
  Value zero = values.elements().constant(Element::of(tensor), 0.0);
  Value exists = arith::AndIOp::create(b, b.less(n, values.extent(dims[1])), b.less(k, values.extent(dims[0])));
  return values.choose(
      exists, [&] { return SmallVector<Value>{values.at(tensor, Site::full({k, n}))}; },
      [&] { return SmallVector<Value>{zero}; })[0];
}

bool codegen::hasVectorForm(kern::KernelOp kernel, const CpuTarget &target,
                            function_ref<void(KernelFrame &, ValueEmitter &)> emit) {
  ScopedDiagnosticHandler quiet(kernel.getContext(), [](Diagnostic &) { return success(); });
  OwningOpRef<ModuleOp> module = ModuleOp::create(kernel.getLoc());
  unsigned buffers = kernel.getBlock().getNumArguments() + kernel.yielded().size();
  KernelBuilder b(*module, kernel.getLoc(), "trial", target, buffers, kernel.getSymbols().size());
  KernelFrame frame(b, kernel);
  ValueEmitter values(frame);
  emit(frame, values);
  return !values.lostLanes() && !values.failed();
}

/// Whether the tree under `tensor` has a vector form along its last dimension.
static bool isVectorTree(kern::KernelOp kernel, const CpuTarget &target, Value tensor) {
  if (!Element::of(tensor).hasVectors() || isPacked(tensor) ||
      cast<RankedTensorType>(tensor.getType()).getRank() == 0)
    return false;
  return hasVectorForm(kernel, target, [&](KernelFrame &frame, ValueEmitter &values) {
    KernelBuilder &b = frame.builder();
    Site site = siteOf(values.dims(tensor), b.tileBegin(), b.tileEnd());
    site.lane = site.indices.size() - 1;
    site.aligned = true;
    values.vectorAt(tensor, site);
  });
}

/// The row of the result's memory that row `row` of the walk is stored to.
static Value storedRow(ValueEmitter &values, Value result, Value row) {
  auto append = result.getDefiningOp<tfm::KvAppendOp>();
  if (!append)
    return row;
  KernelBuilder &b = values.builder();
  Value count = values.extent(values.dims(append.getRows())[2]), capacity = values.extent(values.dims(result)[2]);
  Value head = b.div(row, count), at = values.extent(append.getAt());
  return b.add(b.mul(head, capacity), b.add(at, b.rem(row, count)));
}

/// What is walked of one result, and where it goes.
namespace {
struct WalkedResult {
  Value result, tensor, base;
  Element e;
  tfm::Dims dims, walked;

  WalkedResult(KernelFrame &frame, ValueEmitter &values, unsigned index)
      : result(frame.kernel().yielded()[index]), tensor(storedValue(result)), base(frame.result(index)), e(Element::of(tensor)),
        dims(values.dims(tensor)), walked(walkedDims(tensor, dims)) {}

  /// The number of the first element of `row` in memory.
  Value start(ValueEmitter &values, Value row) const {
    KernelBuilder &b = values.builder();
    Value width = walked.empty() ? b.i64(1) : values.extent(walked.back());
    return b.mul(storedRow(values, result, row), width);
  }
  Value address(KernelBuilder &b, Value start, Value column) const { return b.at(base, b.mul(b.add(start, column), e.bytes())); }
};
} // namespace

static void storeElement(ValueEmitter &values, const WalkedResult &to, Value start, Value row, Value column) {
  Value value = isPacked(to.tensor) ? packedElement(values, to.tensor, row, column)
                                    : values.at(to.tensor, siteOf(to.dims, row, column));
  values.elements().store(to.e, value, to.address(values.builder(), start, column));
}

void codegen::emitGenericElement(KernelFrame &frame, ValueEmitter &values, unsigned index, Value row, Value column) {
  WalkedResult to(frame, values, index);
  storeElement(values, to, to.start(values, row), row, column);
}

static void storeVector(ValueEmitter &values, const WalkedResult &to, Value start, Value row, Value column) {
  Site site = siteOf(to.dims, row, column);
  site.lane = site.indices.size() - 1;
  site.aligned = true;
  values.storeInRow(to.e, values.vectorAt(to.tensor, site), to.address(values.builder(), start, column), to.dims.back());
}

void codegen::emitGenericVector(KernelFrame &frame, ValueEmitter &values, unsigned index, Value row, Value column) {
  WalkedResult to(frame, values, index);
  storeVector(values, to, to.start(values, row), row, column);
}

static void emitRow(ValueEmitter &values, const WalkedResult &to, bool vectorize, Value row, Value first, Value end) {
  KernelBuilder &b = values.builder();
  Value start = to.start(values, row), scalarFrom = first;
  if (vectorize) {
    int64_t lanes = b.target().lanes();
    scalarFrom = b.add(first, b.mul(b.div(b.sub(end, first), lanes), lanes));
    b.loop(first, scalarFrom, lanes, [&](Value column) { storeVector(values, to, start, row, column); });
  }
  b.loop(scalarFrom, end, 1, [&](Value column) { storeElement(values, to, start, row, column); });
}

void codegen::emitGenericResult(KernelFrame &frame, ValueEmitter &values, unsigned index) {
  kern::KernelOp kernel = frame.kernel();
  WalkedResult to(frame, values, index);
  bool vectorize = isVectorTree(kernel, frame.builder().target(), to.tensor);
  TileGrid grid(to.walked, kernel.getContext(), tileElements(kernel));
  auto extent = [&](DimExprAttr expr) { return values.extent(expr); };
  grid.forEachRow(frame, extent, [&](Value row, Value first, Value end) {
    emitRow(values, to, vectorize, row, first, end);
  });
}

LogicalResult codegen::emitGenericKernel(KernelFrame &frame) {
  SymbolicShapes shapes;
  if (failed(checkTileSchedule(frame.kernel(), frame.builder().target(), genericWalks(frame.kernel(), shapes))))
    return failure();
  ValueEmitter values(frame);
  for (unsigned index = 0; index < frame.kernel().yielded().size(); ++index)
    emitGenericResult(frame, values, index);
  return failure(values.failed());
}
