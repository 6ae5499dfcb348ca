//===- Integers.h - what other families take from the integers ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_IMPORT_OPS_INTEGERS_H
#define PERMALLOY_LIB_IMPORT_OPS_INTEGERS_H

#include "../OpTable.h"

namespace permalloy {

/// DequantizeLinear of values that are computed, or of other shapes than a stored matrix: (x - zero point) * scale.
llvm::LogicalResult importDequantizedValues(OpBinder &b);

/// Bits of the elements that a stored weight was unpacked from; 8 where it was not.
unsigned bitsOf(mlir::Value weight);

} // namespace permalloy

#endif
