//===- Driver.h - NVIDIA's driver, opened at run time ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The part of the CUDA driver API that the runtime uses, declared here: nothing of CUDA is needed
// to build it, and a machine without a GPU runs it on the CPU. The names are those of libcuda.so.1,
// versions included; the meaning is NVIDIA's (https://docs.nvidia.com/cuda/cuda-driver-api). All
// are there since driver 450 (CUDA 11.0) but graphInstantiate (11.4).
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_LIB_RUNTIME_CUDA_DRIVER_H
#define PERMALLOY_LIB_RUNTIME_CUDA_DRIVER_H

#include "permalloy/Artifact/Status.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <sys/types.h>

namespace permalloy::cuda {

/// An address in the memory of a GPU.
using DevicePointer = uint64_t;
using ContextHandle = struct OpaqueContext *;
using ModuleHandle = struct OpaqueModule *;
using FunctionHandle = struct OpaqueFunction *;
using StreamHandle = struct OpaqueStream *;
using EventHandle = struct OpaqueEvent *;
using GraphHandle = struct OpaqueGraph *;
using GraphNodeHandle = struct OpaqueGraphNode *;
using GraphExecHandle = struct OpaqueGraphExec *;

/// What calls give back.
enum : int {
  kSuccess = 0,
  kOutOfMemory = 2,
  kNoDevice = 100,
  kInvalidImage = 200,
  kNoBinaryForGpu = 209,
  kInvalidPtx = 218,
  kUnsupportedPtxVersion = 222,
};
/// Attributes of devices and functions, flags and the legacy default stream, by NVIDIA's numbers.
enum : int {
  kMajorCapability = 75,
  kMinorCapability = 76,
  kMostSharedBytes = 97, ///< of a block that asks for it
  kFunctionSharedBytes = 1,
  kFunctionMostDynamicShared = 8,
  kStreamNonBlocking = 1,
  kEventNoTiming = 2,
  kJitErrorLog = 5,
  kJitErrorLogBytes = 6,
  kPointerDevice = 9,
  kHostMemoryKind = 1, ///< of copies
  kDeviceMemoryKind = 2,
};
inline StreamHandle legacyStream() { return reinterpret_cast<StreamHandle>(uintptr_t(1)); }
/// Of launches: parameters follow as one block.
inline void *const kParameterBuffer = reinterpret_cast<void *>(uintptr_t(1));
inline void *const kParameterBytes = reinterpret_cast<void *>(uintptr_t(2));

/// Rows of bytes at a distance, from one place to another (CUDA_MEMCPY2D).
struct Copy2D {
  size_t fromX = 0, fromY = 0;
  unsigned fromKind = 0; ///< kHostMemoryKind, kDeviceMemoryKind
  const void *fromHost = nullptr;
  DevicePointer fromDevice = 0;
  void *fromArray = nullptr;
  size_t fromPitch = 0;
  size_t toX = 0, toY = 0;
  unsigned toKind = 0;
  void *toHost = nullptr;
  DevicePointer toDevice = 0;
  void *toArray = nullptr;
  size_t toPitch = 0;
  size_t bytes = 0, rows = 0;
};
static_assert(sizeof(Copy2D) == 128);

/// Boxes of bytes, from one place to another (CUDA_MEMCPY3D).
struct Copy3D {
  size_t fromX = 0, fromY = 0, fromZ = 0, fromLevel = 0;
  unsigned fromKind = 0;
  const void *fromHost = nullptr;
  DevicePointer fromDevice = 0;
  void *fromArray = nullptr, *reservedFrom = nullptr;
  size_t fromPitch = 0, fromHeight = 0;
  size_t toX = 0, toY = 0, toZ = 0, toLevel = 0;
  unsigned toKind = 0;
  void *toHost = nullptr;
  DevicePointer toDevice = 0;
  void *toArray = nullptr, *reservedTo = nullptr;
  size_t toPitch = 0, toHeight = 0;
  size_t bytes = 0, rows = 0, planes = 0;
};
static_assert(sizeof(Copy3D) == 200);

/// A launch as a node of a graph (CUDA_KERNEL_NODE_PARAMS_v1).
struct KernelParameters {
  FunctionHandle function = nullptr;
  unsigned blocksX = 1, blocksY = 1, blocksZ = 1, threadsX = 1, threadsY = 1, threadsZ = 1;
  unsigned sharedBytes = 0;
  void **parameters = nullptr, **extra = nullptr;
};
static_assert(sizeof(KernelParameters) == 56);

/// member, symbol, parameters
#define PERMALLOY_CUDA_FUNCTIONS(F)                                                                \
  F(init, "cuInit", (unsigned flags))                                                              \
  F(driverVersion, "cuDriverGetVersion", (int *version))                                           \
  F(errorName, "cuGetErrorName", (int error, const char **name))                                   \
  F(errorString, "cuGetErrorString", (int error, const char **text))                               \
  F(deviceCount, "cuDeviceGetCount", (int *count))                                                 \
  F(device, "cuDeviceGet", (int *device, int number))                                              \
  F(deviceName, "cuDeviceGetName", (char *name, int length, int device))                           \
  F(deviceAttribute, "cuDeviceGetAttribute", (int *value, int attribute, int device))              \
  F(retainContext, "cuDevicePrimaryCtxRetain", (ContextHandle * context, int device))              \
  F(releaseContext, "cuDevicePrimaryCtxRelease_v2", (int device))                                  \
  F(pushContext, "cuCtxPushCurrent_v2", (ContextHandle context))                                   \
  F(popContext, "cuCtxPopCurrent_v2", (ContextHandle * context))                                   \
  F(loadModule, "cuModuleLoadDataEx",                                                              \
    (ModuleHandle * module, const void *image, unsigned count, int *options, void **values))       \
  F(unloadModule, "cuModuleUnload", (ModuleHandle module))                                         \
  F(moduleFunction, "cuModuleGetFunction",                                                         \
    (FunctionHandle * function, ModuleHandle module, const char *name))                            \
  F(setFunctionAttribute, "cuFuncSetAttribute",                                                    \
    (FunctionHandle function, int attribute, int value))                                           \
  F(functionAttribute, "cuFuncGetAttribute", (int *value, int attribute, FunctionHandle function)) \
  F(allocate, "cuMemAlloc_v2", (DevicePointer * address, size_t bytes))                            \
  F(free, "cuMemFree_v2", (DevicePointer address))                                                 \
  F(memoryInfo, "cuMemGetInfo_v2", (size_t *free, size_t *total))                                  \
  F(allocateHost, "cuMemHostAlloc", (void **memory, size_t bytes, unsigned flags))                 \
  F(freeHost, "cuMemFreeHost", (void *memory))                                                     \
  F(copyToDevice, "cuMemcpyHtoDAsync_v2",                                                          \
    (DevicePointer to, const void *from, size_t bytes, StreamHandle stream))                       \
  F(copyToHost, "cuMemcpyDtoHAsync_v2",                                                            \
    (void *to, DevicePointer from, size_t bytes, StreamHandle stream))                             \
  F(copyOnDevice, "cuMemcpyDtoDAsync_v2",                                                          \
    (DevicePointer to, DevicePointer from, size_t bytes, StreamHandle stream))                     \
  F(copy2D, "cuMemcpy2DAsync_v2", (const Copy2D *copy, StreamHandle stream))                       \
  F(setBytes, "cuMemsetD8Async",                                                                   \
    (DevicePointer to, unsigned char value, size_t bytes, StreamHandle stream))                    \
  F(createStream, "cuStreamCreate", (StreamHandle * stream, unsigned flags))                       \
  F(destroyStream, "cuStreamDestroy_v2", (StreamHandle stream))                                    \
  F(waitForStream, "cuStreamSynchronize", (StreamHandle stream))                                   \
  F(streamContext, "cuStreamGetCtx", (StreamHandle stream, ContextHandle * context))               \
  F(captureStatus, "cuStreamIsCapturing", (StreamHandle stream, int *status))                      \
  F(waitForEventOn, "cuStreamWaitEvent", (StreamHandle stream, EventHandle event, unsigned flags)) \
  F(createEvent, "cuEventCreate", (EventHandle * event, unsigned flags))                           \
  F(destroyEvent, "cuEventDestroy_v2", (EventHandle event))                                        \
  F(recordEvent, "cuEventRecord", (EventHandle event, StreamHandle stream))                        \
  F(waitForEvent, "cuEventSynchronize", (EventHandle event))                                       \
  F(elapsed, "cuEventElapsedTime", (float *milliseconds, EventHandle begin, EventHandle end))      \
  F(createGraph, "cuGraphCreate", (GraphHandle * graph, unsigned flags))                           \
  F(addKernelNode, "cuGraphAddKernelNode",                                                         \
    (GraphNodeHandle * node, GraphHandle graph, const GraphNodeHandle *before, size_t count,       \
     const KernelParameters *parameters))                                                          \
  F(addCopyNode, "cuGraphAddMemcpyNode",                                                           \
    (GraphNodeHandle * node, GraphHandle graph, const GraphNodeHandle *before, size_t count,       \
     const Copy3D *copy, ContextHandle context))                                                   \
  F(setKernelNode, "cuGraphExecKernelNodeSetParams",                                               \
    (GraphExecHandle graph, GraphNodeHandle node, const KernelParameters *parameters))             \
  F(setCopyNode, "cuGraphExecMemcpyNodeSetParams",                                                 \
    (GraphExecHandle graph, GraphNodeHandle node, const Copy3D *copy, ContextHandle context))      \
  F(launchGraph, "cuGraphLaunch", (GraphExecHandle graph, StreamHandle stream))                    \
  F(destroyGraphExec, "cuGraphExecDestroy", (GraphExecHandle graph))                               \
  F(destroyGraph, "cuGraphDestroy", (GraphHandle graph))                                           \
  F(launch, "cuLaunchKernel",                                                                      \
    (FunctionHandle function, unsigned blocksX, unsigned blocksY, unsigned blocksZ,                \
     unsigned threadsX, unsigned threadsY, unsigned threadsZ, unsigned sharedBytes,                \
     StreamHandle stream, void **parameters, void **extra))                                        \
  F(pointerAttribute, "cuPointerGetAttribute", (void *value, int attribute, DevicePointer address))

/// The driver's functions; all return one of the numbers above or another of NVIDIA's.
class Driver {
public:
  /// The driver of this machine, initialised: libcuda.so.1, or what PERMALLOY_LIBCUDA names. Opened
  /// once for each name and kept. Fails with StatusCode::noDevice where there is none, it is too
  /// old, or it finds no GPU.
  static Result<const Driver *> open();

