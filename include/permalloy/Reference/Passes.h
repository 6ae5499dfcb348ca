//===- Passes.h - passes that interpret the IR -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_REFERENCE_PASSES_H
#define PERMALLOY_REFERENCE_PASSES_H

#include "mlir/Pass/Pass.h"

namespace mlir {
class ModuleOp;
}

namespace permalloy::reference {

#define GEN_PASS_DECL
#include "permalloy/Reference/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "permalloy/Reference/Passes.h.inc"

} // namespace permalloy::reference

#endif
