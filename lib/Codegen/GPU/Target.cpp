//===- Target.cpp - the table of GPU targets --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/GPU/Target.h"

#include "llvm/ADT/StringExtras.h"

using namespace permalloy::codegen;
using llvm::StringRef;

// Drivers that read these versions of PTX: 450 (7.0), 525 (7.8 and 8.0), 570 (8.6).
static const GpuTarget kTargets[] = {
    {"sm_80", 80, false, "+ptx70"},
    {"sm_89", 89, false, "+ptx78"},
    {"sm_90a", 90, true, "+ptx80"},
    {"sm_100", 100, false, "+ptx86"},
};

// The widest access of a thread is 128 bits. 255 registers of 32 bits are there; a kernel of several warps a scheduler has fewer.
static const CpuTarget kThread = {"thread", 128, 32, "", "", {}, {}};
static const CpuTarget kThreadOfEight = {"thread of 8", 256, 32, "", "", {}, {}};

const CpuTarget &GpuTarget::thread(unsigned lanes) const { return lanes == 8 ? kThreadOfEight : kThread; }

llvm::ArrayRef<GpuTarget> GpuTarget::all() { return kTargets; }

llvm::Expected<GpuTarget> GpuTarget::parse(StringRef name) {
  for (const GpuTarget &target : all())
    if (name == target.name)
      return target;
  std::string known = llvm::join(llvm::map_range(all(), [](const GpuTarget &t) { return t.name; }), ", ");
  return llvm::createStringError("unknown GPU target '" + name + "'; supported are " + known);
}
