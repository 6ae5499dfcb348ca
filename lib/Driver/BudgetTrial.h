//===- BudgetTrial.h - forms of a model, judged ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Compiles a model with plans and measures what became of it, beside strict f32, on calibration inputs:
//
//   divergence   how far the outputs are from those of f32, per row (last axis), the mean over all rows and samples. Of an
//                output named "logits": the Kullback-Leibler divergence in nats, so exp(divergence) - 1 is how much the
//                perplexity rises on text that the f32 model itself would write. Of others: 1 - cosine. Rows that an
//                attention_mask hides do not count; with logits, other outputs do not either.
//   latency      of one sample (the first), one thread, in turns with f32
//   prices       what the cost model says of each step at the sizes of the first sample
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_BUDGETTRIAL_H
#define PERMALLOY_LIB_DRIVER_BUDGETTRIAL_H

#include "CompileModel.h"
#include "Model.h"

#include "permalloy/Pipelines/KernelMemo.h"

namespace permalloy {

/// A compiled form of the model, and the levels that its sites really have.
struct TrialProgram {
  OpenModel model;
  PrecisionPlan plan;
};

/// What one step takes in microseconds, and the model's nodes that it computes.
struct StepTime {
  std::vector<std::string> nodes;
  double predicted = 0; ///< by the cost model; of a step that it cannot price, what was measured
  double measured = 0;  ///< 0: was not
};

/// The launches of a program that was priced, as steps.
std::vector<StepTime> stepsOf(const ProgramPrice &price);
/// For PriceRequest::sizes: values of the manifest's symbols where the model's inputs are `feed`, 1
/// of those that only a run tells.
std::vector<int64_t> symbolValues(const artifact::Manifest &manifest,
                                  llvm::ArrayRef<NamedArray> feed);
/// The cost model that --cost-model names, "trees" where it names none, for this machine, whose rates
/// are measured once.
Result<std::unique_ptr<CostModel>> costModelOf(const CompileSettings &settings);

/// The steps of a form that was not compiled, and the levels of its sites.
struct PricedForm {
  std::vector<StepTime> steps;
  PrecisionPlan plan;
};

/// Medians over turns of this program and f32, one after the other: what slows the machine down meets both.
struct Latency {
  double us = 0, reference = 0; ///< of a run of this program, and of f32
  double ratio = 0;             ///< median of the turns' ratios
  double low = 0, high = 0;     ///< interval of `ratio` (Statistics.h)
};

class BudgetTrial {
public:
  explicit BudgetTrial(const CompileCommand &command) : command(command) {}

  /// Compiles f32, reads the calibration inputs and makes the reference. False after an error, which was reported.
  bool open();
  TrialProgram &reference() { return f32; }
  unsigned samples() const { return feeds.size(); }
  /// Whether divergences are of logits.
  bool hasLogits() const { return logits; }
  /// What of the quality is lost at a divergence, as --max-drop counts it: the rise of perplexity, or 1 - cosine.
  double dropOf(double divergence) const;

  /// File of statistics for solvers that read them; may be empty.
  std::string statistics;

  /// Nothing after an error, which was reported.
  std::optional<TrialProgram> compile(const PrecisionRequest &request) const;
  std::optional<double> divergence(TrialProgram &program, unsigned samples);
  /// Launches that the cost model prices, by the first sample's sizes.
  std::optional<PricedForm> price(const PrecisionRequest &request) const;
  /// All steps of `program`, which is what `request` asked for: its prices, and the least times over some runs. The last is what
  /// a run takes beside its steps; f32 has to be measured first, which says what to expect of that.
  std::optional<std::vector<StepTime>> stepTimes(TrialProgram &program, const PrecisionRequest &request);
  /// Of the cost model: "trees"
  std::string costModel() const { return model->kind(); }
  std::optional<Latency> latency(TrialProgram &program);
  /// Of what `request` asks for, it and f32 compiled and loaded anew, so that they lie elsewhere in
  /// memory: a measurement that shares nothing with earlier ones.
  std::optional<Latency> latencyAnew(const PrecisionRequest &request) const;

private:
  using Feed = std::vector<NamedArray>;
  /// Rows of floats: log-probabilities of logits, else as they are.
  struct Rows {
    size_t output = 0;
    int64_t width = 0;
    std::vector<float> values;
  };
  bool readFeeds();
  std::optional<ProgramPrice> priceOf(const PrecisionRequest &request, PrecisionPlan *plan) const;
  std::optional<std::vector<Rows>> rowsOf(OpenModel &model, const Feed &feed);
  double divergenceOf(const Feed &feed, const Rows &actual, const Rows &expected) const;

  const CompileCommand &command;
  mutable KernelMemo memo;
  double betweenUs = 0; ///< what a run of f32 takes beside its steps; known once they were measured
  TrialProgram f32;
  std::unique_ptr<CostModel> model;
  std::vector<Feed> feeds; ///< one a sample
  std::vector<std::vector<Rows>> expected;
  bool logits = false;
};

} // namespace permalloy

#endif
