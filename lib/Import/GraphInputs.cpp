//===- GraphInputs.cpp - arguments and named dimensions ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "GraphBuilder.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

LogicalResult GraphBuilder::addInputs() {
  // All names first, so that a dimension without one gets a name that no later input uses.
  for (const onnx::ValueInfoProto &input : model.graph().input())
    for (const auto &dim : input.type().tensor_type().shape().dim())
      if (!dim.dim_param().empty())
        implicitSymbols.insert(dim.dim_param());
  for (const onnx::ValueInfoProto &input : model.graph().input())
    // Up to IR version 3 each initializer was an input as well; later ones may be overridden, which
    // is not supported.
    if (!initializers.contains(input.name()) && failed(addInput(input)))
      return failure();
  return success();
}

/// A name that cannot be mistaken for one that SymbolicShapes or name-data-sizes makes.
DimExprAttr GraphBuilder::symbol(StringRef name) {
  std::string safe = isFreshSymbol(name) || isDataSymbol(name) ? "dim" + name.str() : name.str();
  auto key = builder.getStringAttr(safe);
  auto [it, isNew] = symbols.try_emplace(key, nullptr);
  if (isNew)
    for (const DimRange &range : options.dims)
      if (range.name == safe)
        it->second = &range;
  const DimRange *range = it->second;
  return range && range->lo == range->hi ? DimExprAttr::constant(builder.getContext(), range->lo)
                                         : DimExprAttr::symbol(builder.getContext(), safe);
}

FailureOr<Dims> GraphBuilder::inputDims(const onnx::ValueInfoProto &input) {
  Dims dims;
  for (auto [i, dim] : llvm::enumerate(input.type().tensor_type().shape().dim())) {
    if (dim.has_dim_value() && dim.dim_value() >= 0) {
      dims.push_back(DimExprAttr::constant(builder.getContext(), dim.dim_value()));
    } else if (!dim.dim_param().empty()) {
      dims.push_back(symbol(dim.dim_param()));
    } else {
      std::string name = input.name() + "_" + std::to_string(i);
      while (!implicitSymbols.insert(name).second)
        name += "_";
      dims.push_back(symbol(name));
    }
  }
  return dims;
}

LogicalResult GraphBuilder::addInput(const onnx::ValueInfoProto &input) {
  auto fail = [&](const Twine &message) -> LogicalResult {
    return emitError(loc) << "input '" << input.name() << "' " << message;
  };
  if (input.name().empty() || !defined.insert(input.name()).second)
    return fail(input.name().empty() ? "has no name" : "stands there twice");
  if (!input.type().has_tensor_type())
    return fail("is no tensor; sequences, maps and optionals are unsupported");
  int32_t onnxType = input.type().tensor_type().elem_type();
  Type element = elementTypeOf(onnxType, builder.getContext());
  if (!element)
    return fail("has elements of type " + onnxTypeName(onnxType) + ", which is unsupported");
  if (!input.type().tensor_type().has_shape())
    return fail("has no shape; an input of unknown rank is unsupported");
  auto dims = inputDims(input);
  if (failed(dims))
    return failure();
  auto type = RankedTensorType::get(staticShape(*dims), element);
  unsigned index = function.getNumArguments();
  NamedAttribute attributes[] = {{TfmDialect::kNameAttr, builder.getStringAttr(input.name())},
                                 {TfmDialect::kDimsAttr, dimArray(builder.getContext(), *dims)}};
  Location inputLoc = NameLoc::get(builder.getStringAttr(input.name()));
  if (failed(function.insertArgument(index, type, builder.getDictionaryAttr(attributes), inputLoc)))
    return fail("cannot be an argument");
  values[input.name()] = function.getArgument(index);
  shapes.setDims(function.getArgument(index), *dims);
  return success();
}

LogicalResult GraphBuilder::checkOverrides() {
  llvm::StringSet<> seen;
  for (const DimRange &range : options.dims) {
    if (!seen.insert(range.name).second)
      return emitError(loc, "dimension '") << range.name << "' is given twice";
    if (range.lo < 0 || range.lo > range.hi)
      return emitError(loc, "dimension '")
             << range.name << "' cannot range from " << range.lo << " to " << range.hi;
    if (symbols.contains(builder.getStringAttr(range.name)))
      continue;
    InFlightDiagnostic diagnostic = emitError(loc, "the model has no dynamic dimension '")
                                    << range.name << "'; it has ";
    for (auto [i, symbol] : llvm::enumerate(symbols))
      diagnostic << (i ? ", " : "") << symbol.first.getValue();
    if (symbols.empty())
      diagnostic << "none";
    return diagnostic;
  }
  return success();
}

/// A value of min(512, seq) elements meets one of `seq`: the model only runs while seq is at most
/// 512. Without the bound a longer sequence would read past the shorter value.
llvm::StringMap<int64_t> GraphBuilder::impliedBounds() {
  llvm::StringMap<int64_t> bounds;
  auto note = [&](DimExprAttr symbol, DimExprAttr bounded) {
    if (symbol.getKind() != DimKind::Symbol || bounded.getKind() != DimKind::Min)
      return;
    for (unsigned i : {0, 1})
      if (auto limit = bounded.operand(i).asConstant();
          limit && bounded.operand(1 - i) == symbol && *limit > 1) { // 1 may be broadcast
        auto [it, isNew] = bounds.try_emplace(symbol.getName(), *limit);
        it->second = std::min(it->second, *limit);
      }
  };
  function.walk([&](Operation *op) {
    if (!isa<BinaryOp, CompareOp, SelectOp>(op))
      return;
    for (Value lhs : op->getOperands())
      for (Value rhs : op->getOperands()) {
        tfm::Dims lhsDims = shapes.dims(lhs), rhsDims = shapes.dims(rhs);
        for (auto [x, y] : llvm::zip(llvm::reverse(lhsDims), llvm::reverse(rhsDims)))
          note(x, y);
      }
  });
  return bounds;
}

void GraphBuilder::noteRanges() {
  NamedAttrList ranges;
  llvm::StringMap<int64_t> bounds = impliedBounds();
  for (auto &[name, range] : symbols) {
    auto bound = bounds.find(name.getValue());
    int64_t lo = range ? range->lo : 0, hi = range ? range->hi : INT64_MAX;
    if (bound != bounds.end() && bound->second < hi) {
      if (range)
        emitWarning(loc) << "dimension '" << name.getValue() << "' can be at most " << bound->second
                         << " in this model, not " << hi;
      hi = bound->second;
    }
    if ((range || hi != INT64_MAX) && lo < hi)
      ranges.set(name, builder.getI64ArrayAttr({lo, hi}));
  }
  if (!ranges.empty())
    function->setAttr(TfmDialect::kDimRangesAttr, ranges.getDictionary(builder.getContext()));
}
