//===- Register.cpp - every dialect and pass ---------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Driver/Driver.h"

#include "Check/Check.h"
#include "Kern/Kern.h"
#include "Tfm/Tfm.h"
#include "permalloy/Codegen/Passes.h"
#include "permalloy/Conversion/Passes.h"
#include "permalloy/Pipelines/Compile.h"
#include "permalloy/Reference/Passes.h"
#include "permalloy/Transforms/Passes.h"

#include "mlir/Transforms/Passes.h"

namespace permalloy {

void registerAllDialects(mlir::DialectRegistry &registry) {
  registry.insert<mlir::func::FuncDialect, mlir::arith::ArithDialect, tfm::TfmDialect,
                  kern::KernDialect, check::CheckDialect>();
}

void registerAllPasses() {
  mlir::registerTransformsPasses();
  registerTransformsPasses();
  registerConversionPasses();
  reference::registerReferencePasses();
  codegen::registerCodegenPasses();
  registerCompilePipelines();
}

} // namespace permalloy
