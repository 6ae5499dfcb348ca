//===- FoldKernel.cpp - reductions over any dimensions ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Reductions that leave few elements (the mean of a sentence's tokens) or are over other dimensions than
// the last, of any type, with what is fused before and behind them. A block is a grid of threads:
//
//   x   neighbouring elements of the result, so that loads of a warp are neighbours, too; one where the
//       last dimension is reduced
//   y   every n-th element of those that are added up, joined through shared memory in a fixed order
//
// Several reductions of one kernel follow each other when their results have the same dimensions.
//
//===----------------------------------------------------------------------===//
#include "../CPU/Generic.h"
#include "../CPU/Reduction.h"
#include "Elements.h"
#include "Forms.h"
#include "Trial.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

/// Elements that a thread loads before it adds them up.
static constexpr int64_t kAtOnce = 4;
/// Of the widest accumulator.
static constexpr int64_t kBytes = 8;

namespace {

struct FoldSchedule {
  int64_t columns = 32; ///< threads along the result
  int64_t depth = 8;    ///< threads that share an element

  int64_t threads() const { return columns * depth; }
};

/// The elements of all results, without dimensions of one.
struct FoldShape {
  tfm::Dims outer;
  bool isInner = false; ///< the last dimension is reduced

  static tfm::Dims squeezed(ArrayRef<DimExprAttr> dims) {
    tfm::Dims result;
    llvm::copy_if(dims, std::back_inserter(result), [](DimExprAttr d) { return !d.isConstant(1); });
    return result;
  }
};

class FoldBlock {
public:
  FoldBlock(KernelFrame &frame, GpuBuilder &b, const FoldSchedule &schedule, const FoldShape &shape);

  /// Whether every value was emitted.
  bool emit();

private:
  Site outerSite(ArrayRef<DimExprAttr> dims);
  Site inputSite(tfm::ReduceOp op, Value position);
  Value partOf(tfm::ReduceOp op);
  Value acrossBlock(Value own, tfm::ReduceKind kind, Element sum);
  void prepare(tfm::ReduceOp op);
  Value join(tfm::ReduceKind kind, Element sum, Value x, Value y) {
    return ops.binary(combinerOf(kind), sum, x, y);
  }

  KernelFrame &frame;
  GpuBuilder &b;
  WarpBuilder warp;
  FoldSchedule schedule;
  const FoldShape &shape;
  ValueEmitter values;
  ElementOps &ops;
  Value x, y, isElement, shared;
  ValueEmitter::Index own; ///< indices of this thread's element
};

} // namespace

static ScheduleSpaceOf<FoldSchedule> foldSpace() {
  ScheduleSpaceOf<FoldSchedule> space;
  space.add("columns", "neighbours of the result in a block", &FoldSchedule::columns, {1, 32});
  space.add("depth", "threads that share an element of the result", &FoldSchedule::depth,
            {1, 4, 8, 16, 32, 128, 256});
  space.require([](const FoldSchedule &s) -> std::string {
    if (s.columns < 1 || s.depth < 1 || !llvm::isPowerOf2_64(s.depth) || s.threads() % 32 ||
        s.threads() > 1024)
      return "columns times depth, a power of two, must be a multiple of 32 up to 1024";
    return "";
  });
  return space;
}

//===----------------------------------------------------------------------===//
// Code
//===----------------------------------------------------------------------===//

FoldBlock::FoldBlock(KernelFrame &frame, GpuBuilder &b, const FoldSchedule &schedule,
                     const FoldShape &shape)
    : frame(frame), b(b), warp(b), schedule(schedule), shape(shape), values(frame),
      ops(values.elements()) {
  x = b.rem(b.threadInBlock(), schedule.columns);
  y = b.div(b.threadInBlock(), schedule.columns);
  Value element = b.add(b.mul(b.blockNumber(), schedule.columns), x);
  Value last = b.sub(values.extent(DimExprAttr::product(b.getContext(), shape.outer)), 1);
  isElement = b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::sle, element, last);
  own = values.split(b.min(element, last), shape.outer); // all threads come by the barriers
  shared = warp.sharedMemory();
}

/// The thread's element of a tensor of these dimensions, which are the outer ones and ones.
Site FoldBlock::outerSite(ArrayRef<DimExprAttr> dims) {
  ValueEmitter::Index indices;
  size_t next = 0;
  for (DimExprAttr dim : dims)
    indices.push_back(dim.isConstant(1) ? b.i64(0) : own[next++]);
  return Site::full(indices);
}

