//===- TileGrid.cpp - how results are cut into tiles -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "TileGrid.h"
#include "ScheduleAttribute.h"
#include "permalloy/Codegen/CPU/Emitters.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::DimExprAttr;

static constexpr llvm::StringLiteral kTileElements = "tile_elements";

TileGrid::TileGrid(ArrayRef<DimExprAttr> dims, MLIRContext *context, int64_t elements) {
  auto constant = [&](int64_t value) { return DimExprAttr::constant(context, value); };
  columns = dims.empty() ? constant(1) : dims.back();
  rows = DimExprAttr::product(context, dims.drop_back(dims.empty() ? 0 : 1));
  if (rows.isConstant(1)) {
    columnsPerTile = llvm::alignTo(elements, 64);
    tiles = DimExprAttr::ceilDiv(columns, constant(columnsPerTile));
    return;
  }
  if (auto width = columns.asConstant())
    rowsPerTile = std::max<int64_t>(1, elements / std::max<int64_t>(1, *width));
  tiles = DimExprAttr::ceilDiv(rows, constant(rowsPerTile));
}

void TileGrid::forEachRow(KernelFrame &frame, function_ref<Value(DimExprAttr)> extent, Body body) const {
  KernelBuilder &b = frame.builder();
  Value width = extent(columns), count = extent(rows);
  Value end = b.min(b.tileEnd(), extent(tiles));
  if (columnsPerTile) {
    b.loop(b.tileBegin(), end, 1, [&](Value tile) {
      Value first = b.mul(tile, columnsPerTile);
      body(b.i64(0), first, b.min(b.add(first, columnsPerTile), width));
    });
    return;
  }
  Value first = b.mul(b.tileBegin(), rowsPerTile), last = b.min(b.mul(end, rowsPerTile), count);
  b.loop(first, last, 1, [&](Value row) { body(row, b.i64(0), width); });
}

static DimExprAttr tilesOf(kern::KernelOp kernel, int64_t elements, ArrayRef<tfm::Dims> walked) {
  DimExprAttr tiles;
  for (const tfm::Dims &dims : walked) {
    DimExprAttr own = TileGrid(dims, kernel.getContext(), elements).tiles;
    tiles = tiles ? DimExprAttr::max(tiles, own) : own;
  }
  return tiles;
}

ScheduleSpaceOf<TileSchedule> codegen::tileSpace() {
  ScheduleSpaceOf<TileSchedule> space;
  space.add(kTileElements, "elements of a result in one tile of the grid, in whole rows", &TileSchedule::elements,
            {256, 1024, 4096, 16384, 65536});
  space.require([](const TileSchedule &s) { return s.elements > 0 ? "" : "tile_elements must be positive"; });
  return space;
}

std::unique_ptr<ScheduleSpace> codegen::tiledKernelSpace() {
  return std::make_unique<ScheduleSpaceOf<TileSchedule>>(tileSpace());
}

LogicalResult codegen::setTileSchedule(kern::KernelOp kernel, const CpuTarget &target, int64_t elements,
                                       DimExprAttr scratchBytes, ArrayRef<tfm::Dims> walked, DictionaryAttr wanted) {
  for (const tfm::Dims &dims : walked)
    if (!llvm::all_of(dims, isDerived))
      return kernel.emitError("unsupported in a compiled kernel: a result of dimensions ")
             << tfm::str(dims) << " whose size depends on data";
  if (!isDerived(scratchBytes))
    return kernel.emitError("unsupported in a compiled kernel: a row whose size depends on data");
  FailureOr<TileSchedule> schedule = writeSchedule(kernel, target, tileSpace(), {elements}, wanted);
  if (failed(schedule))
    return failure();
  kernel.setTilesAttr(tilesOf(kernel, schedule->elements, walked));
  kernel.setScratchBytesAttr(scratchBytes);
  return success();
}

LogicalResult codegen::checkTileSchedule(kern::KernelOp kernel, const CpuTarget &target, ArrayRef<tfm::Dims> walked) {
  FailureOr<TileSchedule> schedule = readSchedule(kernel, target, tileSpace());
  if (failed(schedule))
    return failure();
  DimExprAttr expected = tilesOf(kernel, schedule->elements, walked);
  if (kernel.getTilesAttr() != expected)
    return kernel.emitError("has ") << kernel.getTiles()->str() << " tiles, but its schedule cuts its results into "
                                    << expected.str();
  return success();
}

int64_t codegen::tileElements(kern::KernelOp kernel) {
  auto attr = kernel.getScheduleAttr() ? kernel.getScheduleAttr().getAs<IntegerAttr>(kTileElements) : IntegerAttr();
  return attr ? attr.getInt() : 0;
}
