//===- Target.cpp - the table of CPU targets --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/Target.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/TargetParser/Host.h"

using namespace permalloy::codegen;
using llvm::StringRef;

static constexpr StringRef kAvx2Features[] = {"avx2", "fma",   "bmi",  "bmi2",
                                              "f16c", "lzcnt", "movbe"};
static constexpr StringRef kAvx512Features[] = {"avx2",     "fma",      "bmi",      "bmi2",
                                                "f16c",     "lzcnt",    "movbe",    "avx512f",
                                                "avx512bw", "avx512cd", "avx512dq", "avx512vl"};

static constexpr StringRef kSapphireRapidsFeatures[] = {
    "avx512vnni", "avx512bf16", "avx512fp16", "amx-tile", "amx-bf16", "amx-int8"};

static constexpr StringRef kAvx512VnniFeatures[] = {"avx512vnni"};
static constexpr StringRef kAvxVnniFeatures[] = {"avxvnni"};

// Skylake-SP's timing model is the most complete AVX-512 one that fits the whole family; Haswell's
// is that of AVX2. Neither changes what is legal.
static const CpuTarget kTargets[] = {
    {"sapphirerapids", 512, 32, "x86-64-v4", "skylake-avx512", kAvx512Features,
     kSapphireRapidsFeatures},
    {"icelake-server", 512, 32, "x86-64-v4", "skylake-avx512", kAvx512Features, kAvx512VnniFeatures},
    {"x86-64-v4", 512, 32, "x86-64-v4", "skylake-avx512", kAvx512Features, {}},
    {"alderlake", 256, 16, "x86-64-v3", "haswell", kAvx2Features, kAvxVnniFeatures},
    {"x86-64-v3", 256, 16, "x86-64-v3", "haswell", kAvx2Features, {}},
};

llvm::ArrayRef<CpuTarget> CpuTarget::all() { return kTargets; }

const CpuTarget &CpuTarget::withoutAmx() { return kTargets[1]; }

bool CpuTarget::supportedByHost() const {
  // getHostCPUFeatures reads cpuid and XCR0 (the operating system saves the wide registers).
  static const llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  auto has = [](StringRef feature) { return host.lookup(feature); };
  return llvm::all_of(features, has) && llvm::all_of(extraFeatures, has);
}

llvm::Expected<CpuTarget> CpuTarget::parse(StringRef name) {
  for (const CpuTarget &target : all())
    if (name == target.name || (name == "host" && target.supportedByHost()))
      return target;
  std::string known =
      llvm::join(llvm::map_range(all(), [](const CpuTarget &t) { return t.name; }), ", ");
  if (name == "host")
    return llvm::createStringError("this machine runs none of the CPU targets; supported are " +
                                   known);
  return llvm::createStringError("unknown CPU target '" + name + "'; supported are host, " + known);
}
