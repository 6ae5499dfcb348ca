//===- Gpu.h - the GPUs of this machine and their memory ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_GPU_H
#define PERMALLOY_RUNTIME_GPU_H

#include "permalloy/Artifact/Status.h"
#include "permalloy/Runtime/Memory.h"

#include <memory>
#include <string>
#include <vector>

namespace permalloy {

/// A GPU that NVIDIA's driver shows to this process.
struct GpuInfo {
  int number = 0;     ///< of cuda:0
  std::string name;   ///< "NVIDIA H100 80GB HBM3"
  int capability = 0; ///< compute capability, 10 * major + minor
  /// "cuda:0 (NVIDIA H100 80GB HBM3, compute capability 9.0)".
  std::string text() const;
};

/// All of them; an error of StatusCode::noDevice where there is no driver, it is too old, or it finds none.
Result<std::vector<GpuInfo>> listGpus();
/// GPU `number`; an error lists what there is.
Result<GpuInfo> findGpu(int number);

/// Memory of a GPU, aligned to 256 bytes, with undefined contents; freed with its owner.
Result<std::shared_ptr<void>> allocateOnGpu(int number, uint64_t bytes);
/// Waits for the legacy default stream of a GPU.
Status waitForGpu(int number);
/// Copies between the memory of this process and that of one GPU, or within either; done when it returns. Work of the legacy default
/// stream is done before.
Status copyMemory(const TensorMemory &to, const TensorMemory &from, uint64_t bytes);

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_GPU_H
