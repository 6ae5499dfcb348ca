//===- ContractionKernel.cpp - kern.kernel with a linear root ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ContractionKernel.h"
#include "ElementOps.h"
#include "permalloy/Codegen/CPU/Emitters.h"
#include "permalloy/Codegen/CPU/ExprEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// The one tfm.linear of a kernel, or null.
static tfm::LinearOp findRoot(kern::KernelOp kernel) {
  auto linears = kernel.getBlock().getOps<tfm::LinearOp>();
  return llvm::hasSingleElement(linears) ? *linears.begin() : tfm::LinearOp();
}

std::string permalloy::codegen::whyNotContraction(kern::KernelOp kernel) {
  tfm::LinearOp linear = findRoot(kernel);
  if (!linear)
    return "it has no tfm.linear, or several";
  auto weight = cast<RankedTensorType>(linear.getWeight().getType());
  if (!isComputedInF32(weight.getElementType()) || !weight.hasStaticShape())
    return "tfm.linear is not in f32, f16 or bf16, or its weight has no static size";
  if (!isa<BlockArgument>(linear.getInput()) || !isa<BlockArgument>(linear.getWeight()))
    return "an operand of tfm.linear is computed in the kernel";
  SmallVector<Value> values(kernel.yielded());
  if (linear.getBias())
    values.push_back(linear.getBias());
  SymbolicShapes shapes;
  for (auto [index, argument] : llvm::enumerate(kernel.getBlock().getArguments()))
    shapes.setDims(argument, kern::argDims(kernel, index));
  for (Value value : kernel.yielded())
    if (!shapes.equalShapes(value, linear.getResult()))
      return "a result has not the shape of the product";
  for (Value value : values) {
    Operation *culprit = nullptr;
    if (!ExprEmitter::canEmit(value, linear.getResult(), culprit))
      return "its epilogue has no vector form" +
             (culprit ? " (" + culprit->getName().getStringRef().str() + ")" : std::string());
  }
  return "";
}

bool permalloy::codegen::isComputedInF32(Type element) {
  return element.isF32() || element.isF16() || element.isBF16();
}

static tfm::DimExprAttr rowsOf(SymbolicShapes &shapes, Value input) {
  auto rows = tfm::DimExprAttr::constant(input.getContext(), 1);
  tfm::Dims dims = shapes.dims(input);
  for (tfm::DimExprAttr dim : ArrayRef(dims).drop_back())
    rows = tfm::DimExprAttr::mul(rows, dim);
  return rows;
}

LogicalResult permalloy::codegen::scheduleContractionKernel(kern::KernelOp kernel,
                                                            const CpuTarget &target,
                                                            DictionaryAttr wanted) {
  if (isGroupedKernel(kernel))
    return scheduleGroupedKernel(kernel, target, wanted);
  if (std::string reason = whyNotContraction(kernel); !reason.empty())
    return kernel.emitError("the contraction emitter cannot take this kernel: ") << reason;
  tfm::LinearOp linear = findRoot(kernel);
  ArrayRef<int64_t> weight = cast<RankedTensorType>(linear.getWeight().getType()).getShape();
  Type element = getElementTypeOrSelf(linear.getWeight());
  auto space = contractionSpace(target, {weight[1], weight[0], element});
  ContractionSchedule choice = ContractionSchedule::choose(target, weight[1], weight[0], element);
  FailureOr<ContractionSchedule> schedule = writeSchedule(kernel, target, space, choice, wanted);
  if (failed(schedule))
    return failure();
  SymbolicShapes shapes;
  for (auto [index, argument] : llvm::enumerate(kernel.getBlock().getArguments()))
    shapes.setDims(argument, kern::argDims(kernel, index));
  auto constant = [&](int64_t value) {
    return tfm::DimExprAttr::constant(kernel.getContext(), value);
  };
  auto blocks =
      tfm::DimExprAttr::ceilDiv(rowsOf(shapes, linear.getInput()), constant(schedule->blockRows));
  kernel.setTilesAttr(
      tfm::DimExprAttr::mul(blocks, constant(contractionGroups(*schedule, weight[1]))));
  kernel.setScratchBytesAttr(constant(contractionScratchBytes(*schedule, weight[0], element)));
  return success();
}

std::unique_ptr<ScheduleSpace> permalloy::codegen::contractionKernelSpace(kern::KernelOp kernel,
                                                                          const CpuTarget &target) {
  if (isGroupedKernel(kernel))
    return groupedKernelSpace(kernel, target);
  tfm::LinearOp linear = findRoot(kernel);
  ArrayRef<int64_t> weight = cast<RankedTensorType>(linear.getWeight().getType()).getShape();
  return std::make_unique<ScheduleSpaceOf<ContractionSchedule>>(contractionSpace(
      target, {weight[1], weight[0], getElementTypeOrSelf(linear.getWeight())}));
}

LogicalResult permalloy::codegen::emitContractionKernel(KernelFrame &frame) {
  KernelBuilder &b = frame.builder();
  kern::KernelOp kernel = frame.kernel();
  if (isGroupedKernel(kernel))
    return emitGroupedKernel(frame);
  if (std::string reason = whyNotContraction(kernel); !reason.empty())
    return kernel.emitError("the contraction emitter cannot take this kernel: ") << reason;
  tfm::LinearOp linear = findRoot(kernel);
  Type element = getElementTypeOrSelf(linear.getWeight());
  auto weightType = cast<RankedTensorType>(linear.getWeight().getType());
  if (!isa_and_nonnull<tfm::PanelsAttr>(weightType.getEncoding()))
    return linear.emitError("the contraction emitter takes a packed weight, not ")
           << weightType << "; run pack-weights first";
  ArrayRef<int64_t> weight = weightType.getShape();
  int64_t n = weight[1];
  auto schedule =
      readSchedule(kernel, b.target(), contractionSpace(b.target(), {n, weight[0], element}));
  if (failed(schedule))
    return failure();
  ExprEmitter expressions(frame, linear.getResult());
  auto epilogue = [&](const EpilogueSite &site, Value product) {
    ExprSite place{site.row, site.column, site.lanes};
    if (Value bias = linear.getBias())
      product = b.addf(product, expressions.emitVector(bias, place));
    product = emitActivation(b, linear.getActivation(), product);
    Value position = b.add(b.mul(site.row, n), site.column);
    for (auto [index, value] : llvm::enumerate(kernel.yielded())) {
      Element e = Element::of(value);
      Value lanes = expressions.emitVector(value, place, linear.getResult(), product);
      Value pointer = b.at(frame.result(index), b.mul(position, e.bytes()));
      ElementOps(b).storeLanes(e, lanes, pointer, site.lanes);
    }
  };
  Contraction contraction;
  contraction.a = frame.argument(linear.getInput());
  contraction.weights = frame.argument(linear.getWeight());
  contraction.rows = frame.product(linear.getInput(), 0, linear.getInput().getType().getRank() - 1);
  contraction.n = n;
  contraction.k = weight[0];
  contraction.epilogue = epilogue;
  contraction.element = element;
  emitContraction(b, contraction, *schedule);
  return success();
}
