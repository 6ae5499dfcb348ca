//===- PassCosts.h - the cost model's answers to passes ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_PIPELINES_PASSCOSTS_H
#define PERMALLOY_LIB_PIPELINES_PASSCOSTS_H

#include "permalloy/Codegen/CPU/Target.h"
#include "permalloy/Codegen/KernelContext.h"
#include "permalloy/CostModel/CostModel.h"
#include "permalloy/Transforms/KernelCosts.h"

#include "llvm/ADT/StringMap.h"

#include <mutex>

namespace permalloy {

/// Prices kernels for one target, with the compiler's default schedules. From any thread; equal kernels are priced once.
class PassCosts : public KernelCosts {
public:
  PassCosts(std::unique_ptr<CostModel> model, codegen::CpuTarget target) : model(std::move(model)), target(std::move(target)) {}

  std::vector<double> microseconds(const std::string &kernel) const override { return answersFor(kernel).us; }
  /// The prior's.
  std::vector<double> estimate(const std::string &kernel) const override { return answersFor(kernel).estimates; }

private:
  struct Answers {
    std::vector<double> us, estimates;
  };
  Answers answersFor(const std::string &kernel) const;

  std::unique_ptr<CostModel> model;
  codegen::CpuTarget target;
  mutable std::mutex mutex;
  mutable std::unique_ptr<codegen::KernelContext> context; ///< made when first asked
  mutable llvm::StringMap<Answers> known;
};

} // namespace permalloy

#endif // PERMALLOY_LIB_PIPELINES_PASSCOSTS_H
