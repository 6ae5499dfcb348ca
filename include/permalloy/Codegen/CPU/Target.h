//===- Target.h - what a CPU kernel is compiled for -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_CPU_TARGET_H
#define PERMALLOY_CODEGEN_CPU_TARGET_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace permalloy::codegen {

/// One instruction set that kernels are generated for. An artifact may carry kernels for several of
/// them; the runtime picks the best one that the machine has. Targets are a closed table: a kernel
/// compiled for a name means the same on every machine that compiles it.
struct CpuTarget {
  /// The name users write: "x86-64-v3" (AVX2 and FMA), "alderlake" (besides these VNNI), "x86-64-v4" (AVX-512 F, BW, CD, DQ,
  /// VL), "icelake-server" (besides these VNNI), or "sapphirerapids" (BF16 and FP16 conversions and AMX tiles, too).
  llvm::StringRef name;
  /// Bits of the widest vector register, which every vector value in a kernel fills exactly.
  unsigned vectorBits;
  /// Architectural vector registers, for the choice of register tiles.
  unsigned vectorRegisters;
  /// The CPU that LLVM takes as the baseline of features, and the one whose timing model it uses.
  llvm::StringRef llvmCpu;
  llvm::StringRef llvmTuneCpu;
  /// Names of the CPU features (LLVM's spelling) that LLVM may use in any kernel; the runtime's check.
  llvm::ArrayRef<llvm::StringRef> features;
  /// Those that emitters use by intrinsics. Only the kernels that do so need them (extraFeaturesOf in
  /// ObjectEmission.h), so a kernel without is the same code as that of the plainer target.
  llvm::ArrayRef<llvm::StringRef> extraFeatures;

  /// Values of 32 bits in a register: 8 or 16.
  unsigned lanes() const { return vectorBits / 32; }
  bool isAvx512() const { return vectorBits == 512; }
  /// No CPU but one thread of a GPU (GPU/Target.h), or what stands for it in tests.
  bool isGpuThread() const { return vectorBits == 128 || llvmTuneCpu.empty(); }
  /// AMX tiles of bf16 and 8-bit integers, and vector conversion to bf16 (avx512bf16).
  bool hasAmx() const { return hasExtra("amx-tile"); }
  /// vpdpbusd, in registers of vectorBits.
  bool hasVnni() const { return hasExtra(isAvx512() ? "avx512vnni" : "avxvnni"); }
  /// Whether the running machine (cpuid and XCR0, never the CPU's name) can execute this target.
  bool supportedByHost() const;

  /// All targets, best first.
  static llvm::ArrayRef<CpuTarget> all();
  /// The target called `name`; "host" is the best one that this machine runs. Fails with a message
  /// that lists what is accepted.
  static llvm::Expected<CpuTarget> parse(llvm::StringRef name);
  /// What runs in place of a target with AMX where Linux refuses the tile state: "icelake-server",
  /// which every CPU with AMX runs.
  static const CpuTarget &withoutAmx();

private:
  bool hasExtra(llvm::StringRef feature) const { return llvm::is_contained(extraFeatures, feature); }
};

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_CPU_TARGET_H
