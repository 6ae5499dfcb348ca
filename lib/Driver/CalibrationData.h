//===- CalibrationData.h - samples for a model, a few at a time --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// An .npz file with one array for each input of the model, of all samples. How an array is cut into runs follows from its shape:
//
//   the input's rank, first dimension dynamic and the batch    [samples, ...]: several samples a run
//   the input's rank, first dimension fixed at b               [runs * b, ...]: b a run; [b, ...] is the same for all runs
//   one dimension more than the input                          [runs, ...]: one a run
//   the input's rank, first dimension dynamic, not the batch   the same for all runs
//
// The batch is what InputRoles.h says, or else the first dimension of the first input.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_DRIVER_CALIBRATIONDATA_H
#define PERMALLOY_LIB_DRIVER_CALIBRATIONDATA_H

#include "permalloy/Artifact/Format.h"
#include "permalloy/Support/Npy.h"

namespace permalloy {

/// An error that names the first sample with a NaN in `input`, which stands in the file `path` from the sample `first` on.
Status refuseNaN(const std::string &path, const NamedArray &input, int64_t first = 0);

class CalibrationData {
public:
  /// Opens the file and fits its arrays to the inputs, all of which must be there.
  static Result<CalibrationData> open(const std::string &path, const artifact::Manifest &manifest);

  int64_t runs() const { return count; }
  /// Inputs of the next run in the manifest's order; at most runs() times.
  Result<std::vector<NamedArray>> next();

private:
  /// Where an input comes from.
  struct Source {
    std::string name;
    size_t entry = 0;
    artifact::DType dtype = artifact::DType::f32;
    int64_t step = 0;         ///< rows of the array a run; 0: all of it in each
    bool batched = false;     ///< the step is ours to choose
    bool dropsAxis = false;   ///< the array has one dimension more than the input
    std::vector<std::byte> whole; ///< where step is 0
  };
  CalibrationData(NpzStream stream, std::string path) : stream(std::move(stream)), path(std::move(path)) {}
  Status fit(const artifact::TensorInfo &input, bool isBatch);
  Status agree();

  NpzStream stream;
  std::string path;
  std::vector<Source> sources;
  int64_t count = 1, done = 0;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_CALIBRATIONDATA_H
