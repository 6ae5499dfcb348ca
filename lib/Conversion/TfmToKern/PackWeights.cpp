//===- PackWeights.cpp - weights of contraction kernels in panels *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Conversion/Passes.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace permalloy {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "permalloy/Conversion/Passes.h.inc"
} // namespace permalloy

namespace {

RankedTensorType packedType(Type type) {
  auto tensor = cast<RankedTensorType>(type);
  return RankedTensorType::get(tensor.getShape(), tensor.getElementType(), PanelsAttr::get(type.getContext()));
}

/// The argument that holds the weight of the kernel's linear layer, when it is not packed yet.
std::optional<unsigned> weightArgument(kern::KernelOp kernel) {
  if (kernel.getEmitter() != kern::Emitter::Contraction)
    return std::nullopt;
  for (Operation &op : kernel.getBlock()) {
    if (!isa<LinearOp, GroupedLinearOp>(op))
      continue;
    Value weight = isa<LinearOp>(op) ? cast<LinearOp>(op).getWeight() : cast<GroupedLinearOp>(op).getWeight();
    if (auto argument = dyn_cast<BlockArgument>(weight))
      if (!cast<RankedTensorType>(argument.getType()).getEncoding())
        return argument.getArgNumber();
  }
  return std::nullopt;
}

struct PackWeights : permalloy::impl::PackWeightsBase<PackWeights> {
  void runOnOperation() override {
    DenseMap<kern::KernelOp, unsigned> packed;
    for (auto kernel : getOperation().getOps<kern::KernelOp>())
      if (auto index = weightArgument(kernel)) {
        BlockArgument argument = kernel.getBlock().getArgument(*index);
        argument.setType(packedType(argument.getType()));
        packed[kernel] = *index;
      }
    SymbolTable symbols(getOperation());
    getOperation().walk([&](kern::LaunchOp launch) {
      auto it = packed.find(symbols.lookup<kern::KernelOp>(launch.getKernel()));
      if (it != packed.end())
        packOperand(launch, it->second, symbols);
    });
    for (auto kernel : getOperation().getOps<kern::KernelOp>())
      shareColumns(kernel, symbols);
  }

  /// A gather of columns reads the panels that a linear layer has of the same weight, when every launch has them.
  void shareColumns(kern::KernelOp kernel, SymbolTable &symbols) {
    for (BlockArgument argument : kernel.getBlock().getArguments()) {
      auto type = cast<RankedTensorType>(argument.getType());
      auto takesColumns = [](Operation *user) {
        auto gather = dyn_cast<GatherOp>(user);
        return gather && gather.getAxis() == 1;
      };
      if (type.getRank() != 2 || type.getEncoding() || argument.use_empty() || !llvm::all_of(argument.getUsers(), takesColumns))
        continue;
      SmallVector<kern::LaunchOp> launches;
      bool allPacked = true;
      getOperation().walk([&](kern::LaunchOp launch) {
        if (launch.getKernel() != kernel.getSymName())
          return;
        launches.push_back(launch);
        auto use = launch.getInputs()[argument.getArgNumber()].getDefiningOp<GetWeightOp>();
        allPacked &= use && symbols.lookup<WeightOp>((use.getWeight() + ".panels").str());
      });
      if (!allPacked || launches.empty())
        continue;
      argument.setType(packedType(type));
      for (kern::LaunchOp launch : launches)
        packOperand(launch, argument.getArgNumber(), symbols);
    }
  }

  void packOperand(kern::LaunchOp launch, unsigned index, SymbolTable &symbols) {
    auto use = launch.getInputs()[index].getDefiningOp<GetWeightOp>();
    auto weight = symbols.lookup<WeightOp>(use.getWeight());
    OpBuilder builder(use);
    auto packed = GetWeightOp::create(builder, use.getLoc(), packedType(use.getType()), packedWeight(weight, symbols).getSymName());
    launch.getInputsMutable()[index].set(packed);
    if (use->use_empty())
      use.erase();
  }

  WeightOp packedWeight(WeightOp weight, SymbolTable &symbols) {
    std::string name = (weight.getSymName() + ".panels").str();
    if (auto existing = symbols.lookup<WeightOp>(name))
      return existing;
    OpBuilder builder(weight->getContext());
    builder.setInsertionPointAfter(weight);
    Location loc = weight.getLoc();
    auto result = WeightOp::create(builder, loc, name, packedType(weight.getType()), Attribute());
    symbols.insert(result, std::next(Block::iterator(weight)));
    builder.createBlock(&result.getBody());
    auto original = GetWeightOp::create(builder, loc, weight.getType(), weight.getSymName());
    auto pack = PackOp::create(builder, loc, packedType(weight.getType()), original);
    YieldOp::create(builder, loc, pack);
    return result;
  }
};

} // namespace
