//===- TfmDialect.cpp - registration and small attributes --------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "Tfm/Outliers.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace permalloy::tfm;

#include "Tfm/TfmDialect.cpp.inc"
#include "Tfm/TfmEnums.cpp.inc"
#include "Tfm/TfmInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "Tfm/TfmAttrs.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "Tfm/TfmTypes.cpp.inc"

#define GET_OP_CLASSES
#include "Tfm/TfmOps.cpp.inc"

void TfmDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "Tfm/TfmAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "Tfm/TfmTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "Tfm/TfmOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "Tfm/OutlierOps.cpp.inc"
      >();
}

Operation *TfmDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type, Location loc) {
  auto elements = dyn_cast<ElementsAttr>(value);
  if (!elements || elements.getType() != type)
    return nullptr;
  return ConstantOp::create(builder, loc, elements);
}

static constexpr std::pair<Activation, UnaryKind> kActivations[] = {
    {Activation::Relu, UnaryKind::Relu},         {Activation::GeluErf, UnaryKind::GeluErf},
    {Activation::GeluTanh, UnaryKind::GeluTanh}, {Activation::Silu, UnaryKind::Silu},
    {Activation::Tanh, UnaryKind::Tanh},         {Activation::Sigmoid, UnaryKind::Sigmoid}};

std::optional<UnaryKind> permalloy::tfm::unaryOf(Activation activation) {
  for (auto [own, kind] : kActivations)
    if (own == activation)
      return kind;
  return std::nullopt;
}

std::optional<Activation> permalloy::tfm::activationOf(UnaryKind kind) {
  for (auto [activation, own] : kActivations)
    if (own == kind)
      return activation;
  return std::nullopt;
}

Attribute SeededAttr::parse(AsmParser &parser, Type) {
  int64_t seed;
  double scale;
  if (parser.parseLess() || parser.parseInteger(seed) || parser.parseComma() || parser.parseFloat(scale) ||
      parser.parseGreater())
    return {};
  return get(parser.getContext(), seed, FloatAttr::get(Float64Type::get(parser.getContext()), scale));
}

void SeededAttr::print(AsmPrinter &printer) const {
  printer << '<' << getSeed() << ", ";
  printer.printFloat(getScale().getValue());
  printer << '>';
}
