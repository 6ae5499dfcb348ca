//===- permalloy-emulated.cpp - `permalloy` for a GPU that is not there -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The command line of `permalloy`, but for the machine code of GPU kernels: see EmulatedKernels.h. With
// PERMALLOY_LIBCUDA=.../libpermalloy_fake_gpu.so models run on cuda:0.
//
//===----------------------------------------------------------------------===//
#include "EmulatedKernels.h"
#include "permalloy/Driver/Driver.h"

int main(int argc, char **argv) {
  permalloy::test::emulateGpuKernels();
  return permalloy::permalloyMain(argc, argv);
}
