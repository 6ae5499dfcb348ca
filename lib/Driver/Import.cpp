//===- Import.cpp - `permalloy import`, and models for all commands --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Commands.h"
#include "CrashReport.h"
#include "ImportModel.h"
#include "Report.h"
#include "WeightPaths.h"

#include "permalloy/Driver/Driver.h"
#include "permalloy/Import/Import.h"
#include "permalloy/Runtime/ThreadPool.h"
#include "permalloy/Support/Files.h"

#include "mlir/Parser/Parser.h"

namespace permalloy {

ToolContext::ToolContext(unsigned jobs) {
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  context = std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
  unsigned threads = jobs ? jobs : static_cast<unsigned>(availableCpus());
  if (threads > 1) {
    pool = std::make_unique<llvm::DefaultThreadPool>(llvm::hardware_concurrency(threads));
    context->setThreadPool(*pool);
  }
  diagnostics = reportDiagnostics(*context);
}

ToolContext::~ToolContext() = default;

static mlir::OwningOpRef<mlir::ModuleOp> parseMlir(const std::string &path,
                                                   const std::vector<std::string> &dims,
                                                   mlir::MLIRContext &context) {
  if (!dims.empty()) {
    fail("--dim is for ONNX models; '" + path + "' is MLIR, whose dimensions are fixed");
    return nullptr;
  }
  if (Result<std::vector<std::byte>> start = readFileStart(path, 1); !start.ok()) {
    fail(start.status());
    return nullptr;
  }
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceFile<mlir::ModuleOp>(path, &context);
  if (module)
    resolveWeightPaths(*module, path);
  return module;
}

mlir::OwningOpRef<mlir::ModuleOp> importModel(const std::string &path,
                                              const std::vector<std::string> &dims,
                                              mlir::MLIRContext &context) {
  if (llvm::StringRef(path).ends_with(".mlir"))
    return parseMlir(path, dims, context);
  ImportOptions options;
  for (const std::string &text : dims) {
    std::string error;
    std::optional<DimRange> range = parseDimRange(text, error);
    if (!range) {
      fail("--dim " + text + ": " + error);
      return nullptr;
    }
    options.dims.push_back(*range);
  }
  return importOnnx(path, context, options);
}

int runImport(const ImportCommand &command) {
  CrashReport crash("import");
  ToolContext context(1);
  mlir::OwningOpRef<mlir::ModuleOp> module =
      importModel(command.model, command.dims, context.get());
  if (!module)
    return 1;
  if (command.output != "-")
    relateWeightPaths(*module, command.output);
  Status status = writeText(command.output, [&](llvm::raw_ostream &os) -> Status {
    module->print(os, mlir::OpPrintingFlags().enableDebugInfo());
    os << "\n";
    return {};
  });
  return status.ok() ? 0 : fail(status);
}

} // namespace permalloy
