//===- DimGroups.cpp - which dimensions a reshape joins ----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "DimGroups.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

static bool divides(DimExprAttr divisor, DimExprAttr value) {
  DimExprAttr rest = DimExprAttr::mod(value, divisor);
  return rest && rest.isConstant(0);
}

static SmallVector<unsigned> withoutOnes(ArrayRef<DimExprAttr> dims) {
  SmallVector<unsigned> result;
  for (auto [i, dim] : llvm::enumerate(dims))
    if (!dim.isConstant(1))
      result.push_back(i);
  return result;
}

std::optional<SmallVector<DimGroup>> permalloy::groupDims(ArrayRef<DimExprAttr> from,
                                                          ArrayRef<DimExprAttr> to) {
  SmallVector<unsigned> a = withoutOnes(from), b = withoutOnes(to);
  SmallVector<DimGroup> groups;
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    DimGroup group;
    group.from.push_back(a[i]);
    group.to.push_back(b[j]);
    DimExprAttr left = from[a[i++]], right = to[b[j++]];
    while (left != right) {
      if (divides(left, right) && i < a.size()) {
        group.from.push_back(a[i]);
        left = DimExprAttr::mul(left, from[a[i++]]);
      } else if (divides(right, left) && j < b.size()) {
        group.to.push_back(b[j]);
        right = DimExprAttr::mul(right, to[b[j++]]);
      } else {
        return std::nullopt;
      }
    }
    groups.push_back(group);
  }
  if (i != a.size() || j != b.size())
    return std::nullopt;
  return groups;
}
