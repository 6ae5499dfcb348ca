//===- FmaKernel.cpp - kern.kernel with a tfm.linear without tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Linear layers of every format that the CPU's contraction emitter knows: strict f32, halves with
// sums in f32, 8-bit integers, codes with scales, kept blocks and quads.
//
//===----------------------------------------------------------------------===//
#include "../CPU/ContractionKernel.h"
#include "../CPU/WeightOnlyKernel.h"
#include "FmaKernel.h"
#include "FmaProduct.h"
#include "Forms.h"
#include "ProductEpilogue.h"
#include "SkinnyProduct.h"
#include "SparseProduct.h"
#include "Tfm/Panels.h"
#include "permalloy/Artifact/Format.h"
#include "permalloy/Codegen/CPU/Emitters.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

namespace {

/// Few rows and many, chosen when the kernel runs.
struct FmaSchedule : SkinnySchedule, FmaTile {
  /// The numbers of rows that are known to occur.
  bool hasFew = true, hasMany = true;

  int64_t warps() const { return hasMany ? FmaTile::warps() : SkinnySchedule::warps; }
  SkinnySchedule skinny() const {
    SkinnySchedule own = *this;
    own.warps = warps();
    return own;
  }
};

} // namespace

static tfm::LinearOp rootOf(kern::KernelOp kernel) {
  return *kernel.getBlock().getOps<tfm::LinearOp>().begin();
}

static Operation *sparseOf(tfm::LinearOp linear) {
  Operation *expand = linear.getWeight().getDefiningOp();
  return isa_and_nonnull<tfm::ExpandBlocksOp, tfm::ExpandQuadsOp>(expand) ? expand : nullptr;
}

static std::string whyNot(kern::KernelOp kernel, const GpuTarget &) {
  if (kernel.getEmitter() != kern::Emitter::Contraction || isGroupedKernel(kernel))
    return "it is no linear layer";
  return whyNotContraction(kernel);
}

ProductWeight codegen::productWeightOf(tfm::LinearOp linear) {
  auto type = cast<RankedTensorType>(linear.getWeight().getType());
  ProductWeight weight{type.getDimSize(1), type.getDimSize(0)};
  if (tfm::DequantizeOp decode = decodingOf(linear))
    weight.coded.emplace().format = codeFormatOf(decode), weight.decoded = type.getElementType();
  else
    weight.element = type.getElementType();
  Operation *sparse = sparseOf(linear);
  if (auto blocks = dyn_cast_or_null<tfm::ExpandBlocksOp>(sparse))
    weight.sparse = SparseRows{{}, blocks.kept(), blocks.blockColumns() / tfm::kPanelColumns};
  if (auto quads = dyn_cast_or_null<tfm::ExpandQuadsOp>(sparse))
    weight.sparse = SparseRows{{}, quads.depth(), 1, int64_t(quads.getKept())};
  return weight;
}

DimExprAttr codegen::rowsOf(kern::KernelOp kernel) {
  SymbolicShapes shapes;
  tfm::Dims dims = shapes.dims(rootOf(kernel).getInput());
  return DimExprAttr::product(kernel.getContext(), ArrayRef(dims).drop_back());
}

static bool hasFew(kern::KernelOp kernel) {
  return rowsOf(kernel).asConstant().value_or(1) <= kSkinnyRows;
}
static bool hasMany(kern::KernelOp kernel) {
  return rowsOf(kernel).asConstant().value_or(kSkinnyRows + 1) > kSkinnyRows;
}

static ScheduleSpaceOf<FmaSchedule> spaceOf(kern::KernelOp kernel) {
  ScheduleSpaceOf<FmaSchedule> space;
  bool isMany = hasMany(kernel);
  if (isMany)
    addFmaParameters(space, productWeightOf(rootOf(kernel)), GpuTarget::kSharedBytes);
  if (isMany && productWeightOf(rootOf(kernel)).isBlocks())
    space.require([](const FmaSchedule &s) { return whyNotSparseTile(s); });
  if (hasFew(kernel))
    addSkinnyParameters<FmaSchedule>(
        space, productWeightOf(rootOf(kernel)), /*isGated=*/false, [=](const FmaSchedule &s) {
          return isMany ? s.FmaTile::warps() : s.SkinnySchedule::warps;
        });
  return space;
}

