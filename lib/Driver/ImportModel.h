//===- ImportModel.h - a model as a module -----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_IMPORTMODEL_H
#define PERMALLOY_LIB_DRIVER_IMPORTMODEL_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/Support/ThreadPool.h"

#include <string>
#include <vector>

namespace permalloy {

/// A context with every dialect, whose threads are as many as the user wants and whose diagnostics
/// read like the tools' own.
class ToolContext {
public:
  /// `jobs` 0: as many as this process may use.
  explicit ToolContext(unsigned jobs);
  ~ToolContext();

  mlir::MLIRContext &get() { return *context; }

private:
  std::unique_ptr<llvm::ThreadPoolInterface> pool;
  std::unique_ptr<mlir::MLIRContext> context;
  std::unique_ptr<mlir::ScopedDiagnosticHandler> diagnostics;
};

/// The model at `path`: ONNX, or MLIR text where it ends in .mlir. Dimensions of ONNX models are
/// fixed and narrowed by `dims` ("batch=4", "batch=1..32"). Null after an error, which was
/// reported.
mlir::OwningOpRef<mlir::ModuleOp> importModel(const std::string &path,
                                              const std::vector<std::string> &dims,
                                              mlir::MLIRContext &context);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_IMPORTMODEL_H
