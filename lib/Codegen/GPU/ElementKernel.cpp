//===- ElementKernel.cpp - short vectors of elements ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels that remember nothing from one element to the next: each thread computes neighbours that one
// access of up to 128 bits moves, and neighbouring threads the ones beside them. Where all operands have
// the result's elements in the same places, elements are numbered through and no index is divided; else
// a thread's number is divided by the threads of a row. Vectors need a last dimension that is a multiple of
// them; where it is not known, the kernel has code for both cases.
//
//===----------------------------------------------------------------------===//
#include "../CPU/Generic.h"
#include "../CPU/RowGroups.h"
#include "Elements.h"
#include "Forms.h"
#include "Trial.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

namespace {

struct ElementSchedule {
  int64_t threads = 256; ///< of a block
  int64_t elements = 4;  ///< of a thread, at most
};

/// Results that one thread computes beside each other.
struct Walk {
  SmallVector<unsigned> results;
  tfm::Dims dims;
  bool isCollapsed = false;
  /// Elements of a thread; of rows of unknown length, where these are multiples of them.
  int64_t elements = 1;
  bool isUnknown = false;

  /// Threads that the walk takes.
  DimExprAttr threads(MLIRContext *context) const;
};

} // namespace

DimExprAttr Walk::threads(MLIRContext *context) const {
  auto constant = [&](int64_t value) { return DimExprAttr::constant(context, value); };
  DimExprAttr all = DimExprAttr::product(context, dims),
              few = DimExprAttr::ceilDiv(all, constant(elements));
  if (!isUnknown)
    return few;
  DimExprAttr isRagged = DimExprAttr::min(DimExprAttr::mod(dims.back(), constant(elements)), constant(1));
  return DimExprAttr::max(few, DimExprAttr::mul(isRagged, all));
}

/// Declares vectors of up to `mostElements` elements.
static ScheduleSpaceOf<ElementSchedule> elementSpace(int64_t mostElements = 8) {
  ScheduleSpaceOf<ElementSchedule> space;
  space.add("threads", "threads of a block", &ElementSchedule::threads, {64, 128, 256, 512});
  space.add("elements", "neighbours that a thread computes, at most", &ElementSchedule::elements,
            elementChoices(mostElements));
  space.require([](const ElementSchedule &s) {
    bool isLegal = s.threads > 0 && s.threads <= 1024 && s.threads % 32 == 0;
    return isLegal ? "" : "threads must be a multiple of 32 up to 1024";
  });
  space.require([](const ElementSchedule &s) {
    return llvm::is_contained({1, 4, 8}, s.elements) ? "" : "elements must be 1, 4 or 8";
  });
  return space;
}

static bool isPacked(Value value) {
  return bool(cast<RankedTensorType>(value.getType()).getEncoding());
}

