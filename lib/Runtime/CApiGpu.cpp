//===- CApiGpu.cpp - the C interface: GPUs and their memory ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CApi.h"

#include "permalloy/Runtime/Gpu.h"

#include <algorithm>
#include <cstdio>

using namespace permalloy;

Result<int> permalloy::deviceOf(const permalloy_tensor &tensor) {
  if (tensor.device_type == PERMALLOY_CPU || tensor.device_type == 1)
    return kHostMemory;
  if (tensor.device_type == PERMALLOY_CUDA && tensor.device_id >= 0)
    return tensor.device_id;
  return invalid("a tensor on device type " + std::to_string(tensor.device_type) + ", number " +
                 std::to_string(tensor.device_id) +
                 "; accepted are PERMALLOY_CPU and PERMALLOY_CUDA");
}

permalloy_status *permalloy_gpu_count(size_t *count) {
  return guarded([&]() -> Status {
    if (!count)
      return invalid("count is NULL");
    *count = 0;
    Result<std::vector<GpuInfo>> gpus = listGpus();
    if (!gpus.ok())
      return gpus.status();
    *count = gpus->size();
    return {};
  });
}

permalloy_status *permalloy_gpu(size_t index, permalloy_gpu_info *info) {
  return guarded([&]() -> Status {
    if (!info || info->struct_size < sizeof(permalloy_gpu_info))
      return invalid("gpu info is NULL or has no struct_size");
    Result<GpuInfo> gpu = findGpu(static_cast<int>(std::min<size_t>(index, INT32_MAX)));
    if (!gpu.ok())
      return gpu.status();
    std::snprintf(info->name, sizeof info->name, "%s", gpu->name.c_str());
    info->major = gpu->capability / 10;
    info->minor = gpu->capability % 10;
    return {};
  });
}

permalloy_status *permalloy_gpu_allocate(size_t index, size_t bytes, void **data, void **owner) {
  return guarded([&]() -> Status {
    if (!data || !owner)
      return invalid("data or owner is NULL");
    Result<std::shared_ptr<void>> memory =
        allocateOnGpu(static_cast<int>(std::min<size_t>(index, INT32_MAX)), bytes);
    if (!memory.ok())
      return memory.status();
    *data = memory->get();
    *owner = new std::shared_ptr<void>(std::move(*memory));
    return {};
  });
}

permalloy_status *permalloy_gpu_wait(size_t index) {
  return guarded([&] { return waitForGpu(static_cast<int>(std::min<size_t>(index, INT32_MAX))); });
}

permalloy_status *permalloy_copy(const permalloy_tensor *to, const permalloy_tensor *from,
                                 size_t bytes) {
  return guarded([&]() -> Status {
    if (!to || !from)
      return invalid("to or from is NULL");
    Result<int> target = deviceOf(*to), source = deviceOf(*from);
    if (!target.ok())
      return target.status();
    if (!source.ok())
      return source.status();
    return copyMemory({to->data, *target}, {from->data, *source}, bytes);
  });
}
