//===- VectorMath.h - elementary functions as emitted arithmetic -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Kernels call no libm: these build the operations of a function where it is used, for a scalar f32
// or a 1-D vector of f32. Every lane is computed alike, without branches or tables, and gives the
// same bits for the same input in scalar and vector form. NaN gives NaN; infinities give what the
// formula gives.
//
// Errors are the largest seen over the sweep of test/Unit/Codegen/VectorMathTest.cpp, in units of
// the last place (ulp) of the exact f32 result unless said otherwise. Polynomials are minimax fits
// (our own, iteratively reweighted least squares on Chebyshev nodes), tanh the rational form that
// Eigen and MLAS use.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_CODEGEN_CPU_VECTORMATH_H
#define PERMALLOY_CODEGEN_CPU_VECTORMATH_H

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace permalloy::codegen {

/// An f32 constant of `type`: f32 itself, or splat over a vector of f32.
mlir::Value emitConstant(mlir::ImplicitLocOpBuilder &b, mlir::Type type, float value);

/// e^x: 2 ulp, subnormal results included (there: 1 ulp of the subnormal); 0 below, inf above.
mlir::Value emitExp(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// 2^x: 2 ulp, as emitExp.
mlir::Value emitExp2(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// 2^x for x <= 0 and -inf (NaN: unspecified), for softmax: 3 ulp down to 2^-126, below that a
/// value between 0 and 2^-126; exactly 0 from -127 on and exactly 1 at 0. About half the operations
/// of emitExp2.
mlir::Value emitExp2NonPositive(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// Natural logarithm: 2 ulp; -inf at 0, NaN below.
mlir::Value emitLog(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// Error function: 4 ulp, and 2e-7 absolute.
mlir::Value emitErf(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// Hyperbolic tangent: 5 ulp, and 3e-7 absolute.
mlir::Value emitTanh(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// 1 / (1 + e^-x): 4 ulp.
mlir::Value emitSigmoid(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// x * sigmoid(x): 4 ulp; NaN at -inf, as the formula says.
mlir::Value emitSilu(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// x / 2 * (1 + erf(x / sqrt 2)): 3e-7 * max(|x|, 1) absolute.
mlir::Value emitGeluErf(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))): 3e-7 * max(|x|, 1) absolute.
mlir::Value emitGeluTanh(mlir::ImplicitLocOpBuilder &b, mlir::Value x);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_VECTORMATH_H
