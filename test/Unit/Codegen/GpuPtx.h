//===- GpuPtx.h - PTX of a test's kernel, and what ptxas says of it -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_GPUPTX_H
#define PERMALLOY_TEST_UNIT_CODEGEN_GPUPTX_H

#include "KernelCheck.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"

namespace permalloy::codegen::test {

/// PTX of a kernel with its default schedule, or with `schedule`. Empty where it has none or, after a failure of the test, where
/// it is not emitted.
std::string ptxOf(KernelCheck &check, const GpuTarget &target, mlir::DictionaryAttr schedule = nullptr);

/// The targets of the tests that ask ptxas, which takes seconds: the oldest one and Hopper. The others' PTX has the same instructions, and
/// scripts/check-ptxas asks of them, too.
std::vector<GpuTarget> assembledTargets();

/// The PTX through ptxas, which must know it. Nothing where this machine's ptxas is older than the target or, after a failure of
/// the test, refuses the PTX.
std::optional<Cubin> assembled(const std::string &ptx, const GpuTarget &target, const std::string &ptxas);

/// Expects that ptxas keeps all values of a kernel in registers, at most so many, for
/// assembledTargets(); `ptx` is the kernel's. Skips the test where this machine has no ptxas. The
/// registers are properties of the test; with PERMALLOY_MEASURE they are printed.
void expectNoSpills(const std::string &name, llvm::function_ref<std::string(const GpuTarget &)> ptx,
                    unsigned mostRegisters = 255);

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_GPUPTX_H
