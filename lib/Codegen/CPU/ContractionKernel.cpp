//===- ContractionKernel.cpp - kern.kernel with a linear root ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ContractionKernel.h"
#include "AmxContraction.h"
#include "ElementOps.h"
#include "Tfm/Panels.h"
#include "Tfm/PrecisionAttr.h"
#include "WeightOnly.h"
#include "WeightOnlyKernel.h"
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

/// The kept blocks or quads that the weight of a product is made of, or null.
static Operation *sparseWeightOf(tfm::LinearOp linear) {
  Operation *expand = linear.getWeight().getDefiningOp();
  return isa_and_nonnull<tfm::ExpandBlocksOp, tfm::ExpandQuadsOp>(expand) ? expand : nullptr;
}

/// Why the kernel cannot walk what is kept; empty when it can.
static std::string whyNotSparse(Operation *expand) {
  if (!llvm::all_of(expand->getOperands(), llvm::IsaPred<BlockArgument>))
    return "an operand of " + expand->getName().getStringRef().str() + " is computed in the kernel";
  Type element = getElementTypeOrSelf(expand->getResult(0));
  if (isa<tfm::ExpandQuadsOp>(expand))
    return element.isF32() ? "" : "quads in element types other than f32 are unsupported";
  auto blocks = cast<tfm::ExpandBlocksOp>(expand);
  if (element.isSignlessInteger(8) && blocks.blockDepth() == 4 && blocks.blockColumns() == tfm::kPanelColumns && blocks.getShape()[0] % 4 == 0)
    return "";
  if (!element.isF32() || blocks.blockDepth() != 1)
    return "blocks of " + std::to_string(blocks.blockDepth()) + " steps of K in this element type are unsupported; those of 1 in f32 and of 4 x 16 in i8 are";
  return "";
}

