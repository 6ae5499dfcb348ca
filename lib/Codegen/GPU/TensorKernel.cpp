//===- TensorKernel.cpp - kern.kernel with a tfm.linear on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../CPU/ContractionKernel.h"
#include "../CPU/WeightOnlyKernel.h"
#include "FmaKernel.h"
#include "Forms.h"
#include "TensorProduct.h"
#include "Tfm/Panels.h"
#include "Tfm/PrecisionAttr.h"
#include "permalloy/Codegen/CPU/ExprEmitter.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static tfm::LinearOp rootOf(kern::KernelOp kernel) { return *kernel.getBlock().getOps<tfm::LinearOp>().begin(); }

/// f32 is one of them where the layer says that it may be rounded to tf32.
static std::optional<OperandType> typeOf(tfm::LinearOp linear, Type element) {
  if (element.isBF16())
    return OperandType::bf16;
  if (element.isF16())
    return OperandType::f16;
  if (element.isF32() && allowsTf32(linear))
    return OperandType::tf32;
  return element.isInteger(8) ? std::optional(OperandType::s8) : std::nullopt;
}

static TensorSize sizeOf(tfm::LinearOp linear) {
  auto weight = cast<RankedTensorType>(linear.getWeight().getType());
  TensorSize size{*typeOf(linear, weight.getElementType()), weight.getDimSize(0), weight.getDimSize(1), {}};
  size.unsignedRows = getElementTypeOrSelf(linear.getInput().getType()).isUnsignedInteger();
  size.unsignedColumns = weight.getElementType().isUnsignedInteger();
  if (tfm::DequantizeOp decode = decodingOf(linear)) {
    CodeFormat format = codeFormatOf(decode);
    size.codes = TensorCodes{format.storedBits, format.isSigned, format.group, format.scales.isF32() ? 4 : 2, format.hasZeroPoints};
    if (Value table = decode.getCodebook())
      size.codes->entries = cast<RankedTensorType>(table.getType()).getNumElements();
  }
  return size;
}

/// Whether rows of A are copied as they stand in memory: whole chunks of 16 bytes.
static bool isCopied(tfm::LinearOp linear) {
  auto input = cast<RankedTensorType>(linear.getInput().getType());
  return isa<BlockArgument>(linear.getInput()) && input.getShape().back() * input.getElementTypeBitWidth() % 128 == 0;
}

/// Why A cannot come to shared memory; empty when it can.
static std::string whyNotInput(tfm::LinearOp linear) {
  auto input = cast<RankedTensorType>(linear.getInput().getType());
  if (isCopied(linear))
    return "";
  Operation *culprit = nullptr;
  if (input.getShape().back() % 4)
    return "its rows are no multiple of 4 elements";
  if (!ExprEmitter::canEmit(linear.getInput(), {}, culprit))
    return "what computes its rows has no vector form" + (culprit ? " (" + culprit->getName().getStringRef().str() + ")" : std::string());
  return "";
}

/// One linear layer in bf16, f16, f32 that may be rounded, or 8-bit integers; its weight stands in memory, in these types or in codes, and its rows do or
/// are computed from what does.
static std::string whyNot(kern::KernelOp kernel, const GpuTarget &) {
  if (kernel.getEmitter() != kern::Emitter::Contraction || isGroupedKernel(kernel))
    return "it is no linear layer";
  if (std::string reason = whyNotProduct(kernel); !reason.empty())
    return reason;
  tfm::LinearOp linear = rootOf(kernel);
  tfm::DequantizeOp decode = decodingOf(linear);
  if (!decode && !isa<BlockArgument>(linear.getWeight()))
    return "its weight is no matrix of elements or codes";
  Type element = getElementTypeOrSelf(linear.getWeight().getType());
  Type input = getElementTypeOrSelf(linear.getInput().getType());
  if (!typeOf(linear, element) || typeOf(linear, element) != typeOf(linear, input))
    return "its operands are not both bf16, f16, 8-bit integers or f32 that may be rounded to tf32";
  if (std::string reason = whyNotInput(linear); !reason.empty())
    return reason;
  if (std::optional<int64_t> rows = rowsOf(kernel).asConstant(); rows && *rows <= kSkinnyRows && isa<BlockArgument>(linear.getInput()))
    return "it has at most " + std::to_string(kSkinnyRows) + " rows";
  return whyNotTensor(sizeOf(linear));
}

/// Many rows, and few: these go another way, which is chosen when the kernel runs.
namespace {
struct KernelSchedule : TensorSchedule, SkinnySchedule {
  SkinnySchedule skinny() const {
    SkinnySchedule own = *this;
    own.warps = threads() / 32;
    return own;
  }
};
} // namespace

/// Whether the kernel has code for few rows: it may have them, and they stand in memory.
static bool hasFew(kern::KernelOp kernel) {
  return !rowsOf(kernel).asConstant() && isa<BlockArgument>(rootOf(kernel).getInput());
}

static ScheduleSpaceOf<KernelSchedule> spaceOf(kern::KernelOp kernel) {
  ScheduleSpaceOf<KernelSchedule> space;
  addTensorParameters(space, sizeOf(rootOf(kernel)), GpuTarget::kSharedBytes);
  if (hasFew(kernel))
    addSkinnyParameters<KernelSchedule>(space, productWeightOf(rootOf(kernel)), /*isGated=*/false,
                                        [](const KernelSchedule &s) { return s.threads() / 32; });
  return space;
}

