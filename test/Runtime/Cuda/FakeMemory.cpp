//===- FakeMemory.cpp - memory of the fake driver ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "FakeState.h"

using namespace permalloy;
using namespace permalloy::fakecuda;

FAKE cuMemAlloc_v2(DevicePointer *address, size_t bytes) {
  BEGIN_TAKING;
  Control &control = state().control;
  ++control.allocationCalls;
  if (bytes == 0 || bytes > control.memory || control.bytes > control.memory - bytes)
    return bytes ? int(kOutOfMemory) : int(kInvalidValue);
  size_t rounded = (bytes + 511) / 512 * 512;
  std::unique_ptr<std::byte, FreeMemory> block(static_cast<std::byte *>(std::aligned_alloc(512, rounded)));
  std::memset(block.get(), 0xff, rounded);
  auto host = reinterpret_cast<uint64_t>(block.get());
  state().memory[host] = {std::move(block), bytes};
  ++control.allocations;
  control.bytes += bytes;
  *address = host | kDeviceBit;
  return kSuccess;
}
FAKE cuMemFree_v2(DevicePointer address) {
  BEGIN_RELEASE;
  runAll();
  auto known = state().memory.find(address & ~kDeviceBit);
  if (known == state().memory.end())
    return kInvalidValue;
  state().control.bytes -= known->second.second;
  --state().control.allocations;
  state().memory.erase(known);
  return kSuccess;
}
FAKE cuMemGetInfo_v2(size_t *free, size_t *total) {
  BEGIN;
  *total = state().control.memory;
  *free = state().control.memory - state().control.bytes;
  return kSuccess;
}
FAKE cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  BEGIN_TAKING;
  *memory = std::malloc(bytes);
  std::memset(*memory, 0xff, bytes);
  state().pinned[reinterpret_cast<uint64_t>(*memory)] = bytes;
  ++state().control.pinned;
  return kSuccess;
}
FAKE cuMemFreeHost(void *memory) {
  BEGIN_RELEASE;
  runAll();
  if (!state().pinned.erase(reinterpret_cast<uint64_t>(memory)))
    return kInvalidValue;
  --state().control.pinned;
  std::free(memory);
  return kSuccess;
}
FAKE cuMemcpyHtoDAsync_v2(DevicePointer to, const void *from, size_t bytes, StreamHandle stream) {
  BEGIN;
  std::byte *target = hostOf(to, bytes);
  if (!target)
    return complain("a copy to the device leaves its allocation", kInvalidValue);
  ON_STREAM(stream);
  state().control.toDevice += bytes;
  if (isPinned(from, bytes)) {
    queue->put([=] { return std::memcpy(target, from, bytes), kSuccess; });
    return kSuccess;
  }
  const auto *first = static_cast<const std::byte *>(from);
  queue->put([target, copy = std::vector<std::byte>(first, first + bytes)] { return std::memcpy(target, copy.data(), copy.size()), kSuccess; });
  return kSuccess;
}
FAKE cuMemcpyDtoHAsync_v2(void *to, DevicePointer from, size_t bytes, StreamHandle stream) {
  BEGIN;
  std::byte *source = hostOf(from, bytes);
  if (!source)
    return complain("a copy from the device leaves its allocation", kInvalidValue);
  ON_STREAM(stream);
  state().control.toHost += bytes;
  queue->put([=] { return std::memcpy(to, source, bytes), kSuccess; });
  if (!isPinned(to, bytes))
    queue->run(queue->queued);
  return sticky;
}
FAKE cuMemcpyDtoDAsync_v2(DevicePointer to, DevicePointer from, size_t bytes, StreamHandle stream) {
  BEGIN;
  std::byte *target = hostOf(to, bytes), *source = hostOf(from, bytes);
  if (!target || !source)
    return complain("a copy on the device leaves its allocation", kInvalidValue);
  ON_STREAM(stream);
  queue->put([=] { return std::memcpy(target, source, bytes), kSuccess; });
  return kSuccess;
}
FAKE cuMemcpy2DAsync_v2(const Copy2D *copy, StreamHandle stream) {
  BEGIN;
  size_t fromBytes = (copy->rows - 1) * copy->fromPitch + copy->bytes, toBytes = (copy->rows - 1) * copy->toPitch + copy->bytes;
  const auto *source = copy->fromKind == 2 ? hostOf(copy->fromDevice, fromBytes) : static_cast<const std::byte *>(copy->fromHost);
  auto *target = copy->toKind == 2 ? hostOf(copy->toDevice, toBytes) : static_cast<std::byte *>(copy->toHost);
  if (!source || !target || copy->bytes > copy->fromPitch || copy->bytes > copy->toPitch)
    return complain("a copy of rows leaves its allocation", kInvalidValue);
  state().control.toDevice += copy->fromKind == 1 ? copy->bytes * copy->rows : 0;
  state().control.toHost += copy->toKind == 1 ? copy->bytes * copy->rows : 0;
  ON_STREAM(stream);
  queue->put([=, what = *copy] {
    for (size_t row = 0; row < what.rows; ++row)
      std::memcpy(target + row * what.toPitch, source + row * what.fromPitch, what.bytes);
    return kSuccess;
  });
  if (copy->fromKind == 1 || copy->toKind == 1)
    queue->run(queue->queued);
  return sticky;
}
FAKE cuMemsetD8Async(DevicePointer to, unsigned char value, size_t bytes, StreamHandle stream) {
  BEGIN_TAKING;
  std::byte *target = hostOf(to, bytes);
  if (!target)
    return complain("a memset leaves its allocation", kInvalidValue);
  ON_STREAM(stream);
  queue->put([=] { return std::memset(target, value, bytes), kSuccess; });
  return kSuccess;
}
FAKE cuPointerGetAttribute(void *value, int attribute, DevicePointer address) {
  BEGIN;
  if (!hostOf(address, 1))
    return kInvalidValue;
  *static_cast<int *>(value) = 0;
  return attribute == kPointerDevice ? int(kSuccess) : int(kInvalidValue);
}
