//===- Quads.cpp - weights that keep some of each four steps -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// 2:4 and 1:4: of each four steps of K that follow each other, each column keeps so many weights, as f32, and two bits for each say
// which. The weight of a layer becomes
//
//   @w.2of4        = prune_weight(@w)                         what the solver leaves
//   @w.2of4.steps  = quad_steps(@w.2of4)
//   @w.2of4.values = compact_quads(@w.2of4, @w.2of4.steps)
//   %w = tfm.expand_quads %values, %steps                     in front of the layer, whose kernel walks what is kept
//
//===----------------------------------------------------------------------===//

#include "Builtins.h"
#include "LayerKernels.h"
#include "Pruned.h"
#include "Tfm/Panels.h"

#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Weights kept of each four; 0: no level of this format.
int64_t keptOf(StringRef level) { return level == "2:4" ? 2 : level == "1:4" ? 1 : 0; }

RankedTensorType stepsType(int64_t kept, ArrayRef<int64_t> shape, MLIRContext *context) {
  return RankedTensorType::get({int64_t(llvm::divideCeil(shape[1], kPanelColumns)), int64_t(llvm::divideCeil(shape[0] / 4 * kept, 16)), kPanelColumns},
                               IntegerType::get(context, 32));
}

RankedTensorType valuesType(int64_t kept, ArrayRef<int64_t> shape, MLIRContext *context) {
  return RankedTensorType::get({int64_t(llvm::divideCeil(shape[1], kPanelColumns)), shape[0] / 4 * kept, kPanelColumns}, Float32Type::get(context));
}

/// The weight of a layer from what each quad keeps.
Value expandQuads(int64_t kept, PrunedLayer &layer) {
  OpBuilder &builder = layer.builder;
  Location loc = layer.loc();
  auto count = builder.getI64IntegerAttr(kept);
  WeightOp pruned = layer.prune(kept, {1, 1}, /*of=*/4);
  auto ofSteps = stepsType(kept, layer.type.getShape(), builder.getContext()), ofValues = valuesType(kept, layer.type.getShape(), builder.getContext());
  WeightOp steps = layer.part(".steps", ofSteps, pruned, [&](Value zeroed) { return QuadStepsOp::create(builder, loc, ofSteps, zeroed, count).getResult(); });
  WeightOp values = layer.part(".values", ofValues, pruned, [&](Value zeroed) {
    return CompactQuadsOp::create(builder, loc, ofValues, zeroed, layer.get(steps), count).getResult();
  });
  builder.setInsertionPoint(layer.linear);
  Value keptValues = layer.get(values), keptSteps = layer.get(steps);
  return ExpandQuadsOp::create(builder, loc, layer.type, keptValues, keptSteps, count, builder.getDenseI64ArrayAttr(layer.type.getShape()));
}

std::string sparseKernel(int64_t kept, const LayerKernels &layer) {
  std::array<int64_t, 2> shape = {layer.steps(), layer.columns()};
  std::string decode =
      llvm::formatv("tfm.expand_quads %s0, %s1 {{kept = {0} : i64, shape = array<i64: {1}, {2}>}", kept, shape[0], shape[1]);
  return layer.sparse(decode, {valuesType(kept, shape, layer.context()), stepsType(kept, shape, layer.context())});
}

class QuadFormat : public WeightFormat {
public:
  std::string names() const override { return "2:4, 1:4 (weights kept of each four steps of each column)"; }
  std::string defaultSolver() const override { return kDefaultPruner.str(); }
  bool accepts(StringRef level) const override { return keptOf(level) != 0; }
  bool ignores(StringRef, StringRef) const override { return true; }
  /// A value and two bits for each that is kept.
  double bitsPerWeight(StringRef level, int64_t, int64_t n) const override {
    return (32 + 2) * keptOf(level) / 4.0 * llvm::alignTo(n, kPanelColumns) / double(n);
  }

  std::string whyNot(StringRef, WeightSite site) const override {
    auto type = cast<RankedTensorType>(site.weight.getType());
    if (!isa<LinearOp>(site.op))
      return "its table is read by rows; weights are left out of layers only";
    if (!type.getElementType().isF32())
      return "weights kept of each four are unsupported in elements other than f32";
    if (type.getDimSize(0) % 4 != 0)
      return "its " + std::to_string(type.getDimSize(0)) + " steps of K are no multiple of four";
    return "";
  }

  /// Without a cost model nobody knows: it gains at few rows and at many, and loses between them where K is short. No model has learned
  /// from such kernels.
  std::string whySlower(StringRef level, WeightSite site, const LayerSetting &setting) const override {
    LayerKernels layer(site, setting);
    auto quotient = setting.costs ? setting.costs->estimatedQuotient(sparseKernel(keptOf(level), layer), layer.dense()) : std::nullopt;
    if (!quotient || *quotient < 1)
      return "";
    return llvm::formatv("{0} takes {1:f2} times as long as a dense weight, by the cost model", level, *quotient);
  }

  LogicalResult encode(StringRef level, StringRef solver, WeightSite site, EncodeContext &context) const override {
    int64_t kept = keptOf(level);
    PrunedLayer layer(std::to_string(kept) + "of4", solver, site, context);
    layer.linear.getWeightMutable().assign(expandQuads(kept, layer));
    return success();
  }
};

} // namespace

std::unique_ptr<WeightFormat> permalloy::makeQuadFormat() { return std::make_unique<QuadFormat>(); }
