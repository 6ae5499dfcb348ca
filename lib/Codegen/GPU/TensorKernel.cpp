//===- TensorKernel.cpp - kern.kernel with a tfm.linear on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../CPU/ContractionKernel.h"
#include "../CPU/ElementOps.h"
#include "../CPU/WeightOnlyKernel.h"
#include "Forms.h"
#include "TensorProduct.h"
#include "Tfm/Panels.h"
#include "permalloy/Codegen/CPU/ExprEmitter.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

/// What every GPU of the table gives a block (sm_89: 99 KB).
static constexpr int64_t kSharedBytes = 96 * 1024;

static tfm::LinearOp rootOf(kern::KernelOp kernel) { return *kernel.getBlock().getOps<tfm::LinearOp>().begin(); }

/// f32 is none of them: it would be rounded to tf32.
static std::optional<OperandType> typeOf(Type element) {
  if (element.isBF16())
    return OperandType::bf16;
  if (element.isF16())
    return OperandType::f16;
  return element.isInteger(8) ? std::optional(OperandType::s8) : std::nullopt;
}

static TensorSize sizeOf(tfm::LinearOp linear) {
  auto weight = cast<RankedTensorType>(linear.getWeight().getType());
  TensorSize size{*typeOf(weight.getElementType()), weight.getDimSize(0), weight.getDimSize(1), {}};
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

/// One linear layer in bf16, f16 or 8-bit integers; its weight stands in memory, in these types or in codes, and its rows do or
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
  if (!typeOf(element) || typeOf(element) != typeOf(input))
    return "its operands are not both bf16, f16 or 8-bit integers";
  if (std::string reason = whyNotInput(linear); !reason.empty())
    return reason;
  return whyNotTensor(sizeOf(linear));
}

static DimExprAttr rowsOf(kern::KernelOp kernel) {
  SymbolicShapes shapes;
  for (auto [index, argument] : llvm::enumerate(kernel.getBlock().getArguments()))
    shapes.setDims(argument, kern::argDims(kernel, index));
  DimExprAttr rows = DimExprAttr::constant(kernel.getContext(), 1);
  tfm::Dims dims = shapes.dims(rootOf(kernel).getInput());
  for (DimExprAttr dim : ArrayRef(dims).drop_back())
    rows = DimExprAttr::mul(rows, dim);
  return rows;
}

static FailureOr<TensorSchedule> scheduleOf(kern::KernelOp kernel) {
  return readGpuSchedule(kernel, tensorSpace(sizeOf(rootOf(kernel)), kSharedBytes));
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  TensorSize size = sizeOf(rootOf(kernel));
  DimExprAttr rows = rowsOf(kernel);
  auto schedule = writeGpuSchedule(kernel, tensorSpace(size, kSharedBytes), TensorSchedule::choose(size, rows.asConstant()), wanted);
  if (failed(schedule))
    return failure();
  kernel.setTilesAttr(tensorBlocks(size, *schedule, rows));
  kernel.setScratchBytesAttr(tensorScratch(size, *schedule, rows));
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = scheduleOf(kernel);
  if (failed(schedule))
    return failure();
  TensorLayout layout(sizeOf(rootOf(kernel)), *schedule);
  DimExprAttr shared = DimExprAttr::constant(kernel.getContext(), layout.sharedBytes);
  return GpuLaunch{unsigned(schedule->threads()), *kernel.getTiles(), shared, *kernel.getScratchBytes()};
}

namespace {

/// Bias, activation and what else the kernel does to the results, then the stores.
class Epilogue {
public:
  Epilogue(KernelFrame &frame, tfm::LinearOp linear)
      : frame(frame), b(frame.builder()), linear(linear), expressions(frame, linear.getResult()) {
    columns = cast<RankedTensorType>(linear.getWeight().getType()).getDimSize(1);
  }

  void operator()(Value row, Value column, ArrayRef<Value> results) {
    if (columns % 4 == 0)
      return store({row, column, 4}, vector::FromElementsOp::create(b, VectorType::get(4, results[0].getType()), results));
    for (auto [index, result] : llvm::enumerate(results)) {
      Value own = b.add(column, index);
      b.ifThen(b.less(own, b.i64(columns)), [&] { store({row, own, 0}, result); });
    }
  }

private:
  void store(const ExprSite &site, Value product) {
    if (Value bias = linear.getBias())
      product = b.addf(product, expressions.emitVector(bias, site));
    if (!linear.isIntegral())
      product = emitActivation(b, linear.getActivation(), product);
    Value position = b.add(b.mul(site.row, columns), site.column);
    for (auto [index, value] : llvm::enumerate(frame.kernel().yielded())) {
      Element e = Element::of(value);
      Value stored = expressions.emitVector(value, site, linear.getResult(), product);
      Value pointer = b.at(frame.result(index), b.mul(position, e.bytes()));
      if (site.lanes)
        ElementOps(b).storeLanes(e, stored, pointer, site.lanes);
      else
        ElementOps(b).store(e, stored, pointer);
    }
  }

  KernelFrame &frame;
  KernelBuilder &b;
  tfm::LinearOp linear;
  ExprEmitter expressions;
  int64_t columns;
};

} // namespace

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
  Epilogue epilogue(frame, linear);
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
    return isa<FloatType>(element) ? arith::TruncFOp::create(b, VectorType::get(4, element), four).getResult() : four;
  };
  product.epilogue = [&](Value row, Value column, ArrayRef<Value> results) { epilogue(row, column, results); };
  emitTensorProduct(b, product, *schedule);
  return success();
}

const GpuForm codegen::kTensorForm = {"tensor", whyNot, schedule, launch, emit};
