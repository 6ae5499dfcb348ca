//===- Router.h - the operations of a router kernel -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_CPU_ROUTER_H
#define PERMALLOY_LIB_CODEGEN_CPU_ROUTER_H

#include "ElementOps.h"
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

/// Emits what a router does with one token, for the worker of a CPU or a thread of a GPU.
class TokenRouter {
protected:
  using Value = mlir::Value;
  TokenRouter(KernelFrame &frame, const Router &router);

  /// Stores the token's experts, best first.
  void choose(Value token);
  /// Stores their weights; after `choose`.
  void weigh(Value token);
  Value loadWord(Value base, Value index) { return b.load(b.getI64Type(), word(base, index), 8); }
  void storeWord(Value value, Value base, Value index) { b.store(value, word(base, index), 8); }

  KernelFrame &frame;
  KernelBuilder &b;
  ElementOps ops;
  Router router;
  Element element;                       ///< of what the router reads
  Value logits, chosen, weights, groups; ///< addresses, where there are such
  Value pairs;                           ///< how many (token, slot) there are

private:
  Value word(Value base, Value index) { return b.at(base, b.mul(index, 8)); }
  Value logit(Value token, Value expert);
};

} // namespace permalloy::codegen

#endif
