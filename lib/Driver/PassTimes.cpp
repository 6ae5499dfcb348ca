//===- PassTimes.cpp - how long each pass took -------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "PassTimes.h"

namespace permalloy {

using Clock = std::chrono::steady_clock;

class PassTimes::Watch : public mlir::PassInstrumentation {
public:
  explicit Watch(PassTimes &times) : times(times) {}

  void runBeforePass(mlir::Pass *pass, mlir::Operation *op) override {
    std::lock_guard lock(times.mutex);
    began[{pass, op}] = Clock::now();
  }
  void runAfterPass(mlir::Pass *pass, mlir::Operation *op) override {
    std::lock_guard lock(times.mutex);
    double seconds = std::chrono::duration<double>(Clock::now() - began[{pass, op}]).count();
    if (!pass->getArgument().empty())
      times.spent[pass->getArgument().str()] += seconds;
  }

private:
  PassTimes &times;
  std::map<std::pair<mlir::Pass *, mlir::Operation *>, Clock::time_point> began;
};

void PassTimes::watch(mlir::PassManager &passes) {
  passes.addInstrumentation(std::make_unique<Watch>(*this));
}

} // namespace permalloy
