//===- PassTimes.h - how long each pass took ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_DRIVER_PASSTIMES_H
#define PERMALLOY_LIB_DRIVER_PASSTIMES_H

#include "mlir/Pass/PassInstrumentation.h"
#include "mlir/Pass/PassManager.h"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace permalloy {

/// Seconds by pass flag, over all pass managers of a compilation; outlives them.
class PassTimes {
public:
  /// Counts the passes of this manager, too. Nested managers and passes without a flag count for the passes around them.
  void watch(mlir::PassManager &passes);
  const std::map<std::string, double> &seconds() const { return spent; }

private:
  class Watch;
  std::mutex mutex;
  std::map<std::string, double> spent;
};

} // namespace permalloy

#endif
