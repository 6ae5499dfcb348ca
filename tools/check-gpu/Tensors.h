//===- Tensors.h - values of tensors, and how far apart they are -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TOOLS_CHECK_GPU_TENSORS_H
#define PERMALLOY_TOOLS_CHECK_GPU_TENSORS_H

#include "Pack.h"

#include "permalloy-c/permalloy.h"

#include <string>
#include <vector>

namespace permalloy::checkgpu {

/// The elements as numbers; `descr` as in .npy files.
std::vector<double> toNumbers(const Array &array);
std::vector<double> toNumbers(const permalloy_tensor &tensor);

/// `made` in the elements of `dtype`: the same bytes each time.
std::vector<char> makeBytes(const Made &made, permalloy_dtype dtype);

/// Largest difference by the largest magnitude of what is expected; cosine of the angle between the two. NaN where sizes differ or a
/// value is none.
double relativeError(const std::vector<double> &actual, const std::vector<double> &expected);
double cosine(const std::vector<double> &actual, const std::vector<double> &expected);

} // namespace permalloy::checkgpu

#endif // PERMALLOY_TOOLS_CHECK_GPU_TENSORS_H
