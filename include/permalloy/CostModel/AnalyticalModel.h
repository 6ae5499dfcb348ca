//===- AnalyticalModel.h - latency of a kernel that was not measured *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The prior of the cost model: a roofline with the schedule in it. It counts what the loops of a kernel do (issue slots of the
// register tile with its tails, bytes from each level of the memory hierarchy), a Machine says how fast that goes, and the
// slower of arithmetic and traffic counts, with a part of the faster one, since neither hides the other wholly:
//
//   t = max(compute, traffic) + 0.15 min(compute, traffic) + overhead
//
// It knows schedules by the names of their parameters and ignores those that it does not know, so that emitters may add some.
// What it is worth stands in docs/tuning.md: the loss against the best of the measured schedules, beside that of the default.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_ANALYTICALMODEL_H
#define PERMALLOY_COSTMODEL_ANALYTICALMODEL_H

#include "permalloy/CostModel/TuningRow.h"

#include <optional>

namespace permalloy {

/// One core, in cycles: a table of the generation of AVX-512 servers. A choice between schedules depends on the ratios, which
/// differ little between CPUs; `gigahertz` makes cycles nanoseconds.
struct Machine {
  unsigned lanes = 16;                ///< f32 in a vector register; 8 for AVX2
  double gigahertz = 3.34;
  double fmaPorts = 2, loadPorts = 2; ///< whole vector registers per cycle
  double fmaLatency = 4;              ///< cycles until a sum may be used
  double issueWidth = 6;              ///< instructions per cycle
  double l2Bytes = 40, l3Bytes = 8, memoryBytes = 4.6; ///< per cycle, sustained
  int64_t l1Size = 48 << 10, l2Size = 2 << 20;
  double amxTileCycles = 16; ///< one product of two tiles: 16 x 16 x 32 of bf16
  bool hasAmx = false;
};

/// Cycles of one launch on one core, by what they are spent on.
struct CostEstimate {
  double compute = 0;                ///< arithmetic, with what it loads from L1
  double l2 = 0, l3 = 0, memory = 0; ///< traffic of each level
  double overhead = 0;               ///< between the inner loops: tiles, epilogues, packing, the launch

  double cycles() const;
  double nanoseconds(const Machine &machine) const { return cycles() / machine.gigahertz; }
};

/// What a launch of `kernel` with `schedule` takes at these sizes; nothing for emitters whose schedules are not modelled (all
/// but contraction and attention) and for unknown sizes.
std::optional<CostEstimate> estimateCost(kern::KernelOp kernel, const NamedNumbers &schedule, const reference::Symbols &symbols,
                                         const Machine &machine);

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_ANALYTICALMODEL_H
