//===- TensorKernel.cpp - kern.kernel with a tfm.linear on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "../CPU/ContractionKernel.h"
#include "../CPU/ElementOps.h"
#include "Forms.h"
#include "TensorProduct.h"
#include "Tfm/Panels.h"
#include "permalloy/Codegen/CPU/Emitters.h"
#include "permalloy/Codegen/CPU/ExprEmitter.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

/// What every GPU of the table gives a block (sm_89: 99 KB).
static constexpr int64_t kSharedBytes = 96 * 1024;

static tfm::LinearOp rootOf(kern::KernelOp kernel) {
  return *kernel.getBlock().getOps<tfm::LinearOp>().begin();
}

/// f16 is none of them: its panels do not keep two steps of K together.
static std::optional<OperandType> typeOf(Type element) {
  if (element.isBF16())
    return OperandType::bf16;
  return element.isSignlessInteger(8) ? std::optional(OperandType::s8) : std::nullopt;
}

/// Words of K; 0 where rows are no whole words.
static int64_t wordsOf(tfm::LinearOp linear) {
  auto weight = cast<RankedTensorType>(linear.getWeight().getType());
  int64_t inWord = elementsPerWord(*typeOf(weight.getElementType())), depth = weight.getDimSize(0);
  return depth % inWord ? 0 : depth / inWord;
}

/// It takes one linear layer in bf16 or signed 8-bit integers whose operands are arguments and
/// whose K fills whole stages.
static std::string whyNot(kern::KernelOp kernel, const GpuTarget &) {
  if (kernel.getEmitter() != kern::Emitter::Contraction || isGroupedKernel(kernel))
    return "it is no linear layer";
  if (std::string reason = whyNotContraction(kernel); !reason.empty())
    return reason;
  tfm::LinearOp linear = rootOf(kernel);
  if (!isa<BlockArgument>(linear.getWeight()))
    return "its weight is decoded";
  Type element = getElementTypeOrSelf(linear.getWeight().getType());
  if (!typeOf(element) || getElementTypeOrSelf(linear.getInput().getType()) != element)
    return "its operands are not both bf16 or signed 8-bit integers";
  int64_t words = wordsOf(linear);
  return words == 0 || words % 16 ? "its rows are no multiple of 64 bytes" : "";
}

/// Small blocks where there are few columns: more multiprocessors have one.
static TensorSchedule chooseSchedule(int64_t columns) {
  TensorSchedule schedule;
  if (columns >= 2048)
    schedule.blockRows = schedule.blockColumns = 128, schedule.warpRows = schedule.warpColumns = 64;
  return schedule;
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  tfm::LinearOp linear = rootOf(kernel);
  int64_t columns = cast<RankedTensorType>(linear.getWeight().getType()).getDimSize(1);
  auto space = tensorSpace(wordsOf(linear), kSharedBytes);
  auto schedule = writeGpuSchedule(kernel, space, chooseSchedule(columns), wanted);
  if (failed(schedule))
    return failure();
  SymbolicShapes shapes;
  for (auto [index, argument] : llvm::enumerate(kernel.getBlock().getArguments()))
    shapes.setDims(argument, kern::argDims(kernel, index));
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  DimExprAttr rows = constant(1);
  tfm::Dims dims = shapes.dims(linear.getInput());
  for (DimExprAttr dim : ArrayRef(dims).drop_back())
    rows = DimExprAttr::mul(rows, dim);
  DimExprAttr down = DimExprAttr::ceilDiv(rows, constant(schedule->blockRows));
  kernel.setTilesAttr(
      DimExprAttr::mul(down, constant(llvm::divideCeil(columns, schedule->blockColumns))));
  kernel.setScratchBytesAttr(constant(0));
  return success();
}

static FailureOr<TensorSchedule> scheduleOf(kern::KernelOp kernel) {
  return readGpuSchedule(kernel, tensorSpace(wordsOf(rootOf(kernel)), kSharedBytes));
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = scheduleOf(kernel);
  if (failed(schedule))
    return failure();
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  return GpuLaunch{unsigned(schedule->threads()), *kernel.getTiles(),
                   constant(schedule->sharedBytes()), constant(0)};
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
      return store({row, column, 4}, vector::FromElementsOp::create(
                                         b, VectorType::get(4, results[0].getType()), results));
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

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  auto schedule = scheduleOf(frame.kernel());
  if (failed(schedule))
    return failure();
  tfm::LinearOp linear = rootOf(frame.kernel());
  auto weight = cast<RankedTensorType>(linear.getWeight().getType());
  if (!isa_and_nonnull<tfm::PanelsAttr>(weight.getEncoding()))
    return linear.emitError("tensor cores take a packed weight, not ")
           << weight << "; run pack-weights first";
  Epilogue epilogue(frame, linear);
  TensorProduct product;
  product.type = *typeOf(weight.getElementType());
  product.a = frame.argument(linear.getInput());
  product.weights = frame.argument(linear.getWeight());
  product.rows = frame.product(linear.getInput(), 0, linear.getInput().getType().getRank() - 1);
  product.words = wordsOf(linear);
  product.columns = weight.getDimSize(1);
  product.epilogue = [&](Value row, Value column, ArrayRef<Value> results) {
    epilogue(row, column, results);
  };
  emitTensorProduct(b, product, *schedule);
  return success();
}

const GpuForm codegen::kTensorForm = {"tensor", whyNot, schedule, launch, emit};
