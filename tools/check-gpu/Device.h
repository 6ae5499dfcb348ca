//===- Device.h - the driver and cuBLASLt beside the runtime -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What the C interface of the runtime does not say: free memory, the driver's version, and how fast NVIDIA's own product is. Both
// libraries are opened at run time; the declarations are NVIDIA's public ABI.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TOOLS_CHECK_GPU_DEVICE_H
#define PERMALLOY_TOOLS_CHECK_GPU_DEVICE_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace permalloy::checkgpu {

/// One GPU, by libcuda.so.1 or what PERMALLOY_LIBCUDA names.
class Device {
public:
  ~Device();
  /// False with `error` filled in.
  bool open(int number, std::string &error);

  int version() const { return version_; }     ///< of CUDA that the driver knows: 12080
  size_t freeBytes() const;

  /// Microseconds of a product of m x k by k x n in bf16, sums in f32, by cuBLASLt's first choice; below 0 with `why` filled in.
  double cublasLtUs(int64_t m, int64_t n, int64_t k, std::string &why) const;

private:
  template <typename F> F symbol(const char *name) const;

  void *library_ = nullptr;
  void *context_ = nullptr;
  int device_ = 0, version_ = 0;
};

} // namespace permalloy::checkgpu

#endif // PERMALLOY_TOOLS_CHECK_GPU_DEVICE_H
