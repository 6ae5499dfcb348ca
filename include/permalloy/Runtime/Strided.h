//===- Strided.h - tensors whose rows are not neighbours ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_RUNTIME_STRIDED_H
#define PERMALLOY_RUNTIME_STRIDED_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace permalloy {

/// Elements between neighbours of each axis of a dense row-major tensor.
std::vector<int64_t> denseStrides(std::span<const int64_t> dims);

/// Whether both strides reach the same elements: those of axes of size 1 do not matter, and without
/// elements none does. Empty strides are dense ones.
bool sameStrides(std::span<const int64_t> dims, std::span<const int64_t> a,
                 std::span<const int64_t> b);

/// A part of the address space.
struct ByteRange {
  uintptr_t begin = 0, end = 0;
  bool overlaps(const ByteRange &other) const { return begin < other.end && other.begin < end; }
};
/// The bytes between the first and the last element of a tensor; empty strides are dense ones.
ByteRange bytesOf(const void *data, std::span<const int64_t> dims, std::span<const int64_t> strides,
                  size_t elementSize);

/// Copies a tensor from one arrangement to another; strides in elements.
void copyStrided(void *to, std::span<const int64_t> toStrides, const void *from,
                 std::span<const int64_t> fromStrides, std::span<const int64_t> dims,
                 size_t elementSize);

} // namespace permalloy

#endif // PERMALLOY_RUNTIME_STRIDED_H
