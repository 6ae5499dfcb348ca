//===- StatisticsFile.h - where statistics stand in their file ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A file of the safetensors format, so that other tools read it: 8 bytes with the length of the header, the header, JSON padded
// with spaces to a multiple of 64 bytes in all, and the arrays, little-endian, each on a multiple of 64 bytes:
//
//   {"__metadata__": {"format": "permalloy-statistics-1", "model": HASH, "data": HASH, "runs": "128",
//                     "layers": "{\"node_linear\": \"node_linear\", \"node_linear_1\": \"node_linear\"}"},
//    "node_linear.gram": {"dtype": "F32", "shape": [384, 384], "data_offsets": [0, 589824]}, ...}
//
// `layers` says which value each layer reads. Arrays of a value: gram [K, K] (sum of x x^T; absent at level channel), absmax, mean and
// second [K], rows [1] of I64.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_TRANSFORMS_CALIBRATION_STATISTICSFILE_H
#define PERMALLOY_LIB_TRANSFORMS_CALIBRATION_STATISTICSFILE_H

#include "permalloy/Artifact/Status.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace permalloy {

inline constexpr const char *kStatisticsFormat = "permalloy-statistics-1";

struct StatisticsArray {
  std::string dtype; ///< "F32" or "I64"
  std::vector<int64_t> shape;
  uint64_t offset = 0, bytes = 0; ///< in the file
};

/// What the header says.
struct StatisticsIndex {
  std::map<std::string, StatisticsArray> arrays;
  std::map<std::string, std::string> layers; ///< the value that each reads

  /// Reads and checks the header of a file.
  static Result<StatisticsIndex> read(const std::string &path);
  const StatisticsArray *find(const std::string &value, const char *what) const;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_TRANSFORMS_CALIBRATION_STATISTICSFILE_H
