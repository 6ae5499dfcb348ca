//===- GpuKernelTest.cpp - GPU kernels: PTX, ptxas, loops against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "GpuTest.h"
#include "permalloy/Codegen/GPU/CpuLoops.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

const char *const kGelu = R"(func.func @main(%x: tensor<?x48xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<48>]}, %c: tensor<48xf32>) -> tensor<?x48xf32> {
  %0 = tfm.binary add %x, %c : (tensor<?x48xf32>, tensor<48xf32>) -> tensor<?x48xf32>
  %1 = tfm.unary gelu_erf %0 : (tensor<?x48xf32>) -> tensor<?x48xf32>
  return %1 : tensor<?x48xf32>
})";

const char *const kSoftmax = R"(func.func @main(%x: tensor<?x37xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<37>]}) -> tensor<?x37xf32> {
  %0 = tfm.softmax %x {axis = 1 : i64} : (tensor<?x37xf32>) -> tensor<?x37xf32>
  return %0 : tensor<?x37xf32>
})";

std::string ptxOf(const char *text, const char *emitter, const GpuTarget &target) {
  KernelCheck check(text, emitter);
  return ptxOf(check, target);
}

TEST(GpuTargetTest, NamesAreAClosedTable) {
  auto known = GpuTarget::parse("sm_90a");
  ASSERT_TRUE(bool(known));
  EXPECT_EQ(known->capability, 90u);
  EXPECT_TRUE(known->exact);
  auto unknown = GpuTarget::parse("sm_70");
  EXPECT_EQ(llvm::toString(unknown.takeError()), "unknown GPU target 'sm_70'; supported are sm_80, sm_89, sm_90a, sm_100");
}

TEST(GpuKernelTest, ElementsAreCoalescedGlobalAccesses) {
  for (const GpuTarget &target : GpuTarget::all()) {
    std::string ptx = ptxOf(kGelu, "row", target);
    EXPECT_THAT(ptx, HasSubstr(".target " + target.name.str()));
    EXPECT_THAT(ptx, HasSubstr(".visible .entry kernel("));
    EXPECT_THAT(ptx, HasSubstr(".maxntid 256"));
    EXPECT_THAT(ptx, HasSubstr("ld.global")); // LLVM knows where buffers are
    EXPECT_THAT(ptx, HasSubstr("st.global"));
    EXPECT_THAT(ptx, Not(HasSubstr("call"))); // no libdevice
  }
}

/// NVIDIA's assembler takes what LLVM writes; kernels keep their values in registers.
TEST(GpuKernelTest, NothingSpills) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "this machine has no ptxas";
  for (const GpuTarget &target : GpuTarget::all())
    for (const char *text : {kGelu, kSoftmax}) {
      auto cubin = assembled(ptxOf(text, "row", target), target, *ptxas);
      if (!cubin)
        continue;
      EXPECT_EQ(llvm::StringRef(cubin->bytes.data(), 4), "\x7f" "ELF");
      EXPECT_GT(cubin->report.registers, 0u);
      EXPECT_EQ(cubin->report.spillBytes, 0u) << target.name.str();
    }
}

TEST(GpuKernelTest, AssemblerErrorsAreSaid) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "this machine has no ptxas";
  auto cubin = assemblePtx("nonsense", sm80(), *ptxas);
  EXPECT_THAT(llvm::toString(cubin.takeError()), HasSubstr("failed for sm_80"));
}

TEST(GpuKernelTest, RowsEqualTheInterpreter) {
  KernelCheck check(kSoftmax, "row");
  ASSERT_TRUE(bool(check));
  for (const char *size : {"s=1", "s=63", "s=64", "s=65", "s=0"})
    check.run(thread(), size, Tolerance{1e-5, 1e-6});
}

TEST(GpuKernelTest, ElementsEqualTheInterpreter) {
  KernelCheck check(kGelu, "row");
  ASSERT_TRUE(bool(check));
  for (const char *size : {"s=1", "s=5", "s=16", "s=17", "s=0"})
    check.run(thread(), size, Tolerance{1e-5, 1e-6});
}

} // namespace
