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
#include "Pruned.h"
#include "Tfm/Panels.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

/// Weights kept of each four; 0: no level of this format.
int64_t keptOf(StringRef level) { return level == "2:4" ? 2 : level == "1:4" ? 1 : 0; }

/// The weight of a layer from what each quad keeps.
Value expandQuads(int64_t kept, PrunedLayer &layer) {
  OpBuilder &builder = layer.builder;
  Location loc = layer.loc();
  int64_t k = layer.type.getDimSize(0), panels = llvm::divideCeil(layer.type.getDimSize(1), kPanelColumns), depth = k / 4 * kept;
  auto count = builder.getI64IntegerAttr(kept);
  WeightOp pruned = layer.prune(kept, {1, 1}, /*of=*/4);
  auto stepsType = RankedTensorType::get({panels, int64_t(llvm::divideCeil(depth, 16)), kPanelColumns}, builder.getI32Type());
  WeightOp steps = layer.part(".steps", stepsType, pruned, [&](Value zeroed) { return QuadStepsOp::create(builder, loc, stepsType, zeroed, count).getResult(); });
  auto valuesType = RankedTensorType::get({panels, depth, kPanelColumns}, layer.type.getElementType());
  WeightOp values = layer.part(".values", valuesType, pruned, [&](Value zeroed) {
    return CompactQuadsOp::create(builder, loc, valuesType, zeroed, layer.get(steps), count).getResult();
  });
  layer.atLayer();
  Value keptValues = layer.get(values), keptSteps = layer.get(steps);
  return ExpandQuadsOp::create(builder, loc, layer.type, keptValues, keptSteps, count, builder.getDenseI64ArrayAttr(layer.type.getShape()));
}

class QuadFormat : public WeightFormat {
public:
  std::string names() const override { return "2:4, 1:4 (weights kept of each four steps of each column)"; }
  std::string defaultSolver() const override { return kDefaultPruner.str(); }
  bool accepts(StringRef level) const override { return keptOf(level) != 0; }
  bool isOfF32(StringRef) const override { return true; }
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

  LogicalResult encode(StringRef level, StringRef solver, WeightSite site, EncodeContext &context) const override {
    int64_t kept = keptOf(level);
    PrunedLayer layer(std::to_string(kept) + "of4", solver, site, context);
    layer.linear.getWeightMutable().assign(expandQuads(kept, layer));
    return success();
  }
};

} // namespace

std::unique_ptr<WeightFormat> permalloy::makeQuadFormat() { return std::make_unique<QuadFormat>(); }
