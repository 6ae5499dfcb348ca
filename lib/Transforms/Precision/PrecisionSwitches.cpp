//===- PrecisionSwitches.cpp - both precisions of every product --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Transforms/Precision.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class Switcher {
public:
  Switcher(func::FuncOp function, const PrecisionPlan &plan)
      : function(function), builder(function.getContext()) {
    auto type = RankedTensorType::get({int64_t(plan.choices.size())}, builder.getI1Type());
    unsigned index = function.getNumArguments();
    auto count = DimExprAttr::constant(function.getContext(), plan.choices.size());
    NamedAttribute attributes[] = {
        builder.getNamedAttr(TfmDialect::kDimsAttr, dimArray(function.getContext(), {count})),
        builder.getNamedAttr(TfmDialect::kNameAttr, builder.getStringAttr(kSwitchInput))};
    (void)function.insertArgument(index, type, builder.getDictionaryAttr(attributes), function.getLoc());
    switches = function.getArgument(index);
  }

  void add(Operation *op, size_t index);

private:
  Value narrow(Value value) {
    auto type = cast<RankedTensorType>(value.getType());
    auto bf16 = RankedTensorType::get(type.getShape(), builder.getBF16Type(), type.getEncoding());
    return CastOp::create(builder, value.getLoc(), bf16, value);
  }
  Value switchAt(size_t index);

  func::FuncOp function;
  OpBuilder builder;
  Value switches;
};

Value Switcher::switchAt(size_t index) {
  MLIRContext *context = builder.getContext();
  auto constant = [&](int64_t value) { return dimArray(context, {DimExprAttr::constant(context, value)}); };
  auto type = RankedTensorType::get({1}, builder.getI1Type());
  return SliceOp::create(builder, function.getLoc(), type, switches, Value(), Value(), Value(), DenseI64ArrayAttr(), constant(index),
                         constant(1), builder.getDenseI64ArrayAttr({1}));
}

void Switcher::add(Operation *op, size_t index) {
  builder.setInsertionPointAfter(op);
  Operation *other = builder.clone(*op);
  builder.setInsertionPoint(other);
  SmallVector<unsigned> narrowed = {0, 1}; // input and weight; query, key and value; input, up and down
  if (isa<AttentionOp>(op))
    narrowed = {0, 1, 2};
  else if (isa<MoeOp>(op))
    narrowed = {0, 2, 3};
  for (unsigned operand : narrowed)
    other->setOperand(operand, narrow(op->getOperand(operand)));
  builder.setInsertionPointAfter(other);
  Value chosen = SelectOp::create(builder, op->getLoc(), op->getResult(0).getType(), switchAt(index), other->getResult(0), op->getResult(0));
  op->getResult(0).replaceUsesWithIf(chosen, [&](OpOperand &use) { return use.get() != chosen && use.getOwner() != chosen.getDefiningOp(); });
}

} // namespace

FailureOr<PrecisionPlan> permalloy::addPrecisionSwitches(ModuleOp module) {
  auto main = module.lookupSymbol<func::FuncOp>("main");
  if (!main)
    return emitError(module.getLoc()) << "there is no function @main to take switches";
  PrecisionPlan all = uniformPlan(module, "bf16"), plan;
  SmallVector<std::pair<Operation *, size_t>> products;
  for (const PrecisionChoice &choice : all.choices) {
    SmallVector<Operation *> own;
    main.walk([&](Operation *op) {
      if (choice.precision == "bf16" && isa<TfmDialect>(op->getDialect()) && hasProducts(op) && precisionName(op) == choice.op &&
          op->getName().stripDialect() == choice.kind)
        own.push_back(op);
    });
    if (own.size() != choice.count) { // no bf16, or in branches and bodies: left as it is
      PrecisionChoice &kept = plan.kept.emplace_back(choice);
      kept.precision = "f32";
      if (kept.reason.empty())
        kept.reason = "it stands in a branch or the body of a loop, where --precision auto measures nothing";
      continue;
    }
    for (Operation *op : own)
      products.push_back({op, plan.choices.size()});
    plan.choices.push_back(choice);
  }
  if (plan.choices.empty())
    return plan;
  Switcher switcher(main, plan);
  for (auto [op, index] : products)
    switcher.add(op, index);
  return plan;
}