static FailureOr<FmaSchedule> scheduleOf(kern::KernelOp kernel) {
  auto schedule = readGpuSchedule(kernel, spaceOf(kernel));
  if (succeeded(schedule))
    schedule->hasFew = hasFew(kernel), schedule->hasMany = hasMany(kernel);
  return schedule;
}

static FmaSchedule choose(kern::KernelOp kernel) {
  ProductWeight weight = productWeightOf(rootOf(kernel));
  FmaSchedule choice;
  choice.hasMany = hasMany(kernel);
  static_cast<FmaTile &>(choice) =
      weight.isBlocks() ? chooseSparseTile(weight) : FmaTile::choose(weight, rowsOf(kernel).asConstant());
  static_cast<SkinnySchedule &>(choice) =
      SkinnySchedule::choose(weight, /*isGated=*/false, choice.warps());
  return choice;
}

/// Blocks of results of many rows.
static DimExprAttr tilesOf(DimExprAttr rows, const ProductWeight &weight, const FmaTile &tile) {
  auto constant = [&](int64_t value) { return DimExprAttr::constant(rows.getContext(), value); };
  DimExprAttr down = DimExprAttr::ceilDiv(rows, constant(tile.blockRows));
  return DimExprAttr::mul(down, constant(fmaColumnBlocks(weight, tile)));
}

static LogicalResult schedule(kern::KernelOp kernel, const GpuTarget &, DictionaryAttr wanted) {
  if (failed(writeGpuSchedule(kernel, spaceOf(kernel), choose(kernel), wanted)))
    return failure();
  FmaSchedule schedule = *scheduleOf(kernel);
  ProductWeight weight = productWeightOf(rootOf(kernel));
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  DimExprAttr rows = rowsOf(kernel), one = constant(1);
  DimExprAttr isMany = DimExprAttr::min(one, DimExprAttr::floorDiv(rows, constant(kSkinnyRows + 1)));
  DimExprAttr isFew = DimExprAttr::sub(DimExprAttr::min(one, rows), isMany);
  int64_t few = skinnyGroups(weight, schedule.skinny()) * schedule.split;
  DimExprAttr many = splitBlocks(tilesOf(rows, weight, schedule), schedule.splitK);
  setBlocks(kernel, DimExprAttr::add(DimExprAttr::mul(isFew, constant(few)),
                                     DimExprAttr::mul(isMany, many)));
  return success();
}

static FailureOr<GpuLaunch> launch(kern::KernelOp kernel) {
  auto schedule = scheduleOf(kernel);
  if (failed(schedule))
    return failure();
  auto constant = [&](int64_t value) { return DimExprAttr::constant(kernel.getContext(), value); };
  ProductWeight weight = productWeightOf(rootOf(kernel));
  int64_t shared = 0;
  DimExprAttr scratch = constant(0);
  if (schedule->hasMany) {
    shared = weight.isBlocks() ? sparseSharedBytes(*schedule) : schedule->sharedBytes();
    DimExprAttr blocks = tilesOf(rowsOf(kernel), weight, *schedule);
    scratch = splitScratch(blocks, schedule->splitK, schedule->sumBytes());
  }
  if (schedule->hasFew) {
    shared = std::max(shared, skinnySharedBytes(schedule->skinny()));
    scratch = DimExprAttr::max(scratch, constant(skinnyScratchBytes(weight, schedule->skinny())));
  }
  return GpuLaunch{unsigned(32 * schedule->warps()), *kernel.getTiles(), constant(shared),
                   scratch};
}

/// A codebook that is a constant of the kernel, in memory.
static Value tableOf(GpuBuilder &b, ArrayRef<float> values) {
  auto module = b.getBlock()->getParent()->getParentOfType<ModuleOp>();
  StringRef bytes(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float));
  auto type = LLVM::LLVMArrayType::get(b.getI8Type(), bytes.size());
  LLVM::GlobalOp table;
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    table = LLVM::GlobalOp::create(b, type, /*isConstant=*/true, LLVM::Linkage::Private, "codebook",
                                   b.getStringAttr(bytes), /*alignment=*/64);
  }
  return LLVM::AddressOfOp::create(b, table);
}

