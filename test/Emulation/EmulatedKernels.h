//===- EmulatedKernels.h - GPU kernels as code for this CPU ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_EMULATION_EMULATEDKERNELS_H
#define PERMALLOY_TEST_EMULATION_EMULATEDKERNELS_H

namespace permalloy::test {

/// From here on the compiler of this process makes, in place of cubins, images that the fake driver runs on this CPU
/// (test/Runtime/Cuda/FakeCuda.h): the kernels that are emitted for the GPU, before they are lowered. So whole models run through
/// the artifact's device tables and the runtime's device without a GPU.
void emulateGpuKernels();

} // namespace permalloy::test

#endif // PERMALLOY_TEST_EMULATION_EMULATEDKERNELS_H
