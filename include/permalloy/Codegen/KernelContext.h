//===- KernelContext.h - where one thread compiles kernels ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_CODEGEN_KERNELCONTEXT_H
#define PERMALLOY_CODEGEN_KERNELCONTEXT_H

#include "Kern/Kern.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>

namespace permalloy::codegen {

/// A context of its own, with all that code generation takes, so that threads compile kernels beside each other: a kernel
/// comes in as text. Errors are collected, not printed: such a thread has no user.
class KernelContext {
public:
  /// What GPU kernels are made of costs time to load: only for those.
  enum class Device { Cpu, Gpu };
  explicit KernelContext(Device device = Device::Cpu);

  /// Null, with `error`, when the text is no module. Its kernel: `kernelOf`.
  mlir::OwningOpRef<mlir::ModuleOp> parse(llvm::StringRef text);
  static kern::KernelOp kernelOf(mlir::ModuleOp module) { return *module.getOps<kern::KernelOp>().begin(); }

  /// Takes the errors since the last call, joined by "; ".
  std::string takeError() { return std::exchange(error, ""); }

private:
  mlir::MLIRContext context;
  std::string error;
  mlir::ScopedDiagnosticHandler handler;
};

/// A kernel as text that KernelContext::parse reads back.
std::string textOf(kern::KernelOp kernel);

} // namespace permalloy::codegen

#endif // PERMALLOY_CODEGEN_KERNELCONTEXT_H
