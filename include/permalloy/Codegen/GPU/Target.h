//===- Target.h - what a GPU kernel is compiled for -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_GPU_TARGET_H
#define PERMALLOY_CODEGEN_GPU_TARGET_H

#include "permalloy/Codegen/CPU/Target.h"

namespace permalloy::codegen {

/// One NVIDIA architecture that kernels are generated for. A closed table, like CpuTarget's; nothing here asks for a device
/// or a CUDA toolkit.
struct GpuTarget {
  /// The name users write, which is also LLVM's and ptxas': "sm_80" (Ampere), "sm_89" (Ada), "sm_90a" (Hopper), "sm_100".
  llvm::StringRef name;
  /// Compute capability, 10 * major + minor. PTX runs on every later one too, unless it is `exact`.
  unsigned capability;
  /// Uses instructions of this architecture alone ("a"): neither PTX nor cubin runs elsewhere.
  bool exact;
  /// The version of PTX that kernels are written in, as LLVM names the feature: what the oldest driver that knows the
  /// architecture reads.
  llvm::StringRef ptxFeature;
  /// Bytes of shared memory that every GPU of the table gives a block (sm_89: 99 KB).
  static constexpr int64_t kSharedBytes = 96 * 1024;

  /// The registers of one thread, as emitters that write for a single worker see them: vectors of 4 (ld.v4 moves 128 bits), or of 8
  /// for elements of 16 bits.
  const CpuTarget &thread(unsigned lanes = 4) const;

  /// All targets, oldest first.
  static llvm::ArrayRef<GpuTarget> all();
  /// Whether a user who writes `name` means a GPU: "sm_...".
  static bool isGpuName(llvm::StringRef name) { return name.starts_with("sm_"); }
  /// The target called `name`. Fails with a message that lists what is accepted.
  static llvm::Expected<GpuTarget> parse(llvm::StringRef name);
};

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_GPU_TARGET_H
