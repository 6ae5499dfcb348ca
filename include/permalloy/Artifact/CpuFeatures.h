//===- CpuFeatures.h - what an x86-64 CPU and its OS offer ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Features come from cpuid and from XCR0 (which register states the operating system saves), never
// from a CPU name: a hypervisor may say "Rocket Lake" on a machine with AMX. Used by the runtime
// to pick a code image and by the compiler for `--target host`. Plain C++.
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_ARTIFACT_CPUFEATURES_H
#define PERMALLOY_ARTIFACT_CPUFEATURES_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace permalloy {

/// One feature is one bit of a 64-bit mask that stands in model.alloy: never renumber.
enum class CpuFeature : uint8_t {
  sse42 = 0,
  popcnt = 1,
  movbe = 2,
  avx = 3,
  avx2 = 4,
  fma = 5,
  f16c = 6,
  bmi1 = 7,
  bmi2 = 8,
  lzcnt = 9,
  avx512f = 10,
  avx512bw = 11,
  avx512vl = 12,
  avx512dq = 13,
  avx512cd = 14,
  avx512vnni = 15,
  avx512bf16 = 16,
  avx512fp16 = 17,
  avx512vbmi = 18,
  avx512vbmi2 = 19,
  avxvnni = 20,
  amxTile = 21,
  amxInt8 = 22,
  amxBf16 = 23,
  amxFp16 = 24,
  gfni = 25,
  avxvnniint8 = 26,
  avxifma = 27,
  avxneconvert = 28,
};

/// A set of CpuFeature bits.
using CpuFeatureMask = uint64_t;

constexpr CpuFeatureMask featureBit(CpuFeature feature) {
  return CpuFeatureMask(1) << static_cast<unsigned>(feature);
}

/// Features of this machine that the operating system lets programs use. AMX bits mean that the
/// CPU and kernel have it; permission is asked for separately (requestAmxPermission).
CpuFeatureMask hostCpuFeatures();

/// Asks Linux for the AMX tile state, once per process; false when it is refused.
bool requestAmxPermission();

/// LLVM's spelling of a feature ("avx512vnni"), or "" for an unknown bit.
std::string_view cpuFeatureName(CpuFeature feature);

/// Names of the bits of `mask` in bit order; unknown bits print as "bit37".
std::vector<std::string> cpuFeatureNames(CpuFeatureMask mask);

/// The mask of one LLVM feature name; 0 for a name that is not known here.
CpuFeatureMask cpuFeatureFromName(std::string_view name);

/// x86-64-v3: what every Permalloy image needs at least.
constexpr CpuFeatureMask kX86_64V3 =
    featureBit(CpuFeature::sse42) | featureBit(CpuFeature::popcnt) | featureBit(CpuFeature::movbe) |
    featureBit(CpuFeature::avx) | featureBit(CpuFeature::avx2) | featureBit(CpuFeature::fma) |
    featureBit(CpuFeature::f16c) | featureBit(CpuFeature::bmi1) | featureBit(CpuFeature::bmi2) |
    featureBit(CpuFeature::lzcnt);

/// x86-64-v4: v3 and the AVX-512 base set.
constexpr CpuFeatureMask kX86_64V4 =
    kX86_64V3 | featureBit(CpuFeature::avx512f) | featureBit(CpuFeature::avx512bw) |
    featureBit(CpuFeature::avx512vl) | featureBit(CpuFeature::avx512dq) |
    featureBit(CpuFeature::avx512cd);

} // namespace permalloy

#endif // PERMALLOY_ARTIFACT_CPUFEATURES_H
