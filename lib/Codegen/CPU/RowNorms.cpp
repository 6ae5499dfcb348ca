//===- RowNorms.cpp - elements of norms from their rows' statistics -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "RowNorms.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;
using tfm::BinaryKind;

Value codegen::layerNormAt(ValueEmitter &values, tfm::LayerNormOp op, const Site &site, Value mean, Value factor) {
  ElementOps &ops = values.elements();
  Element f32 = Element::of(values.builder().getF32Type());
  tfm::Dims own = values.dims(op.getInput());
  Value x = ops.binary(BinaryKind::Sub, f32, values.at(op.getInput(), site), mean);
  x = ops.binary(BinaryKind::Mul, f32, x, factor);
  Value gain = values.at(op.getScale(), values.operandSite(site, own, op.getScale()));
  if (!op.getBias())
    return ops.binary(BinaryKind::Mul, f32, x, gain);
  Value bias = values.at(op.getBias(), values.operandSite(site, own, op.getBias()));
  ops.match(x, gain);
  ops.match(x, bias);
  ops.match(gain, bias);
  return values.builder().fma(x, gain, bias);
}

Value codegen::rmsNormAt(ValueEmitter &values, tfm::RmsNormOp op, const Site &site, Value factor) {
  ElementOps &ops = values.elements();
  Element f32 = Element::of(values.builder().getF32Type());
  Value gain = values.at(op.getScale(), values.operandSite(site, values.dims(op.getInput()), op.getScale()));
  Value x = ops.binary(BinaryKind::Mul, f32, values.at(op.getInput(), site), factor);
  return ops.binary(BinaryKind::Mul, f32, x, gain);
}
