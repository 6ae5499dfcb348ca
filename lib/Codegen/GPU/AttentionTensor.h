//===- AttentionTensor.h - the products of attention on tensor cores -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_ATTENTIONTENSOR_H
#define PERMALLOY_LIB_CODEGEN_GPU_ATTENTIONTENSOR_H

#include "AttentionProduct.h"

namespace permalloy::codegen {

/// Of f16 and bf16; of tf32 in AttentionTf32.cpp, as far as it differs. Both count K in steps of 8 words of 32 bits.
class TensorAttention : public AttentionProduct {
public:
  TensorAttention(GpuBuilder &b, const AttentionShape &shape, OperandType type, int64_t warpRows, int64_t tileKeys, bool keepsQueries);

  void takeQueries(Value shared, Value firstRow) override;
  Values scores(Value tile) override;
  Values addValues(Values outputs, llvm::ArrayRef<Value> weights, Value tile) override;
  void store(Element element, llvm::ArrayRef<Value> outputs, Value to, Value exists) override;

protected:
  /// Words of shared memory as mma takes them.
  virtual Values operands(Values words) { return words; }
  /// Adds a product to the results of 16 rows: `low` and the one behind it of the first 8, `high` of the others.
  void multiply(llvm::ArrayRef<Value> left, llvm::ArrayRef<Value> right, Value *low, Value *high);
  int64_t chunks() const { return shape.rowBytes() / kChunkBytes; }

  OperandType type;
  int64_t rowTiles, keyPairs; ///< of 16 rows and 16 keys

private:
  /// What a lane tells ldmatrix: its row's first byte, and its 16 bytes of step 0 in it.
  struct Place {
    Value row, chunk;
  };
  Place placeOf(Value shared, Value row, Value half);
  Value at(const Place &place, int64_t step, int64_t row);
  Values loadQueries(int64_t step);

  /// Up to the head's last word; what lies between that and the step's end is zero.
  int64_t steps() const;

  bool keepsQueries;
  Place queries;
  llvm::SmallVector<Values> kept; ///< queries of each step
};

/// Of f32 that is rounded; as TensorAttention.
std::unique_ptr<AttentionProduct> tf32Attention(GpuBuilder &b, const AttentionShape &shape, int64_t rows, int64_t keys, bool keepsQueries);

} // namespace permalloy::codegen

#endif
