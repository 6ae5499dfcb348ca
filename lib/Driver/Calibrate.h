//===- Calibrate.h - `--calibrate` for solvers -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_CALIBRATE_H
#define PERMALLOY_LIB_DRIVER_CALIBRATE_H

#include "CompileModel.h"

#include "permalloy/Solvers/WeightSolver.h"
#include "permalloy/Support/Files.h"

namespace permalloy {

/// A file of statistics (Transforms/Calibration.h), and the folder that goes with it where it is not kept.
struct StatisticsSource {
  std::string path;
  std::optional<TempFolder> folder;
};

/// Statistics of the inputs of the layers of `command.model`: those of --statistics where that file is there, else of running
/// --calibrate's samples through the model as compiled in f32. Kept in the file that --statistics names, else in
/// the cache, by content of model and samples; with --no-cache, as long as the result lives. Nothing after an error, which was
/// reported.
std::optional<StatisticsSource> calibrate(const CompileCommand &command, solvers::Statistics level);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_CALIBRATE_H
