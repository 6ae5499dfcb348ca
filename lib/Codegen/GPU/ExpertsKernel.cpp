//===- ExpertsKernel.cpp - kern.kernel with a tfm.grouped_linear -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// One launch over all experts. How many rows an expert has is known when its tokens have chosen, after
// the grid was fixed; so the grid has the most blocks that any choice needs, and a block finds its
// expert from the offsets that were counted (tfm.group_by). Rows are gathered where they are read. Few
// rows for each expert are products of up to 8 rows (SkinnyProduct.h), more are tiles (FmaProduct.h).
//
//===----------------------------------------------------------------------===//
#include "../CPU/ContractionBlocks.h"
#include "../CPU/ContractionKernel.h"
#include "../CPU/ElementOps.h"
#include "FmaProduct.h"
#include "Forms.h"
#include "SkinnyProduct.h"
#include "Tfm/Panels.h"
#include "permalloy/Codegen/CPU/ExprEmitter.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

/// Up to so many rows for each expert, on the average, are few.
static constexpr int64_t kFewRows = 4;

namespace {

struct ExpertsSchedule : SkinnySchedule, FmaTile {
  SkinnySchedule skinny() const {
    SkinnySchedule own = *this;
    own.warps = FmaTile::warps();
    return own;
  }
};

} // namespace

static tfm::GroupedLinearOp rootOf(kern::KernelOp kernel) {
  return *kernel.getBlock().getOps<tfm::GroupedLinearOp>().begin();
}

static std::string whyNot(kern::KernelOp kernel, const GpuTarget &) {
  if (kernel.getEmitter() != kern::Emitter::Contraction || !isGroupedKernel(kernel))
    return "it has no tfm.grouped_linear";
  return whyNotGrouped(kernel);
}

/// The weight of one expert.
static ProductWeight weightOf(tfm::GroupedLinearOp root) {
  auto type = cast<RankedTensorType>(root.getWeight().getType());
  return {type.getDimSize(2), type.getDimSize(1), type.getElementType()};
}

static int64_t expertsOf(tfm::GroupedLinearOp root) {
  return cast<RankedTensorType>(root.getWeight().getType()).getDimSize(0);
}

static ScheduleSpaceOf<ExpertsSchedule> spaceOf(kern::KernelOp kernel) {
  tfm::GroupedLinearOp root = rootOf(kernel);
  ScheduleSpaceOf<ExpertsSchedule> space;
  addFmaParameters(space, weightOf(root), GpuTarget::kSharedBytes);
  addSkinnyParameters<ExpertsSchedule>(
      space, weightOf(root), root.getGated(),
      [](const ExpertsSchedule &s) { return s.FmaTile::warps(); });
  space.require([](const ExpertsSchedule &s) {
    return s.split > 1 || s.splitK > 1 ? "blocks of experts do not share K" : "";
  });
  return space;
}

/// Blocks of rows that any grouping of `rows` has at most.
static DimExprAttr rowBlocks(DimExprAttr rows, int64_t height, int64_t experts) {
  auto constant = [&](int64_t value) { return DimExprAttr::constant(rows.getContext(), value); };
  return DimExprAttr::add(DimExprAttr::floorDiv(rows, constant(height)),
                          DimExprAttr::min(rows, constant(experts)));
}

static int64_t columnBlocks(tfm::GroupedLinearOp root, const ExpertsSchedule &schedule) {
  return fmaColumnBlocks(weightOf(root), schedule);
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  tfm::GroupedLinearOp root = rootOf(kernel);
  ProductWeight weight = weightOf(root);
  ExpertsSchedule choice;
  static_cast<FmaTile &>(choice) = FmaTile::choose(weight);
  static_cast<SkinnySchedule &>(choice) =
      SkinnySchedule::choose(weight, root.getGated(), choice.FmaTile::warps());
  choice.split = choice.splitK = 1;
  auto schedule = writeGpuSchedule(kernel, spaceOf(kernel), choice, wanted);
  if (failed(schedule))
    return failure();
  SymbolicShapes shapes;
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  int64_t experts = expertsOf(root);
  DimExprAttr rows = shapes.dim(root.getResult(), 0), one = constant(1);
  DimExprAttr isMany =
      DimExprAttr::min(one, DimExprAttr::floorDiv(rows, constant(kFewRows * experts + 1)));
  int64_t across = skinnyGroups(weight, schedule->skinny(), root.getGated());
  DimExprAttr few = DimExprAttr::mul(rowBlocks(rows, kSkinnyRows, experts), constant(across));
  DimExprAttr many = DimExprAttr::mul(rowBlocks(rows, schedule->blockRows, experts),
                                      constant(columnBlocks(root, *schedule)));
  setBlocks(kernel, DimExprAttr::add(DimExprAttr::mul(DimExprAttr::sub(one, isMany), few),
                                     DimExprAttr::mul(isMany, many)));
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = readGpuSchedule(kernel, spaceOf(kernel));
  if (failed(schedule))
    return failure();
  int64_t shared = std::max(schedule->sharedBytes(),
                            skinnySharedBytes(schedule->skinny(), rootOf(kernel).getGated()));
  return launchBlocks(kernel, schedule->threads(), shared);
}

