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
Value gemm(OpBinder &b) {
  Value x = b.input(0), y = b.input(1), c = b.optionalInput(2);
  if (b.failed())
    return {};
  if (b.rank(x) != 2 || b.rank(y) != 2) {
    (void)b.error("takes matrices, not ranks " + Twine(b.rank(x)) + " and " + Twine(b.rank(y)));
    return {};
  }
  double beta = b.floatAttr("beta", 1);
  Value product = scaled(b, b.matmul(x, y, b.intAttr("transA", 0), b.intAttr("transB", 0)),
                         b.floatAttr("alpha", 1));
  return c && beta != 0 ? b.add(product, scaled(b, c, beta)) : product;
}
LogicalResult importGemm(OpBinder &b) { return b.yield(gemm(b)); }

/// The operand of a FusedMatMul: with `transBatch` dimension 0 becomes the rows, and those from 1
/// up to the last two the batch.
Value fusedOperand(OpBinder &b, size_t i, StringRef transBatch) {
  Value x = b.input(i);
  if (b.failed() || !b.intAttr(transBatch, 0))
    return x;
  int64_t rank = b.rank(x);
  if (rank < 3) {
    (void)b.error(transBatch + " takes rank 3 or more, not " + Twine(rank));
    return {};
  }
  Ints perm = llvm::to_vector(llvm::seq<int64_t>(1, rank - 1));
  perm.append({0, rank - 1});
  return b.transpose(x, perm);
}

/// com.microsoft: a matmul of transposed operands with a factor.
LogicalResult importFusedMatMul(OpBinder &b) {
  Value x = fusedOperand(b, 0, "transBatchA"), y = fusedOperand(b, 1, "transBatchB");
  if (b.failed())
    return failure();
  // A vector has nothing to transpose.
  bool transposeX = b.intAttr("transA", 0) && b.rank(x) > 1;
  bool transposeY = b.intAttr("transB", 0) && b.rank(y) > 1;
  return b.yield(scaled(b, b.matmul(x, y, transposeX, transposeY), b.floatAttr("alpha", 1)));
}

Value activated(OpBinder &b, Value x, StringRef name) {
  double alpha = b.floatAttr("activation_alpha", name == "HardSigmoid" ? 0.2 : 0.01);
  if (name == "Relu" || b.failed())
    return b.unary(UnaryKind::Relu, x);
  if (name == "Tanh")
    return b.unary(UnaryKind::Tanh, x);
  if (name == "Sigmoid")
    return b.unary(UnaryKind::Sigmoid, x);
  Value zero = b.scalar(x, 0), line = b.mul(x, b.scalar(x, alpha));
  if (name == "LeakyRelu")
    return b.select(b.compare(CompareKind::Lt, x, zero), line, x);
  if (name == "HardSigmoid") {
    line = b.add(line, b.scalar(x, b.floatAttr("activation_beta", 0.5)));
    return b.binary(BinaryKind::Max, b.binary(BinaryKind::Min, line, b.scalar(x, 1)), zero);
  }
  (void)b.unsupported("activation '" + name +
                      "'; accepted are Relu, Tanh, Sigmoid, LeakyRelu, HardSigmoid");
  return {};
}

/// com.microsoft: Gemm with an activation.
LogicalResult importFusedGemm(OpBinder &b) {
  Value result = gemm(b);
  std::string name = b.stringAttr("activation", "");
  return b.yield(name.empty() ? result : activated(b, result, name));
}

constexpr OpClass C = OpClass::Concept, D = OpClass::Decomposed;
const OpRow rows[] = {
    {"", "Gemm", 7, 13, D, importGemm},
    {"", "MatMul", 1, 13, C, importMatMul},
    {"com.microsoft", "FusedGemm", 1, 1, D, importFusedGemm},
    {"com.microsoft", "FusedMatMul", 1, 1, D, importFusedMatMul},
};

} // namespace

ArrayRef<OpRow> permalloy::matmulRows() { return rows; }
