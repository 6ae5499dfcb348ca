//===- KernelContext.cpp - where one thread compiles kernels ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/KernelContext.h"
#include "permalloy/Codegen/Common/ObjectEmission.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"

#include "mlir/Parser/Parser.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace mlir;

static DialectRegistry kernelRegistry(KernelContext::Device device) {
  DialectRegistry registry;
  registry.insert<tfm::TfmDialect, kern::KernDialect>();
  registerKernelDialects(registry);
  if (device == KernelContext::Device::Gpu)
    registerGpuDialects(registry);
  return registry;
}

KernelContext::KernelContext(Device device)
    : context(kernelRegistry(device), MLIRContext::Threading::DISABLED), handler(&context, [this](Diagnostic &d) {
        if (d.getSeverity() == DiagnosticSeverity::Error)
          error += (error.empty() ? "" : "; ") + d.str();
        return success();
      }) {
  context.loadAllAvailableDialects();
}

OwningOpRef<ModuleOp> KernelContext::parse(StringRef text) { return parseSourceString<ModuleOp>(text, &context); }

std::string permalloy::codegen::textOf(kern::KernelOp kernel) {
  std::string text;
  llvm::raw_string_ostream os(text);
  kernel->print(os, OpPrintingFlags().useLocalScope());
  return text;
}
