//===- Router.h - the operations of a router kernel -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ROUTER_H
#define PERMALLOY_LIB_CODEGEN_CPU_ROUTER_H

#include "Kern/Kern.h"
#include "permalloy/Codegen/CPU/KernelFrame.h"

namespace permalloy::codegen {

/// What a kernel of the emitter "route" consists of: a top_k with its weights and groups, groups that an
/// argument names, or a count of true elements.
struct Router {
  tfm::TopKOp choice;
  tfm::MoeWeightsOp weights;
  tfm::GroupByOp groups;
  tfm::PrefixCountOp counts;
  int64_t experts = 0, count = 0;

  explicit Router(kern::KernelOp kernel);

  /// Groups that an operand names, rather than experts that are chosen here.
  bool onlyGroups() { return !choice; }
  /// Why the emitter cannot take it; fills in the sizes.
  std::string check();
  /// What all of it reads.
  mlir::Value input();

  /// Where a result goes: the caller's memory, or `otherwise` when the kernel does not yield it.
  static mlir::Value placeOf(KernelFrame &frame, mlir::Value result, mlir::Value otherwise);
};

} // namespace permalloy::codegen

#endif
