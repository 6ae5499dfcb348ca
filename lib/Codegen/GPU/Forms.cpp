//===- Forms.cpp - the table of forms ---------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Forms.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

ArrayRef<GpuForm> codegen::gpuForms() {
  static const GpuForm kForms[] = {kTensorForm,       kFmaForm,    kExpertsForm, kAttentionForm,
                                   kAttentionFmaForm, kMatmulForm, kMatmulFmaForm, kRouteForm,
                                   kTokensForm,       kRowForm,    kFoldForm,      kSelectForm,
                                   kVectorForm,       kElementsForm, kRowsForm};
  return kForms;
}

const GpuForm *codegen::gpuFormOf(kern::KernelOp kernel) {
  auto name =
      kernel.getScheduleAttr() ? kernel.getScheduleAttr().getAs<StringAttr>(kForm) : nullptr;
  for (const GpuForm &form : gpuForms())
    if (name && name.getValue() == form.name)
      return &form;
  InFlightDiagnostic error = kernel.emitError("schedule names no form of GPU kernels; they are");
  llvm::interleave(
      gpuForms(), [&](const GpuForm &form) { error << " " << form.name; }, [&] { error << ","; });
  return nullptr;
}

DictionaryAttr codegen::formParameters(kern::KernelOp kernel) {
  NamedAttrList parameters(kernel.getScheduleAttr());
  parameters.erase(kForm);
  return parameters.getDictionary(kernel.getContext());
}

void codegen::setBlocks(kern::KernelOp kernel, tfm::DimExprAttr blocks) {
  kernel.setTilesAttr(blocks);
  kernel.setScratchBytesAttr(tfm::DimExprAttr::constant(kernel.getContext(), 0));
}

GpuLaunch codegen::launchBlocks(kern::KernelOp kernel, int64_t threads, int64_t sharedBytes) {
  return {unsigned(threads), *kernel.getTiles(),
          tfm::DimExprAttr::constant(kernel.getContext(), sharedBytes), *kernel.getScratchBytes()};
}
