//===- Validate.h - is every index, size and name of an artifact sound? ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_ARTIFACT_VALIDATE_H
#define PERMALLOY_ARTIFACT_VALIDATE_H

#include "permalloy/Artifact/Format.h"
#include "permalloy/Artifact/Status.h"

namespace permalloy::artifact {

/// Checks everything that does not depend on run-time shapes: known enumerators, indices in range,
/// expressions in order, one binding per symbol, unique names, counts that agree between launches
/// and kernels, weights inside their section. The runtime calls it at open, the writer before
/// writing. `weightsSize` is the size of the weights section in bytes.
Status validate(const Manifest &manifest, const Program &program, uint64_t weightsSize);

/// The same for what a program needs on GPUs; `codeSizes` are the sizes of the device code sections in bytes. A file must have
/// code for some target, of either kind.
Status validateDevices(const DeviceTables &devices, const Program &program, std::span<const uint64_t> codeSizes);

} // namespace permalloy::artifact

#endif // PERMALLOY_ARTIFACT_VALIDATE_H
