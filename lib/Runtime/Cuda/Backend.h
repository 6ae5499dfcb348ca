//===- Backend.h - sessions on a GPU -----------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_RUNTIME_CUDA_BACKEND_H
#define PERMALLOY_LIB_RUNTIME_CUDA_BACKEND_H

#include "permalloy/Runtime/Backend.h"

namespace permalloy::cuda {

/// GPU `number` with the code and weights of `artifact`. `stream`: SessionOptions::stream. Fails
/// with StatusCode::noDevice where there is no driver, no such GPU, or no code for it.
Result<std::shared_ptr<Backend>> openBackend(std::shared_ptr<const Artifact> artifact, int number,
                                             void *stream);

} // namespace permalloy::cuda

#endif // PERMALLOY_LIB_RUNTIME_CUDA_BACKEND_H