/// Fills in the addresses.
static LogicalResult placeWeight(KernelFrame &frame, GpuBuilder &b, ProductWeight &weight) {
  tfm::LinearOp linear = rootOf(frame.kernel());
  Operation *sparse = sparseOf(linear);
  if (tfm::DequantizeOp decode = decodingOf(linear)) {
    auto coded = codedWeightOf(frame, decode);
    if (failed(coded))
      return failure();
    weight.coded = *coded;
    if (!coded->table.empty())
      weight.coded->codebook = tableOf(b, coded->table);
    return success();
  }
  auto type = cast<RankedTensorType>(linear.getWeight().getType());
  if (!sparse && !isa_and_nonnull<tfm::PanelsAttr>(type.getEncoding()))
    return linear.emitError("products take a packed weight, not ") << type << "; run pack-weights first";
  weight.panels = frame.argument(sparse ? sparse->getOperand(0) : linear.getWeight());
  if (sparse)
    weight.sparse->numbers = frame.argument(sparse->getOperand(1));
  return success();
}

FailureOr<BlockProduct> codegen::blockProductOf(KernelFrame &frame, GpuBuilder &b, ProductEpilogue &epilogue) {
  kern::KernelOp kernel = frame.kernel();
  tfm::LinearOp linear = rootOf(kernel);
  BlockProduct product;
  product.weight = productWeightOf(linear);
  if (failed(placeWeight(frame, b, product.weight)))
    return failure();
  product.element = getElementTypeOrSelf(linear.getInput());
  product.a = frame.argument(linear.getInput());
  product.signedRows = !product.element.isUnsignedInteger();
  product.count = frame.emit(rowsOf(kernel));
  product.knownCount = rowsOf(kernel).asConstant();
  product.rowOf = [](Value i) { return i; };
  product.epilogue = [&epilogue](Value row, Value column, Value results, Value) {
    epilogue(row, column, results);
  };
  return product;
}

void codegen::emitFewRows(GpuBuilder &b, const BlockProduct &product, const SkinnySchedule &schedule) {
  int64_t groups = skinnyGroups(product.weight, schedule);
  Value counters = b.at(b.launchScratch(), -4 * int64_t(artifact::kDeviceCounters));
  SkinnyPlace place{b.rem(b.blockNumber(), groups), b.div(b.blockNumber(), groups),
                    WarpBuilder(b).sharedMemory(), b.launchScratch(), counters};
  emitSkinnyProduct(b, product, schedule, place);
}

/// One block of many.
static void emitMany(GpuBuilder &b, BlockProduct product, const FmaTile &tile) {
  int64_t across = fmaColumnBlocks(product.weight, tile);
  SplitK split(b, b.mul(b.ceilDiv(b.narrow(product.count), tile.blockRows), across), tile.splitK);
  Value first = b.wide(b.mul(b.div(split.number, across), tile.blockRows));
  auto rowOf = product.rowOf;
  auto epilogue = product.epilogue;
  product.count = b.sub(product.count, first);
  product.rowOf = [&](Value i) { return rowOf(b.add(first, i)); };
  product.epilogue = [&](Value i, Value column, Value results, Value second) {
    epilogue(b.add(first, i), column, results, second);
  };
  Value column = b.wide(b.rem(split.number, across)), shared = WarpBuilder(b).sharedMemory();
  if (product.weight.isBlocks())
    emitSparseProduct(b, product, tile, column, shared);
  else
    emitFmaProduct(b, product, tile, column, shared, &split);
}

static LogicalResult emit(KernelFrame &frame, GpuBuilder &b) {
  kern::KernelOp kernel = frame.kernel();
  auto schedule = scheduleOf(kernel);
  if (failed(schedule))
    return failure();
  ProductEpilogue epilogue(frame, rootOf(kernel));
  auto made = blockProductOf(frame, b, epilogue);
  if (failed(made))
    return failure();
  BlockProduct &product = *made;
  auto few = [&] { emitFewRows(b, product, schedule->skinny()); };
  auto many = [&] { emitMany(b, product, *schedule); };
  if (!schedule->hasMany)
    few();
  else if (!schedule->hasFew)
    many();
  else
    b.ifElse(b.less(product.count, b.i64(kSkinnyRows + 1)), few, many);
  return success();
}

static std::unique_ptr<ScheduleSpace> space(kern::KernelOp kernel, const GpuTarget &) {
  return offerSpace(spaceOf(kernel));
}

const GpuForm codegen::kFmaForm = {"fma", whyNot, schedule, launch, emit, space};
