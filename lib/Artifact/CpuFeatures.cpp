//===- CpuFeatures.cpp - cpuid, XCR0 and AMX permission ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Artifact/CpuFeatures.h"

#include <cpuid.h>
#include <iterator>
#include <sys/syscall.h>
#include <unistd.h>

namespace permalloy {

namespace {

struct CpuidRegisters {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidRegisters cpuid(uint32_t leaf, uint32_t subleaf) {
  CpuidRegisters r;
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx))
    return {};
  return r;
}

/// Which register states the operating system saves and restores.
uint64_t readXcr0() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

/// A state that the OS must save before a feature may be used.
enum class OsState : uint8_t { none, ymm, zmm, tile };

/// Where cpuid tells of a feature.
struct FeatureRow {
  CpuFeature feature;
  const char *name; ///< LLVM's spelling
  uint32_t leaf, subleaf;
  uint32_t CpuidRegisters::*reg;
  unsigned bit;
  OsState state;
};

constexpr auto kEax = &CpuidRegisters::eax;
constexpr auto kEbx = &CpuidRegisters::ebx;
constexpr auto kEcx = &CpuidRegisters::ecx;
constexpr auto kEdx = &CpuidRegisters::edx;

using enum CpuFeature;

const FeatureRow kFeatures[] = {
    {sse42, "sse4.2", 1, 0, kEcx, 20, OsState::none},
    {popcnt, "popcnt", 1, 0, kEcx, 23, OsState::none},
    {movbe, "movbe", 1, 0, kEcx, 22, OsState::none},
    {avx, "avx", 1, 0, kEcx, 28, OsState::ymm},
    {avx2, "avx2", 7, 0, kEbx, 5, OsState::ymm},
    {fma, "fma", 1, 0, kEcx, 12, OsState::ymm},
    {f16c, "f16c", 1, 0, kEcx, 29, OsState::ymm},
    {bmi1, "bmi", 7, 0, kEbx, 3, OsState::none},
    {bmi2, "bmi2", 7, 0, kEbx, 8, OsState::none},
    {lzcnt, "lzcnt", 0x80000001, 0, kEcx, 5, OsState::none},
    {avx512f, "avx512f", 7, 0, kEbx, 16, OsState::zmm},
    {avx512bw, "avx512bw", 7, 0, kEbx, 30, OsState::zmm},
    {avx512vl, "avx512vl", 7, 0, kEbx, 31, OsState::zmm},
    {avx512dq, "avx512dq", 7, 0, kEbx, 17, OsState::zmm},
    {avx512cd, "avx512cd", 7, 0, kEbx, 28, OsState::zmm},
    {avx512vnni, "avx512vnni", 7, 0, kEcx, 11, OsState::zmm},
    {avx512bf16, "avx512bf16", 7, 1, kEax, 5, OsState::zmm},
    {avx512fp16, "avx512fp16", 7, 0, kEdx, 23, OsState::zmm},
    {avx512vbmi, "avx512vbmi", 7, 0, kEcx, 1, OsState::zmm},
    {avx512vbmi2, "avx512vbmi2", 7, 0, kEcx, 6, OsState::zmm},
    {avxvnni, "avxvnni", 7, 1, kEax, 4, OsState::ymm},
    {amxTile, "amx-tile", 7, 0, kEdx, 24, OsState::tile},
    {amxInt8, "amx-int8", 7, 0, kEdx, 25, OsState::tile},
    {amxBf16, "amx-bf16", 7, 0, kEdx, 22, OsState::tile},
    {amxFp16, "amx-fp16", 7, 1, kEax, 21, OsState::tile},
    {gfni, "gfni", 7, 0, kEcx, 8, OsState::none},
    {avxvnniint8, "avxvnniint8", 7, 1, kEdx, 4, OsState::ymm},
    {avxifma, "avxifma", 7, 1, kEax, 23, OsState::ymm},
    {avxneconvert, "avxneconvert", 7, 1, kEdx, 5, OsState::ymm},
};

bool osSaves(OsState state, bool osxsave, uint64_t xcr0) {
  constexpr uint64_t ymm = 0x6, zmm = 0xe6, tile = 0x60000;
  switch (state) {
  case OsState::none:
    return true;
  case OsState::ymm:
    return osxsave && (xcr0 & ymm) == ymm;
  case OsState::zmm:
    return osxsave && (xcr0 & zmm) == zmm;
  case OsState::tile:
    return osxsave && (xcr0 & tile) == tile;
  }
  return false;
}

CpuFeatureMask detect() {
  bool osxsave = cpuid(1, 0).ecx >> 27 & 1;
  uint64_t xcr0 = osxsave ? readXcr0() : 0;
  CpuFeatureMask mask = 0;
  for (const FeatureRow &row : kFeatures) {
    uint32_t value = cpuid(row.leaf, row.subleaf).*row.reg;
    if ((value >> row.bit & 1) && osSaves(row.state, osxsave, xcr0))
      mask |= featureBit(row.feature);
  }
  return mask;
}

} // namespace

CpuFeatureMask hostCpuFeatures() {
  static const CpuFeatureMask mask = detect();
  return mask;
}

bool requestAmxPermission() {
  // Linux gives the 8 KB of tile state to processes that ask (ARCH_REQ_XCOMP_PERM = 0x1023,
  // XFEATURE_XTILEDATA = 18); threads that exist already get it too. Refused when some thread's
  // alternative signal stack is too small for it.
  static const bool granted = syscall(SYS_arch_prctl, 0x1023, 18) == 0;
  return granted;
}

std::string_view cpuFeatureName(CpuFeature feature) {
  for (const FeatureRow &row : kFeatures)
    if (row.feature == feature)
      return row.name;
  return {};
}

std::vector<std::string> cpuFeatureNames(CpuFeatureMask mask) {
  std::vector<std::string> names;
  for (unsigned bit = 0; bit < 64; ++bit) {
    if (!(mask >> bit & 1))
      continue;
    std::string_view name = cpuFeatureName(static_cast<CpuFeature>(bit));
    names.push_back(name.empty() ? "bit" + std::to_string(bit) : std::string(name));
  }
  return names;
}

CpuFeatureMask cpuFeatureFromName(std::string_view name) {
  for (const FeatureRow &row : kFeatures)
    if (name == row.name)
      return featureBit(row.feature);
  return 0;
}

} // namespace permalloy
