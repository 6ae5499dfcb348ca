//===- UnpricedProgram.h - what prices of all targets begin with -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_PIPELINES_UNPRICEDPROGRAM_H
#define PERMALLOY_LIB_PIPELINES_UNPRICEDPROGRAM_H

#include "TunedSchedules.h"
#include "permalloy/Artifact/Writer.h"
#include "permalloy/Pipelines/Price.h"

namespace permalloy {

/// A program before its kernels have schedules of a target.
struct UnpricedProgram {
  /// As priceProgram; `module` has the kernels then.
  static Result<UnpricedProgram> of(mlir::ModuleOp module, const CompileOptions &options,
                                    const PriceRequest &request, CompileReport *report);

  /// Whether it has steps of If and Loop.
  bool hasBranches() const;

  artifact::ArtifactContents launches;
  TunedSchedules tuned;
  std::vector<int64_t> symbols; ///< of PriceRequest::sizes
};

/// The error of a program without a price.
inline Status noPrice(const std::string &what) { return Status(StatusCode::invalidArgument, what); }

} // namespace permalloy

#endif
