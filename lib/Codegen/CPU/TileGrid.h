//===- TileGrid.h - how results are cut into tiles ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Row and generic kernels walk over each yielded value by itself. A value with several rows is cut into blocks of rows; one
// with a single row (rank 0 or 1, leading ones) into blocks of columns. The grid of the kernel is that of the value with
// the most tiles; the others end earlier.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_TILEGRID_H
#define PERMALLOY_LIB_CODEGEN_CPU_TILEGRID_H

#include "permalloy/Codegen/CPU/KernelFrame.h"
#include "permalloy/Codegen/ScheduleSpace.h"

namespace permalloy::codegen {

/// The tiles of one yielded value.
struct TileGrid {
  /// Dimensions as rows of columns; `rows` is the constant 1 when columns are cut.
  tfm::DimExprAttr rows, columns, tiles;
  int64_t rowsPerTile = 1;
  /// Columns of a tile, a multiple of every vector; 0: all.
  int64_t columnsPerTile = 0;

  /// Tiles of about `elements` elements of a value of these dimensions.
  TileGrid(llvm::ArrayRef<tfm::DimExprAttr> dims, mlir::MLIRContext *context, int64_t elements);

  using Body = llvm::function_ref<void(mlir::Value row, mlir::Value firstColumn, mlir::Value endColumn)>;
  /// Loops over the rows (or parts of the row) of the function's tiles.
  void forEachRow(KernelFrame &frame, llvm::function_ref<mlir::Value(tfm::DimExprAttr)> extent, Body body) const;
};

/// How row and generic kernels run.
struct TileSchedule {
  /// Elements of a result in one tile of the grid, about.
  int64_t elements = 0;
};

ScheduleSpaceOf<TileSchedule> tileSpace();

/// Writes schedule (`wanted`, or else tiles of `elements`), tiles and scratch_bytes of values walked in the dimensions
/// `walked`. Fails with an error at the kernel when a size depends on data.
mlir::LogicalResult setTileSchedule(kern::KernelOp kernel, const CpuTarget &target, int64_t elements,
                                    tfm::DimExprAttr scratchBytes, llvm::ArrayRef<tfm::Dims> walked,
                                    mlir::DictionaryAttr wanted);

/// A schedule may have been edited: fails with an error at the kernel when it is none or does not belong to its `tiles`.
mlir::LogicalResult checkTileSchedule(kern::KernelOp kernel, const CpuTarget &target, llvm::ArrayRef<tfm::Dims> walked);

/// The `elements` of the kernel's schedule; 0 without one.
int64_t tileElements(kern::KernelOp kernel);

} // namespace permalloy::codegen

#endif
