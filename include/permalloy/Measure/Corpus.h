//===- Corpus.h - kernels of transformers without a model --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_MEASURE_CORPUS_H
#define PERMALLOY_MEASURE_CORPUS_H

#include "permalloy/Measure/Tuner.h"

#include <random>

namespace permalloy::measure {

/// Kernels of transformers of the usual widths, in random order and endless supply: linear layers with the epilogues that
/// fusion leaves, attention, norms and elementwise rows, in f32 and bf16; about one in four of random widths. Row counts are
/// those of decoding, of short and of long prompts, and log-uniform ones.
class Corpus {
public:
  Corpus(mlir::MLIRContext &context, uint64_t seed);
  ~Corpus();

  /// `count` more kernels, each with sizes to measure it at. They live as long as the corpus.
  std::vector<TuningTask> take(unsigned count);

private:
  TuningTask next();
  kern::KernelOp parse(const std::string &text);

  mlir::MLIRContext &context;
  std::mt19937_64 random;
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
};

} // namespace permalloy::measure

#endif // PERMALLOY_MEASURE_CORPUS_H
