//===- GpuTest.h - what tests of GPU kernels share --------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#ifndef PERMALLOY_TEST_UNIT_CODEGEN_GPUTEST_H
#define PERMALLOY_TEST_UNIT_CODEGEN_GPUTEST_H

#include "GpuMachine.h"
#include "GpuPtx.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"

#include "llvm/ADT/Sequence.h"
#include "gmock/gmock.h"

#include <array>

namespace permalloy::codegen::test {

using reference::Tolerance;
using ::testing::HasSubstr;
using ::testing::Not;

/// The oldest target, and the CPU that runs its kernels in tests.
inline const GpuTarget &sm80() { return GpuTarget::all().front(); }
inline const CpuTarget &thread() { return sm80().thread(); }

/// The form of the kernel's schedule; "" where it has none.
inline std::string formOf(KernelCheck &check) {
  mlir::DictionaryAttr schedule = check.kernelOp().getScheduleAttr();
  auto form = schedule ? schedule.getAs<mlir::StringAttr>("form") : nullptr;
  return form ? form.str() : "";
}

/// Parameters of a schedule.
using Parameters = llvm::ArrayRef<std::pair<const char *, int64_t>>;

/// The schedule of `form` with these parameters, as KernelCheck::setSchedule takes it.
inline mlir::DictionaryAttr scheduleOf(KernelCheck &check, llvm::StringRef form,
                                       Parameters parameters) {
  mlir::Builder b(check.kernelOp().getContext());
  mlir::NamedAttrList schedule;
  schedule.set("form", b.getStringAttr(form));
  for (auto [name, value] : parameters)
    schedule.set(name, b.getI64IntegerAttr(value));
  return schedule.getDictionary(b.getContext());
}

/// What is wrong with a schedule for sm80(); "" where it is legal. The kernel keeps what is legal.
inline std::string errorOf(KernelCheck &check, mlir::DictionaryAttr schedule) {
  std::string said;
  mlir::ScopedDiagnosticHandler handler(
      check.kernelOp().getContext(),
      [&](mlir::Diagnostic &diagnostic) { said += diagnostic.str(); });
  bool isLegal = succeeded(setGpuSchedule(check.kernelOp(), sm80(), schedule));
  EXPECT_EQ(isLegal, said.empty()) << said;
  return said;
}

} // namespace permalloy::codegen::test

#endif // PERMALLOY_TEST_UNIT_CODEGEN_GPUTEST_H
