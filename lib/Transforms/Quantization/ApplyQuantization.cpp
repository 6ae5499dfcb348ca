//===- ApplyQuantization.cpp - weights into codes ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Transforms/Passes.h"
#include "permalloy/Transforms/Quantization.h"

namespace permalloy {
#define GEN_PASS_DEF_PLANQUANTIZATION
#define GEN_PASS_DEF_APPLYQUANTIZATION
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class PlanQuantization : public permalloy::impl::PlanQuantizationBase<PlanQuantization> {
public:
  using PlanQuantizationBase::PlanQuantizationBase;

private:
  void runOnOperation() override {
    const std::string &text = level, &name = solver;
    llvm::Expected<QuantizationRequest> request = QuantizationRequest::parse(text, name);
    if (!request) {
      emitError(getOperation().getLoc()) << llvm::toString(request.takeError());
      return signalPassFailure();
    }
    request->minElements = minElements;
    PrecisionPlan plan = uniformPlan(getOperation(), "f32");
    addFormats(getOperation(), *request, plan);
    if (failed(annotatePrecision(getOperation(), plan)))
      return signalPassFailure();
    for (const PrecisionChoice &choice : plan.choices)
      numPlanned += choice.format.empty() ? 0 : choice.count;
  }
};

/// What a layer decodes its weight with, for others that read the weight's columns.
using Decoded = llvm::DenseMap<StringAttr, DequantizeOp>;

/// Gathers of columns from a weight that a layer now decodes decode it as well.
void shareDecodings(ModuleOp module, const Decoded &decoded) {
  SmallVector<GatherOp> gathers;
  module.walk([&](GatherOp gather) { gathers.push_back(gather); });
  for (GatherOp gather : gathers) {
    auto table = gather.getInput().getDefiningOp<GetWeightOp>();
    auto it = table && gather.getAxis() == 1 ? decoded.find(table.getWeightAttr().getAttr()) : decoded.end();
    if (it == decoded.end())
      continue;
    OpBuilder builder(gather);
    IRMapping mapping;
    for (Value operand : it->second->getOperands())
      builder.clone(*operand.getDefiningOp(), mapping);
    gather.getInputMutable().assign(builder.clone(*it->second, mapping)->getResult(0));
    if (table->use_empty())
      table.erase();
  }
}

struct ApplyQuantization : permalloy::impl::ApplyQuantizationBase<ApplyQuantization> {
  void runOnOperation() override {
    SmallVector<WeightSite> sites;
    forEachSite(getOperation(), [&](WeightSite site) {
      if (site.op->hasAttr(kLevelAttr))
        sites.push_back(site);
    });
    SymbolTable symbols(getOperation());
    EncodeContext context{symbols};
    Decoded decoded;
    for (WeightSite site : sites)
      if (failed(encode(site, context, decoded)))
        return signalPassFailure();
    shareDecodings(getOperation(), decoded);
    clean();
  }

  LogicalResult encode(WeightSite site, EncodeContext &context, Decoded &decoded) {
    std::string level = site.op->getAttrOfType<StringAttr>(kLevelAttr).str();
    auto solver = site.op->getAttrOfType<StringAttr>(kSolverAttr);
    auto linear = dyn_cast<LinearOp>(site.op);
    auto use = (linear ? linear.getWeight() : cast<GatherOp>(site.op).getInput()).getDefiningOp<GetWeightOp>();
    const WeightFormat *format = findWeightFormat(level);
    if (!format)
      return site.op->emitError("level '") << level << "' names no format of weights; there are " << weightFormatNames();
    WeightOp weight = site.weight;
    for (StringRef name : {StringRef(kLevelAttr), StringRef(kSolverAttr)})
      site.op->removeAttr(name);
    if (failed(format->encode(level, solver ? solver.getValue() : StringRef(kDefaultSolver), site, context)))
      return failure();
    ++numEncoded;
    if (linear && linear->use_empty()) { // replaced as a whole
      linear.erase();
      linear = {};
    }
    if (use->use_empty())
      use.erase();
    if (auto decode = linear ? linear.getWeight().getDefiningOp<DequantizeOp>() : DequantizeOp())
      decoded.try_emplace(weight.getSymNameAttr(), decode);
    return success();
  }

  /// Statistics were read, and nobody else wants the reasons of tables.
  void clean() {
    getOperation().walk([](Operation *op) {
      op->removeAttr(kGramAttr);
      op->removeAttr(kSecondAttr);
      if (isa<GatherOp>(op))
        op->removeAttr(kPrecisionReasonAttr);
    });
  }
};

} // namespace
