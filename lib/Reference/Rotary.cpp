//===- Rotary.cpp - rotary position embedding --------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Evaluate.h"

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

Result reference::evaluate(tfm::RotaryOp op, Operands in, Scope &scope) {
  const Tensor &x = in[0], &cos = in[1], &sin = in[2];
  bool packed = x.rank() == 3;
  int64_t heads = packed ? *op.getNumHeads() : x.dim(1), sequence = x.dim(packed ? 1 : 2);
  int64_t size = packed ? x.dim(2) / heads : x.dim(3), half = cos.dim(2);
  bool fits = cos.shape() == sin.shape() && (cos.dim(0) == 1 || cos.dim(0) == x.dim(0)) && cos.dim(1) == sequence && 2 * half <= size;
  if (!fits)
    return scope.fail("tables " + str(cos.shape()) + " and " + str(sin.shape()) + " do not fit the input " + str(x.shape()));
  Tensor result(op.getType().getElementType(), x.shape());
  for (int64_t i = 0; i < x.size(); ++i)
    result.setNumber(i, x.number(i));
  forEachIndex({x.dim(0), heads, sequence}, {}, [&](int64_t i, ArrayRef<int64_t>) {
    int64_t s = i % sequence, h = i / sequence % heads, n = i / sequence / heads;
    int64_t row = packed ? ((n * sequence + s) * heads + h) * size : i * size;
    int64_t entry = ((cos.dim(0) == 1 ? 0 : n) * sequence + s) * half;
    for (int64_t d = 0; d < half; ++d) {
      int64_t first = row + (op.getInterleaved() ? 2 * d : d), second = first + (op.getInterleaved() ? 1 : half);
      double c = cos.number(entry + d), t = sin.number(entry + d), a = x.number(first), b = x.number(second);
      result.setNumber(first, a * c - b * t);
      result.setNumber(second, b * c + a * t);
    }
  });
  return result;
}
