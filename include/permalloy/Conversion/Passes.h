//===- Passes.h - from tfm to kernels and launches ---------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_CONVERSION_PASSES_H
#define PERMALLOY_CONVERSION_PASSES_H

#include "Kern/Kern.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "permalloy/Transforms/KernelCosts.h"

namespace permalloy {

/// On a tfm operation: the number of the kernel that it becomes part of.
inline constexpr llvm::StringLiteral kGroupAttr = "kern.group";
/// On a function: the sizes of its slots in bytes, an array of #tfm.dim.
inline constexpr llvm::StringLiteral kSlotsAttr = "kern.slots";

/// On launches, tfm.if and tfm.while: the slot of each result, -1 when it is what the function returns.
inline constexpr llvm::StringLiteral kResultSlotsAttr = "slots";

/// Whether `value` is a weight that stands in another form and is decoded by each kernel that reads it: `tfm.dequantize` of
/// weights, the codebook perhaps a constant.
bool isDecodedWeight(mlir::Value value);

/// Kernels as text (KernelCosts.h) that groups of operations of one block would become; values that a group hands to others are its
/// results. Sizes have the same names in all of them.
std::vector<std::string> textOfGroups(llvm::ArrayRef<llvm::ArrayRef<mlir::Operation *>> groups);

/// plan-kernels, which asks `costs` where fusing may lose. Null: as without.
std::unique_ptr<mlir::Pass> createPlanKernels(const KernelCosts *costs);

#define GEN_PASS_DECL
#include "permalloy/Conversion/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "permalloy/Conversion/Passes.h.inc"

} // namespace permalloy

#endif
