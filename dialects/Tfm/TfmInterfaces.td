//===- TfmInterfaces.td - shapes and contents of tfm values ------*- tablegen -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#ifndef PERMALLOY_TFM_INTERFACES_TD
#define PERMALLOY_TFM_INTERFACES_TD

include "mlir/IR/OpBase.td"

def Tfm_ShapeOp : OpInterface<"ShapeOpInterface"> {
  let cppNamespace = "::permalloy::tfm";
  let description = [{
    One rule per op says how the dimensions of its result follow from its operands. The verifier, type inference of the
    importer and `Analysis/SymbolicShapes` all ask this rule, each through its own `ShapeOracle`.
  }];
  let methods = [
    InterfaceMethod<[{
      Appends one expression per result dimension; null means unknown. Fails when operands cannot fit; the message
      (lower case, without location) goes to `error`.
    }], "::llvm::LogicalResult", "inferDims",
      (ins "::permalloy::tfm::ShapeOracle &":$oracle, "::permalloy::tfm::Dims &":$dims, "::std::string &":$error)>,
    InterfaceMethod<[{
      The element type of the result, from operands and attributes; null when any type may be declared (a cast).
    }], "::mlir::Type", "inferElementType", (ins), [{}], [{
      return ::mlir::getElementTypeOrSelf($_op->getOperand(0).getType());
    }]>,
    InterfaceMethod<[{
      Elements of an integer or bool result of rank 0 or 1 as expressions, row-major; nullopt when they depend on data.
    }], "::std::optional<::permalloy::tfm::Dims>", "inferContents",
      (ins "::permalloy::tfm::ShapeOracle &":$oracle), [{}], [{ return std::nullopt; }]>,
  ];
}

#endif
