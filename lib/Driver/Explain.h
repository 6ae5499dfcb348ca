//===- Explain.h - where a model's time goes, and why ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_EXPLAIN_H
#define PERMALLOY_LIB_DRIVER_EXPLAIN_H

#include "permalloy/Pipelines/Price.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <map>
#include <optional>

namespace permalloy {

/// What `permalloy explain` has to say, however it is printed (docs/explain.md has the fields of the JSON form).
struct Explanation {
  std::string file, target;
  std::string precision; ///< "f32", "bf16", "tf32", "auto", with "+w8" behind it what --quantize or --sparsify asked for, or "plan"
  std::map<std::string, int64_t> sizes;
  ProgramPrice price;
  /// Median microseconds of every step of the program, steps of `price` among them; empty: not measured.
  std::vector<double> measured;
  std::string plan; ///< JSON; empty: every layer as the model has it
  std::string note; ///< what is not said, and why

  double measuredUs() const;
};

/// Launches of one kernel at the same sizes and with the same schedule, in the order of their time.
struct KernelSum {
  const LaunchPrice *first = nullptr;
  std::vector<const LaunchPrice *> launches;
  double us = 0, measuredUs = 0;
};
std::vector<KernelSum> sumsOf(const Explanation &explanation);

/// Share of the peak of what binds the launch (its unit, or the bandwidth of the level) that it reaches in `us`.
double shareOfPeak(const LaunchPrice &launch, const MachineRates &rates, double us);

/// The same, of whatever the launch runs on.
double shareOfPeak(const LaunchPrice &launch, const ProgramPrice &price, double us);

void printText(const Explanation &explanation, llvm::raw_ostream &os);
/// The parts of a text about a GPU (ExplainDevices.cpp): its limits, and a table of kernels with their grids.
void printDevice(const Explanation &explanation, llvm::raw_ostream &os);
void printDeviceKernels(const Explanation &explanation, llvm::raw_ostream &os);
/// Fields of the JSON form: of the device, and of a launch on it.
void writeDevice(llvm::json::OStream &out, const GpuRates &rates);
void writeGrid(llvm::json::OStream &out, const GpuPrice &price);
std::string toJson(const Explanation &explanation);
/// One file without references: the JSON form in a page that draws it.
std::string toHtml(const Explanation &explanation);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_EXPLAIN_H
