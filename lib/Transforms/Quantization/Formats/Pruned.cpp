//===- Pruned.cpp - the weights that a sparse layer is made of ---*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Pruned.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

PrunedLayer::PrunedLayer(StringRef level, StringRef named, WeightSite site, EncodeContext &context)
    : builder(site.op->getContext()), linear(cast<LinearOp>(site.op)), type(cast<RankedTensorType>(site.weight.getType())),
      solver(named == kDefaultSolver ? kDefaultPruner.str() : named.str()), site(site), context(context) {
  name = (site.weight.getSymName() + "." + level + (solver == kDefaultPruner ? "" : "." + solver)).str();
}

Value PrunedLayer::get(WeightOp weight) {
  return GetWeightOp::create(builder, loc(), weight.getType(), FlatSymbolRefAttr::get(weight.getSymNameAttr()));
}

/// The statistics of the layer's input, or null.
Value PrunedLayer::gram() {
  auto symbol = linear->getAttrOfType<FlatSymbolRefAttr>(kGramAttr);
  auto weight = symbol ? context.symbols.lookup<WeightOp>(symbol.getValue()) : WeightOp();
  return weight ? get(weight) : Value();
}

WeightOp PrunedLayer::prune(int64_t kept, ArrayRef<int64_t> block, int64_t of) {
  return part("", type, site.weight, [&](Value original) {
    auto group = of ? builder.getI64IntegerAttr(of) : IntegerAttr();
    return PruneWeightOp::create(builder, loc(), type, original, gram(), builder.getStringAttr(solver), builder.getI64IntegerAttr(kept),
                                 builder.getDenseI64ArrayAttr(block), group)
        .getResult();
  });
}

WeightOp PrunedLayer::part(StringRef suffix, RankedTensorType own, WeightOp source, function_ref<Value(Value)> make) {
  std::string full = name + suffix.str();
  if (auto existing = context.symbols.lookup<WeightOp>(full))
    return existing;
  builder.setInsertionPointAfter(source);
  auto result = WeightOp::create(builder, loc(), full, own, Attribute());
  context.symbols.insert(result, std::next(Block::iterator(source)));
  builder.createBlock(&result.getBody());
  YieldOp::create(builder, loc(), make(get(source)));
  return result;
}