std::string permalloy::codegen::whyNotProduct(kern::KernelOp kernel) {
  tfm::LinearOp linear = findRoot(kernel);
  if (!linear)
    return "it has no tfm.linear, or several";
  auto weight = cast<RankedTensorType>(linear.getWeight().getType());
  if (!(isComputedInF32(weight.getElementType()) || linear.isIntegral()) || !weight.hasStaticShape())
    return "tfm.linear is not in f32, f16, bf16 or 8-bit integers, or its weight has no static size";
  tfm::DequantizeOp decode = decodingOf(linear);
  if (std::string reason = decode ? whyNotWeightOnly(decode) : ""; !reason.empty())
    return reason;
  SmallVector<Value> values(kernel.yielded());
  if (linear.getBias())
    values.push_back(linear.getBias());
  SymbolicShapes shapes;
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

std::string permalloy::codegen::whyNotContraction(kern::KernelOp kernel) {
  if (std::string reason = whyNotProduct(kernel); !reason.empty())
    return reason;
  tfm::LinearOp linear = findRoot(kernel);
  Operation *sparse = sparseWeightOf(linear);
  if (!isa<BlockArgument>(linear.getInput()) || !(sparse || decodingOf(linear) || isa<BlockArgument>(linear.getWeight())))
    return "an operand of tfm.linear is computed in the kernel";
  return sparse ? whyNotSparse(sparse) : "";
}

bool permalloy::codegen::isComputedInF32(Type element) {
  return element.isF32() || element.isF16() || element.isBF16();
}

static tfm::DimExprAttr rowsOf(SymbolicShapes &shapes, Value input) {
  tfm::Dims dims = shapes.dims(input);
  return tfm::DimExprAttr::product(input.getContext(), ArrayRef(dims).drop_back());
}

static ContractionSize sizeOf(tfm::LinearOp linear) {
  auto type = cast<RankedTensorType>(linear.getWeight().getType());
  if (tfm::DequantizeOp decode = decodingOf(linear)) {
    ContractionSize size{type.getDimSize(1), type.getDimSize(0), getElementTypeOrSelf(linear.getInput())};
    size.coded = codeFormatOf(decode);
    return size;
  }
  auto precision = linear->getAttrOfType<StringAttr>(kPrecisionAttr);
  bool split = precision && precision == kSplitPrecision && type.getElementType().isF32() && getElementTypeOrSelf(linear.getInput()).isF32();
  ContractionSize size{type.getDimSize(1), type.getDimSize(0), type.getElementType(), /*gated=*/false, /*grouped=*/false, split};
  Operation *sparse = sparseWeightOf(linear);
  if (auto blocks = dyn_cast_or_null<tfm::ExpandBlocksOp>(sparse))
    size.split = false, size.kept = blocks.kept(), size.slabPanels = blocks.blockColumns() / tfm::kPanelColumns;
  if (auto quads = dyn_cast_or_null<tfm::ExpandQuadsOp>(sparse))
    size.split = false, size.kept = quads.depth(), size.slabPanels = 1, size.keptOfFour = quads.getKept();
  return size;
}

static ContractionSchedule chooseSchedule(const CpuTarget &target, const ContractionSize &size) {
  if (size.kept)
    return ContractionSchedule::chooseSparse(target, size);
  return ContractionSchedule::choose(target, size.n, size.k, size.element);
}

LogicalResult permalloy::codegen::scheduleContractionKernel(kern::KernelOp kernel,
                                                            const CpuTarget &target,
                                                            DictionaryAttr wanted) {
  if (isGroupedKernel(kernel))
    return scheduleGroupedKernel(kernel, target, wanted);
  if (std::string reason = whyNotContraction(kernel); !reason.empty())
    return kernel.emitError("the contraction emitter cannot take this kernel: ") << reason;
  tfm::LinearOp linear = findRoot(kernel);
  ContractionSize size = sizeOf(linear);
  int64_t blockRows, groups, scratch;
  if (size.coded) {
    auto choice = WeightOnlySchedule::choose(target, size);
    auto schedule = writeSchedule(kernel, target, weightOnlySpace(target, size), choice, wanted);
    if (failed(schedule))
      return failure();
    blockRows = schedule->blockRows, groups = weightOnlyGroups(*schedule, size.n);
    scratch = weightOnlyScratchBytes(*schedule, target, size);
  } else if (runsOnAmx(target, size)) {
    auto schedule = writeSchedule(kernel, target, amxSpace(size), AmxSchedule::choose(size), wanted);
    if (failed(schedule))
      return failure();
    blockRows = schedule->blockRows, groups = amxGroups(size), scratch = amxScratchBytes(*schedule, size);
  } else {
    auto schedule = writeSchedule(kernel, target, contractionSpace(target, size), chooseSchedule(target, size), wanted);
    if (failed(schedule))
      return failure();
    blockRows = schedule->blockRows, groups = contractionGroups(*schedule, size.n);
    scratch = size.kept ? sparseScratchBytes(*schedule, size) : contractionScratchBytes(*schedule, size.k, size.element);
  }
  SymbolicShapes shapes;
  auto constant = [&](int64_t value) {
    return tfm::DimExprAttr::constant(kernel.getContext(), value);
  };
  auto blocks = tfm::DimExprAttr::ceilDiv(rowsOf(shapes, linear.getInput()), constant(blockRows));
  kernel.setTilesAttr(tfm::DimExprAttr::mul(blocks, constant(groups)));
  kernel.setScratchBytesAttr(constant(scratch));
  return success();
}

std::unique_ptr<ScheduleSpace> permalloy::codegen::contractionKernelSpace(kern::KernelOp kernel,
                                                                          const CpuTarget &target) {
  if (isGroupedKernel(kernel))
    return groupedKernelSpace(kernel, target);
  ContractionSize size = sizeOf(findRoot(kernel));
  if (size.coded)
    return std::make_unique<ScheduleSpaceOf<WeightOnlySchedule>>(weightOnlySpace(target, size));
  if (runsOnAmx(target, size))
    return std::make_unique<ScheduleSpaceOf<AmxSchedule>>(amxSpace(size));
  return std::make_unique<ScheduleSpaceOf<ContractionSchedule>>(contractionSpace(target, size));
}

LogicalResult permalloy::codegen::emitScheduledContraction(kern::KernelOp kernel, KernelBuilder &b,
                                                           const Contraction &contraction) {
  ContractionSize size{contraction.n, contraction.k, contraction.element, contraction.gated,
                       contraction.groups.has_value(), contraction.split};
  if (contraction.sparse)
    size.kept = contraction.sparse->kept, size.slabPanels = contraction.sparse->panels, size.keptOfFour = contraction.sparse->keptOfFour;
  if (contraction.coded) {
    auto schedule = readSchedule(kernel, b.target(), weightOnlySpace(b.target(), size));
    if (succeeded(schedule))
      emitWeightOnly(b, contraction, *schedule);
    return schedule;
  }
  if (runsOnAmx(b.target(), size)) {
    auto schedule = readSchedule(kernel, b.target(), amxSpace(size));
    if (succeeded(schedule))
      emitAmxContraction(b, contraction, *schedule);
    return schedule;
  }
  auto schedule = readSchedule(kernel, b.target(), contractionSpace(b.target(), size));
  if (succeeded(schedule))
    emitContraction(b, contraction, *schedule);
  return schedule;
}

LogicalResult permalloy::codegen::emitContractionKernel(KernelFrame &frame) {
  KernelBuilder &b = frame.builder();
  kern::KernelOp kernel = frame.kernel();
  if (isGroupedKernel(kernel))
    return emitGroupedKernel(frame);
  if (std::string reason = whyNotContraction(kernel); !reason.empty())
    return kernel.emitError("the contraction emitter cannot take this kernel: ") << reason;
  tfm::LinearOp linear = findRoot(kernel);
  auto weightType = cast<RankedTensorType>(linear.getWeight().getType());
  Operation *sparse = sparseWeightOf(linear);
  tfm::DequantizeOp decode = decodingOf(linear);
  if (!sparse && !decode && !isa_and_nonnull<tfm::PanelsAttr>(weightType.getEncoding()))
    return linear.emitError("the contraction emitter takes a packed weight, not ")
           << weightType << "; run pack-weights first";
  ContractionSize size = sizeOf(linear);
  ExprEmitter expressions(frame, linear.getResult());
  auto epilogue = [&](const EpilogueSite &site, Value product) {
    ExprSite place{site.row, site.column, site.lanes};
    if (Value bias = linear.getBias())
      product = b.addf(product, expressions.emitVector(bias, place));
    if (!linear.isIntegral())
      product = emitActivation(b, linear.getActivation(), product);
    Value position = b.add(b.mul(site.row, size.n), site.column);
    for (auto [index, value] : llvm::enumerate(kernel.yielded())) {
      Element e = Element::of(value);
      Value lanes = expressions.emitVector(value, place, linear.getResult(), product);
      Value pointer = b.at(frame.result(index), b.mul(position, e.bytes()));
      ElementOps(b).storeLanes(e, lanes, pointer, site.lanes);
    }
  };
  Contraction contraction;
  contraction.a = frame.argument(linear.getInput());
  if (decode) {
    auto coded = codedWeightOf(frame, decode);
    if (failed(coded))
      return failure();
    contraction.coded = *coded;
  } else {
    contraction.weights = frame.argument(sparse ? sparse->getOperand(0) : linear.getWeight());
  }
  contraction.rows = frame.product(linear.getInput(), 0, linear.getInput().getType().getRank() - 1);
  contraction.n = size.n;
  contraction.k = size.k;
  contraction.epilogue = epilogue;
  contraction.element = size.element;
  contraction.signedRows = !getElementTypeOrSelf(linear.getInput()).isUnsignedInteger();
  contraction.split = size.split;
  if (sparse)
    contraction.sparse = SparseRows{frame.argument(sparse->getOperand(1)), size.kept, size.slabPanels, size.keptOfFour};
  return emitScheduledContraction(kernel, b, contraction);
}
