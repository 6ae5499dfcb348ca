//===- CostModel.h - what a launch takes, predicted --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A query is (kernel, schedule, target, CPU, sizes); an answer is microseconds with an uncertainty. Two models answer:
//
//   prior   a roofline with the schedule in it (Prior.h)
//   trees   the prior times what boosted trees, trained on measured kernels, say of ln(measured / prior) (Trees.h)
//
// Whole programs are priced as the sum over their launches (Pipelines/Price.h). docs/cost-model.md says what the answers are worth.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_COSTMODEL_H
#define PERMALLOY_COSTMODEL_COSTMODEL_H

#include "permalloy/CostModel/CostFeatures.h"
#include "permalloy/CostModel/GpuPrior.h"

#include <memory>

namespace permalloy {

struct CostAnswer {
  double us = 0;    ///< of one launch with all its tiles on one thread
  double sigma = 0; ///< standard deviation of ln(us): 90% of launches lie within a factor of exp(1.64 sigma)
  /// Orders schedules of one kernel at the same sizes: a lower one is faster. ln of a time, up to a constant.
  double score = 0;
  CostEstimate prior; ///< what it is made of
};

/// How much faster one schedule is than another.
struct CostGain {
  double gain = 0;  ///< ln of the other's time by this one's
  double sigma = 0; ///< its standard deviation
  /// The gain is there with 95% confidence, and is worth it.
  bool isSure() const { return gain > 1.64 * sigma && gain > 0.03; }
};

class CostModel {
public:
  virtual ~CostModel() = default;
  /// "prior" or "trees"
  virtual std::string kind() const = 0;
  /// For targets that unitsOf knows. Facts may be kept over many schedules.
  virtual CostAnswer predict(const KernelFacts &facts, const NamedNumbers &schedule, const std::string &target) const = 0;
  /// CostAnswer::score alone, in half of the time.
  virtual double score(const KernelFacts &facts, const NamedNumbers &schedule, const std::string &target) const {
    return predict(facts, schedule, target).score;
  }
  /// What `schedule` gains over `other` at the same sizes.
  virtual CostGain compare(const KernelFacts &facts, const NamedNumbers &schedule, const NamedNumbers &other,
                           const std::string &target) const = 0;
  /// Of a launch on a GPU ("sm_90a"), for which nobody measured rows yet: fails for a model that lives by those.
  virtual Result<GpuEstimate> predictGpu(const KernelFacts &facts, const GpuGrid &grid, const std::string &target) const;
  const MachineRates &rates() const { return machine; }

  /// By its kind, for a machine of these rates; the error lists what is accepted. `file` replaces the trees that come with the
  /// compiler; empty: those.
  static Result<std::unique_ptr<CostModel>> make(const std::string &kind, const MachineRates &rates, const std::string &file = "");
  /// By what a user writes: a kind, or a path that ends with .trees (benchmarks/cost_model/train.py writes such files).
  static Result<std::unique_ptr<CostModel>> named(const std::string &name, const MachineRates &rates) {
    return llvm::StringRef(name).ends_with(".trees") ? make("trees", rates, name) : make(name, rates);
  }

protected:
  explicit CostModel(MachineRates rates) : machine(std::move(rates)) {}
  MachineRates machine;
};

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_COSTMODEL_H
