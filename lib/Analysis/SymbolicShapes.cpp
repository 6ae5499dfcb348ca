//===- SymbolicShapes.cpp - dimensions as expressions over names -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Analysis/SymbolicShapes.h"
#include "Kern/Kern.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

bool permalloy::isFreshSymbol(StringRef name) {
  return name.consume_front("_") && !name.empty() && llvm::all_of(name, llvm::isDigit);
}

bool permalloy::isDataSymbol(StringRef name) { return name.starts_with(kDataSymbolPrefix); }

bool permalloy::dependsOnData(DimExprAttr expr) {
  bool depends = false;
  expr.walkSymbols([&](StringRef name) { depends |= isDataSymbol(name); });
  return depends;
}

bool permalloy::isDerived(DimExprAttr expr) {
  bool derived = bool(expr);
  if (expr)
    expr.walkSymbols([&](StringRef name) { derived &= !isFreshSymbol(name); });
  return derived;
}

DimExprAttr SymbolicShapes::fresh(MLIRContext *context) {
  return DimExprAttr::symbol(context, "_" + std::to_string(freshCount++));
}

Dims SymbolicShapes::dims(Value value) {
  auto it = known.find(value);
  if (it != known.end())
    return it->second;
  Dims result = derive(value);
  auto type = cast<RankedTensorType>(value.getType());
  for (auto [i, dim] : llvm::enumerate(result)) {
    if (!type.isDynamicDim(i)) // a static type is a fact
      dim = DimExprAttr::constant(type.getContext(), type.getDimSize(i));
    if (!dim)
      dim = fresh(type.getContext());
  }
  if (auto nonZero = value.getDefiningOp<NonZeroOp>(); nonZero && !isDerived(result[1]))
    bounds[result[1].getName()] = upperBound(numElements(nonZero.getInput()));
  known[value] = result;
  return result;
}

DimExprAttr SymbolicShapes::upperBound(DimExprAttr expr) {
  bool bounded = true;
  DimExprAttr result = expr.substitute([&](StringRef name) -> DimExprAttr {
    if (!isFreshSymbol(name))
      return {};
    DimExprAttr bound = bounds.lookup(StringAttr::get(expr.getContext(), name));
    bounded &= bool(bound);
    return bound;
  });
  return bounded ? result : DimExprAttr();
}

/// Dimensions declared on a block argument of a function or kernel; empty when there are none.
static Dims declaredDims(BlockArgument argument) {
  Operation *parent = argument.getOwner()->getParentOp();
  if (auto function = dyn_cast<func::FuncOp>(parent))
    if (auto array = function.getArgAttrOfType<ArrayAttr>(argument.getArgNumber(), TfmDialect::kDimsAttr))
      return dimsOf(array);
  if (auto kernel = dyn_cast<kern::KernelOp>(parent))
    return kern::argDims(kernel, argument.getArgNumber());
  return {};
}

/// Dimensions of a launch's result: those that its kernel yields, with the launch's scalars for symbols.
static Dims launchDims(kern::LaunchOp launch, unsigned index, SymbolicShapes &shapes) {
  auto kernel = SymbolTable::lookupNearestSymbolFrom<kern::KernelOp>(launch, launch.getKernelAttr());
  Dims result;
  if (kernel)
    for (DimExprAttr dim : shapes.dims(kernel.yielded()[index]))
      result.push_back(kern::atLaunch(dim, kernel, launch));
  return result;
}

Dims SymbolicShapes::derive(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  Dims result;
  std::string error;
  if (auto argument = dyn_cast<BlockArgument>(value))
    result = declaredDims(argument);
  else if (auto op = value.getDefiningOp<ShapeOpInterface>())
    (void)op.inferDims(*this, result, error);
  else if (auto view = value.getDefiningOp<kern::ViewOp>())
    result = dimsOf(view.getDims());
  else if (auto cache = value.getDefiningOp<kern::CacheOp>())
    result = dimsOf(cache.getDims());
  else if (auto live = value.getDefiningOp<kern::CacheViewOp>())
    result = dimsOf(live.getDims());
  else if (auto launch = value.getDefiningOp<kern::LaunchOp>())
    result = launchDims(launch, cast<OpResult>(value).getResultNumber(), *this);
  else if (isa_and_nonnull<tfm::IfOp, tfm::WhileOp>(value.getDefiningOp()))
    result = dimsOf(cast<ArrayAttr>(
        value.getDefiningOp()->getAttrOfType<ArrayAttr>("result_dims")[cast<OpResult>(value).getResultNumber()]));
  if (int64_t(result.size()) != type.getRank())
    result = dimsOfType(type);
  return result;
}

std::optional<Dims> SymbolicShapes::contents(Value value) {
  auto it = knownContents.find(value);
  if (it != knownContents.end())
    return it->second;
  std::optional<Dims> result;
  auto op = value.getDefiningOp<ShapeOpInterface>();
  auto type = cast<RankedTensorType>(value.getType());
  if (op && type.getRank() <= 1 && type.getElementType().isInteger())
    result = op.inferContents(*this);
  knownContents[value] = result;
  return result;
}

DimExprAttr SymbolicShapes::numElements(Value value) {
  return DimExprAttr::product(value.getContext(), dims(value));
}
