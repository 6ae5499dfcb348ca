//===- CrashReport.h - what is left of a compiler that crashed ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_CRASHREPORT_H
#define PERMALLOY_LIB_DRIVER_CRASHREPORT_H

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace permalloy {

/// While it lives, a crash in any thread (a bad access, an abort, a fatal error of LLVM's) says so
/// in one line, writes the imported module into the current folder, or $TMPDIR or /tmp where that
/// cannot be written, and ends the process with exit code 70. `permalloy compile` takes the file as
/// it takes a model. MLIR's own reproducers see crashes of passes only, and also write a file for
/// every error of the user's.
class CrashReport {
public:
  /// Begins before import; `options` are the command line's.
  explicit CrashReport(const std::string &options);
  ~CrashReport();

  /// From now on the reproducer is `module` as it is now.
  void remember(mlir::ModuleOp module);
};

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_CRASHREPORT_H
