//===- ExprEmitter.h - elementwise trees as vectors along a row -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_CPU_EXPREMITTER_H
#define PERMALLOY_CODEGEN_CPU_EXPREMITTER_H

#include "permalloy/Codegen/CPU/KernelFrame.h"

#include <memory>

namespace permalloy::codegen {

class ValueEmitter;

/// A place in a domain of shape [leading dims..., columns]: `lanes` consecutive columns of one row.
/// Rows number the leading dimensions in row-major order.
struct ExprSite {
  mlir::Value row;
  mlir::Value column;
  /// All lanes of the target, fewer (the other lanes are unspecified, and memory past the last
  /// valid lane is not touched), or 0: one element, as a scalar.
  unsigned lanes;
};

/// Emits values of a kernel's elementwise tree over a domain: leaves are loaded (or broadcast, as
/// numpy does) from the kernel's arguments, inner operations are emitted once per site.
class ExprEmitter {
public:
  /// `domain` is the value whose shape sites refer to; all trees broadcast to it.
  ExprEmitter(KernelFrame &frame, mlir::Value domain);
  ~ExprEmitter();

  /// Whether emitVector can produce `value`: f32 trees of unary, binary and the like. `leaf` (may
  /// be null) counts as computed. On failure the first operation that cannot stands in `culprit`.
  static bool canEmit(mlir::Value value, mlir::Value leaf, mlir::Operation *&culprit);

  /// The element(s) of `value` at `site`; where the tree reaches `leaf`, `leafValue` is taken.
  mlir::Value emitVector(mlir::Value value, const ExprSite &site, mlir::Value leaf = {},
                         mlir::Value leafValue = {});

private:
  KernelFrame &frame;
  mlir::Value domain;
  std::unique_ptr<ValueEmitter> values;
  /// Masks of the first lanes, by number.
  llvm::SmallVector<mlir::Value> masks;
};

/// `activation` of x, a scalar or vector of f32.
mlir::Value emitActivation(KernelBuilder &b, tfm::Activation activation, mlir::Value x);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_EXPREMITTER_H
