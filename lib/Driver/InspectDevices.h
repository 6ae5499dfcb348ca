//===- InspectDevices.h - what a compiled model has for GPUs -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_INSPECTDEVICES_H
#define PERMALLOY_LIB_DRIVER_INSPECTDEVICES_H

#include "permalloy/Runtime/Artifact.h"

#include "llvm/Support/raw_ostream.h"

namespace permalloy {

/// "sm_80  412 KB of code: PTX, cubins" for each device target.
std::vector<std::string> deviceTexts(const Artifact &artifact);

/// How kernel `index` runs on a device target: "form tensor, 128 threads, block_columns=64 ...", from the first line of its PTX.
std::string formText(const Artifact &artifact, size_t target, size_t index);
/// The kernels of each device target with their forms, a line each.
void printDeviceKernels(const Artifact &artifact, llvm::raw_ostream &os);

/// Writes the PTX of every kernel for the device target `name` (empty: the newest), or with `sass` the machine code in its cubins,
/// which NVIDIA's nvdisasm (found in PATH, by $CUDA_HOME or in /usr/local/cuda/bin) disassembles.
Status emitDeviceCode(const Artifact &artifact, const std::string &name, bool sass, llvm::raw_ostream &os);

} // namespace permalloy

#endif // PERMALLOY_LIB_DRIVER_INSPECTDEVICES_H
