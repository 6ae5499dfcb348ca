//===- AttentionKernel.cpp - kern.kernel with an attention root -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "AttentionKernel.h"
#include "ElementOps.h"
#include "ScheduleAttribute.h"
#include "permalloy/Codegen/CPU/Emitters.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// Tiles of the output are written out for all columns of a head, so wider ones would pass kMaxKernelOps.
static constexpr int64_t kMaxHeadSize = 512;

tfm::AttentionOp permalloy::codegen::findAttention(kern::KernelOp kernel) {
  auto roots = kernel.getBlock().getOps<tfm::AttentionOp>();
  return llvm::hasSingleElement(roots) ? *roots.begin() : tfm::AttentionOp();
}

/// Size of a head of a packed tensor or one of rank 4; kDynamic when it is not static.
static int64_t headSize(RankedTensorType type, int64_t heads) {
  int64_t last = type.getShape().back();
  return ShapedType::isDynamic(last) ? last : last / (type.getRank() == 3 ? heads : 1);
}
int64_t permalloy::codegen::attentionHeadSize(tfm::AttentionOp op) {
  return headSize(op.getQuery().getType(), op.getNumHeads());
}

AttentionSizes permalloy::codegen::attentionSizes(tfm::AttentionOp op, kern::KernelOp kernel) {
  auto dims = [&](Value argument) {
    return kern::argDims(kernel, cast<BlockArgument>(argument).getArgNumber());
  };
  tfm::Dims query = dims(op.getQuery());
  if (op.getOffsets()) {
    auto one = tfm::DimExprAttr::constant(kernel.getContext(), 1);
    return {tfm::DimExprAttr::sub(dims(op.getOffsets())[0], one), *op.getLongest(), *op.getLongest()};
  }
  return {query[0], query[op.queryAxis()], op.keys(dims(op.getKey()))};
}

std::string permalloy::codegen::whyNotAttention(kern::KernelOp kernel) {
  tfm::AttentionOp op = findAttention(kernel);
  if (!op || kernel.yielded().size() != 1 || kernel.yielded()[0] != op.getResult())
    return "it has not exactly one tfm.attention, or yields another value";
  Element element = Element::of(op.getQuery());
  if (!(element.stored.isF32() || element.isHalf()) || ShapedType::isDynamic(attentionHeadSize(op)))
    return "tfm.attention is not in f32, f16 or bf16, or the size of its heads is not static";
  if (headSize(op.getValue().getType(), op.getNumKvHeads()) != attentionHeadSize(op))
    return "heads of the values have another size than those of the queries";
  if (attentionHeadSize(op) > kMaxHeadSize)
    return "its heads are wider than " + std::to_string(kMaxHeadSize);
  if (!llvm::all_of(op->getOperands(), llvm::IsaPred<BlockArgument>))
    return "an operand of tfm.attention is computed in the kernel";
  if (op.getType().getShape().back() != op.getQuery().getType().getShape().back())
    return "its values have heads of another size than its keys";
  return "";
}

static bool masksByQuery(tfm::AttentionOp op, kern::KernelOp kernel) {
  Value mask = op.getMask();
  return mask && !kern::argDims(kernel, cast<BlockArgument>(mask).getArgNumber())[2].isConstant(1);
}

LogicalResult permalloy::codegen::scheduleAttentionKernel(kern::KernelOp kernel,
                                                          const CpuTarget &target,
                                                          DictionaryAttr wanted) {
  if (std::string reason = whyNotAttention(kernel); !reason.empty())
    return kernel.emitError("the attention emitter cannot take this kernel: ") << reason;
  tfm::AttentionOp op = findAttention(kernel);
  Type element = Element::of(op.getQuery()).stored;
  FailureOr<AttentionSchedule> schedule =
      writeSchedule(kernel, target, attentionSpace(target, element), AttentionSchedule::choose(target, element), wanted);
  if (failed(schedule))
    return failure();
  auto constant = [&](int64_t value) {
    return tfm::DimExprAttr::constant(kernel.getContext(), value);
  };
  auto [batch, queries, keys] = attentionSizes(op, kernel);
  auto blocks = tfm::DimExprAttr::ceilDiv(queries, constant(attentionQueryBlock(target, *schedule)));
  blocks = tfm::DimExprAttr::mul(constant(op.getNumHeads() / op.getNumKvHeads()), blocks);
  auto perHead = tfm::DimExprAttr::ceilDiv(blocks, constant(schedule->queryBlocks)); // attentionTilesPerHead
  kernel.setTilesAttr(
      tfm::DimExprAttr::mul(batch, tfm::DimExprAttr::mul(constant(op.getNumKvHeads()), perHead)));
  kernel.setScratchBytesAttr(constant(
      attentionScratchBytes(target, *schedule, op.getNumHeads() / op.getNumKvHeads(), attentionHeadSize(op),
                            element, masksByQuery(op, kernel))));
  return success();
}

std::unique_ptr<ScheduleSpace> permalloy::codegen::attentionKernelSpace(kern::KernelOp kernel,
                                                                        const CpuTarget &target) {
  return std::make_unique<ScheduleSpaceOf<AttentionSchedule>>(
      attentionSpace(target, Element::of(findAttention(kernel).getQuery()).stored));
}

