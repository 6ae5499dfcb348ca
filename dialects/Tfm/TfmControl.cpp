//===- TfmControl.cpp - if and while ------------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Tfm/Tfm.h"
#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace permalloy::tfm;

/// One list of dimensions per result, of its rank.
static LogicalResult verifyDims(Operation *op, ArrayAttr dims, StringRef label) {
  if (dims.size() != op->getNumResults())
    return op->emitOpError("has ") << op->getNumResults() << " results but dims of " << dims.size()
                                   << " (" << label << ")";
  for (auto [entry, type] : llvm::zip(dims, op->getResultTypes())) {
    auto list = dyn_cast<ArrayAttr>(entry);
    int64_t rank = cast<RankedTensorType>(type).getRank();
    if (!list || !llvm::all_of(list, llvm::IsaPred<DimExprAttr>) || int64_t(list.size()) != rank)
      return op->emitOpError("has dims ") << entry << " for a result of type " << type << " ("
                                          << label << ")";
  }
  return success();
}

static LogicalResult verifyCondition(Operation *op, Value condition, StringRef label) {
  auto type = cast<RankedTensorType>(condition.getType());
  if (!type.hasStaticShape() || type.getNumElements() != 1)
    return op->emitOpError("has a condition of type ")
           << type << ", which has not one element (" << label << ")";
  return success();
}

/// `symbol` is a function of `inputs` to `outputs`.
static LogicalResult verifyFunction(Operation *op, FlatSymbolRefAttr symbol, TypeRange inputs,
                                    TypeRange outputs, SymbolTableCollection &symbols,
                                    StringRef label) {
  auto function = symbols.lookupNearestSymbolFrom<FunctionOpInterface>(op, symbol);
  if (!function)
    return op->emitOpError("names ") << symbol << ", which is no function (" << label << ")";
  if (TypeRange(function.getArgumentTypes()) == inputs &&
      TypeRange(function.getResultTypes()) == outputs)
    return success();
  return op->emitOpError("expects ") << symbol << " to take (" << inputs << ") and return ("
                                     << outputs << "), but it takes ("
                                     << function.getArgumentTypes() << ") and returns ("
                                     << function.getResultTypes() << ") (" << label << ")";
}

LogicalResult BindSizeOp::verify() {
  auto type = cast<RankedTensorType>(getValue().getType());
  if (!type.hasStaticShape() || type.getNumElements() != 1)
    return emitOpError("binds a value of type ") << type << ", which has not one element (bind_size_c1)";
  return success();
}

LogicalResult IfOp::verify() {
  if (failed(verifyCondition(*this, getCondition(), "if_c1")))
    return failure();
  return verifyDims(*this, getResultDims(), "if_c3");
}

LogicalResult IfOp::verifySymbolUses(SymbolTableCollection &symbols) {
  for (FlatSymbolRefAttr branch : {getThenFunctionAttr(), getElseFunctionAttr()})
    if (failed(verifyFunction(*this, branch, getCaptures().getTypes(), getResultTypes(), symbols,
                              "if_c2")))
      return failure();
  return success();
}

LogicalResult WhileOp::verify() {
  if (failed(verifyCondition(*this, getCondition(), "while_c1")))
    return failure();
  if (TypeRange(getCarried().getTypes()) != TypeRange(getResultTypes()))
    return emitOpError("carries (") << getCarried().getTypes() << ") but results in ("
                                    << getResultTypes() << ") (while_c4)";
  return verifyDims(*this, getResultDims(), "while_c3");
}

LogicalResult WhileOp::verifySymbolUses(SymbolTableCollection &symbols) {
  SmallVector<Type> inputs(getCarried().getTypes()), outputs = {getCondition().getType()};
  llvm::append_range(inputs, getCaptures().getTypes());
  llvm::append_range(outputs, getResultTypes());
  return verifyFunction(*this, getBodyAttr(), inputs, outputs, symbols, "while_c2");
}
