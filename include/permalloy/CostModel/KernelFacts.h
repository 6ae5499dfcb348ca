//===- KernelFacts.h - what a cost model knows of a kernel -------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Everything about (kernel, sizes) that prices and features are computed from, read once from the IR; schedules are then
// priced against it in microseconds, without looking at the IR again.
//
// Tokens. A kernel's operations are words: name, kinds (`add`, `gelu_erf`), element types, the keys of other attributes, numbers
// bucketed by powers of two. Words of operations that feed one another make sequences of up to three:
//
//   %0 = tfm.linear %x, %w activation gelu_erf       "linear gelu_erf f32 f32 f32"
//   %1 = tfm.binary add %0, %y                       "binary add f32 f32 f32"   and "linear ...>binary ..."
//
// counted in kTokenBuckets buckets by a hash. Names of values, locations, and the order of operations that do not feed one another
// make no difference.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_COSTMODEL_KERNELFACTS_H
#define PERMALLOY_COSTMODEL_KERNELFACTS_H

#include "Kern/Kern.h"
#include "permalloy/Reference/Interpreter.h"

#include <array>
#include <optional>

namespace permalloy {

inline constexpr unsigned kTokenBuckets = 128;

struct KernelFacts {
  kern::Emitter emitter = kern::Emitter::Generic;
  std::string dtype; ///< of the first result

  /// A product [m, k] x [k, n], or of `groups` such weights; 0 where there is none.
  double m = 0, n = 0, k = 0, groups = 0;
  double matrices = 1;     ///< of a product of two values: so many, of m / matrices rows each
  double inputBits = 32;   ///< of an element of what is multiplied with the weight
  double weightBits = 32;  ///< of an element of the weight as it is stored; less than inputBits where it is decoded on the way
  double weightBytes = 0;  ///< of all weights as they are stored
  double weightSpan = 0;   ///< of all weights that a run of the program reads, which decides what cache these come from; 0: more than any holds
  double density = 1;      ///< share of the weight's blocks that are stored
  double blockColumns = 0; ///< of a weight of kept blocks: columns that share a list of them
  double codeGroup = 0;    ///< of a weight of codes: steps of K that share a scale
  bool hasZeroPoints = false, hasCodebook = false; ///< of codes
  bool isInteger = false;  ///< sums of integers

  double batch = 0, queries = 0, keys = 0, heads = 0, kvHeads = 0, headSize = 0; ///< of an attention
  double seenKeys = 0;     ///< keys that a query sees on average
  double keyBits = 32;
  bool causal = false, hasMask = false, hasCache = false;

  double flops = 0, bytes = 0; ///< KernelWork; of a sparse product, of what is stored
  double outputBytes = 0;
  double elements = 0;     ///< of the largest value
  double vectorOps = 0;    ///< instructions, each on one element, of everything that is no product
  double operations = 0;   ///< of the kernel's body
  std::array<float, kTokenBuckets> tokens = {}; ///< how often sequences of operations occur, ln(1 + count)
};

/// Nothing where a size does not follow from `symbols`, or depends on data.
std::optional<KernelFacts> factsOf(kern::KernelOp kernel, const reference::Symbols &symbols);

} // namespace permalloy

#endif // PERMALLOY_COSTMODEL_KERNELFACTS_H
