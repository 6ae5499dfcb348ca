//===- TfmPipeline.h - from imported tfm to fused tfm ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_PIPELINES_TFMPIPELINE_H
#define PERMALLOY_PIPELINES_TFMPIPELINE_H

#include "mlir/Pass/PassOptions.h"

namespace mlir {
class OpPassManager;
} // namespace mlir

namespace permalloy {

struct TfmPipelineOptions : mlir::PassPipelineOptions<TfmPipelineOptions> {
  Option<bool> raise{*this, "raise",
                     llvm::cl::desc("rebuild layer_norm, gelu, linear and attention"),
                     llvm::cl::init(true)};
  Option<bool> packPadding{*this, "pack-padding",
                           llvm::cl::desc("compute the real tokens of padded batches only"),
                           llvm::cl::init(false)};
  Option<std::string> mergeTokens{*this, "merge-tokens", llvm::cl::desc("tokens that each encoder block gives up; empty: none")};
  Option<std::string> tokenPlan{*this, "token-plan", llvm::cl::desc("file of a plan, instead of one schedule")};
  Option<std::string> tokenScore{*this, "token-score", llvm::cl::desc("what chooses them"), llvm::cl::init("tome")};
  Option<int64_t> protectTokens{*this, "protect-tokens", llvm::cl::desc("leading tokens that stay alone; -1: found"), llvm::cl::init(-1)};
  Option<bool> tokenSizes{*this, "token-sizes", llvm::cl::desc("attention counts a merged token as many"), llvm::cl::init(true)};
};

/// Clean-up and fusion of a module as imported: `tfm` in, `tfm` out.
void buildTfmPipeline(mlir::OpPassManager &manager, const TfmPipelineOptions &options);
/// Makes the pipeline known as `--tfm-pipeline`.
void registerTfmPipeline();

} // namespace permalloy

#endif