/// [B, S, H * D] or [B, H, S, D], dense; `base` holds elements of its own.
static HeadTensor headTensor(KernelFrame &frame, Value tensor, Value base, Element element, int64_t heads,
                             int64_t size) {
  KernelBuilder &b = frame.builder();
  bool packed = cast<RankedTensorType>(tensor.getType()).getRank() == 3;
  Value length = frame.dim(tensor, packed ? 1 : 2);
  HeadTensor result;
  result.base = base;
  size *= element.bytes();
  result.rowStride = (packed ? heads : 1) * size;
  result.headStride = packed ? b.i64(size) : b.mul(length, size);
  result.batchStride = b.mul(length, heads * size);
  return result;
}

/// A mask of rank 4; a dimension of 1 repeats, also one that is only known to be 1 at run time.
static AttentionMask maskOf(KernelFrame &frame, Value mask, ArrayRef<tfm::DimExprAttr> scores) {
  KernelBuilder &b = frame.builder();
  AttentionMask result;
  result.base = frame.argument(mask);
  result.isBool = getElementTypeOrSelf(mask.getType()).isInteger(1);
  tfm::Dims dims = frame.dims(mask);
  Value *strides[] = {&result.batchStride, &result.headStride, &result.queryStride,
                      &result.keyStride};
  Value natural = b.i64(Element::of(mask).bytes());
  for (int i = 3; i >= 0; --i) {
    Value extent = frame.emit(dims[i]);
    *strides[i] =
        dims[i] == scores[i] ? natural : b.select(b.equal(extent, b.i64(1)), b.i64(0), natural);
    natural = b.mul(natural, extent);
  }
  result.sameForAllQueries = dims[2].isConstant(1);
  result.sameForAllHeads = dims[1].isConstant(1);
  return result;
}

static NoKeys noKeysOf(tfm::EmptyRows rows) {
  switch (rows) {
  case tfm::EmptyRows::NaN:
    return NoKeys::NaN;
  case tfm::EmptyRows::Zero:
    return NoKeys::Zero;
  case tfm::EmptyRows::Uniform:
    return NoKeys::MeanOfValues;
  }
  llvm_unreachable("a case of the enum");
}

Attention permalloy::codegen::readAttention(KernelFrame &frame) {
  KernelBuilder &b = frame.builder();
  tfm::AttentionOp op = findAttention(frame.kernel());
  Attention a;
  a.element = Element::of(op.getQuery()).stored;
  a.outputElement = Element::of(op.getResult()).stored;
  a.heads = op.getNumHeads();
  a.kvHeads = op.getNumKvHeads();
  a.headSize = attentionHeadSize(op);
  auto tensor = [&](Value value, int64_t heads) {
    return headTensor(frame, value, frame.argument(value), Element::of(value), heads, a.headSize);
  };
  a.query = tensor(op.getQuery(), a.heads);
  a.key = tensor(op.getKey(), a.kvHeads);
  a.value = tensor(op.getValue(), a.kvHeads);
  a.output = headTensor(frame, op.getQuery(), frame.result(0), Element::of(op.getResult()), a.heads, a.headSize);
  tfm::Dims query = frame.dims(op.getQuery()), key = frame.dims(op.getKey());
  tfm::DimExprAttr queries = query[op.queryAxis()], keys = op.keys(key);
  a.batch = frame.emit(query[0]);
  a.queries = frame.emit(queries);
  a.keys = frame.emit(keys);
  if (op.getOffsets()) {
    a.offsets = frame.argument(op.getOffsets());
    a.queries = a.keys = frame.emit(*op.getLongest());
  }
  a.scale = op.getScale().convertToFloat();
  a.causal = op.getCausal();
  if (op.getSoftcap())
    a.softcap = op.getSoftcap()->convertToFloat();
  a.windowLeft = op.getWindowLeft();
  a.windowRight = op.getWindowRight();
  a.noKeys = noKeysOf(op.getEmptyRows());
  if (Value mask = op.getMask(); mask && !Element::of(mask).isBool())
    a.maskElement = Element::of(mask).stored;
  if (Value mask = op.getMask())
    a.mask =
        maskOf(frame, mask,
               {query[0], tfm::DimExprAttr::constant(b.getContext(), a.heads), queries, keys});
  return a;
}

LogicalResult permalloy::codegen::emitAttentionKernel(KernelFrame &frame) {
  KernelBuilder &b = frame.builder();
  kern::KernelOp kernel = frame.kernel();
  if (std::string reason = whyNotAttention(kernel); !reason.empty())
    return kernel.emitError("the attention emitter cannot take this kernel: ") << reason;
  tfm::AttentionOp op = findAttention(kernel);
  FailureOr<AttentionSchedule> schedule =
      readSchedule(kernel, b.target(), attentionSpace(b.target(), Element::of(op.getQuery()).stored));
  if (failed(schedule))
    return failure();
  emitAttention(b, readAttention(frame), *schedule);
  return success();
}
