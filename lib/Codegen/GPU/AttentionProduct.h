//===- AttentionProduct.h - the two products of attention, by one warp -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Queries, keys and values lie in shared memory in rows of 16-byte chunks. A warp has some rows of queries; its scores with a tile of
// keys, and its outputs, are spread over its lanes: each lane has some rows, and of each some keys or columns.
//
//   tensor cores   lane = 4 g + t has the rows g + {0, 8, 16, ...} and the keys (columns) 2 t + {0, 1, 8, 9, ...}: the results of
//                  mma.sync. Two neighbours of weights are a word of the second product's A, so weights stay in registers. Keys
//                  are its B as they lie (ldmatrix), values transposed (ldmatrix.trans). AttentionTf32.cpp has the columns 8 t + {0..7,
//                  32..39, ...} and loads values otherwise.
//   FMA            lane = 8 y + x has the rows y + {0, 4, ...}, the keys x + {0, 8, ...} and the columns 4 x + {0..3, 32..35, ...}.
//                  Weights go through shared memory, within the warp. Accesses are 128 bits wide.
//
// NO BANK CONFLICTS. Eight lanes that are served at once read one chunk of eight neighbouring rows. With C chunks in a row, these
// lie 16 C bytes apart: chunk c of row r stands at c ^ (r / (8 / z) % z), where z, at most 8, is the power of two in C.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_GPU_ATTENTIONPRODUCT_H
#define PERMALLOY_LIB_CODEGEN_GPU_ATTENTIONPRODUCT_H

#include "../CPU/ElementOps.h"
#include "AttentionSchedule.h"
#include "permalloy/Codegen/GPU/WarpBuilder.h"

#include <memory>

namespace permalloy::codegen {

constexpr int64_t kChunkBytes = 16;

/// Where the chunks of rows stand in shared memory; `row` and `chunk` are i64.
mlir::Value swizzledChunk(KernelBuilder &b, int64_t chunks, mlir::Value row, mlir::Value chunk);

class AttentionProduct {
public:
  using Value = mlir::Value;
  using Values = llvm::SmallVector<Value>;
  virtual ~AttentionProduct();

  /// Of this lane, first and steps: element [r][c] of its scores is row `row` + rows[r] of the warp and key `key` + keys[c] of
  /// the tile; of its outputs, column `column` + columns[c].
  Value row, key, column;
  llvm::SmallVector<int64_t> rows, keys, columns;
  /// Lanes whose numbers differ by (exclusive or) these, together, have the same rows.
  llvm::SmallVector<int32_t> partners;

  /// The warp's rows of queries begin with row `firstRow` (i64) of those at `shared`.
  virtual void takeQueries(Value shared, Value firstRow) = 0;
  /// Scores with the tile at `tile`.
  virtual Values scores(Value tile) = 0;
  /// outputs += weights times the tile of values.
  virtual Values addValues(Values outputs, llvm::ArrayRef<Value> weights, Value tile) = 0;
  /// Stores the outputs of one row, the head's columns only, at `to`, where that row `exists`. All lanes come by.
  virtual void store(Element element, llvm::ArrayRef<Value> outputs, Value to, Value exists) = 0;

protected:
  AttentionProduct(GpuBuilder &b, const AttentionShape &shape) : b(b), warp(b), shape(shape) {}
  Value bitXor(Value x, Value y);
  Value lane();

  GpuBuilder &b;
  WarpBuilder warp;
  AttentionShape shape;
};

/// On tensor cores: `rows` of a warp, a multiple of 16, and `keys` of a tile, of 16 too.
std::unique_ptr<AttentionProduct> tensorAttention(GpuBuilder &b, const AttentionShape &shape, OperandType type, int64_t rows,
                                                  int64_t keys, bool keepsQueries);
/// By FMA: a multiple of 4 and one of 8; the weights of this warp go to `weights`.
std::unique_ptr<AttentionProduct> fmaAttention(GpuBuilder &b, const AttentionShape &shape, int64_t rows, int64_t keys,
                                               mlir::Value weights);

} // namespace permalloy::codegen

#endif
