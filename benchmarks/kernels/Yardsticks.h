//===- Yardsticks.h - what other libraries need for the same -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Each returns a function that runs once, on operands in the library's best layout (weights packed
// before, where it packs), and what the result is; empty where the library or the CPU cannot.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_BENCHMARKS_KERNELS_YARDSTICKS_H
#define PERMALLOY_BENCHMARKS_KERNELS_YARDSTICKS_H

#include "Memory.h"

#include <functional>

namespace permalloy::benchmarks {

struct ProductShape {
  int64_t m, n, k;
  Element element;
};

/// Queries, keys and values of [1, sequence, heads * size], without a mask.
struct AttentionShape {
  int64_t sequence, heads, size;
  bool causal;
  Element element;
};

/// C[m, n] = A[m, k] W[k, n], in f32.
std::function<void()> openBlasProduct(const ProductShape &shape);
/// C in f32; W in the layout that oneDNN chooses.
std::function<void()> oneDnnProduct(const ProductShape &shape);
/// Scores, softmax, values: three primitives, as oneDNN 2 has no attention. Not for causal attention.
std::function<void()> oneDnnAttention(const AttentionShape &shape);

} // namespace permalloy::benchmarks

#endif // PERMALLOY_BENCHMARKS_KERNELS_YARDSTICKS_H
