//===- Layers.h - the layers that statistics are kept for --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_TRANSFORMS_CALIBRATION_LAYERS_H
#define PERMALLOY_LIB_TRANSFORMS_CALIBRATION_LAYERS_H

#include "permalloy/Transforms/Calibration.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace permalloy {

/// Linear layers of @main with a stored weight, by name, in program order. Empty where there is no @main.
std::vector<std::pair<std::string, tfm::LinearOp>> calibratedLayers(mlir::ModuleOp module);

} // namespace permalloy

#endif // PERMALLOY_LIB_TRANSFORMS_CALIBRATION_LAYERS_H
