//===- Assumptions.cpp - what a graph needs of its dimensions ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Assumptions.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

std::string permalloy::nodeName(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc); fused && !fused.getLocations().empty())
    return nodeName(fused.getLocations().back());
  std::string text;
  llvm::raw_string_ostream(text) << loc;
  return text;
}

Assumptions::Assumptions(func::FuncOp function) {
  if (auto stored = function->getAttrOfType<ArrayAttr>(TfmDialect::kAssumptionsAttr))
    list.assign(stored.begin(), stored.end());
}

void Assumptions::require(DimExprAttr smaller, DimExprAttr larger, Location user) {
  DimExprAttr room = DimExprAttr::sub(larger, smaller);
  if (room && room.isNotNegative())
    return;
  for (Attribute known : list) {
    auto assumption = cast<AtMostAttr>(known);
    if (assumption.getSmaller() == smaller && assumption.getLarger() == larger)
      return;
  }
  MLIRContext *context = smaller.getContext();
  list.push_back(
      AtMostAttr::get(context, smaller, larger, StringAttr::get(context, nodeName(user))));
}

void Assumptions::store(func::FuncOp function) const {
  if (!list.empty())
    function->setAttr(TfmDialect::kAssumptionsAttr, ArrayAttr::get(function.getContext(), list));
}