/// The results by what is walked of them.
static SmallVector<Walk> walksOf(kern::KernelOp kernel, int64_t elements, SymbolicShapes &shapes) {
  SmallVector<tfm::Dims> dims = genericWalks(kernel, shapes);
  SmallVector<bool> isCollapsed(dims.size());
  for (const RowGroup &group : rowGroups(kernel, shapes))
    for (unsigned index : group.results)
      isCollapsed[index] = group.collapsed;
  SmallVector<Walk> walks;
  for (auto [index, own] : llvm::enumerate(dims)) {
    Walk walk;
    walk.results = {unsigned(index)};
    walk.dims = own;
    walk.isCollapsed = isCollapsed[index];
    auto width = own.empty() ? std::nullopt : own.back().asConstant();
    bool isWhole = width && *width % elements == 0, isPlain = !isPacked(kernel.yielded()[index]);
    walk.isUnknown = !walk.isCollapsed && !own.empty() && !width && isPlain && elements > 1;
    walk.elements = walk.isCollapsed || (isWhole && isPlain) || walk.isUnknown ? elements : 1;
    auto same = llvm::find_if(walks, [&](const Walk &other) {
      return other.dims == own && other.isCollapsed == walk.isCollapsed &&
             other.elements == walk.elements && other.isUnknown == walk.isUnknown;
    });
    if (same == walks.end())
      walks.push_back(walk);
    else
      same->results.push_back(index);
  }
  return walks;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

/// Elements numbered through: the last thread may have fewer.
static void emitCollapsed(KernelFrame &frame, GpuBuilder &b, ValueEmitter &values,
                          const Walk &walk) {
  kern::KernelOp kernel = frame.kernel();
  Value count = values.extent(DimExprAttr::product(kernel.getContext(), walk.dims));
  Value first = b.mul(b.threadInGrid(), walk.elements), end = b.add(first, walk.elements);
  auto store = [&](Value position, bool isVector) {
    Site site = Site::linear(position);
    site.lane = isVector ? 0 : -1;
    site.aligned = isVector;
    for (unsigned index : walk.results) {
      Value tensor = kernel.yielded()[index];
      Element e = Element::of(tensor);
      Value pointer = b.at(frame.result(index), b.mul(position, e.bytes()));
      if (isVector)
        values.elements().storeVector(e, values.vectorAt(tensor, site), pointer, {});
      else
        values.elements().store(e, values.at(tensor, site), pointer);
    }
  };
  if (walk.elements == 1)
    return b.ifThen(b.less(first, count), [&] { store(first, false); });
  b.ifElse(
      b.less(count, end), [&] { b.loop(first, count, 1, [&](Value i) { store(i, false); }); },
      [&] { store(first, true); });
}

static void emitRows(KernelFrame &frame, GpuBuilder &b, ValueEmitter &values, const Walk &walk,
                     int64_t elements) {
  DimExprAttr width = walk.dims.empty() ? DimExprAttr::constant(b.getContext(), 1) : walk.dims.back();
  DimExprAttr all = DimExprAttr::product(b.getContext(), walk.dims);
  DimExprAttr threads = DimExprAttr::ceilDiv(all, DimExprAttr::constant(b.getContext(), elements));
  b.ifThen(b.less(b.threadInGrid(), values.extent(threads)), [&] {
    Value parts = b.div(values.extent(width), elements);
    Value row = b.div(b.threadInGrid(), parts);
    Value column = b.mul(b.rem(b.threadInGrid(), parts), elements);
    for (unsigned index : walk.results)
      if (elements > 1)
        emitGenericVector(frame, values, index, row, column);
      else
        emitGenericElement(frame, values, index, row, column);
  });
}

/// Whether every value was emitted and kept its lanes.
static bool emitWalks(KernelFrame &frame, GpuBuilder &b, int64_t elements) {
  SymbolicShapes shapes;
  shortenDivisions(frame, b);
  bool isWhole = true;
  for (const Walk &walk : walksOf(frame.kernel(), elements, shapes)) {
    b.setLanes(walk.elements == 8 ? 8 : 4);
    auto emit = [&](bool assumesWhole) {
      ValueEmitter values(frame);
      if (assumesWhole)
        values.assumeWhole(walk.dims.back());
      if (walk.isCollapsed)
        emitCollapsed(frame, b, values, walk);
      else
        emitRows(frame, b, values, walk, walk.isUnknown && !assumesWhole ? 1 : walk.elements);
      isWhole &= !values.failed() && !values.lostLanes();
    };
    if (walk.isUnknown)
      chooseVectors(frame, walk.dims.back(), walk.elements, emit);
    else
      emit(false);
  }
  return isWhole;
}

//===----------------------------------------------------------------------===//
// The form
//===----------------------------------------------------------------------===//

/// Products and attention have forms of their own.
static std::string whyNot(kern::KernelOp kernel, const GpuTarget &) {
  if (kernel.getEmitter() != kern::Emitter::Row && kernel.getEmitter() != kern::Emitter::Generic)
    return "it is no row or generic kernel";
  if (std::string reason = whyNotValues(kernel); !reason.empty())
    return reason;
  SymbolicShapes shapes;
  if (!ScratchLayout(kernel, shapes).bytes.isConstant(0))
    return "it keeps statistics of rows";
  for (const tfm::Dims &walk : genericWalks(kernel, shapes))
    if (!llvm::all_of(walk, isDerived))
      return "a result of dimensions " + tfm::str(walk) + " has a size that depends on data";
  return "";
}

/// As many as 128 bits hold of the widest elements, if their values have vectors at all.
static int64_t chooseElements(kern::KernelOp kernel, const GpuTarget &target) {
  int64_t bytes = 1;
  auto look = [&](Value v) {
    if (getElementTypeOrSelf(v).isIntOrFloat()) // codes are decoded first
      bytes = std::max(bytes, Element::of(v).bytes());
  };
  llvm::for_each(kernel.getBlock().getArguments(), look);
  llvm::for_each(kernel.yielded(), look);
  Trial trial(kernel, target);
  for (int64_t elements : {8, 4})
    if (elements * bytes <= 16 || elements == 4)
      if (trial.succeeds(256, elements, [&](KernelFrame &frame, GpuBuilder &b) {
            return emitWalks(frame, b, elements);
          }))
        return elements;
  return 1;
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &target,
                              DictionaryAttr wanted) {
  ElementSchedule choice;
  if (!wanted)
    choice.elements = chooseElements(kernel, target);
  auto schedule = writeGpuSchedule(kernel, elementSpace(), choice, wanted);
  if (failed(schedule))
    return failure();
  SymbolicShapes shapes;
  DimExprAttr threads;
  for (const Walk &walk : walksOf(kernel, schedule->elements, shapes)) {
    DimExprAttr own = walk.threads(kernel.getContext());
    threads = threads ? DimExprAttr::max(threads, own) : own;
  }
  DimExprAttr perBlock = DimExprAttr::constant(kernel.getContext(), schedule->threads);
  setBlocks(kernel, DimExprAttr::ceilDiv(threads, perBlock));
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = readGpuSchedule(kernel, elementSpace());
  if (failed(schedule))
    return failure();
  return launchBlocks(kernel, schedule->threads);
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  auto schedule = readGpuSchedule(frame.kernel(), elementSpace());
  if (failed(schedule))
    return failure();
  if (emitWalks(frame, b, schedule->elements))
    return success();
  return frame.kernel().emitError("has no vectors of ") << schedule->elements << " elements";
}

/// No wider vectors than the rule found its values to have.
static std::unique_ptr<ScheduleSpace> space(kern::KernelOp kernel, const GpuTarget &target) {
  return offerSpace(elementSpace(chooseElements(kernel, target)));
}

const GpuForm codegen::kVectorForm = {"vector", whyNot, schedule, launch, emit, space};
