//===- SharedNumbers.cpp - numbers that kernels do not know -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Analysis/SharedNumbers.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

DimExprAttr permalloy::sharedNumber(MLIRContext *context, int64_t value) {
  return DimExprAttr::symbol(context, "=" + std::to_string(value));
}

std::optional<int64_t> permalloy::valueOfSharedNumber(StringRef name) {
  int64_t value = 0;
  return name.consume_front("=") && !name.getAsInteger(10, value) ? std::optional(value) : std::nullopt;
}

DimExprAttr permalloy::resolveSharedNumbers(DimExprAttr expr) {
  return expr.substitute([&](StringRef name) -> DimExprAttr {
    auto value = valueOfSharedNumber(name);
    return value ? DimExprAttr::constant(expr.getContext(), *value) : DimExprAttr();
  });
}
