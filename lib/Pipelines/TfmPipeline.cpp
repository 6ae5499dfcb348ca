//===- TfmPipeline.cpp - from imported tfm to fused tfm ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Pipelines/TfmPipeline.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"
#include "permalloy/Transforms/Passes.h"

using namespace mlir;
using namespace permalloy;

void permalloy::buildTfmPipeline(OpPassManager &manager, const TfmPipelineOptions &options) {
  OpPassManager &functions = manager.nest<func::FuncOp>();
  auto tidy = [&] {
    functions.addPass(createCanonicalizerPass());
    functions.addPass(createCSEPass());
  };

  // 1. Shape arithmetic becomes attributes, so that everything below sees dimensions rather than
  // tensors of them.
  functions.addPass(createResolveShapes());
  tidy();
  functions.addPass(createUnifyDims());
  // 2. Masks: facts about iotas, gathers in disguise, broadcasts that were only there to line
  // shapes up. Each uncovers work for
  //    the one before it: a gather that became a reshape shows a bool that is true everywhere.
  functions.addPass(createFoldConstants());
  if (options.raise)
    functions.addPass(createRaiseGather());
  functions.addPass(createSimplifyIndexing());
  functions.addPass(createFoldConstants());
  functions.addPass(createSinkBroadcasts());
  tidy();
  functions.addPass(createFoldQdq());
  // 3. Norms, rotary embeddings and activations are raised as they were written, before layout moves a number of theirs.
  if (options.raise) {
    functions.addPass(createRaiseLayerNorm());
    functions.addPass(createRaiseRmsNorm());
    functions.addPass(createRaiseRotary());
    functions.addPass(createRaiseGelu());
    functions.addPass(createRaiseSilu());
  }
  // 4. Layout: K^T and the like as one transpose, numbers below it, where the attention matcher
  // looks for them.
  functions.addPass(createSimplifyLayout());
  tidy();
  auto nameDataSizes = [&] {
    functions.addPass(createNameDataSizes());
    functions.addPass(createResolveShapes());
    tidy();
  };
  if (!options.raise)
    return nameDataSizes();
  // 5. Gelus are there to become the activation of their linear layer; attention takes the outputs
  // of linear layers.
  functions.addPass(createRaiseLinear());
  functions.addPass(createRaiseAttention());
  // 6. What was between the parts: splits and merges of heads, rows of Gemm layers; then
  // groups of heads that are now seen to repeat, and activations that now touch their layer.
  functions.addPass(createSimplifyLayout());
  functions.addPass(createRaiseAttention());
  functions.addPass(createSinkBroadcasts());
  functions.addPass(createRaiseLinear());
  functions.addPass(createFoldConstants());
  tidy();
  // Experts are last of all: a matcher of many operations wants them as simple as they get.
  functions.addPass(createRaiseMoe());
  // 7. Sizes that depend on data, once nothing is left to raise: raising removes most of them.
  nameDataSizes();
  // 8. Transposes that are left on weights are carried out once, when the artifact is written.
  manager.addPass(createFoldWeights());
  // 9. What is then seen to be one weight is stored once.
  manager.addPass(createTieEmbeddings());
  manager.addNestedPass<func::FuncOp>(createCSEPass());
  // 10. Padding, last of all: it works on what everything else has raised.
  if (options.packPadding) {
    manager.addNestedPass<func::FuncOp>(createPackPadding());
    manager.addNestedPass<func::FuncOp>(createCanonicalizerPass());
    manager.addNestedPass<func::FuncOp>(createCSEPass());
  }
  // 11. Fewer tokens, in the blocks that are left with all of theirs.
  if (!options.mergeTokens.empty() || !options.tokenPlan.empty()) {
    PlanTokenReductionOptions plan;
    plan.merge = options.mergeTokens;
    plan.plan = options.tokenPlan;
    plan.score = options.tokenScore;
    plan.protect = options.protectTokens;
    ApplyTokenReductionOptions apply;
    apply.sizes = options.tokenSizes;
    manager.addNestedPass<func::FuncOp>(createPlanTokenReduction(plan));
    manager.addNestedPass<func::FuncOp>(createApplyTokenReduction(apply));
    manager.addNestedPass<func::FuncOp>(createCanonicalizerPass());
    manager.addNestedPass<func::FuncOp>(createCSEPass());
  }
}

void permalloy::registerTfmPipeline() {
  PassPipelineRegistration<TfmPipelineOptions>("tfm-pipeline", "clean up and fuse imported tfm",
                                               buildTfmPipeline);
}
