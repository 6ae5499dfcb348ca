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
