//===- Disassemble.h - a code image as text ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_DISASSEMBLE_H
#define PERMALLOY_LIB_DRIVER_DISASSEMBLE_H

#include "permalloy/Runtime/Artifact.h"

#include "llvm/Support/raw_ostream.h"

namespace permalloy {

/// Prints the kernels of target `target` in the order of their addresses, each under its name.
Status disassemble(const Artifact &artifact, size_t target, llvm::raw_ostream &os);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_DISASSEMBLE_H
