//===- KernelIdentity.h - when two kernels are the same for tuning *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A measurement belongs to a kernel's text at concrete sizes. A compilation asks for kernels that may never have been
// measured so: the same layer with another batch, or with a sequence that --dim has fixed, so that `?` became a number.
// Therefore each kernel has two names:
//
//   id          a hash of its text without name, schedule and locations
//   structure   a hash of what it computes, without the sizes that differ between runs: operations, attributes, element
//               types and ranks, and the sizes of packed weights
//
// Kernels of one structure differ in their `dims`, the sizes of their other arguments in order; a measurement is taken over
// from the one that is nearest in these (TuningDatabase.h).
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_KERNELIDENTITY_H
#define PERMALLOY_COSTMODEL_KERNELIDENTITY_H

#include "Kern/Kern.h"
#include "permalloy/Reference/Interpreter.h"

#include <string>
#include <vector>

namespace permalloy {

struct KernelIdentity {
  std::string id;        ///< 32 hexadecimal digits
  std::string structure; ///< 32 hexadecimal digits
  std::string emitter;   ///< "contraction", "attention", ...
  std::string dtype;     ///< of the first result: "f32", "bf16", ...
  std::string text;      ///< the kernel, named @kernel; parses as MLIR
  /// One entry for each dimension of the arguments that are no packed weights: a size, or an expression over the symbols.
  std::vector<std::string> dims;
};

/// Ignores the schedule that stands on the kernel.
KernelIdentity identityOf(kern::KernelOp kernel);

/// The entries of `dims` as numbers at these symbols; -1 where a symbol has no value.
std::vector<int64_t> sizesOf(kern::KernelOp kernel, const reference::Symbols &symbols);

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_KERNELIDENTITY_H
