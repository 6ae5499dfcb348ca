//===- MatMul.cpp - matrix products of ONNX ----------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "OpTable.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::tfm;

namespace {

LogicalResult importMatMul(OpBinder &b) {
  Value x = b.input(0), y = b.input(1);
  return b.yield(b.matmul(x, y));
}

Value scaled(OpBinder &b, Value x, double factor) {
  return factor == 1 ? x : b.mul(x, b.scalar(x, factor));
}

/// alpha * op(A) * op(B) + beta * C
LogicalResult importGemm(OpBinder &b) {
  Value x = b.input(0), y = b.input(1), c = b.optionalInput(2);
  if (b.failed())
    return failure();
  if (b.rank(x) != 2 || b.rank(y) != 2)
    return b.error("takes matrices, not ranks " + Twine(b.rank(x)) + " and " + Twine(b.rank(y)));
  double beta = b.floatAttr("beta", 1);
  Value product = scaled(b, b.matmul(x, y, b.intAttr("transA", 0), b.intAttr("transB", 0)),
                         b.floatAttr("alpha", 1));
  return b.yield(c && beta != 0 ? b.add(product, scaled(b, c, beta)) : product);
}

/// com.microsoft: a matmul with transposed last dimensions and a factor.
LogicalResult importFusedMatMul(OpBinder &b) {
  Value x = b.input(0), y = b.input(1);
  if (b.intAttr("transBatchA", 0) || b.intAttr("transBatchB", 0))
    return b.unsupported("transBatchA or transBatchB");
  return b.yield(scaled(b, b.matmul(x, y, b.intAttr("transA", 0), b.intAttr("transB", 0)),
                        b.floatAttr("alpha", 1)));
}

constexpr OpClass C = OpClass::Concept, D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "Gemm", 7, 13, D, importGemm},
    {"", "MatMul", 1, 13, C, importMatMul},
    {"com.microsoft", "FusedMatMul", 1, 1, D, importFusedMatMul},
};

} // namespace

ArrayRef<OpRow> permalloy::matmulRows() { return rows; }
