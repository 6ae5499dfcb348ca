//===- Generic.h - the emitter that takes everything -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_GENERIC_H
#define PERMALLOY_LIB_CODEGEN_CPU_GENERIC_H

#include "ValueEmitter.h"

namespace permalloy::codegen {

/// Walks yielded value `index` of the kernel over the function's tiles, element by element.
void emitGenericResult(KernelFrame &frame, ValueEmitter &values, unsigned index);

} // namespace permalloy::codegen

#endif
