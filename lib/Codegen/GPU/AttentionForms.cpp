//===- AttentionForms.cpp - kern.kernel with a tfm.attention on a GPU -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Two forms that differ in what multiplies: tensor cores for f16, bf16 and f32 that may be rounded to tf32, FMA for strict f32. Where the number of queries is known only when
// the kernel runs it has both ways of AttentionWarps.h, and the grid is that of the way taken.
//
//===----------------------------------------------------------------------===//
#include "../CPU/AttentionKernel.h"
#include "AttentionWarps.h"
#include "Forms.h"
#include "Tfm/PrecisionAttr.h"
#include "permalloy/Artifact/Format.h"
#include "permalloy/Codegen/CPU/Emitters.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static constexpr int64_t kMaxHeadSize = 256;
/// A few for each multiprocessor of the largest devices (132 of an H100). Heads that are split have a counter each.
static constexpr int64_t kManyBlocks = 1024;
static_assert(kManyBlocks <= int64_t(artifact::kDeviceCounters));

static AttentionShape shapeOf(kern::KernelOp kernel) {
  tfm::AttentionOp op = findAttention(kernel);
  bool isHalf = Element::of(op.getQuery()).isHalf(), isTf32 = getElementTypeOrSelf(op.getQuery()).isF32() && allowsTf32(op);
  return {isHalf || isTf32, attentionHeadSize(op), int64_t(op.getNumHeads() / op.getNumKvHeads()), bool(op.getMask()), isTf32};
}

static std::string whyNot(kern::KernelOp kernel, bool onTensorCores) {
  if (kernel.getEmitter() != kern::Emitter::Attention)
    return "it is no attention";
  if (std::string reason = whyNotAttention(kernel); !reason.empty())
    return reason;
  AttentionShape shape = shapeOf(kernel);
  if (shape.onTensorCores != onTensorCores)
    return onTensorCores ? "its elements are not f16, bf16 or f32 that may be rounded to tf32" : "its elements are not f32, or may be rounded to tf32";
  if (shape.headSize * shape.elementBytes() % kChunkBytes)
    return "its heads are no multiple of 16 bytes";
  return shape.headSize > kMaxHeadSize ? "its heads are wider than " + std::to_string(kMaxHeadSize) : "";
}

static FailureOr<GpuAttentionSchedule> scheduleOf(kern::KernelOp kernel) {
  return readGpuSchedule(kernel, gpuAttentionSpace(shapeOf(kernel), GpuTarget::kSharedBytes));
}

namespace {

/// The launch as expressions over the kernel's symbols.
class Grid {
public:
  Grid(kern::KernelOp kernel, const GpuAttentionSchedule &s)
      : op(findAttention(kernel)), shape(shapeOf(kernel)), s(s), sizes(attentionSizes(op, kernel)) {
    heads = DimExprAttr::mul(sizes.batch, constant(op.getNumKvHeads()));
  }

  /// With up to this many queries there are few rows; never with offsets.
  int64_t fewQueries() { return op.getOffsets() ? 0 : s.fewRows / shape.group; }
  /// Blocks of one head then: as many as its keys are worth, unless all heads together fill the device with fewer.
  DimExprAttr splits() {
    DimExprAttr enough = DimExprAttr::ceilDiv(constant(kManyBlocks), DimExprAttr::max(constant(1), heads));
    DimExprAttr parts = DimExprAttr::min(DimExprAttr::ceilDiv(sizes.keys, constant(s.splitKeys)), enough);
    return DimExprAttr::max(constant(1), parts);
  }
  DimExprAttr blocks() {
    DimExprAttr rows = DimExprAttr::mul(sizes.queries, constant(shape.group));
    return DimExprAttr::mul(heads, select(isFew(), splits(), DimExprAttr::ceilDiv(rows, constant(s.blockRows()))));
  }
  DimExprAttr sharedBytes() { return select(isFew(), constant(s.fewSharedBytes(shape)), constant(s.sharedBytes(shape))); }
  DimExprAttr scratchBytes() {
    DimExprAttr parts = DimExprAttr::mul(heads, splits());
    return select(isFew(), DimExprAttr::mul(parts, constant(s.fewRows * attentionPartBytes(shape))), constant(0));
  }
  DimExprAttr queries() const { return sizes.queries; }

private:
  DimExprAttr constant(int64_t value) { return DimExprAttr::constant(op.getContext(), value); }
  /// 1 or 0.
  DimExprAttr isPositive(DimExprAttr x) { return DimExprAttr::max(constant(0), DimExprAttr::min(constant(1), x)); }
  DimExprAttr isFew() { return isPositive(DimExprAttr::sub(constant(fewQueries() + 1), sizes.queries)); }
  /// x where `condition`, 1 or 0, is 1, else y.
  DimExprAttr select(DimExprAttr condition, DimExprAttr x, DimExprAttr y) {
    return DimExprAttr::add(y, DimExprAttr::mul(condition, DimExprAttr::sub(x, y)));
  }

  tfm::AttentionOp op;
  AttentionShape shape;
  GpuAttentionSchedule s;
  AttentionSizes sizes;
  DimExprAttr heads;
};

} // namespace

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  AttentionShape shape = shapeOf(kernel);
  auto choice = GpuAttentionSchedule::choose(shape, GpuTarget::kSharedBytes);
  auto schedule = writeGpuSchedule(kernel, gpuAttentionSpace(shape, GpuTarget::kSharedBytes), choice, wanted);
  if (failed(schedule))
    return failure();
  Grid grid(kernel, *schedule);
  kernel.setTilesAttr(grid.blocks());
  kernel.setScratchBytesAttr(grid.scratchBytes());
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = scheduleOf(kernel);
  if (failed(schedule))
    return failure();
  return GpuLaunch{unsigned(schedule->threads()), *kernel.getTiles(), Grid(kernel, *schedule).sharedBytes(),
                   *kernel.getScratchBytes(), unsigned(schedule->wantedRegisters(shapeOf(kernel)))};
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  auto schedule = scheduleOf(frame.kernel());
  if (failed(schedule))
    return failure();
  Attention a = readAttention(frame);
  AttentionShape shape = shapeOf(frame.kernel());
  Grid grid(frame.kernel(), *schedule);
  b.getBlock()->getParentOp()->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                                       b.getI32IntegerAttr(schedule->blocksTogether(shape)));
  auto few = [&] { AttentionWarps(b, a, shape, *schedule).emitFew(frame.emit(grid.splits())); };
  auto many = [&] { AttentionWarps(b, a, shape, *schedule).emitMany(); };
  std::optional<int64_t> queries = grid.queries().asConstant();
  if (grid.fewQueries() == 0 || (queries && *queries > grid.fewQueries()))
    many();
  else if (queries)
    few();
  else
    b.ifElse(b.less(a.queries, b.i64(grid.fewQueries() + 1)), few, many);
  return success();
}

static std::string whyNotTensor(kern::KernelOp kernel, const GpuTarget &) { return whyNot(kernel, /*onTensorCores=*/true); }
static std::string whyNotFma(kern::KernelOp kernel, const GpuTarget &) { return whyNot(kernel, /*onTensorCores=*/false); }

static std::unique_ptr<ScheduleSpace> space(kern::KernelOp kernel, const GpuTarget &) {
  return offerSpace(gpuAttentionSpace(shapeOf(kernel), GpuTarget::kSharedBytes));
}

const GpuForm codegen::kAttentionForm = {"attention", whyNotTensor, schedule, launch, emit, space};
const GpuForm codegen::kAttentionFmaForm = {"attention_fma", whyNotFma, schedule, launch, emit, space};
