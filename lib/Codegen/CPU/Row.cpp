//===- Row.cpp - rows of pointwise trees and row statistics ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/Emitters.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

LogicalResult codegen::scheduleRowKernel(kern::KernelOp kernel, const CpuTarget &target) {
  return scheduleGenericKernel(kernel, target);
}

LogicalResult codegen::emitRowKernel(KernelFrame &frame) { return emitGenericKernel(frame); }
