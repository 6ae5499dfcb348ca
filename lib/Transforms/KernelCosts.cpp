//===- KernelCosts.cpp - what passes ask of a cost model ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Transforms/KernelCosts.h"

#include <cmath>

using namespace permalloy;

/// At each size, of all of them together; empty where the sizes differ or one is unknown.
static std::vector<double> sumOf(const KernelCosts &costs, llvm::ArrayRef<std::string> kernels) {
  std::vector<double> sum;
  for (const std::string &kernel : kernels) {
    std::vector<double> us = costs.microseconds(kernel);
    if (us.empty() || (!sum.empty() && us.size() != sum.size()))
      return {};
    sum.resize(us.size());
    for (size_t i = 0; i < us.size(); ++i)
      sum[i] += us[i];
  }
  return sum;
}

static std::optional<double> meanQuotient(llvm::ArrayRef<double> us, llvm::ArrayRef<double> otherUs) {
  if (us.empty() || us.size() != otherUs.size())
    return std::nullopt;
  double logarithms = 0;
  for (size_t i = 0; i < us.size(); ++i)
    logarithms += std::log(us[i] / otherUs[i]);
  return std::exp(logarithms / double(us.size()));
}

std::optional<double> KernelCosts::quotient(llvm::ArrayRef<std::string> kernels, llvm::ArrayRef<std::string> others) const {
  return meanQuotient(sumOf(*this, kernels), sumOf(*this, others));
}

std::optional<double> KernelCosts::estimatedQuotient(const std::string &kernel, const std::string &other) const {
  return meanQuotient(estimate(kernel), estimate(other));
}
