//===- AssemblyStats.h - what the inner loops of a kernel contain -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_COMMON_ASSEMBLYSTATS_H
#define PERMALLOY_CODEGEN_COMMON_ASSEMBLYSTATS_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

namespace permalloy::codegen {

/// Counts over one innermost loop of assembly made by emitAssembly.
struct InnerLoop {
  unsigned instructions = 0;
  unsigned fmas = 0;
  unsigned loads = 0;
  /// Values kept on the stack inside the loop: LLVM's "Spill" and "Reload" comments. A tile whose
  /// accumulators spill runs at a fraction of its speed, so tests demand zero.
  unsigned spills = 0;
  /// Those of them that are vectors. (An address reloaded once a row of an epilogue costs nothing.)
  unsigned vectorSpills = 0;
};

/// The innermost loops of `assembly` (those that LLVM's comments call inner loops, up to the jump
/// back to their label), in the order of their text.
llvm::SmallVector<InnerLoop> innermostLoops(llvm::StringRef assembly);

/// Counts over all of an assembly.
struct CodeStatistics {
  unsigned instructions = 0;
  unsigned spills = 0; ///< spills and reloads in innermost loops
};
CodeStatistics codeStatistics(llvm::StringRef assembly);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_COMMON_ASSEMBLYSTATS_H
