//===- Report.h - how the tools speak ----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_REPORT_H
#define PERMALLOY_LIB_DRIVER_REPORT_H

#include "permalloy/Artifact/Status.h"

#include "llvm/Support/raw_ostream.h"

#include <functional>
#include <string>
#include <vector>

namespace mlir {
class MLIRContext;
class ScopedDiagnosticHandler;
} // namespace mlir

namespace permalloy {

/// Prints "permalloy: error: ..." and returns 1, the exit code.
int fail(const std::string &message);
int fail(const Status &status);
/// Prints "permalloy: warning: ...".
void warn(const std::string &message);

/// Prints MLIR's diagnostics the same way, with the names of the model's nodes for locations.
std::unique_ptr<mlir::ScopedDiagnosticHandler> reportDiagnostics(mlir::MLIRContext &context);

/// Text in columns: the widest cell of each column decides, the last column is left ragged.
class Table {
public:
  explicit Table(std::string indent = "") : indent(std::move(indent)) {}
  void row(std::vector<std::string> cells) { rows.push_back(std::move(cells)); }
  /// Columns to align to the right, where numbers stand.
  void alignRight(std::vector<size_t> columns) { right = std::move(columns); }
  void print(llvm::raw_ostream &os) const;

private:
  std::string indent;
  std::vector<std::vector<std::string>> rows;
  std::vector<size_t> right;
};

/// Calls `print` with the standard output for "-", else with a file that appears complete or not at
/// all. A full disk or closed pipe is a failure.
Status writeText(const std::string &path, const std::function<Status(llvm::raw_ostream &)> &print);

/// Flushes the standard output; 1 with a message when what was printed could not be written.
int finishOutput(int code);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_REPORT_H
