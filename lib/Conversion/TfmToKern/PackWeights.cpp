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

void addPlainArgument(Value value, SmallVectorImpl<unsigned> &arguments) {
  auto argument = dyn_cast_or_null<BlockArgument>(value);
  if (argument && !cast<RankedTensorType>(argument.getType()).getEncoding() && !llvm::is_contained(arguments, argument.getArgNumber()))
    arguments.push_back(argument.getArgNumber());
}

/// The arguments that hold the weight of the kernel's linear layer, and in any kernel what a weight is decoded from but for its
/// codebook, when they are not packed yet.
SmallVector<unsigned> weightArguments(kern::KernelOp kernel) {
  SmallVector<unsigned> arguments;
  for (Operation &op : kernel.getBlock()) {
    if (auto decode = dyn_cast<DequantizeOp>(op))
      for (Value part : {Value(decode.getCodes()), Value(decode.getScales()), Value(decode.getZeroPoints())})
        addPlainArgument(part, arguments);
    if (kernel.getEmitter() != kern::Emitter::Contraction)
      continue;
    if (auto linear = dyn_cast<LinearOp>(op))
      addPlainArgument(linear.getWeight(), arguments);
    if (auto linear = dyn_cast<GroupedLinearOp>(op))
      addPlainArgument(linear.getWeight(), arguments);
  }
  return arguments;
}

/// A gather of columns of its input.
bool takesColumns(Operation *user) {
  auto gather = dyn_cast<GatherOp>(user);
  return gather && gather.getAxis() == 1;
}

struct PackWeights : permalloy::impl::PackWeightsBase<PackWeights> {
  void runOnOperation() override {
    DenseMap<kern::KernelOp, SmallVector<unsigned>> packed;
    for (auto kernel : getOperation().getOps<kern::KernelOp>())
      for (unsigned index : weightArguments(kernel)) {
        if (!isAlwaysWeight(kernel, index))
          continue;
        BlockArgument argument = kernel.getBlock().getArgument(index);
        argument.setType(packedType(argument.getType()));
        packed[kernel].push_back(index);
      }
    SymbolTable symbols(getOperation());
    getOperation().walk([&](kern::LaunchOp launch) {
      auto it = packed.find(symbols.lookup<kern::KernelOp>(launch.getKernel()));
      if (it == packed.end())
        return;
      for (unsigned index : it->second)
        packOperand(launch, index, symbols);
    });
    for (auto kernel : getOperation().getOps<kern::KernelOp>())
      shareColumns(kernel, symbols);
  }

  bool isAlwaysWeight(kern::KernelOp kernel, unsigned index) {
    return !getOperation()
                .walk([&](kern::LaunchOp launch) {
                  bool isOther = launch.getKernel() == kernel.getSymName() && !launch.getInputs()[index].getDefiningOp<GetWeightOp>();
                  return isOther ? WalkResult::interrupt() : WalkResult::advance();
                })
                .wasInterrupted();
  }

  /// A gather of columns reads the panels that a linear layer has of the same weight, when every launch has them.
  void shareColumns(kern::KernelOp kernel, SymbolTable &symbols) {
    for (BlockArgument argument : kernel.getBlock().getArguments()) {
      auto type = cast<RankedTensorType>(argument.getType());
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