static FailureOr<KernelSchedule> scheduleOf(kern::KernelOp kernel) { return readGpuSchedule(kernel, spaceOf(kernel)); }

static KernelSchedule choose(kern::KernelOp kernel) {
  KernelSchedule choice;
  static_cast<TensorSchedule &>(choice) = TensorSchedule::choose(sizeOf(rootOf(kernel)), rowsOf(kernel).asConstant());
  if (hasFew(kernel))
    static_cast<SkinnySchedule &>(choice) = SkinnySchedule::choose(productWeightOf(rootOf(kernel)), /*isGated=*/false, choice.threads() / 32);
  return choice;
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  auto schedule = writeGpuSchedule(kernel, spaceOf(kernel), choose(kernel), wanted);
  if (failed(schedule))
    return failure();
  TensorSize size = sizeOf(rootOf(kernel));
  DimExprAttr rows = rowsOf(kernel), blocks = tensorBlocks(size, *schedule, rows), scratch = tensorScratch(size, *schedule, rows);
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  if (hasFew(kernel)) {
    ProductWeight weight = productWeightOf(rootOf(kernel));
    DimExprAttr one = constant(1), isMany = DimExprAttr::min(one, DimExprAttr::floorDiv(rows, constant(kSkinnyRows + 1)));
    DimExprAttr few = DimExprAttr::mul(DimExprAttr::sub(DimExprAttr::min(one, rows), isMany),
                                       constant(skinnyGroups(weight, schedule->skinny()) * schedule->split));
    blocks = DimExprAttr::add(few, DimExprAttr::mul(isMany, blocks));
    scratch = DimExprAttr::max(scratch, constant(skinnyScratchBytes(weight, schedule->skinny())));
  }
  kernel.setTilesAttr(blocks);
  kernel.setScratchBytesAttr(scratch);
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = scheduleOf(kernel);
  if (failed(schedule))
    return failure();
  int64_t shared = TensorLayout(sizeOf(rootOf(kernel)), *schedule).sharedBytes;
  if (hasFew(kernel))
    shared = std::max(shared, skinnySharedBytes(schedule->skinny()));
  return launchBlocks(kernel, schedule->threads(), shared);
}

/// The codebook's numbers: constants, or loaded.
static SmallVector<Value> tableOf(KernelFrame &frame, const CodedWeight &weight, int64_t entries) {
  SmallVector<Value> table;
  KernelBuilder &b = frame.builder();
  for (int64_t i = 0; i < entries; ++i)
    table.push_back(weight.codebook ? b.loadF32(b.at(weight.codebook, i * 4)) : b.f32(weight.table[i]));
  return table;
}

static LogicalResult setWeight(KernelFrame &frame, tfm::LinearOp linear, TensorProduct &product) {
  auto weight = cast<RankedTensorType>(linear.getWeight().getType());
  if (tfm::DequantizeOp decode = decodingOf(linear)) {
    auto coded = codedWeightOf(frame, decode);
    if (failed(coded))
      return failure();
    product.weights = coded->codes, product.scales = coded->scales, product.zeroPoints = coded->zeroPoints;
    product.table = tableOf(frame, *coded, product.size.codes->entries);
    return success();
  }
  if (!isa_and_nonnull<tfm::PanelsAttr>(weight.getEncoding()))
    return linear.emitError("tensor cores take a packed weight, not ") << weight << "; run pack-weights first";
  product.weights = frame.argument(linear.getWeight());
  return success();
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  auto schedule = scheduleOf(frame.kernel());
  if (failed(schedule))
    return failure();
  tfm::LinearOp linear = rootOf(frame.kernel());
  ProductEpilogue epilogue(frame, linear);
  ExprEmitter rows(frame, linear.getInput());
  TensorProduct product;
  product.size = sizeOf(linear);
  if (failed(setWeight(frame, linear, product)))
    return failure();
  product.rows = frame.product(linear.getInput(), 0, linear.getInput().getType().getRank() - 1);
  product.scratch = b.launchScratch();
  if (isCopied(linear))
    product.a = frame.argument(linear.getInput());
  product.computed = [&](Value row, Value k) -> Value {
    Value four = rows.emitVector(linear.getInput(), {row, k, 4});
    Type element = getElementTypeOrSelf(linear.getInput().getType());
    if (!element.isF16() && !element.isBF16())
      return four;
    Value halves = arith::TruncFOp::create(b, VectorType::get(4, element), four);
    return arith::BitcastOp::create(b, VectorType::get(4, b.getI16Type()), halves);
  };
  product.epilogue = [&](Value row, Value column, ArrayRef<Value> results) {
    epilogue(row, column, vector::FromElementsOp::create(b, VectorType::get(4, results[0].getType()), results));
  };
  if (!hasFew(frame.kernel())) {
    emitTensorProduct(b, product, *schedule);
    return success();
  }
  auto few = blockProductOf(frame, b, epilogue);
  if (failed(few))
    return failure();
  b.ifElse(b.less(product.rows, b.i64(kSkinnyRows + 1)), [&] { emitFewRows(b, *few, schedule->skinny()); },
           [&] { emitTensorProduct(b, product, *schedule); });
  return success();
}

static std::unique_ptr<ScheduleSpace> space(kern::KernelOp kernel, const GpuTarget &) {
  return offerSpace(spaceOf(kernel));
}

const GpuForm codegen::kTensorForm = {"tensor", whyNot, schedule, launch, emit, space};
