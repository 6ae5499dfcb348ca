//===- KernelCosts.h - what passes ask of a cost model -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A pass that can write one computation as different kernels asks this which is faster. Kernels are text, so that the pass needs
// neither schedules nor targets: whoever runs the pass knows those and passes an answerer in (Pipelines: the cost model). Without
// one, passes keep to bounds of their own.
//
//===----------------------------------------------------------------------===//
#ifndef PERMALLOY_TRANSFORMS_KERNELCOSTS_H
#define PERMALLOY_TRANSFORMS_KERNELCOSTS_H

#include "llvm/ADT/ArrayRef.h"

#include <optional>
#include <string>
#include <vector>

namespace permalloy {

class KernelCosts {
public:
  virtual ~KernelCosts() = default;

  /// Microseconds of one launch of a `kern.kernel`, given as text, on one thread: at its sizes, or at those of usual requests (1, 16,
  /// 128, 512 rows) where they vary. Empty where nothing can be said.
  virtual std::vector<double> microseconds(const std::string &kernel) const = 0;
  /// The same by what is known of every kind of kernel, measured or not: `microseconds` may have learned from other kinds only.
  virtual std::vector<double> estimate(const std::string &kernel) const { return microseconds(kernel); }

  /// Time of `kernels`, one after the other, by that of `others`: the geometric mean over the sizes. Nothing where one of them is
  /// unknown.
  std::optional<double> quotient(llvm::ArrayRef<std::string> kernels, llvm::ArrayRef<std::string> others) const;
  /// The same of estimates.
  std::optional<double> estimatedQuotient(const std::string &kernel, const std::string &other) const;
};

} // namespace permalloy

#endif // PERMALLOY_TRANSFORMS_KERNELCOSTS_H
