//===- FakeThreads.h - threads of a block that work together ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_RUNTIME_CUDA_FAKETHREADS_H
#define PERMALLOY_TEST_RUNTIME_CUDA_FAKETHREADS_H

#include "permalloy/Runtime/CodeImage.h"

#include <string>

namespace permalloy::fakecuda {

/// Runs a kernel of one thread (FakeImage::isThread) on the machine of the code generator's tests, or says what went wrong. In
/// a build without the compiler there is no such machine, which is what it says then.
std::string runThreads(KernelFunction kernel, void *const *buffers, const int64_t *scalars, int64_t blocks, unsigned threads,
                       size_t sharedBytes, void *scratch);

} // namespace permalloy::fakecuda

#endif // PERMALLOY_TEST_RUNTIME_CUDA_FAKETHREADS_H
