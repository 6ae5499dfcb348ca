//===- Kernel.h - one kernel of ours, compiled and opened --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A kernel is measured as users get it: a graph of one operation goes through the compiler, and what
// the runtime says its step took is the time. So nothing here knows how kernels are emitted.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_BENCHMARKS_KERNELS_KERNEL_H
#define PERMALLOY_BENCHMARKS_KERNELS_KERNEL_H

#include "Memory.h"
#include "permalloy-c/permalloy.h"

#include <memory>
#include <string>
#include <vector>

namespace permalloy::benchmarks {

/// An input or output: its name and sizes.
struct Argument {
  const char *name;
  std::vector<int64_t> dims;
  Element element;
};

/// A compiled graph of one operation with memory for its inputs and outputs.
class Kernel {
public:
  /// Compiles the text of a module in `tfm`, or takes what an earlier run compiled from the same
  /// text with the same compiler. Ends the process with the compiler's message when it is refused.
  Kernel(const std::string &module, const std::vector<Argument> &inputs, const Argument &output);
  ~Kernel();
  Kernel(const Kernel &) = delete;
  Kernel &operator=(const Kernel &) = delete;

  /// Runs once; seconds that its steps took, without what a run does before and after them.
  double run();
  const Memory &input(size_t index) const { return memory[index]; }
  /// The result of the last run, as floats.
  std::vector<float> output() const { return memory.back().floats(); }

private:
  permalloy_session *session = nullptr;
  std::vector<Memory> memory; // of the inputs, then of the output
  std::vector<permalloy_tensor> tensors;
  std::vector<int64_t> nanoseconds;
};

} // namespace permalloy::benchmarks

#endif // PERMALLOY_BENCHMARKS_KERNELS_KERNEL_H
