//===- Memory.h - arrays of random numbers ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_BENCHMARKS_KERNELS_MEMORY_H
#define PERMALLOY_BENCHMARKS_KERNELS_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace permalloy::benchmarks {

enum class Element { f32, bf16 };

inline const char *nameOf(Element element) { return element == Element::f32 ? "f32" : "bf16"; }
inline size_t bytesOf(Element element) { return element == Element::f32 ? 4 : 2; }

/// `count` elements in [-1, 1), the same for the same seed; 64-byte aligned.
class Memory {
public:
  Memory(size_t count, Element element, uint64_t seed);
  void *data() const { return bytes.get(); }
  float *f32() const { return static_cast<float *>(data()); }
  size_t size() const { return count * bytesOf(element); }
  std::vector<float> floats() const;

private:
  struct Free {
    void operator()(void *memory) const;
  };
  std::unique_ptr<void, Free> bytes;
  size_t count;
  Element element;
};

/// The largest difference, of the largest magnitude of `expected`.
double differenceOf(const std::vector<float> &expected, const std::vector<float> &actual);

} // namespace permalloy::benchmarks

#endif // PERMALLOY_BENCHMARKS_KERNELS_MEMORY_H
