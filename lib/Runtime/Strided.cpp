//===- Strided.cpp - tensors whose rows are not neighbours -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Runtime/Strided.h"

#include <algorithm>
#include <cstring>

namespace permalloy {

std::vector<int64_t> denseStrides(std::span<const int64_t> dims) {
  std::vector<int64_t> strides(dims.size());
  int64_t step = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    strides[i] = step;
    step *= std::max<int64_t>(dims[i], 1);
  }
  return strides;
}

bool sameStrides(std::span<const int64_t> dims, std::span<const int64_t> a,
                 std::span<const int64_t> b) {
  if (std::ranges::find(dims, 0) != dims.end())
    return true;
  std::vector<int64_t> dense = denseStrides(dims);
  a = a.empty() ? dense : a;
  b = b.empty() ? dense : b;
  for (size_t i = 0; i < dims.size(); ++i)
    if (dims[i] > 1 && a[i] != b[i])
      return false;
  return true;
}

ByteRange bytesOf(const void *data, std::span<const int64_t> dims, std::span<const int64_t> strides,
                  size_t elementSize) {
  auto base = reinterpret_cast<uintptr_t>(data);
  if (std::ranges::find(dims, 0) != dims.end())
    return {base, base};
  std::vector<int64_t> dense = denseStrides(dims);
  strides = strides.empty() ? dense : strides;
  int64_t low = 0, high = 0;
  for (size_t i = 0; i < dims.size(); ++i)
    (strides[i] < 0 ? low : high) += (dims[i] - 1) * strides[i];
  auto size = static_cast<int64_t>(elementSize);
  return {base + low * size, base + (high + 1) * size};
}

/// `inner` trailing axes are dense on both sides and copied as one block of `block` bytes.
static void copyAxes(std::byte *to, const int64_t *toStrides, const std::byte *from,
                     const int64_t *fromStrides, std::span<const int64_t> dims, size_t block,
                     int64_t elementSize) {
  if (dims.empty()) {
    std::memcpy(to, from, block);
    return;
  }
  for (int64_t i = 0; i < dims[0]; ++i)
    copyAxes(to + i * toStrides[0] * elementSize, toStrides + 1,
             from + i * fromStrides[0] * elementSize, fromStrides + 1, dims.subspan(1), block,
             elementSize);
}

void copyStrided(void *to, std::span<const int64_t> toStrides, const void *from,
                 std::span<const int64_t> fromStrides, std::span<const int64_t> dims,
                 size_t elementSize) {
  if (std::ranges::find(dims, 0) != dims.end())
    return;
  size_t outer = dims.size();
  int64_t block = 1;
  while (outer > 0 && (dims[outer - 1] == 1 ||
                       (toStrides[outer - 1] == block && fromStrides[outer - 1] == block)))
    block *= dims[--outer];
  copyAxes(static_cast<std::byte *>(to), toStrides.data(), static_cast<const std::byte *>(from),
           fromStrides.data(), dims.first(outer), block * elementSize,
           static_cast<int64_t>(elementSize));
}

} // namespace permalloy
