//===- Calibration.h - what the inputs of layers look like -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Solvers of quantization and sparsity want statistics of what layers read on data that the model is made for. They come in
// three steps:
//
//   1. addCalibrationOutputs: a copy of the model returns the input of every linear layer instead of its own outputs. It is
//      compiled and run on all samples; StatisticsWriter keeps moments of each value, whose size does not depend on how many.
//   2. The moments stand in a file of their own, which is kept: docs/calibration.md has its format.
//   3. attachStatistics: each linear layer of the model gets the names of the weights that are its statistics, regions of that
//      file. What quantizes or prunes the layer takes them as operands, like any weight.
//
// Layers are told apart by their ONNX nodes, "node_linear", and the second and third of one node as "node_linear#1", "#2". Step 1
// and 3 must see the same module: as it is after fusion.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TRANSFORMS_CALIBRATION_H
#define PERMALLOY_TRANSFORMS_CALIBRATION_H

#include "permalloy/Artifact/OutputFile.h"
#include "permalloy/Solvers/Moments.h"
#include "permalloy/Solvers/WeightSolver.h"
#include "Tfm/Tfm.h"
#include "mlir/IR/BuiltinOps.h"

#include <memory>
#include <string>
#include <vector>

namespace permalloy {

/// A value that layers read.
struct CalibrationValue {
  std::string output;              ///< its name as a graph output
  std::vector<std::string> layers; ///< that read it; the first names it in the file
  int64_t k = 0;                   ///< its last dimension
};

/// Makes @main return the inputs of its linear layers with weights, each value once and as f32, and nothing else. Layers in
/// branches and in bodies of loops are left out. Fails where there is no such layer.
llvm::FailureOr<std::vector<CalibrationValue>> addCalibrationOutputs(mlir::ModuleOp module);

/// Writes the file of statistics while they are collected: they live in the file, mapped, and it appears when it is complete.
class StatisticsWriter {
public:
  /// What the statistics are of. Goes into the file; no paths, no times.
  struct Origin {
    std::string model, data; ///< content hashes
    int64_t runs = 0;
  };
  /// Grams are kept where `level` is gram.
  static Result<std::unique_ptr<StatisticsWriter>> create(const std::string &path, std::vector<CalibrationValue> values,
                                                          solvers::Statistics level, const Origin &origin);

  const std::vector<CalibrationValue> &values() const { return all; }
  /// Adds x [rows][k] of value `index`.
  void add(size_t index, const float *x, int64_t rows) { moments[index].add(x, rows); }
  Status finish();

private:
  StatisticsWriter() = default;
  std::vector<CalibrationValue> all;
  std::vector<solvers::Moments> moments;
  struct Places {
    float *gram, *absmax, *mean, *second;
    int64_t *rows;
  };
  std::vector<Places> places;
  artifact::OutputFile file;
};

/// Gives the linear layers of @main that the statistics at `path` know kGramAttr (where there is a gram) and kSecondAttr (Levels.h),
/// and the module the weights that these name. Emits an error where the file is none, or of another model.
llvm::LogicalResult attachStatistics(mlir::ModuleOp module, llvm::StringRef path);

} // namespace permalloy

#endif // PERMALLOY_TRANSFORMS_CALIBRATION_H