Site FoldBlock::inputSite(tfm::ReduceOp op, Value position) {
  tfm::Dims input = values.dims(op.getInput()), reduced;
  for (int64_t axis : op.getAxes())
    reduced.push_back(input[axis]);
  ValueEmitter::Index inner = values.split(position, reduced), indices;
  size_t outer = 0, next = 0;
  for (auto [axis, dim] : llvm::enumerate(input))
    if (llvm::is_contained(op.getAxes(), int64_t(axis)))
      indices.push_back(inner[next++]);
    else
      indices.push_back(dim.isConstant(1) ? b.i64(0) : own[outer++]);
  return Site::full(indices);
}

/// What this thread adds up.
Value FoldBlock::partOf(tfm::ReduceOp op) {
  Element sum = accumulatorOf(Element::of(op.getInput()));
  tfm::Dims input = values.dims(op.getInput()), reduced;
  for (int64_t axis : op.getAxes())
    reduced.push_back(input[axis]);
  Value count = values.extent(DimExprAttr::product(b.getContext(), reduced)),
        last = b.sub(count, 1);
  SmallVector<Value> sums(kAtOnce, neutralOf(ops, sum, op.getKind()));
  int64_t stride = schedule.depth * kAtOnce;
  sums = b.loop(y, count, stride, sums, [&](Value first, ValueRange carried) {
    SmallVector<Value> next;
    for (int64_t i = 0; i < kAtOnce; ++i) {
      Value position = b.add(first, i * schedule.depth), exists = b.less(position, count);
      Value element = values.at(op.getInput(), inputSite(op, b.min(position, last)));
      if (op.getKind() == tfm::ReduceKind::AbsMax)
        element = ops.unary(tfm::UnaryKind::Abs, sum, element);
      Value more = join(op.getKind(), sum, carried[i], element);
      next.push_back(b.select(exists, more, carried[i]));
    }
    return next;
  });
  for (size_t half = kAtOnce / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i)
      sums[i] = join(op.getKind(), sum, sums[i], sums[i + half]);
  return sums[0];
}

/// The sums of all depths of this thread's element, for each of its threads.
Value FoldBlock::acrossBlock(Value own, tfm::ReduceKind kind, Element sum) {
  if (schedule.depth == 1)
    return own;
  auto place = [&](Value depth) {
    return b.at(shared, b.mul(b.add(b.mul(depth, schedule.columns), x), kBytes));
  };
  auto store = [&](Value value, Value depth) { ops.store(sum, value, place(depth)); };
  warp.barrier(); // the sums before have been read
  store(own, y);
  for (int64_t half = schedule.depth / 2; half > 0; half /= 2) {
    warp.barrier();
    own = b.choose(
        b.less(y, b.i64(half)),
        [&] {
          Value more = join(kind, sum, own, ops.load(sum, place(b.add(y, half))));
          store(more, y);
          return SmallVector<Value>{more};
        },
        [&] { return SmallVector<Value>{own}; })[0];
  }
  warp.barrier();
  return ops.load(sum, place(b.i64(0)));
}

void FoldBlock::prepare(tfm::ReduceOp op) {
  Element e = Element::of(op.getInput()), sum = accumulatorOf(e);
  Value total = acrossBlock(partOf(op), op.getKind(), sum);
  if (op.getKind() == tfm::ReduceKind::Mean) {
    tfm::Dims input = values.dims(op.getInput());
    DimExprAttr count = DimExprAttr::constant(op.getContext(), 1);
    for (int64_t axis : op.getAxes())
      count = DimExprAttr::mul(count, input[axis]);
    Value divisor = ops.cast(Element::of(b.getI64Type()), sum, values.extent(count));
    total = ops.binary(tfm::BinaryKind::Div, sum, total, divisor);
  }
  total = ops.round(e, total);
  Value result = op.getResult();
  values.bind(result, [this, result, total](const Site &site) -> Value {
    tfm::Dims dims = values.dims(result);
    ValueEmitter::Index indices;
    for (auto [index, dim] : llvm::zip(values.toFull(site, dims).indices, dims))
      if (!dim.isConstant(1))
        indices.push_back(index);
    return indices == own ? total : Value();
  });
}