  /// 1000 * major + 10 * minor of the CUDA version that it knows.
  int version = 0;
  /// GPUs that it shows to this process (CUDA_VISIBLE_DEVICES).
  int devices = 0;

#define PERMALLOY_CUDA_MEMBER(member, symbol, parameters) int(*member) parameters = nullptr;
  PERMALLOY_CUDA_FUNCTIONS(PERMALLOY_CUDA_MEMBER)
#undef PERMALLOY_CUDA_MEMBER
  int (*graphInstantiate)(GraphExecHandle *exec, GraphHandle graph,
                          unsigned long long flags) = nullptr; ///< null: no graphs

  /// A status for a call that failed: "cannot copy the inputs: CUDA_ERROR_ILLEGAL_ADDRESS, an
  /// illegal memory access was encountered".
  Status failure(int error, const std::string &doing) const;

private:
  Status load(const std::string &path);
  pid_t process_ = 0; ///< that opened it: the driver does not survive fork()
};

/// "12.8" of 12080.
std::string versionText(int version);

/// Returns from the enclosing function when the driver's call fails; `doing` says what it was for.
#define PERMALLOY_CUDA_TRY(driver, call, doing)                                                    \
  do {                                                                                             \
    if (int cudaError = (driver).call; cudaError != ::permalloy::cuda::kSuccess)                   \
      return (driver).failure(cudaError, doing);                                                   \
  } while (false)

} // namespace permalloy::cuda

#endif // PERMALLOY_LIB_RUNTIME_CUDA_DRIVER_H
