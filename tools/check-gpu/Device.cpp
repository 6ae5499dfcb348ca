//===- Device.cpp - the driver and cuBLASLt beside the runtime ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Device.h"

#include <cstdlib>
#include <dlfcn.h>
#include <vector>

namespace permalloy::checkgpu {

using Address = uint64_t;
using Handle = void *;

template <typename F> F Device::symbol(const char *name) const { return reinterpret_cast<F>(::dlsym(library_, name)); }

bool Device::open(int number, std::string &error) {
  const char *named = std::getenv("PERMALLOY_LIBCUDA");
  library_ = ::dlopen(named ? named : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library_) {
    error = std::string("no NVIDIA driver: ") + ::dlerror();
    return false;
  }
  auto init = symbol<int (*)(unsigned)>("cuInit");
  auto version = symbol<int (*)(int *)>("cuDriverGetVersion");
  auto device = symbol<int (*)(int *, int)>("cuDeviceGet");
  auto retain = symbol<int (*)(Handle *, int)>("cuDevicePrimaryCtxRetain");
  auto push = symbol<int (*)(Handle)>("cuCtxPushCurrent_v2");
  if (!init || !version || !device || !retain || !push || init(0) || version(&version_) || device(&device_, number) ||
      retain(&context_, device_) || push(context_)) {
    error = "the driver has no GPU " + std::to_string(number);
    return false;
  }
  return true;
}

Device::~Device() {
  if (context_) {
    Handle popped;
    symbol<int (*)(Handle *)>("cuCtxPopCurrent_v2")(&popped);
    symbol<int (*)(int)>("cuDevicePrimaryCtxRelease_v2")(device_);
  }
}

size_t Device::freeBytes() const {
  size_t free = 0, total = 0;
  symbol<int (*)(size_t *, size_t *)>("cuMemGetInfo_v2")(&free, &total);
  return free;
}

namespace {
/// The numbers of cublasLt.h, and its heuristic's answer.
enum { kBf16 = 14, kF32 = 0, kComputeF32 = 68, kPreferenceWorkspace = 1 };
struct Heuristic {
  uint64_t algorithm[8];
  size_t workspaceBytes;
  int state;
  float waves;
  int reserved[4];
};

struct Library {
  void *handle = nullptr;
  Library() {
    for (const char *name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so.11", "libcublasLt.so"})
      if ((handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL)))
        return;
  }
  template <typename F> F symbol(const char *name) const { return reinterpret_cast<F>(::dlsym(handle, name)); }
};

constexpr size_t kWorkspaceBytes = 64 << 20;
constexpr int kRepeats = 50;
} // namespace

double Device::cublasLtUs(int64_t m, int64_t n, int64_t k, std::string &why) const {
  static const Library lt;
  auto refuse = [&](const char *what) {
    why = what;
    return -1.0;
  };
  if (!lt.handle)
    return refuse("no libcublasLt.so here");
  auto create = lt.symbol<int (*)(Handle *)>("cublasLtCreate");
  auto createDesc = lt.symbol<int (*)(Handle *, int, int)>("cublasLtMatmulDescCreate");
  auto createLayout = lt.symbol<int (*)(Handle *, int, uint64_t, uint64_t, int64_t)>("cublasLtMatrixLayoutCreate");
  auto createPreference = lt.symbol<int (*)(Handle *)>("cublasLtMatmulPreferenceCreate");
  auto setPreference = lt.symbol<int (*)(Handle, int, const void *, size_t)>("cublasLtMatmulPreferenceSetAttribute");
  auto heuristic = lt.symbol<int (*)(Handle, Handle, Handle, Handle, Handle, Handle, Handle, int, Heuristic *, int *)>("cublasLtMatmulAlgoGetHeuristic");
  auto multiply = lt.symbol<int (*)(Handle, Handle, const void *, Address, Handle, Address, Handle, const void *, Address, Handle, Address, Handle,
                                    const void *, Address, size_t, Handle)>("cublasLtMatmul");
  if (!create || !createDesc || !createLayout || !createPreference || !setPreference || !heuristic || !multiply)
    return refuse("libcublasLt.so lacks functions");
  // Row-major m x n is column-major n x m: C' = B' A'.
  Handle handle, desc, a, b, c, preference;
  size_t workspace = kWorkspaceBytes;
  if (create(&handle) || createDesc(&desc, kComputeF32, kF32) || createLayout(&b, kBf16, n, k, n) || createLayout(&a, kBf16, k, m, k) ||
      createLayout(&c, kBf16, n, m, n) || createPreference(&preference) || setPreference(preference, kPreferenceWorkspace, &workspace, sizeof workspace))
    return refuse("cuBLASLt cannot be set up");
  Heuristic best{};
  int found = 0;
  if (heuristic(handle, desc, b, a, c, c, preference, 1, &best, &found) || found == 0)
    return refuse("cuBLASLt has no algorithm");
  auto allocate = symbol<int (*)(Address *, size_t)>("cuMemAlloc_v2");
  auto release = symbol<int (*)(Address)>("cuMemFree_v2");
  auto setBytes = symbol<int (*)(Address, unsigned char, size_t)>("cuMemsetD8_v2");
  auto createEvent = symbol<int (*)(Handle *, unsigned)>("cuEventCreate");
  auto record = symbol<int (*)(Handle, Handle)>("cuEventRecord");
  auto wait = symbol<int (*)(Handle)>("cuEventSynchronize");
  auto elapsed = symbol<int (*)(float *, Handle, Handle)>("cuEventElapsedTime");
  Address buffers[4] = {};
  size_t sizes[4] = {size_t(m * k) * 2, size_t(k * n) * 2, size_t(m * n) * 2, workspace};
  if (!setBytes || !createEvent || !record || !wait || !elapsed)
    return refuse("the driver lacks functions");
  for (int i = 0; i < 4; ++i)
    if (allocate(&buffers[i], sizes[i]) || setBytes(buffers[i], 0x3d, sizes[i])) // 0x3d3d: 0.046 in bf16
      return refuse("no memory for cuBLASLt");
  Handle begin, end;
  createEvent(&begin, 0), createEvent(&end, 0);
  float one = 1, zero = 0, milliseconds = 0;
  int failed = 0;
  for (int i = -5; i < kRepeats; ++i) {
    if (i == 0)
      record(begin, nullptr);
    failed |= multiply(handle, desc, &one, buffers[1], b, buffers[0], a, &zero, buffers[2], c, buffers[2], c, best.algorithm, buffers[3], workspace, nullptr);
  }
  record(end, nullptr), wait(end), elapsed(&milliseconds, begin, end);
  for (Address buffer : buffers)
    release(buffer);
  return failed ? refuse("cuBLASLt failed") : milliseconds * 1e3 / kRepeats;
}

} // namespace permalloy::checkgpu
