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
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_BUDGETTRIAL_H
#define PERMALLOY_LIB_DRIVER_BUDGETTRIAL_H

#include "CompileModel.h"
#include "Model.h"

namespace permalloy {

/// A compiled form of the model, and the levels that its sites really have.
struct TrialProgram {
  OpenModel model;
  PrecisionPlan plan;
};

/// What one launch takes, and the model's nodes that it computes.
struct StepTime {
  std::vector<std::string> nodes;
  double us = 0;
};

/// The least times of turns: of all that a busy machine gives they are the nearest to what a quiet one does.
struct Latency {
  double us = 0, reference = 0; ///< of a run of this program, and of f32
  double ratio = 0;             ///< of the two
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
  /// The least time of each step over some runs.
  std::optional<std::vector<StepTime>> stepTimes(TrialProgram &program);
  std::optional<Latency> latency(TrialProgram &program);

private:
  using Feed = std::vector<NamedArray>;
  /// Rows of floats: log-probabilities of logits, else as they are.
  struct Rows {
    size_t output = 0;
    int64_t width = 0;
    std::vector<float> values;
  };
  bool readFeeds();
  std::optional<std::vector<Rows>> rowsOf(OpenModel &model, const Feed &feed);
  double divergenceOf(const Feed &feed, const Rows &actual, const Rows &expected) const;

  const CompileCommand &command;
  TrialProgram f32;
  std::vector<Feed> feeds; ///< one a sample
  std::vector<std::vector<Rows>> expected;
  bool logits = false;
};

} // namespace permalloy

#endif
