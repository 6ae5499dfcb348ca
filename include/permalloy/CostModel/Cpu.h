//===- Cpu.h - which kind of CPU this is ------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_COSTMODEL_CPU_H
#define PERMALLOY_COSTMODEL_CPU_H

#include <cstdint>
#include <string>

namespace permalloy {

/// What measurements are recorded under. From cpuid and the operating system's list of caches; behind a hypervisor the model
/// number may be that of another CPU, so features and caches are part of the kind.
struct Cpu {
  std::string vendor; ///< "GenuineIntel"
  unsigned family = 0, model = 0, stepping = 0;
  std::string brand;    ///< what the CPU calls itself
  std::string features; ///< those that the operating system lets programs use: "avx2 fma ... amx-tile"
  uint64_t l1Bytes = 0, l2Bytes = 0, l3Bytes = 0; ///< of data: per core, per core, shared by a group of cores; 0: unknown

  /// The running machine, asked once.
  static const Cpu &host();

  /// One word that CPUs share which a schedule need not tell apart: "GenuineIntel-6-143-3f2a9c01"; names the database's file.
  std::string kind() const;
};

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_CPU_H
