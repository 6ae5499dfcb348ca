//===- WeightOnlyCodes.h - packed codes as f32 in registers ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_WEIGHTONLYCODES_H
#define PERMALLOY_LIB_CODEGEN_CPU_WEIGHTONLYCODES_H

#include "ElementOps.h"
#include "permalloy/Codegen/CPU/Contraction.h"

namespace permalloy::codegen {

/// Where the parts of a coded weight [k, n] stand, in bytes.
struct CodeLayout {
  CodeLayout(const CodeFormat &format, int64_t k);

  /// Steps of K in a row of a panel, 64 bytes.
  int64_t steps;
  /// Rows of a panel, and its bytes.
  int64_t rows, bytes;
  /// Groups of K, rows of a whole one and of the last one.
  int64_t groups, groupRows, lastRows;
  /// Bytes of 16 scales, and of a panel of them.
  int64_t scaleRowBytes, scaleBytes;
};

/// Turns dwords of codes into f32: codes themselves, or what a codebook has for them. Built at the entry of a function, where
/// it keeps its table.
class CodeReader {
public:
  using Value = mlir::Value;
  CodeReader(KernelBuilder &b, const CodedWeight &weight);

  /// Step `step` of a row of a panel, of which `dwords` are some columns.
  Value value(Value dwords, int64_t step);
  /// The dwords of one native vector.
  Value load(Value pointer);

  /// On AVX2, where shifts and FMAs want the same two units, codes of 4 bits are masked where they stand: such a value is
  /// 2^first times the code, and x is multiplied by 2^-first before. Signed codes are 8 greater than they should be.
  bool takesInPlace() const;
  /// 2^-first of the steps of a row.
  llvm::SmallVector<float> placeFactors() const;
  float placeOffset() const { return takesInPlace() && format.isSigned ? 8 : 0; }
  Value loadInPlace(Value pointer);
  Value valueInPlace(Value dwords, int64_t step);
  /// Scales or zero points of one native vector.
  Value scales(Value pointer);

private:
  void addTable(llvm::ArrayRef<float> values);
  Value fromTable(Value index);
  Value integer(int32_t value);
  /// The first bit of a step in its dword: byte j of 4 bits has code j in its low half and code j + 4 in the high one.
  int32_t firstBit(int64_t step) const { return format.storedBits == 8 ? 8 * step : step % 4 * 8 + step / 4 * 4; }

  KernelBuilder &b;
  CodeFormat format;
  llvm::SmallVector<Value, 2> table;
};

} // namespace permalloy::codegen

#endif
