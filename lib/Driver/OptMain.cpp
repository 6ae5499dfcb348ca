//===- OptMain.cpp - the entry of `permalloy-opt` ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Driver/Driver.h"

#include "WeightPaths.h"

#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/ToolOutputFile.h"

namespace permalloy {

namespace {
/// Runs before the user's passes, on text whose weights lie in files beside it.
struct ResolveWeightPaths
    : mlir::PassWrapper<ResolveWeightPaths, mlir::OperationPass<mlir::ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ResolveWeightPaths)
  explicit ResolveWeightPaths(std::string path) : path(std::move(path)) {}
  void runOnOperation() override { resolveWeightPaths(getOperation(), path); }
  std::string path;
};
} // namespace

/// mlir-opt's main, with one more pass in front where the text names files.
static llvm::LogicalResult optMain(int argc, char **argv, mlir::DialectRegistry &registry) {
  auto [input, output] =
      mlir::registerAndParseCLIOptions(argc, argv, "Permalloy pass driver\n", registry);
  mlir::MlirOptMainConfig config = mlir::MlirOptMainConfig::createFromCLOptions();
  if (config.shouldShowDialects() || config.shouldListPasses())
    return mlir::MlirOptMain(argc, argv, input, output, registry);
  std::string error;
  std::unique_ptr<llvm::MemoryBuffer> buffer = mlir::openInputFile(input, &error);
  std::unique_ptr<llvm::ToolOutputFile> file = mlir::openOutputFile(output, &error);
  if (!buffer || !file) {
    llvm::errs() << error << "\n";
    return llvm::failure();
  }
  if (input != "-" && buffer->getBuffer().contains("#tfm.file<"))
    config.setPassPipelineSetupFn([original = config, path = input](mlir::PassManager &passes) {
      passes.addPass(std::make_unique<ResolveWeightPaths>(path));
      return original.setupPassPipeline(passes);
    });
  if (llvm::failed(mlir::MlirOptMain(file->os(), std::move(buffer), registry, config)))
    return llvm::failure();
  file->keep();
  return llvm::success();
}

int permalloyOptMain(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  registerAllPasses();
  return mlir::asMainReturnCode(optMain(argc, argv, registry));
}

} // namespace permalloy
