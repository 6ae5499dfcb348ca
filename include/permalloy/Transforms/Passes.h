//===- Passes.h - passes from tfm to tfm -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_TRANSFORMS_PASSES_H
#define PERMALLOY_TRANSFORMS_PASSES_H

#include "Tfm/Tfm.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace permalloy {

/// Says in text what was raised to attention, layer_norm, gelu and linear in each function of
/// `module` and, for what was left over, what stopped it. One line per function and per left-over,
/// without colours, ends with a newline.
void printFusionReport(mlir::ModuleOp module, llvm::raw_ostream &os);

/// Of a function, once pack-padding has run: a sentence on what it packed and what not.
inline constexpr llvm::StringLiteral kPaddingAttr = "tfm.padding";

#define GEN_PASS_DECL
#include "permalloy/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "permalloy/Transforms/Passes.h.inc"

} // namespace permalloy

#endif