bool FoldBlock::emit() {
  kern::KernelOp kernel = frame.kernel();
  for (auto op : kernel.getBlock().getOps<tfm::ReduceOp>())
    prepare(op);
  SmallVector<Value> results;
  for (Value tensor : kernel.yielded())
    results.push_back(values.at(tensor, outerSite(values.dims(tensor))));
  b.ifThen(arith::AndIOp::create(b, isElement, b.equal(y, b.i64(0))), [&] {
    for (auto [index, tensor] : llvm::enumerate(kernel.yielded())) {
      Element e = Element::of(tensor);
      Value number = values.linearize(own, shape.outer);
      ops.store(e, results[index], b.at(frame.result(index), b.mul(number, e.bytes())));
    }
  });
  return !values.failed() && !values.lostLanes();
}

//===----------------------------------------------------------------------===//
// The form
//===----------------------------------------------------------------------===//

/// Why reductions and results do not have the same elements; fills in which.
static std::string shapeOf(kern::KernelOp kernel, FoldShape &shape) {
  SymbolicShapes shapes;
  auto folds = kernel.getBlock().getOps<tfm::ReduceOp>();
  if (folds.empty())
    return "it has no reductions";
  shape.outer = FoldShape::squeezed(shapes.dims((*folds.begin()).getResult()));
  for (tfm::ReduceOp fold : folds) {
    tfm::Dims input = shapes.dims(fold.getInput());
    shape.isInner |= llvm::is_contained(fold.getAxes(), int64_t(input.size()) - 1);
    if (FoldShape::squeezed(shapes.dims(fold.getResult())) != shape.outer)
      return "its reductions leave different dimensions";
    if (!llvm::all_of(input, isDerived))
      return "the size of a reduction depends on data";
  }
  for (Value tensor : kernel.yielded())
    if (cast<RankedTensorType>(tensor.getType()).getEncoding() ||
        tensor.getDefiningOp<tfm::KvAppendOp>() ||
        FoldShape::squeezed(shapes.dims(tensor)) != shape.outer)
      return "its results are more than its reductions leave";
  return "";
}

static bool emitAll(KernelFrame &frame, GpuBuilder &b, const FoldSchedule &schedule) {
  FoldShape shape;
  if (!shapeOf(frame.kernel(), shape).empty())
    return false;
  shortenDivisions(frame, b);
  return FoldBlock(frame, b, schedule, shape).emit();
}

static std::string whyNot(kern::KernelOp kernel, const GpuTarget &target) {
  if (kernel.getEmitter() != kern::Emitter::Row && kernel.getEmitter() != kern::Emitter::Generic)
    return "it is no row or generic kernel";
  FoldShape shape;
  if (std::string reason = shapeOf(kernel, shape); !reason.empty())
    return reason;
  Trial trial(kernel, target);
  bool isWhole = trial.succeeds(256, 4, [](KernelFrame &frame, GpuBuilder &b) {
    return emitAll(frame, b, FoldSchedule());
  });
  return isWhole ? "" : "its reductions are used for other elements, too";
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  FoldShape shape;
  if (std::string reason = shapeOf(kernel, shape); !reason.empty())
    return kernel.emitError("has no fold: ") << reason;
  FoldSchedule choice;
  if (shape.isInner)
    choice.columns = 1, choice.depth = 128;
  auto schedule = writeGpuSchedule(kernel, foldSpace(), choice, wanted);
  if (failed(schedule))
    return failure();
  DimExprAttr elements = DimExprAttr::product(kernel.getContext(), shape.outer);
  DimExprAttr perBlock = DimExprAttr::constant(kernel.getContext(), schedule->columns);
  setBlocks(kernel, DimExprAttr::ceilDiv(elements, perBlock));
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = readGpuSchedule(kernel, foldSpace());
  if (failed(schedule))
    return failure();
  return launchBlocks(kernel, schedule->threads(), schedule->threads() * kBytes);
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  auto schedule = readGpuSchedule(frame.kernel(), foldSpace());
  if (failed(schedule))
    return failure();
  if (emitAll(frame, b, *schedule))
    return success();
  return frame.kernel().emitError("has reductions that are used for other elements, too");
}

static std::unique_ptr<ScheduleSpace> space(kern::KernelOp, const GpuTarget &) {
  return offerSpace(foldSpace());
}

const GpuForm codegen::kFoldForm = {"fold", whyNot, schedule, launch, emit, space};
