//===- WeightOnlyKernel.cpp - tfm.dequantize as a contraction's weight -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "WeightOnlyKernel.h"
#include "Tfm/Panels.h"
#include "WeightOnly.h"

#include "mlir/IR/Matchers.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

CodeFormat permalloy::codegen::codeFormatOf(tfm::DequantizeOp decode) {
  auto type = cast<tfm::QuantType>(getElementTypeOrSelf(decode.getCodes().getType()));
  return {type.getIsSigned(),
          type.getBits(),
          tfm::panelBits(type),
          type.getGroup(),
          getElementTypeOrSelf(decode.getScales().getType()),
          bool(decode.getZeroPoints()),
          bool(decode.getCodebook())};
}

std::string permalloy::codegen::whyNotWeightOnly(tfm::DequantizeOp decode) {
  auto type = cast<RankedTensorType>(decode.getType());
  if (type.getRank() != 2 || !type.hasStaticShape())
    return "its codes are no matrix of static size";
  for (Value part : {Value(decode.getCodes()), Value(decode.getScales()), Value(decode.getZeroPoints())})
    if (part && !isa<BlockArgument>(part))
      return "codes, scales or zero points are computed in the kernel";
  if (decode.getZeroPoints() && getElementTypeOrSelf(decode.getZeroPoints()) != getElementTypeOrSelf(decode.getScales()))
    return "zero points are not of the type of its scales";
  if (Value table = decode.getCodebook()) {
    DenseElementsAttr values;
    bool isF32 = getElementTypeOrSelf(table.getType()).isF32();
    if (!isF32 || (!isa<BlockArgument>(table) && !matchPattern(table, m_Constant(&values))))
      return "its codebook is not in f32, or computed in the kernel";
  }
  return whyNotWeightOnly(codeFormatOf(decode), type.getDimSize(0));
}

FailureOr<CodedWeight> permalloy::codegen::codedWeightOf(KernelFrame &frame, tfm::DequantizeOp decode) {
  CodedWeight weight;
  weight.format = codeFormatOf(decode);
  auto base = [&](Value part, Value &place) -> LogicalResult {
    if (!part)
      return success();
    if (!isa_and_nonnull<tfm::PanelsAttr>(cast<RankedTensorType>(part.getType()).getEncoding()))
      return decode.emitError("the contraction emitter takes packed codes and scales, not ")
             << part.getType() << "; run pack-weights first";
    place = frame.argument(part);
    return success();
  };
  if (failed(base(decode.getCodes(), weight.codes)) || failed(base(decode.getScales(), weight.scales)) ||
      failed(base(decode.getZeroPoints(), weight.zeroPoints)))
    return failure();
  DenseElementsAttr values;
  if (Value table = decode.getCodebook(); table && matchPattern(table, m_Constant(&values)))
    llvm::append_range(weight.table, values.getValues<float>());
  else if (table)
    weight.codebook = frame.argument(table);
  return weight;
}
