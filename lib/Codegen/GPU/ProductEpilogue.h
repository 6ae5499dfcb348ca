//===- ProductEpilogue.h - what happens to the results of a linear layer -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_GPU_PRODUCTEPILOGUE_H
#define PERMALLOY_LIB_CODEGEN_GPU_PRODUCTEPILOGUE_H

#include "permalloy/Codegen/CPU/ExprEmitter.h"

namespace permalloy::codegen {

/// Bias, activation and what else a kernel with one tfm.linear does to its results, then the stores.
class ProductEpilogue {
public:
  using Value = mlir::Value;
  ProductEpilogue(KernelFrame &frame, tfm::LinearOp linear);

  /// `results`: a vector of 4 neighbours in a row, the first column a multiple of 4. Those behind the
  /// last column are left out.
  void operator()(Value row, Value column, Value results);

private:
  void store(const ExprSite &site, Value product);

  KernelFrame &frame;
  KernelBuilder &b;
  tfm::LinearOp linear;
  ExprEmitter expressions;
  int64_t columns;
};

} // namespace permalloy::codegen

#endif
