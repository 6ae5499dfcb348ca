//===- DimGroups.h - which dimensions a reshape joins ------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A reshape is understood as a list of groups: consecutive dimensions of the input with the same
// product as consecutive dimensions of the result. Dimensions of size one are in no group.
//
//   [b, 12, s, 32] -> [12 * b, s, 32]      groups {0, 1} -> {0},  {2} -> {1},  {3} -> {2}
//   [b, s, 384]    -> [b, s, 12, 32]       groups {0} -> {0},  {1} -> {1},  {2} -> {2, 3}
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_LIB_TRANSFORMS_CLEANUP_DIMGROUPS_H
#define PERMALLOY_LIB_TRANSFORMS_CLEANUP_DIMGROUPS_H

#include "Tfm/Tfm.h"

namespace permalloy {

struct DimGroup {
  llvm::SmallVector<unsigned, 2> from, to;
};

/// The finest groups of a reshape; nullopt when the products cannot be compared.
std::optional<llvm::SmallVector<DimGroup>> groupDims(llvm::ArrayRef<tfm::DimExprAttr> from,
                                                     llvm::ArrayRef<tfm::DimExprAttr> to);

} // namespace permalloy

#endif
