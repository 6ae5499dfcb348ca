//===- Quantization.cpp - weights as codes and scales -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"
#include "permalloy/Solvers/WeightSolver.h"

#include <cstring>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

void reference::wrapCodes(tfm::QuantType code, MutableArrayRef<char> bytes) {
  unsigned spare = 8 - code.getBits();
  for (char &byte : bytes)
    byte = code.getIsSigned() ? char(int8_t(uint8_t(byte) << spare) >> spare) : char(uint8_t(uint8_t(byte) << spare) >> spare);
}

static Tensor plain(const Tensor &tensor) { return tensor.isPacked() ? unpack(tensor) : tensor; }

Result reference::evaluate(tfm::DequantizeOp op, Operands in, Scope &) {
  Tensor codes = plain(in[0]), scales = plain(in[1]);
  Tensor zeros = op.getZeroPoints() ? plain(in[2]) : Tensor(), table = op.getCodebook() ? in.back() : Tensor();
  auto code = cast<tfm::QuantType>(codes.elementType());
  ArrayRef<int64_t> matrix = codes.shape().take_back(2);
  int64_t k = matrix[0], n = matrix[1], groups = code.groups(k);
  Tensor result(op.getType().getElementType(), codes.shape());
  for (int64_t i = 0; i < codes.size(); ++i) {
    int64_t row = i / n, group = row / k * groups + row % k / code.getGroup(), at = group * n + i % n;
    float value = table ? float(table.number(int64_t(codes.integer(i)))) : float(codes.integer(i));
    if (zeros)
      value -= float(zeros.approximate(at));
    result.setNumber(i, value * float(scales.number(at)));
  }
  return result;
}

Result reference::evaluate(tfm::UnpackBitsOp op, Operands in, Scope &) {
  int64_t bits = op.getBits(), parts = 8 / bits;
  Shape shape(in[0].shape());
  shape.back() *= parts;
  Tensor result(in[0].elementType(), shape);
  const char *from = in[0].bytes().data();
  char *to = result.mutableBytes().data();
  for (int64_t i = 0; i < result.size(); ++i)
    to[i] = uint8_t(from[i / parts]) >> (i % parts * bits) & ((1 << bits) - 1);
  return result;
}

std::vector<float> reference::floats(const Tensor &tensor) {
  std::vector<float> result(tensor.size());
  if (tensor.element() == Element::F32) {
    std::memcpy(result.data(), tensor.bytes().data(), tensor.bytes().size());
    return result;
  }
  for (int64_t i = 0; i < tensor.size(); ++i)
    result[i] = float(tensor.number(i));
  return result;
}

static solvers::Grid gridOf(tfm::QuantizeWeightOp op) {
  auto code = cast<tfm::QuantType>(getElementTypeOrSelf(op.getCodes().getType()));
  bool symmetric = !op.getZeroPoints() && !op.getCodebook();
  return {code.getBits(), code.getIsSigned(), symmetric, code.getGroup(), {},
          getElementTypeOrSelf(op.getScales().getType()).isF16()};
}

/// Writes `values` at element `offset`.
static void storeFloats(Tensor &tensor, int64_t offset, ArrayRef<float> values) {
  for (auto [i, value] : llvm::enumerate(values))
    tensor.setNumber(offset + i, value);
}

FailureOr<SmallVector<Tensor>> reference::evaluate(tfm::QuantizeWeightOp op, Operands in, Scope &scope) {
  std::vector<float> weight = floats(in[0]), gram, second;
  solvers::Grid grid = gridOf(op);
  size_t next = 1;
  if (op.getGram())
    gram = floats(in[next++]);
  if (op.getSecond())
    second = floats(in[next++]);
  if (op.getCodebook())
    grid.codebook = floats(in[next]);
  SmallVector<Tensor> results;
  for (Type type : op->getResultTypes())
    results.emplace_back(cast<RankedTensorType>(type));
  ArrayRef<int64_t> matrix = in[0].shape().take_back(2);
  int64_t k = matrix[0], n = matrix[1];
  for (int64_t m = 0; m < product(in[0].shape().drop_back(2)); ++m) {
    solvers::Problem problem{k, n, std::span(weight).subspan(m * k * n, k * n), gram, second, grid, {}};
    solvers::Solution solution;
    if (std::string error = solvers::solve(op.getSolver().str(), problem, solution); !error.empty())
      return scope.fail(error);
    llvm::copy(solution.codes, reinterpret_cast<int8_t *>(results[0].mutableBytes().data()) + m * k * n);
    storeFloats(results[1], m * grid.groups(k) * n, solution.scales);
    if (op.getZeroPoints())
      storeFloats(results[2], m * grid.groups(k) * n, solution.zeroPoints);
  }
  return results;
}
