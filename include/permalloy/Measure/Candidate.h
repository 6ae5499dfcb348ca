//===- Candidate.h - one kernel with one schedule, compiled to run here *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_CANDIDATE_H
#define PERMALLOY_MEASURE_CANDIDATE_H

#include "Kern/Kern.h"
#include "permalloy/Codegen/CPU/Target.h"
#include "permalloy/Codegen/Common/AssemblyStats.h"
#include "permalloy/Codegen/Common/KernelCache.h"
#include "permalloy/Reference/Interpreter.h"
#include "permalloy/Runtime/CodeImage.h"

#include "llvm/Support/Error.h"

#include <string>

namespace permalloy::measure {

/// A kernel in the code image of the runtime.
class Candidate {
public:
  /// The kernel has a schedule. Its errors go to the context's diagnostics too.
  static llvm::Expected<Candidate> compile(kern::KernelOp kernel, const codegen::CpuTarget &target);

  KernelFunction function() const { return entry; }

  std::string code;                  ///< codegen::codeOf the kernel
  codegen::CodeStatistics statistics; ///< of its assembly
  unsigned codeBytes = 0;             ///< of the linked image

private:
  Candidate() = default;
  CodeImage image;
  KernelFunction entry = nullptr;
};

/// The sizes of a launch: scalars in the order of the kernel's symbols, tiles of its grid, scratch of one worker.
struct LaunchSizes {
  std::vector<int64_t> scalars;
  int64_t tiles = 0, scratchBytes = 0;
};
/// Fails when a symbol has no value.
llvm::Expected<LaunchSizes> launchSizes(kern::KernelOp kernel, const reference::Symbols &symbols);

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_CANDIDATE_H
