//===- FoldWeights.cpp - transformations of weights, recorded ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "mlir/IR/IRMapping.h"
#include "permalloy/Transforms/Passes.h"

namespace permalloy {
#define GEN_PASS_DEF_FOLDWEIGHTS
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class FoldWeights : public permalloy::impl::FoldWeightsBase<FoldWeights> {
  void runOnOperation() override;

  bool isFoldable(Operation *op) const;
  void fold(Operation *op);
  std::string key(Operation *op) const;
  WeightOp makeWeight(Operation *op);

  /// Weights made for equal operations.
  std::map<std::string, WeightOp> made;
  std::optional<SymbolTable> symbols;
};

} // namespace

void FoldWeights::runOnOperation() {
  made.clear();
  symbols.emplace(getOperation());
  for (auto weight :
       getOperation().getOps<WeightOp>()) // what an earlier run recorded is found again
    if (!weight.getBody().empty())
      if (Operation *op =
              cast<YieldOp>(weight.getBody().front().getTerminator()).getValue().getDefiningOp();
          op && isFoldable(op))
        made.try_emplace(key(op), weight);
  for (auto function : getOperation().getOps<func::FuncOp>())
    function.walk([&](Operation *op) {
      if (isFoldable(op))
        fold(op);
    });
}

/// A kind that has a streaming evaluator, over weights and constants, at least one of them a
/// weight, with a static result.
bool FoldWeights::isFoldable(Operation *op) const {
  // Sums of columns of quantized weights are interpreted.
  auto reduce = dyn_cast<ReduceOp>(op);
  bool isSum = reduce && isa<IntegerType>(getElementTypeOrSelf(reduce.getType()));
  if (!(isa<CastOp, TransposeOp, ReshapeOp, ConcatOp, SliceOp>(op) || isSum) ||
      !cast<RankedTensorType>(op->getResult(0).getType()).hasStaticShape())
    return false;
  bool anyWeight =
      llvm::any_of(op->getOperands(), [](Value v) { return v.getDefiningOp<GetWeightOp>(); });
  return anyWeight && llvm::all_of(op->getOperands(), [](Value v) {
           return isa_and_nonnull<GetWeightOp, ConstantOp>(v.getDefiningOp());
         });
}

/// Text that is equal for operations that compute the same: name, attributes, operands by weight or
/// value, type.
std::string FoldWeights::key(Operation *op) const {
  std::string text;
  llvm::raw_string_ostream os(text);
  os << op->getName() << op->getAttrDictionary() << op->getResult(0).getType();
  for (Value operand : op->getOperands())
    os << ' ' << operand.getDefiningOp()->getAttrDictionary();
  return text;
}

void FoldWeights::fold(Operation *op) {
  auto [it, inserted] = made.try_emplace(key(op));
  if (inserted)
    it->second = makeWeight(op);
  OpBuilder builder(op);
  Value value = GetWeightOp::create(builder, op->getLoc(), op->getResult(0).getType(),
                                    FlatSymbolRefAttr::get(it->second.getSymNameAttr()));
  op->getResult(0).replaceAllUsesWith(value);
  SmallVector<Value> operands(op->getOperands());
  op->erase();
  for (Value operand : operands)
    if (operand.use_empty())
      operand.getDefiningOp()->erase();
}

WeightOp FoldWeights::makeWeight(Operation *op) {
  StringRef base;
  for (Value operand : llvm::reverse(op->getOperands()))
    if (auto weight = operand.getDefiningOp<GetWeightOp>())
      base = weight.getWeight();
  std::string name = (base + "_" + op->getName().stripDialect()).str();
  OpBuilder builder(op->getParentOfType<func::FuncOp>());
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  auto weight = WeightOp::create(builder, op->getLoc(), name, type, Attribute());
  Block *body = builder.createBlock(&weight.getBody());
  builder.setInsertionPointToStart(body);
  IRMapping map;
  for (Value operand : op->getOperands())
    builder.clone(*operand.getDefiningOp(), map);
  Operation *copy = builder.clone(*op, map);
  YieldOp::create(builder, op->getLoc(), copy->getResult(0));
  symbols->insert(weight);
  ++numWeights;
  return weight;
}
