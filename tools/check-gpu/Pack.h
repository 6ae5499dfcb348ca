//===- Pack.h - what scripts/pack-gpu wrote ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A folder with compiled models, .npy files, and pack.txt, one entry a line, fields apart by tabs. Lines that say more about an
// entry follow it:
//
//   permalloy-gpu-pack  1
//   commit  0123abc
//   peak    90  f32 66900  bf16 989400  int8 1978900  hbm 3352     GFLOP/s and GB/s of a compute capability
//   case    bert-bf16  bert-bf16.alloy
//   check   cosine  0.999                     runs the inputs and compares each output with its file
//   input   input_ids  input_ids.npy
//   output  last_hidden_state  expected.npy
//   time    4096 x 4096 x 4096  bf16  1.37e11  1.0e8      what is timed: unit, FLOPs, bytes that memory must move
//   random  x  4096,4096                      multiples of 1/16 in [-1, 1), or integers below a limit in the next field
//   fill    mask  1,128  1
//   product 4096 4096 4096                    m, n, k of a product that the peer is asked for, too
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TOOLS_CHECK_GPU_PACK_H
#define PERMALLOY_TOOLS_CHECK_GPU_PACK_H

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace permalloy::checkgpu {

/// A tensor in a file.
struct File {
  std::string name, path;
};
/// A tensor that is made up.
struct Made {
  std::string name;
  std::vector<int64_t> dims;
  bool isRandom = true;
  double value = 0; ///< of `fill`, or the limit of random integers
};

struct Check {
  std::string metric; ///< "relative": the largest difference by the largest magnitude; "cosine": the least of the outputs
  double limit = 0;
  std::vector<File> inputs, outputs;
};

struct Timing {
  std::string label, unit;
  double flops = 0, bytes = 0;
  std::vector<Made> inputs;
  std::vector<int64_t> product; ///< m, n, k; empty: there is no peer
};

struct Case {
  std::string name, artifact;
  std::vector<Check> checks;
  std::vector<Timing> timings;
};

struct Pack {
  std::string folder, commit;
  std::map<int, std::map<std::string, double>> peaks; ///< by 10 * major + minor of the compute capability
  std::vector<Case> cases;

  /// Reads folder/pack.txt; false with `error` filled in.
  bool read(const std::string &folder, std::string &error);
};

/// A dense array of numpy's format, in C order.
struct Array {
  std::string descr; ///< "<f4"
  std::vector<int64_t> dims;
  std::vector<char> bytes;
};
bool readNpy(const std::string &path, Array &array, std::string &error);

} // namespace permalloy::checkgpu

#endif // PERMALLOY_TOOLS_CHECK_GPU_PACK_H
