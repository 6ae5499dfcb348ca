//===- Profile.h - the time of each step and kernel --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_PROFILE_H
#define PERMALLOY_LIB_DRIVER_PROFILE_H

#include "Model.h"

namespace permalloy {

/// Runs the model a few times more and prints the median time of each step, and of all steps of
/// each kernel, with GFLOP/s and GB/s where the file has estimates of both.
Status printProfile(OpenModel &model, std::span<const NamedArray> inputs);

/// Median nanoseconds of each step over a few runs; before each, `between` is called.
Result<std::vector<double>> measureSteps(OpenModel &model, std::span<const NamedArray> inputs, const std::function<void()> &between = [] {});

/// Runs the model a few times more and writes when each step happened to `path`, as
/// permalloy/Runtime/Profile.h describes.
Status writeTrace(OpenModel &model, std::span<const NamedArray> inputs, const std::string &path);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_PROFILE_H
