//===- ExpandMoe.cpp - mixtures of experts into what kernels do --*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Analysis/SymbolicShapes.h"
#include "permalloy/Conversion/Passes.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace permalloy {
#define GEN_PASS_DEF_EXPANDMOE
#include "permalloy/Conversion/Passes.h.inc"
} // namespace permalloy

namespace {

/// Columns of a panel: halves of a gated product that end on one can be read side by side.
constexpr int64_t kPanelColumns = 16;

class Expander {
public:
  Expander(MoeOp moe, SymbolicShapes &shapes) : moe(moe), shapes(shapes), builder(moe), loc(moe.getLoc()) {}

  void expand();

private:
  DimExprAttr constant(int64_t value) { return DimExprAttr::constant(builder.getContext(), value); }
  template <typename OpTy, typename... Args> Value make(Args &&...args) {
    return makeAs<OpTy>(getElementTypeOrSelf(moe.getType()), std::forward<Args>(args)...);
  }
  /// With these elements, where operands leave them open.
  template <typename OpTy, typename... Args> Value makeAs(Type element, Args &&...args) {
    return tfm::create<OpTy>(builder, loc, shapes, element, std::forward<Args>(args)...).getResult();
  }
  Value reshape(Value value, ArrayRef<DimExprAttr> dims) {
    return make<ReshapeOp>(value, Value(), dimArray(builder.getContext(), dims), UnitAttr());
  }
  Value part(Value value, int64_t axis, int64_t offset, int64_t size);
  Value layer(Value input, Value groups, Value weight, Value bias, bool gated, Activation activation, int64_t repeat, Type element);
  Value combine(Value rows, Value weights);

  MoeOp moe;
  SymbolicShapes &shapes;
  OpBuilder builder;
  Location loc;
  DimExprAttr tokens;
};

/// Elements [offset, offset + size) along one axis.
Value Expander::part(Value value, int64_t axis, int64_t offset, int64_t size) {
  Dims sizes = shapes.dims(value), offsets(sizes.size(), constant(0));
  offsets[axis] = constant(offset);
  sizes[axis] = constant(size);
  SmallVector<int64_t> strides(sizes.size(), 1);
  MLIRContext *context = builder.getContext();
  return make<SliceOp>(value, Value(), Value(), Value(), DenseI64ArrayAttr(), dimArray(context, offsets),
                       dimArray(context, sizes), builder.getDenseI64ArrayAttr(strides));
}

/// One layer of all experts, with results `element`. Halves that begin inside of a panel are multiplied by a kernel of their own.
Value Expander::layer(Value input, Value groups, Value weight, Value bias, bool gated, Activation activation,
                      int64_t repeat, Type element) {
  int64_t half = cast<RankedTensorType>(weight.getType()).getDimSize(2) / 2;
  bool together = !gated || half % kPanelColumns == 0;
  Value rows = makeAs<GroupedLinearOp>(element, input, groups, weight, bias, repeat, gated && together,
                                     together ? activation : Activation::None);
  if (together)
    return rows;
  Value gate = part(rows, 1, 0, half), up = part(rows, 1, half, half);
  if (activation != Activation::None)
    gate = make<UnaryOp>(*unaryOf(activation), gate);
  return make<BinaryOp>(BinaryKind::Mul, gate, up);
}

/// Each token's rows, scaled and added in the order in which they were chosen; they have the elements of the weights.
Value Expander::combine(Value rows, Value weights) {
  int64_t count = moe.getTopK();
  DimExprAttr columns = shapes.dims(rows).back();
  Value stacked = reshape(rows, {tokens, constant(count), columns});
  Value sum;
  for (int64_t slot = 0; slot < count; ++slot) {
    Value row = reshape(part(stacked, 1, slot, 1), {tokens, columns});
    Value term = make<BinaryOp>(BinaryKind::Mul, row, part(weights, 1, slot, 1));
    sum = sum ? make<BinaryOp>(BinaryKind::Add, sum, term) : term;
  }
  return sum;
}

void Expander::expand() {
  Dims dims = shapes.dims(moe.getInput());
  tokens = DimExprAttr::product(builder.getContext(), ArrayRef(dims).drop_back());
  Value input = reshape(moe.getInput(), {tokens, dims.back()});
  Value logits = reshape(moe.getLogits(), {tokens, shapes.dims(moe.getLogits()).back()});
  int64_t count = moe.getTopK(), experts = cast<RankedTensorType>(moe.getUp().getType()).getDimSize(0);
  Value chosen = make<TopKOp>(logits, Value(), constant(count), builder.getI64IntegerAttr(1), UnitAttr());
  Value weights = make<MoeWeightsOp>(logits, chosen, moe.getScore(), moe.getNormalize());
  Value groups = make<GroupByOp>(chosen, experts);
  Value hidden = layer(input, groups, moe.getUp(), moe.getUpBias(), moe.getGated(), moe.getActivation(), count,
                       getElementTypeOrSelf(moe.getInput()));
  Type summed = getElementTypeOrSelf(moe.getLogits());
  Value rows = layer(hidden, groups, moe.getDown(), moe.getDownBias(), false, Activation::None, 1, summed);
  Value sum = combine(rows, weights);
  if (summed != getElementTypeOrSelf(moe.getType()))
    sum = make<CastOp>(sum);
  moe.replaceAllUsesWith(reshape(sum, dims));
  moe.erase();
}

/// Kernels of experts read packed weights of the module: small constants become such.
class Weights {
public:
  Weights(ModuleOp module) : symbols(module) {}

  LogicalResult take(MoeOp moe) {
    for (Value operand : {moe.getUp(), moe.getDown(), moe.getUpBias(), moe.getDownBias()}) {
      Operation *op = operand ? operand.getDefiningOp() : nullptr;
      auto type = operand ? cast<RankedTensorType>(operand.getType()) : RankedTensorType();
      if (operand && !isa_and_nonnull<GetWeightOp, ConstantOp>(op))
        return moe.emitError("experts whose weights ") << type << " are computed while running are unsupported";
      if (isa_and_nonnull<ConstantOp>(op))
        moe->replaceUsesOfWith(operand, store(cast<ConstantOp>(op)));
    }
    return success();
  }

private:
  Value store(ConstantOp constant) {
    OpBuilder builder(constant->getParentOfType<func::FuncOp>());
    auto weight = WeightOp::create(builder, constant.getLoc(), "expert", constant.getType(), Attribute());
    symbols.insert(weight);
    builder.createBlock(&weight.getBody());
    Operation *copy = builder.clone(*constant);
    YieldOp::create(builder, constant.getLoc(), copy->getResult(0));
    builder.setInsertionPointAfter(constant);
    return GetWeightOp::create(builder, constant.getLoc(), constant.getType(), weight.getSymName());
  }

  SymbolTable symbols;
};

struct ExpandMoe : permalloy::impl::ExpandMoeBase<ExpandMoe> {
  void runOnOperation() override {
    Weights weights(getOperation());
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      SymbolicShapes shapes;
      for (Block &block : function.getBody())
        for (auto moe : llvm::make_early_inc_range(block.getOps<MoeOp>())) {
          if (failed(weights.take(moe)))
            return signalPassFailure();
          Expander(moe, shapes).expand();
          ++numExpanded;
        }
    }
  }
};

} // namespace
