//===- PlanPrecision.cpp - decide which products run in bf16 -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Transforms/Passes.h"
#include "permalloy/Transforms/Precision.h"
#include "llvm/Support/MemoryBuffer.h"

namespace permalloy {
#define GEN_PASS_DEF_PLANPRECISION
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;

namespace {

class PlanPrecision : public permalloy::impl::PlanPrecisionBase<PlanPrecision> {
public:
  using PlanPrecisionBase::PlanPrecisionBase;

private:
  void runOnOperation() override {
    FailureOr<PrecisionPlan> chosen = choose();
    if (failed(chosen) || failed(annotatePrecision(getOperation(), *chosen)))
      return signalPassFailure();
    for (const PrecisionChoice &choice : chosen->choices)
      numNarrow += choice.precision == "bf16" || choice.precision == kTf32Precision ? choice.count : 0;
  }

  FailureOr<PrecisionPlan> choose() {
    const std::string &wanted = precision, &file = plan;
    if (file.empty() && wanted != "bf16" && wanted != "f32" && wanted != kTf32Precision)
      return emitError(getOperation().getLoc()) << "precision '" << wanted << "' is unknown; there are f32, bf16 and tf32";
    if (file.empty())
      return uniformPlan(getOperation(), wanted);
    auto buffer = llvm::MemoryBuffer::getFile(file, /*IsText=*/true);
    if (!buffer)
      return emitError(getOperation().getLoc()) << file << ": " << buffer.getError().message();
    llvm::Expected<PrecisionPlan> parsed = PrecisionPlan::parse((*buffer)->getBuffer());
    if (!parsed)
      return emitError(getOperation().getLoc()) << file << ": " << llvm::toString(parsed.takeError());
    return *parsed;
  }
};

} // namespace
