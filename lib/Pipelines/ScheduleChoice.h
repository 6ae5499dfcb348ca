//===- ScheduleChoice.h - a schedule that the cost model prefers -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_PIPELINES_SCHEDULECHOICE_H
#define PERMALLOY_LIB_PIPELINES_SCHEDULECHOICE_H

#include "permalloy/Codegen/ScheduleSpace.h"
#include "permalloy/CostModel/CostModel.h"

namespace permalloy {

/// A schedule with what it is predicted to gain over the one that was there, in the worst case of the sizes.
struct ChosenSchedule {
  codegen::ScheduleSpace::Values values;
  CostGain gain;
};

/// Sizes to judge a kernel's schedules at: the one that its dimensions leave, or, where they vary, decoding and prompts of usual
/// lengths.
std::vector<KernelFacts> usualFacts(kern::KernelOp kernel);

/// Looks for a faster schedule from `start` on: its neighbours, then those of the best so far, and some at random (seeded). What is
/// returned is surely faster at every one of `facts` (CostGain::isSure at one of them at least, and no loss at any); nothing where
/// the model is not sure of any.
std::optional<ChosenSchedule> chooseSchedule(const codegen::ScheduleSpace &space, const codegen::ScheduleSpace::Values &start,
                                             llvm::ArrayRef<KernelFacts> facts, const CostModel &model, const std::string &target);

/// Schedules near `start` other than it, by predicted time, fastest first.
std::vector<std::pair<NamedNumbers, double>> rankedNeighbours(const codegen::ScheduleSpace &space, const codegen::ScheduleSpace::Values &start,
                                                              const KernelFacts &facts, const CostModel &model, const std::string &target,
                                                              size_t count);

} // namespace permalloy

#endif // PERMALLOY_LIB_PIPELINES_SCHEDULECHOICE_H
