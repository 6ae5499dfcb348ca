//===- CheckWeights.cpp - streamed weights against interpreted ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Reference/Passes.h"
#include "permalloy/Reference/WeightEvaluator.h"

#include "mlir/IR/BuiltinOps.h"

namespace permalloy::reference {
#define GEN_PASS_DEF_CHECKWEIGHTS
#include "permalloy/Reference/Passes.h.inc"
} // namespace permalloy::reference

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

namespace {

struct CheckWeightsPass : public reference::impl::CheckWeightsBase<CheckWeightsPass> {
  using CheckWeightsBase::CheckWeightsBase;

  void runOnOperation() override {
    WeightEvaluator evaluator;
    for (auto weight : getOperation().getOps<tfm::WeightOp>())
      if (failed(checkWeight(weight, evaluator)))
        signalPassFailure();
    markAllAnalysesPreserved();
  }

  LogicalResult checkWeight(tfm::WeightOp weight, WeightEvaluator &evaluator) {
    FailureOr<Hash128> hash = evaluator.hash(weight);
    if (failed(hash))
      return failure();
    auto type = cast<RankedTensorType>(weight.getType());
    if (print)
      llvm::outs() << '@' << weight.getSymName() << ": " << storageBytes(type) << " bytes, xxh3 "
                   << hash->hex() << '\n';
    if (!interpret)
      return success();
    FailureOr<Tensor> value = weightValue(weight);
    if (failed(value))
      return failure();
    if (*hash != hash128(value->bytes().data(), value->bytes().size()))
      return weight.emitError("streamed bytes differ from interpreted ones");
    return success();
  }
};

} // namespace
