//===- ModuleEmission.h - optimised LLVM IR to bytes -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_LIB_CODEGEN_COMMON_MODULEEMISSION_H
#define PERMALLOY_LIB_CODEGEN_COMMON_MODULEEMISSION_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/CodeGen.h"
#include "llvm/Support/Error.h"

#include <string>

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace permalloy::codegen {

/// LLVM's O2 without its own vectorisation and unrolling: emitters write the vectors and tiles that they want. O1 where the machine
/// generates code without optimising.
void optimizeModule(llvm::Module &module, llvm::TargetMachine &machine);

/// Optimised IR as assembly or an object; changes the module.
llvm::Expected<llvm::SmallVector<char, 0>> generateCode(llvm::Module &module, llvm::TargetMachine &machine, llvm::CodeGenFileType type);
/// The same as text.
llvm::Expected<std::string> generateAssembly(llvm::Module &module, llvm::TargetMachine &machine);

} // namespace permalloy::codegen

#endif // PERMALLOY_LIB_CODEGEN_COMMON_MODULEEMISSION_H