namespace {

class Emitter {
public:
  Emitter(KernelFrame &frame, GpuBuilder &b, const ExpertsSchedule &schedule)
      : frame(frame), b(b), ops(b), root(rootOf(frame.kernel())), s(schedule),
        n(weightOf(root).n), columns(root.getGated() ? n / 2 : n), experts(expertsOf(root)) {
    table = frame.argument(root.getGroups());
  }
  void emit();

private:
  void emitBlock(int64_t across, int64_t height, function_ref<void(BlockProduct &, Value)> body);
  Value rowNumber(Value position);
  Value biased(Value product, Value expert, Value column, unsigned lanes);
  void finish(Value row, Value expert, Value column, unsigned lanes, Value first, Value second);

  KernelFrame &frame;
  GpuBuilder &b;
  ElementOps ops;
  tfm::GroupedLinearOp root;
  const ExpertsSchedule &s;
  int64_t n, columns, experts;
  Value table; ///< i64: experts + 1 offsets, then the numbers of the rows
};

} // namespace

Value Emitter::rowNumber(Value position) {
  return b.load(b.getI64Type(), b.at(table, b.mul(b.add(position, experts + 1), 8)), 8);
}

Value Emitter::biased(Value product, Value expert, Value column, unsigned lanes) {
  if (!root.getBias())
    return product;
  Element e = Element::of(root.getBias());
  Value index = b.add(b.mul(expert, n), column);
  Value pointer = b.at(frame.argument(root.getBias()), b.mul(index, e.bytes()));
  return b.addf(product, lanes ? ops.loadLanes(e, pointer, lanes) : ops.load(e, pointer));
}

/// 4 columns of a row of the result, or one (`lanes` 0).
void Emitter::finish(Value row, Value expert, Value column, unsigned lanes, Value first,
                     Value second) {
  Value result = emitActivation(b, root.getActivation(), biased(first, expert, column, lanes));
  if (root.getGated())
    result = b.mulf(result, biased(second, expert, b.add(column, columns), lanes));
  Element e = Element::of(root.getResult());
  Value position = b.add(b.mul(row, columns), column);
  Value pointer = b.at(frame.result(0), b.mul(position, e.bytes()));
  if (lanes)
    ops.storeLanes(e, result, pointer, lanes);
  else
    ops.store(e, result, pointer);
}

/// Finds the rows of this block, of at most `height`, and the weight; `across` blocks share them.
void Emitter::emitBlock(int64_t across, int64_t height,
                        function_ref<void(BlockProduct &, Value)> body) {
  GroupedRows groups{table, experts, int64_t(root.getRepeat())};
  Value column = b.rem(b.blockNumber(), across), number = b.div(b.blockNumber(), across);
  SmallVector<Value> found = findGroupedBlock(b, groups, number, height, /*tileRows=*/1);
  Value first = found[0], expert = found[2];
  b.ifThen(b.less(first, found[1]), [&] {
    BlockProduct product;
    product.weight = weightOf(root);
    product.element = getElementTypeOrSelf(root.getInput());
    product.a = frame.argument(root.getInput());
    product.count = b.sub(found[1], first);
    product.isGated = root.getGated();
    int64_t bytes = tfm::panelBytes(product.weight.element, product.weight.k, n);
    product.weight.panels = b.at(frame.argument(root.getWeight()), b.mul(expert, bytes));
    product.rowOf = [&](Value i) {
      return b.div(rowNumber(b.add(first, i)), int64_t(root.getRepeat()));
    };
    product.epilogue = [&](Value i, Value at, Value results, Value second) {
      Value row = rowNumber(b.add(first, i));
      if (columns % 4 == 0)
        return finish(row, expert, at, 4, results, second);
      for (int64_t each = 0; each < 4; ++each)
        b.ifThen(b.less(b.add(at, each), b.i64(columns)), [&] {
          auto part = [&](Value of) -> Value {
            return of ? vector::ExtractOp::create(b, of, each).getResult() : Value();
          };
          finish(row, expert, b.add(at, each), 0, part(results), part(second));
        });
    };
    body(product, column);
  });
}

void Emitter::emit() {
  Value shared = WarpBuilder(b).sharedMemory(), rows = frame.dim(root.getResult(), 0);
  auto few = [&] {
    SkinnySchedule skinny = s.skinny();
    int64_t across = skinnyGroups(weightOf(root), skinny, root.getGated());
    emitBlock(across, kSkinnyRows, [&](BlockProduct &product, Value column) {
      emitSkinnyProduct(b, product, skinny, {column, b.i64(0), shared});
    });
  };
  auto many = [&] {
    emitBlock(columnBlocks(root, s), s.blockRows, [&](BlockProduct &product, Value column) {
      emitFmaProduct(b, product, s, column, shared);
    });
  };
  b.ifElse(b.less(rows, b.i64(kFewRows * experts + 1)), few, many);
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  auto schedule = readGpuSchedule(frame.kernel(), spaceOf(frame.kernel()));
  if (failed(schedule))
    return failure();
  tfm::GroupedLinearOp root = rootOf(frame.kernel());
  auto type = cast<RankedTensorType>(root.getWeight().getType());
  if (!isa_and_nonnull<tfm::PanelsAttr>(type.getEncoding()))
    return root.emitError("products take a packed weight, not ") << type << "; run pack-weights first";
  Emitter(frame, b, *schedule).emit();
  return success();
}

static std::unique_ptr<ScheduleSpace> space(kern::KernelOp kernel, const GpuTarget &) {
  return offerSpace(spaceOf(kernel));
}

const GpuForm codegen::kExpertsForm = {"experts", whyNot, schedule, launch, emit, space};
