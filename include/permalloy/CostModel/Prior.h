//===- Prior.h - a roofline with the schedule in it --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// It counts what the loops of a kernel do (issue slots of the register tile with its tails, tile products, bytes from each level of
// the memory hierarchy), a Machine says how fast that goes, and the slower of arithmetic and traffic counts, with a part of the
// faster one, since neither hides the other wholly:
//
//   t = max(compute, traffic) + 0.15 min(compute, traffic) + overhead
//
// It answers for every kernel whose sizes are known. Schedules are known by the names of their parameters; those that are not
// are ignored, so that emitters may add some. It is what the trees (Trees.h) correct: they learn ln(measured / prior), so it has to
// be right in how time grows with sizes, and may be wrong by a factor that a kernel's kind decides.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_PRIOR_H
#define PERMALLOY_COSTMODEL_PRIOR_H

#include "permalloy/CostModel/KernelFacts.h"
#include "permalloy/CostModel/MachineRates.h"
#include "permalloy/CostModel/TuningRow.h"

namespace permalloy {

/// What of an instruction set the cost models ask for; codegen::CpuTarget has more.
struct TargetUnits {
  std::string name;    ///< "sapphirerapids"
  unsigned lanes = 16; ///< f32 in a vector register
  bool hasAmx = false;
};
/// By the name of a target in a database. Other names than the known ones count as AVX2.
TargetUnits unitsOf(const std::string &target);

/// Whether the machine has the vectors and tiles of the target.
bool runsOn(const TargetUnits &target, const MachineRates &rates);

/// One core in cycles of its vector units: MachineRates seen by a target.
struct Machine {
  /// `rates`, or MachineRates::withAllUnits where the target does not run on them.
  Machine(const MachineRates &rates, const TargetUnits &target);

  double lanes;
  double gigahertz;                   ///< at which two multiply-adds a cycle make the measured peak
  double fmaPorts = 2, loadPorts = 2; ///< whole vector registers per cycle
  double fmaLatency = 4;              ///< cycles until a sum may be used
  double issueWidth = 6;              ///< instructions per cycle
  double l2Bytes, l3Bytes, memoryBytes; ///< per cycle, sustained
  double l1Size, l2Size, l3Size;
  /// What weights come with, by the bytes that a run reads before it reads them again (KernelFacts::weightSpan).
  double weightRate(double span) const;
  double amxTileCycles = 0;           ///< one product of two tiles; 0: none
  double int8PerFma = 1;              ///< int8 products in the time of one f32 multiply-add, without tiles
  double launch;                      ///< cycles from one step to the next
  double peakGflops;                  ///< f32, of the target's widest unit
  double amxGflops;                   ///< bf16 tiles; 0: none
};

/// Cycles of one launch on one core, by what they are spent on.
struct CostEstimate {
  double compute = 0;                ///< arithmetic, with what it loads from L1
  double l2 = 0, l3 = 0, memory = 0; ///< traffic of each level
  double overhead = 0;               ///< between the inner loops: tiles, epilogues, packing
  double launch = 0;
  double gigahertz = 1;

  double cycles() const;
  double nanoseconds() const { return cycles() / gigahertz; }
  /// What decides: "compute", "L2", "L3", "memory", "overhead" or "launch".
  const char *bound() const;
};

/// What a launch with `schedule` takes.
CostEstimate estimateCost(const KernelFacts &facts, const NamedNumbers &schedule, const Machine &machine);

/// The parameter of that name, or `otherwise`.
int64_t parameterOf(const NamedNumbers &schedule, llvm::StringRef name, int64_t otherwise);

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_PRIOR_H
