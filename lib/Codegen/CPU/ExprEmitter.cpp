//===- ExprEmitter.cpp - elementwise trees as vectors along a row -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/ExprEmitter.h"
#include "Tfm/Outliers.h"
#include "ValueEmitter.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

ExprEmitter::ExprEmitter(KernelFrame &frame, Value domain)
    : frame(frame), domain(domain), values(std::make_unique<ValueEmitter>(frame)) {
  KernelBuilder &b = frame.builder();
  for (unsigned lanes = 0; lanes < b.target().lanes(); ++lanes) {
    SmallVector<bool> bits(b.target().lanes(), false);
    std::fill_n(bits.begin(), lanes, true);
    masks.push_back(arith::ConstantOp::create(b, DenseElementsAttr::get(b.maskType(), ArrayRef<bool>(bits))));
  }
}

ExprEmitter::~ExprEmitter() = default;

/// Elements and kinds that vectors hold.
static bool hasVectorForm(Operation *op) {
  for (Value operand : op->getOperands())
    if (!Element::of(operand).hasVectors())
      return false;
  if (!Element::of(op->getResult(0)).hasVectors())
    return false;
  if (auto unary = dyn_cast<tfm::UnaryOp>(op))
    return ElementOps::hasVectorForm(unary.getKind(), Element::of(unary.getInput()));
  if (auto binary = dyn_cast<tfm::BinaryOp>(op))
    return ElementOps::hasVectorForm(binary.getKind(), Element::of(binary.getLhs()));
  if (auto cast = dyn_cast<tfm::CastOp>(op))
    return ElementOps::castHasVectorForm(Element::of(cast.getInput()), Element::of(cast.getResult()));
  return isa<tfm::CompareOp, tfm::SelectOp, tfm::QuantizeOp, tfm::ConstantOp, tfm::BroadcastOp>(op);
}

/// The last dimension of an operand is 1 or, as its type shows, the result's: lanes are neighbours or all alike.
static bool lanesFit(Operation *op) {
  auto result = cast<RankedTensorType>(op->getResult(0).getType());
  return llvm::all_of(op->getOperandTypes(), [&](Type type) {
    auto operand = cast<RankedTensorType>(type);
    if (operand.getRank() == 0 || operand.getShape().back() == 1)
      return true;
    bool known = !operand.isDynamicDim(operand.getRank() - 1);
    return result.getRank() > 0 && known && operand.getShape().back() == result.getShape().back();
  });
}

bool ExprEmitter::canEmit(Value value, Value leaf, Operation *&culprit) {
  if (value == leaf || isa<BlockArgument>(value))
    return true;
  Operation *op = value.getDefiningOp();
  if (isa<tfm::OutlierLinearOp>(op)) {
    culprit = op;
    return llvm::all_of(op->getOperands(), llvm::IsaPred<BlockArgument>);
  }
  if (!hasVectorForm(op) || !lanesFit(op)) {
    culprit = op;
    return false;
  }
  return llvm::all_of(op->getOperands(), [&](Value operand) { return canEmit(operand, leaf, culprit); });
}

Value ExprEmitter::emitVector(Value value, const ExprSite &site, Value leaf, Value leafValue) {
  if (leaf)
    values->bind(leaf, [leafValue](const Site &) { return leafValue; });
  Site place = Site::rows(site.row, site.column);
  if (site.lanes > 0) {
    place.lane = 1;
    place.aligned = true;
    if (site.lanes < frame.builder().target().lanes())
      place.mask = masks[site.lanes];
  }
  Value result = values->at(value, values->operandSite(place, frame.dims(domain), value));
  return site.lanes > 0 ? values->elements().toVector(result) : result; // one element serves all lanes
}

Value codegen::emitActivation(KernelBuilder &b, tfm::Activation activation, Value x) {
  using Kind = tfm::UnaryKind;
  static constexpr Kind kKinds[] = {Kind::Abs,      Kind::Relu, Kind::GeluErf, Kind::GeluTanh,
                                    Kind::Silu,     Kind::Tanh, Kind::Sigmoid};
  if (activation == tfm::Activation::None)
    return x;
  return ElementOps(b).unary(kKinds[unsigned(activation)], Element::of(b.getF32Type()), x);
}
