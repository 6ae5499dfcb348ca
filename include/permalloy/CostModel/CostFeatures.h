//===- CostFeatures.h - a query as a row of numbers --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The one place where features are computed: training reads what `permalloy tune --features FILE` prints, which comes from here,
// and so does every prediction. The first features are the table in CostFeatures.cpp, where a new one is one line more; behind
// them come the counts of tokens (KernelFacts.h). Sizes and parameters are log2(1 + v), times log2 of nanoseconds, shares as
// they are; a parameter that the schedule lacks is -1.
//
// A file of trees names the features that it was trained on by `hash`, so that another table cannot be mistaken for it.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_COSTFEATURES_H
#define PERMALLOY_COSTMODEL_COSTFEATURES_H

#include "permalloy/CostModel/Prior.h"

#include <string>
#include <vector>

namespace permalloy {

/// What one query is about.
struct FeatureInput {
  const KernelFacts &facts;
  const NamedNumbers &schedule;
  const TargetUnits &target;
  const Machine &machine;
  const CostEstimate &prior;

  /// A parameter of the schedule; -1: it has none of that name.
  double get(llvm::StringRef name) const { return double(parameterOf(schedule, name, -1)); }
  bool has(llvm::StringRef name) const { return parameterOf(schedule, name, -1) >= 0; }
};

namespace features {
/// Names in order; the length of every row.
const std::vector<std::string> &names();
/// FNV-1a of the names.
uint64_t hash();
/// Appends nothing and allocates nothing: `row` has names().size() entries, all finite.
void compute(const FeatureInput &input, std::vector<float> &row);
} // namespace features

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_COSTFEATURES_H
