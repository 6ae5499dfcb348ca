//===- ValueElementwise.cpp - elementwise operations at an index -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ValueEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

/// `tensor` at `site` as its type holds it. Between operations of a kernel f16 and bf16 are f32, which is closer to the
/// exact value but may fall on the other side of a step.
Value ValueEmitter::exactAt(Value tensor, const Site &site) {
  Value x = at(tensor, site);
  Operation *op = tensor.getDefiningOp();
  bool computed = op && !isa<tfm::ConstantOp, tfm::CastOp>(op);
  return computed ? ops.round(Element::of(tensor), x) : x;
}

/// Kinds whose result jumps.
static bool tellsNeighboursApart(tfm::UnaryKind kind) {
  using Kind = tfm::UnaryKind;
  return llvm::is_contained({Kind::Floor, Kind::Ceil, Kind::Round, Kind::Sign, Kind::IsInf}, kind);
}

Value ValueEmitter::emit(tfm::CastOp op, const Site &site) {
  Element from = Element::of(op.getInput()), to = Element::of(op.getResult());
  Value x = to.isFloat() ? at(op.getInput(), site) : exactAt(op.getInput(), site);
  if (isa<VectorType>(x.getType()) && !ElementOps::castHasVectorForm(from, to))
    return lose(op, site);
  return ops.cast(from, to, x);
}

Value ValueEmitter::emit(tfm::UnaryOp op, const Site &site) {
  Element e = Element::of(op.getInput());
  Value x = tellsNeighboursApart(op.getKind()) ? exactAt(op.getInput(), site) : at(op.getInput(), site);
  if (isa<VectorType>(x.getType()) && !ElementOps::hasVectorForm(op.getKind(), e))
    return lose(op, site);
  return ops.unary(op.getKind(), e, x);
}

/// x to a constant power that needs no logarithm; null for others.
Value ValueEmitter::emitPower(tfm::BinaryOp op, Value x) {
  DenseFPElementsAttr exponent;
  if (!matchPattern(op.getRhs(), m_Constant(&exponent)) || !exponent.isSplat())
    return {};
  Element e = Element::of(op.getLhs());
  double value = exponent.getSplatValue<APFloat>().convertToDouble();
  if (value == 1.0)
    return x;
  if (value == 2.0)
    return ops.binary(tfm::BinaryKind::Mul, e, x, x);
  if (value == 3.0)
    return arith::MulFOp::create(b, arith::MulFOp::create(b, x, x), x);
  if (value == -1.0)
    return ops.unary(tfm::UnaryKind::Reciprocal, e, x);
  return {};
}

Value ValueEmitter::emit(tfm::BinaryOp op, const Site &site) {
  Element e = Element::of(op.getLhs());
  tfm::Dims result = dims(op.getResult());
  Value x = at(op.getLhs(), operandSite(site, result, op.getLhs()));
  if (op.getKind() == tfm::BinaryKind::Pow && e.isFloat())
    if (Value power = emitPower(op, x))
      return power;
  Value y = at(op.getRhs(), operandSite(site, result, op.getRhs()));
  if (op.getKind() == tfm::BinaryKind::Mod) {
    x = exactAt(op.getLhs(), operandSite(site, result, op.getLhs()));
    y = exactAt(op.getRhs(), operandSite(site, result, op.getRhs()));
  }
  bool vector = isa<VectorType>(x.getType()) || isa<VectorType>(y.getType());
  if (vector && !ElementOps::hasVectorForm(op.getKind(), e))
    return lose(op, site);
  return ops.binary(op.getKind(), e, x, y);
}

Value ValueEmitter::emit(tfm::CompareOp op, const Site &site) {
  tfm::Dims result = dims(op.getResult());
  Value x = exactAt(op.getLhs(), operandSite(site, result, op.getLhs()));
  Value y = exactAt(op.getRhs(), operandSite(site, result, op.getRhs()));
  return ops.compare(op.getKind(), Element::of(op.getLhs()), x, y);
}

Value ValueEmitter::emit(tfm::SelectOp op, const Site &site) {
  tfm::Dims result = dims(op.getResult());
  Value condition = at(op.getCondition(), operandSite(site, result, op.getCondition()));
  Value x = at(op.getOnTrue(), operandSite(site, result, op.getOnTrue()));
  Value y = at(op.getOnFalse(), operandSite(site, result, op.getOnFalse()));
  if (isa<VectorType>(condition.getType()))
    x = ops.toVector(x);
  ops.match(x, y);
  return arith::SelectOp::create(b, condition, x, y);
}

Value ValueEmitter::emit(tfm::QuantizeOp op, const Site &site) {
  tfm::Dims result = dims(op.getResult());
  Element code = Element::of(op.getResult()), f32 = Element::of(b.getF32Type());
  Value x = exactAt(op.getInput(), site), zero;
  if (op.getScale())
    x = ops.binary(tfm::BinaryKind::Div, f32, x, exactAt(op.getScale(), operandSite(site, result, op.getScale())));
  if (op.getZeroPoint())
    zero = at(op.getZeroPoint(), operandSite(site, result, op.getZeroPoint()));
  return ops.code(x, op.lowest(), op.highest(), code, zero);
}
