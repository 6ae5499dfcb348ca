//===- GroupedKernel.cpp - kern.kernel with a grouped linear root -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One launch over all experts. How many rows an expert has is known when its tokens have chosen, after the grid was fixed;
// so the grid has the most tiles that any choice needs, and a tile finds its expert from the offsets that were counted.
//
//===----------------------------------------------------------------------===//
#include "AmxContraction.h"
#include "ContractionKernel.h"
#include "ElementOps.h"
#include "permalloy/Codegen/CPU/ExprEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

/// The tfm.grouped_linear of a kernel, or null.
static tfm::GroupedLinearOp findRoot(kern::KernelOp kernel) {
  auto roots = kernel.getBlock().getOps<tfm::GroupedLinearOp>();
  return roots.empty() ? tfm::GroupedLinearOp() : *roots.begin();
}

bool codegen::isGroupedKernel(kern::KernelOp kernel) { return bool(findRoot(kernel)); }

std::string codegen::whyNotGrouped(kern::KernelOp kernel) {
  tfm::GroupedLinearOp root = findRoot(kernel);
  auto weight = cast<RankedTensorType>(root.getWeight().getType());
  if (!llvm::hasSingleElement(kernel.getBlock().without_terminator()) || kernel.yielded().size() != 1)
    return "there is more in it than one tfm.grouped_linear";
  if (!isComputedInF32(weight.getElementType()) || !weight.hasStaticShape())
    return "tfm.grouped_linear is not in f32, f16 or bf16, or its weight has no static size";
  if (root.getGated() && weight.getDimSize(2) % 32 != 0)
    return "the halves of its gated product are no whole panels of 16 columns";
  if (!getElementTypeOrSelf(root.getGroups()).isInteger(64))
    return "its groups are not i64";
  return "";
}

static ContractionSize sizeOf(tfm::GroupedLinearOp root) {
  auto type = cast<RankedTensorType>(root.getWeight().getType());
  return {type.getDimSize(2), type.getDimSize(1), type.getElementType(), root.getGated(), /*grouped=*/true};
}

std::unique_ptr<ScheduleSpace> codegen::groupedKernelSpace(kern::KernelOp kernel, const CpuTarget &target) {
  ContractionSize size = sizeOf(findRoot(kernel));
  if (runsOnAmx(target, size))
    return std::make_unique<ScheduleSpaceOf<AmxSchedule>>(amxSpace(size));
  return std::make_unique<ScheduleSpaceOf<ContractionSchedule>>(contractionSpace(target, size));
}

LogicalResult codegen::scheduleGroupedKernel(kern::KernelOp kernel, const CpuTarget &target, DictionaryAttr wanted) {
  if (std::string reason = whyNotGrouped(kernel); !reason.empty())
    return kernel.emitError("the contraction emitter cannot take this kernel: ") << reason;
  tfm::GroupedLinearOp root = findRoot(kernel);
  ContractionSize size = sizeOf(root);
  int64_t blockRows, groups, scratch;
  if (runsOnAmx(target, size)) {
    auto schedule = writeSchedule(kernel, target, amxSpace(size), AmxSchedule::choose(size), wanted);
    if (failed(schedule))
      return failure();
    blockRows = schedule->blockRows, groups = amxGroups(size), scratch = amxScratchBytes(*schedule, size);
  } else {
    auto choice = chooseGroupedSchedule(target, size.n, size.k, size.gated, size.element);
    auto schedule = writeSchedule(kernel, target, contractionSpace(target, size), choice, wanted);
    if (failed(schedule))
      return failure();
    blockRows = schedule->blockRows, groups = groupedContractionGroups(*schedule, size.n, size.gated);
    scratch = groupedScratchBytes(*schedule, size.k, size.gated, size.element);
  }
  SymbolicShapes shapes;
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  DimExprAttr rows = shapes.dim(root.getResult(), 0);
  DimExprAttr blocks = DimExprAttr::add(DimExprAttr::floorDiv(rows, constant(blockRows)),
                                        DimExprAttr::min(rows, constant(cast<RankedTensorType>(root.getWeight().getType()).getDimSize(0))));
  kernel.setTilesAttr(DimExprAttr::mul(blocks, constant(groups)));
  kernel.setScratchBytesAttr(constant(scratch));
  return success();
}

LogicalResult codegen::emitGroupedKernel(KernelFrame &frame) {
  KernelBuilder &b = frame.builder();
  kern::KernelOp kernel = frame.kernel();
  if (std::string reason = whyNotGrouped(kernel); !reason.empty())
    return kernel.emitError("the contraction emitter cannot take this kernel: ") << reason;
  Element result = Element::of(findRoot(kernel).getResult());
  tfm::GroupedLinearOp root = findRoot(kernel);
  auto type = cast<RankedTensorType>(root.getWeight().getType());
  if (!isa_and_nonnull<tfm::PanelsAttr>(type.getEncoding()))
    return root.emitError("the contraction emitter takes a packed weight, not ")
           << type << "; run pack-weights first";
  int64_t n = type.getDimSize(2), columns = root.getGated() ? n / 2 : n;
  ElementOps ops(b);
  auto biased = [&](const EpilogueSite &site, Value product, int64_t half) -> Value {
    if (!root.getBias())
      return product;
    Value index = b.add(b.mul(site.group, n), b.add(site.column, half));
    Element e = Element::of(root.getBias());
    Value pointer = b.at(frame.argument(root.getBias()), b.mul(index, e.bytes()));
    return b.addf(product, ops.loadLanes(e, pointer, site.lanes));
  };
  auto epilogue = [&](const EpilogueSite &site, Value product) {
    product = emitActivation(b, root.getActivation(), biased(site, product, 0));
    if (root.getGated())
      product = b.mulf(product, biased(site, site.second, columns));
    Value position = b.add(b.mul(site.row, columns), site.column);
    ops.storeLanes(result, product, b.at(frame.result(0), b.mul(position, result.bytes())), site.lanes);
  };
  Contraction contraction;
  contraction.a = frame.argument(root.getInput());
  contraction.weights = frame.argument(root.getWeight());
  contraction.n = n;
  contraction.k = type.getDimSize(1);
  contraction.groups = GroupedRows{frame.argument(root.getGroups()), type.getDimSize(0), int64_t(root.getRepeat())};
  contraction.gated = root.getGated();
  contraction.epilogue = epilogue;
  contraction.element = type.getElementType();
  return emitScheduledContraction(kernel, b, contraction);
}
