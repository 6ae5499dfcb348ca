//===- ElementOps.h - arithmetic on the elements of tensors ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// How the elements of each tensor type live in registers, and what tfm's elementwise kinds do there:
//
//   f32, f64         themselves
//   f16, bf16        f32; rounded when stored, and before an operation that tells neighbours apart
//                    (compare, floor, conversion to integers): see ValueEmitter::exactAt
//   i8 .. i64        signless integers; ui8 .. ui64 differ in division, comparison and conversion
//   i1               i1; one byte 0 or 1 in memory
//
// All functions take scalars; those on f32, f16, bf16, i1, i8, i16 and i32 also take native vectors (one lane per 32 bits
// of a register). f64 and i64 have scalars only: their vectors would not be one register of the same lanes.
//
// Every emitter loads and stores elements here, and so takes f16 and bf16 where it takes f32.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ELEMENTOPS_H
#define PERMALLOY_LIB_CODEGEN_CPU_ELEMENTOPS_H

#include "Tfm/Tfm.h"
#include "permalloy/Codegen/CPU/KernelBuilder.h"

namespace permalloy::codegen {

/// The element type of a tensor, as registers and memory see it.
struct Element {
  mlir::Type stored;

  static Element of(mlir::Value tensor);
  static Element of(mlir::Type stored) { return {stored}; }

  bool isFloat() const { return mlir::isa<mlir::FloatType>(stored); }
  bool isBool() const { return stored.isInteger(1); }
  bool isUnsigned() const { return stored.isUnsignedInteger(); }
  /// f16 or bf16: f32 in registers.
  bool isHalf() const { return stored.isF16() || stored.isBF16(); }
  bool isDouble() const { return stored.isF64(); }
  /// Bytes of one element in memory.
  int64_t bytes() const { return isBool() ? 1 : stored.getIntOrFloatBitWidth() / 8; }
  /// The type of one element in a register.
  mlir::Type registerType() const;
  /// Whether a native vector can hold these elements.
  bool hasVectors() const;
};

/// Builds element arithmetic at the builder's place.
class ElementOps {
public:
  using Value = mlir::Value;
  explicit ElementOps(KernelBuilder &b) : b(b) {}

  /// Memory. `mask` (vectors only) tells the lanes that exist; null: all.
  Value load(Element e, Value pointer);
  void store(Element e, Value value, Value pointer);
  Value loadVector(Element e, Value pointer, Value mask);
  void storeVector(Element e, Value value, Value pointer, Value mask);
  /// The same for the first `lanes` lanes, a number known now (all of them: a plain access); lanes not loaded are 0.
  Value loadLanes(Element e, Value pointer, unsigned lanes);
  void storeLanes(Element e, Value value, Value pointer, unsigned lanes);

  /// Constants of the register type.
  Value constant(Element e, double value);
  Value constant(Element e, const llvm::APFloat &value);
  Value constant(Element e, const llvm::APInt &value);
  /// The element that wins no comparison of a max (`lowest`) or min reduction.
  Value lowest(Element e);
  Value highest(Element e);

  /// An f32 value rounded to f16 or bf16 (as f32 again); anything else unchanged.
  Value round(Element e, Value value);
  Value cast(Element from, Element to, Value value);
  Value unary(tfm::UnaryKind kind, Element e, Value x);
  Value binary(tfm::BinaryKind kind, Element e, Value x, Value y);
  Value compare(tfm::CompareKind kind, Element e, Value x, Value y);
  /// The larger of `most`, which is not negative or NaN, and the magnitude of x, both f32; NaN wins.
  Value largerMagnitude(Value most, Value x);
  /// rne(x) of an f32 within [low, high], then plus `zero` (i8 or ui8 as registers have it; null: 0), as a code of 8 bits. NaN
  /// gives `low`.
  Value code(Value x, int64_t low, int64_t high, Element e, Value zero);
  /// Whether the vector form of a kind exists.
  static bool hasVectorForm(tfm::UnaryKind kind, Element e);
  static bool hasVectorForm(tfm::BinaryKind kind, Element e);
  static bool castHasVectorForm(Element from, Element to);

  /// Makes a scalar a vector where the other operand is one.
  void match(Value &x, Value &y);
  Value toVector(Value x);

private:
  mlir::Type like(mlir::Type scalar, Value shape);
  Value splat(mlir::Type type, Value scalar);
  Value firstLanes(unsigned lanes);
  Value integer(Value shape, int64_t value);
  Value halfToFloat(Element e, Value bits);
  Value floatToHalf(Element e, Value value);
  Value narrowToOdd(Value value);
  Value floatToInt(Element to, Value value);
  Value intToFloat(Element from, Element to, Value value);
  Value floatUnary(tfm::UnaryKind kind, Value x);
  Value intUnary(tfm::UnaryKind kind, Value x);
  Value floatBinary(tfm::BinaryKind kind, Value x, Value y);
  Value intBinary(tfm::BinaryKind kind, Element e, Value x, Value y);
  Value intDivide(Element e, Value x, Value y, bool remainder);
  Value intPower(Element e, Value x, Value y);

  KernelBuilder &b;
};

} // namespace permalloy::codegen

#endif
