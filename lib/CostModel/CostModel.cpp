//===- CostModel.cpp - what a launch takes, predicted ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/CostModel.h"
#include "permalloy/CostModel/Trees.h"

#include "llvm/Support/MemoryBuffer.h"

#include <cmath>

using namespace permalloy;

/// The file of trees that comes with the compiler (EmbeddedTrees.S).
extern "C" const char permalloyTreesBegin[], permalloyTreesEnd[];

/// Of the prior: the spread of ln(measured / prior) over the rows of the tuning database (docs/cost-model.md).
static constexpr double kPriorSigma = 0.4;
/// And of the quotient of two schedules of a kernel: errors that both share fall out.
static constexpr double kPriorGainSigma = 0.25;
/// Trees that were trained on another kind of CPU know how kernels compare, less how this machine does.
static constexpr double kForeignScale = 2;
/// Trees never say less: repeated measurements of the same differ by that much.
static constexpr double kNoise = 0.02;

namespace {
class PriorModel : public CostModel {
public:
  explicit PriorModel(const MachineRates &rates) : CostModel(rates) {}
  std::string kind() const override { return "prior"; }

  CostAnswer predict(const KernelFacts &facts, const NamedNumbers &schedule, const std::string &target) const override {
    CostAnswer answer;
    answer.prior = estimateCost(facts, schedule, Machine(machine, unitsOf(target)));
    answer.us = answer.prior.nanoseconds() / 1e3;
    answer.score = std::log(answer.us);
    answer.sigma = kPriorSigma;
    return answer;
  }
  CostGain compare(const KernelFacts &facts, const NamedNumbers &schedule, const NamedNumbers &other,
                   const std::string &target) const override {
    return {predict(facts, other, target).score - predict(facts, schedule, target).score, kPriorGainSigma};
  }
  Result<GpuEstimate> predictGpu(const KernelFacts &facts, const GpuGrid &grid, const std::string &target) const override {
    if (const GpuRates *gpu = GpuRates::of(target))
      return estimateGpu(facts, grid, *gpu);
    return Status(StatusCode::invalidArgument, "nothing is known of a GPU '" + target + "'");
  }
};

class TreesModel : public CostModel {
public:
  TreesModel(const MachineRates &rates, Trees trees) : CostModel(rates), trees(std::move(trees)) {
    // On a kind that they were trained on they correct the prior of its constants at the speed of the moment.
    bool own = this->trees.knows(rates.cpu);
    foreign = own ? 1 : kForeignScale;
    usual = own ? MachineRates::committed(rates.cpu) : rates;
    machine = own ? usual.at(rates.speed()) : rates;
    machine.source = rates.source;
  }
  std::string kind() const override { return "trees"; }

  CostAnswer predict(const KernelFacts &facts, const NamedNumbers &schedule, const std::string &target) const override {
    CostAnswer answer;
    std::vector<float> row = featuresOf(facts, schedule, target, answer.prior);
    double correction, deviation;
    trees.predict(Trees::Absolute, row, correction, deviation);
    answer.us = answer.prior.nanoseconds() / 1e3 * std::exp(correction);
    answer.sigma = foreign * std::max(trees.absoluteScale() * deviation, kNoise);
    trees.predict(Trees::Ranking, row, answer.score, deviation);
    return answer;
  }

  double score(const KernelFacts &facts, const NamedNumbers &schedule, const std::string &target) const override {
    CostEstimate prior;
    double mean, deviation;
    trees.predict(Trees::Ranking, featuresOf(facts, schedule, target, prior), mean, deviation);
    return mean;
  }

  CostGain compare(const KernelFacts &facts, const NamedNumbers &schedule, const NamedNumbers &other,
                   const std::string &target) const override {
    CostEstimate prior;
    std::vector<float> row = featuresOf(facts, schedule, target, prior), otherRow = featuresOf(facts, other, target, prior);
    double sum = 0, squares = 0, count = double(trees.members());
    for (size_t member = 0; member < trees.members(); ++member) {
      double gain = trees.predict(member, Trees::Ranking, otherRow) - trees.predict(member, Trees::Ranking, row);
      sum += gain, squares += gain * gain;
    }
    double mean = sum / count, deviation = std::sqrt(std::max(squares / count - mean * mean, 0.0));
    return {mean, foreign * std::max(trees.rankingScale() * deviation, kNoise)};
  }

private:
  std::vector<float> featuresOf(const KernelFacts &facts, const NamedNumbers &schedule, const std::string &target, CostEstimate &prior) const {
    TargetUnits units = unitsOf(target);
    Machine trainedOn(usual, units);
    CostEstimate trainedPrior = estimateCost(facts, schedule, trainedOn);
    prior = estimateCost(facts, schedule, Machine(machine, units));
    std::vector<float> row;
    features::compute({facts, schedule, units, trainedOn, trainedPrior}, row);
    return row;
  }

  Trees trees;
  MachineRates usual; ///< what features are computed with, whatever the machine's speed is
  double foreign = 1;
};
} // namespace

Result<GpuEstimate> CostModel::predictGpu(const KernelFacts &, const GpuGrid &, const std::string &target) const {
  return Status(StatusCode::unsupported, "the cost model '" + kind() + "' has no measured rows for '" + target + "'; 'prior' answers for GPUs");
}

static Result<Trees> loadTrees(const std::string &file) {
  auto parse = [](std::string_view bytes) { return Trees::parse(bytes, "cpu", features::hash(), features::names().size()); };
  if (file.empty())
    return parse({permalloyTreesBegin, permalloyTreesEnd});
  auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer)
    return Status(StatusCode::notFound, file + ": " + buffer.getError().message());
  Result<Trees> trees = parse({(*buffer)->getBufferStart(), (*buffer)->getBufferSize()});
  return trees.ok() ? std::move(trees) : Result<Trees>(Status(trees.status().code(), file + ": " + trees.status().message()));
}

Result<std::unique_ptr<CostModel>> CostModel::make(const std::string &kind, const MachineRates &rates, const std::string &file) {
  if (kind == "prior")
    return std::unique_ptr<CostModel>(std::make_unique<PriorModel>(rates));
  if (kind != "trees")
    return Status(StatusCode::invalidArgument, "unknown cost model '" + kind + "'; there are prior and trees, and FILE.trees");
  Result<Trees> trees = loadTrees(file);
  if (!trees.ok())
    return trees.status();
  return std::unique_ptr<CostModel>(std::make_unique<TreesModel>(rates, std::move(*trees)));
}
