//===- NameDataSizes.cpp - symbols for sizes that depend on data -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "../Rewriting.h"
#include "permalloy/Transforms/Passes.h"

#include "llvm/ADT/TypeSwitch.h"

namespace permalloy {
#define GEN_PASS_DEF_NAMEDATASIZES
#include "permalloy/Transforms/Passes.h.inc"
} // namespace permalloy

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

class NameDataSizes : public permalloy::impl::NameDataSizesBase<NameDataSizes> {
  void runOnOperation() override;

  /// A new symbol that has the value of `size` from here on.
  DimExprAttr bind(Value size);
  void name(NonZeroOp op);
  void name(RangeOp op);
  void name(TopKOp op);

  template <typename OpTy, typename... Args> Value make(Type elementType, Args &&...args) {
    return tfm::create<OpTy>(*builder, current->getLoc(), *shapes, elementType, std::forward<Args>(args)...);
  }
  Value scalar(Type elementType, double value);
  Value binary(BinaryKind kind, Value lhs, Value rhs) {
    return make<BinaryOp>(getElementTypeOrSelf(lhs.getType()), kind, lhs, rhs);
  }
  Value cast(Value value, Type elementType) {
    return getElementTypeOrSelf(value.getType()) == elementType ? value
                                                                : make<CastOp>(elementType, value);
  }
  /// Element `offset` (or `size` elements from there) of a value of rank 1.
  Value slice(Value value, int64_t offset, DimExprAttr size);

  std::optional<OpBuilder> builder;
  Operation *current = nullptr; ///< the operation whose size gets a symbol
  SymbolicShapes *shapes = nullptr;
  unsigned count = 0; ///< symbols of this function
};

} // namespace

DimExprAttr NameDataSizes::bind(Value size) {
  std::string symbol = (kDataSymbolPrefix + getOperation().getName() + "." + Twine(count++)).str();
  BindSizeOp::create(*builder, current->getLoc(), symbol, cast(size, builder->getI64Type()));
  ++numNamed;
  return DimExprAttr::symbol(&getContext(), symbol);
}

Value NameDataSizes::scalar(Type elementType, double value) {
  auto type = RankedTensorType::get({}, elementType);
  Attribute element =
      isa<FloatType>(elementType)
          ? Attribute(builder->getFloatAttr(elementType, value))
          : Attribute(IntegerAttr::get(elementType, APInt(elementType.getIntOrFloatBitWidth(),
                                                          int64_t(value), true, true)));
  return ConstantOp::create(*builder, current->getLoc(), DenseElementsAttr::get(type, element));
}

Value NameDataSizes::slice(Value value, int64_t offset, DimExprAttr size) {
  MLIRContext *context = &getContext();
  return make<SliceOp>(getElementTypeOrSelf(value.getType()), value, Value(), Value(), Value(),
                       DenseI64ArrayAttr(), dimArray(context, DimExprAttr::constant(context, offset)),
                       dimArray(context, size), builder->getDenseI64ArrayAttr({1}));
}

/// group_by sorts the numbers of all elements into those that are not zero and the others; its second
/// offset is how many there are.
void NameDataSizes::name(NonZeroOp op) {
  Value input = op.getInput();
  Type i64 = builder->getI64Type(), element = getElementTypeOrSelf(input.getType());
  Dims dims = shapes->dims(input);
  if (!allDerived(dims))
    return;
  Value isZero = element.isInteger(1)
                     ? make<UnaryOp>(element, UnaryKind::Not, input)
                     : make<CompareOp>(builder->getI1Type(), CompareKind::Eq, input, scalar(element, 0));
  Value groups = make<GroupByOp>(i64, cast(isZero, i64), 2);
  auto constant = [&](int64_t value) { return DimExprAttr::constant(&getContext(), value); };
  DimExprAttr count = bind(slice(groups, 1, constant(1)));
  Value numbers = slice(groups, 3, count);
  SmallVector<Value> rows;
  DimExprAttr stride = constant(1);
  for (DimExprAttr dim : llvm::reverse(dims)) {
    auto sizes = [&](DimExprAttr value) {
      return DimValuesOp::create(*builder, current->getLoc(), RankedTensorType::get({}, i64),
                                 dimArray(&getContext(), value));
    };
    Value index = binary(BinaryKind::Mod, binary(BinaryKind::Div, numbers, sizes(stride)), sizes(dim));
    rows.insert(rows.begin(), createReshape(*builder, current->getLoc(), *shapes, index, {constant(1), count}));
    stride = DimExprAttr::mul(stride, dim);
  }
  if (rows.empty()) // a scalar has no index
    return;
  Value result = rows.size() == 1 ? rows[0] : make<ConcatOp>(i64, rows, 0);
  op.replaceAllUsesWith(result);
  op.erase();
}

/// start + i * delta for i below max(0, ceil((limit - start) / delta)).
void NameDataSizes::name(RangeOp op) {
  if (op.getSize())
    return;
  Type i64 = builder->getI64Type(), f64 = builder->getF64Type();
  Type element = getElementTypeOrSelf(op.getType());
  Value start = op.getBounds()[0], limit = op.getBounds()[1], delta = op.getBounds()[2];
  Value distance = cast(binary(BinaryKind::Sub, limit, start), f64);
  Value steps = make<UnaryOp>(f64, UnaryKind::Ceil, binary(BinaryKind::Div, distance, cast(delta, f64)));
  Value count = cast(binary(BinaryKind::Max, steps, scalar(f64, 0)), i64);
  DimExprAttr size = bind(count);
  Value index = make<RangeOp>(i64, ValueRange(), DimExprAttr::constant(&getContext(), 0), size,
                              builder->getI64IntegerAttr(1));
  Value result = binary(BinaryKind::Add, binary(BinaryKind::Mul, cast(index, element), delta), start);
  op.replaceAllUsesWith(result);
  op.erase();
}

void NameDataSizes::name(TopKOp op) {
  if (!op.getCount())
    return;
  op.setKAttr(bind(op.getCount()));
  op.getCountMutable().clear();
}

void NameDataSizes::runOnOperation() {
  // Each operation in turn, with a new analysis: what comes before it has names by then.
  SmallVector<Operation *> ops;
  count = llvm::count_if(getOperation().getOps<BindSizeOp>(), [](auto) { return true; });
  getOperation().walk([&](Operation *op) {
    if (isa<NonZeroOp, RangeOp, TopKOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    SymbolicShapes analysis;
    if (allDerived(analysis.dims(op->getResult(0))))
      continue;
    shapes = &analysis;
    builder.emplace(op);
    current = op;
    llvm::TypeSwitch<Operation *>(op).Case<NonZeroOp, RangeOp, TopKOp>([&](auto typed) { name(typed); });
  }
}
