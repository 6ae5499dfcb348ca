//===- DoubleMath.h - elementary functions of one f64 ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What VectorMath is for f32, for the generic path: scalars, adequate rather than fast. f32 operations that have no vector
// form (pow, sin, cos, mod) go through here too and are then correct to the last bit but one. Relative errors unless said
// otherwise, in units of 2^-53: exp 4, log 2, tanh 16, erf 20; sin and cos 4 absolute for |x| < 2^30 (growing beyond);
// pow 8 for whole exponents up to 1024 in magnitude, else 2 + 2 |y ln x|; fmod is exact.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_CODEGEN_CPU_DOUBLEMATH_H
#define PERMALLOY_LIB_CODEGEN_CPU_DOUBLEMATH_H

#include "permalloy/Codegen/CPU/KernelBuilder.h"

namespace permalloy::codegen {

mlir::Value emitExp64(KernelBuilder &b, mlir::Value x);
mlir::Value emitLog64(KernelBuilder &b, mlir::Value x);
mlir::Value emitErf64(KernelBuilder &b, mlir::Value x);
mlir::Value emitTanh64(KernelBuilder &b, mlir::Value x);
mlir::Value emitSin64(KernelBuilder &b, mlir::Value x);
mlir::Value emitCos64(KernelBuilder &b, mlir::Value x);
/// C's pow: 1 for y = 0 and for x = 1, NaN for a negative x and a fractional y.
mlir::Value emitPow64(KernelBuilder &b, mlir::Value x, mlir::Value y);
/// C's fmod: the sign of x; NaN for an infinite x or y = 0.
mlir::Value emitFmod64(KernelBuilder &b, mlir::Value x, mlir::Value y);

} // namespace permalloy::codegen

#endif
