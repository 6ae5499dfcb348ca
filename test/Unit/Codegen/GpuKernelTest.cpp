//===- GpuKernelTest.cpp - GPU kernels: PTX, ptxas, loops against the interpreter -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"
#include "permalloy/Codegen/GPU/CpuLoops.h"
#include "permalloy/Codegen/GPU/GpuKernel.h"
#include "permalloy/Codegen/GPU/PtxEmission.h"

#include "gmock/gmock.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using ::testing::HasSubstr;
using ::testing::Not;

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
  if (!check || failed(selectGpuSchedule(check.kernelOp(), target)))
    return "";
  auto lowered = lowerGpuKernel(check.kernelOp(), target, "kernel");
  auto ptx = lowered ? emitPtx(**lowered, target) : llvm::Expected<std::string>(lowered.takeError());
  if (!ptx) {
    ADD_FAILURE() << llvm::toString(ptx.takeError());
    return "";
  }
  return *ptx;
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

/// Whether this machine's ptxas does not know the target yet.
bool isTooOld(const std::string &error) { return llvm::StringRef(error).contains("is not defined for option 'gpu-name'"); }

/// NVIDIA's assembler takes what LLVM writes; kernels keep their values in registers.
TEST(GpuKernelTest, NothingSpills) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "this machine has no ptxas";
  for (const GpuTarget &target : GpuTarget::all())
    for (const char *text : {kGelu, kSoftmax}) {
      auto cubin = assemblePtx(ptxOf(text, "row", target), target, *ptxas);
      if (std::string why = cubin ? "" : llvm::toString(cubin.takeError()); !why.empty()) {
        if (!isTooOld(why))
          ADD_FAILURE() << why;
        continue;
      }
      EXPECT_EQ(llvm::StringRef(cubin->bytes.data(), 4), "\x7f" "ELF");
      EXPECT_GT(cubin->report.registers, 0u);
      EXPECT_EQ(cubin->report.spillBytes, 0u) << target.name.str();
    }
}

TEST(GpuKernelTest, AssemblerErrorsAreSaid) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "this machine has no ptxas";
  auto cubin = assemblePtx("nonsense", GpuTarget::all().front(), *ptxas);
  EXPECT_THAT(llvm::toString(cubin.takeError()), HasSubstr("failed for sm_80"));
}

TEST(GpuKernelTest, RowsEqualTheInterpreter) {
  KernelCheck check(kSoftmax, "row");
  ASSERT_TRUE(bool(check));
  for (const char *size : {"s=1", "s=63", "s=64", "s=65", "s=0"})
    check.run(GpuTarget::all().front().thread(), size, reference::Tolerance{1e-5, 1e-6});
}

TEST(GpuKernelTest, ElementsEqualTheInterpreter) {
  KernelCheck check(kGelu, "row");
  ASSERT_TRUE(bool(check));
  for (const char *size : {"s=1", "s=5", "s=16", "s=17", "s=0"})
    check.run(GpuTarget::all().front().thread(), size, reference::Tolerance{1e-5, 1e-6});
}

std::string linear(const std::string &type, const std::string &result, int64_t depth, int64_t columns, const std::string &rest) {
  std::string x = "tensor<?x" + std::to_string(depth) + "x" + type + ">", w = "tensor<" + std::to_string(depth) + "x" + std::to_string(columns) + "x" + type + ">";
  std::string y = "tensor<?x" + std::to_string(columns) + "x" + result + ">", bias = "tensor<" + std::to_string(columns) + "x" + result + ">";
  std::string dims = " {tfm.dims = [#tfm.dim<s>, #tfm.dim<" + std::to_string(depth) + ">]}";
  if (rest.empty())
    return "func.func @main(%x: " + x + dims + ", %w: " + w + ") -> " + y + " {\n%0 = tfm.linear %x, %w : (" + x + ", " + w + ") -> " + y +
           "\nreturn %0 : " + y + "\n}";
  return "func.func @main(%x: " + x + dims + ", %w: " + w + ", %b: " + bias + ") -> " + y + " {\n%0 = tfm.linear %x, %w bias %b " + rest +
         " : (" + x + ", " + w + ", " + bias + ") -> " + y + "\nreturn %0 : " + y + "\n}";
}

/// Tensor cores: whole blocks and edges in both directions, one tile of K and several.
TEST(GpuTensorTest, EqualsTheInterpreter) {
  for (auto [depth, columns] : {std::pair(32, 64), {128, 64}, {96, 100}, {160, 30}}) {
    KernelCheck check(linear("bf16", "bf16", depth, columns, "activation gelu_erf"), "contraction");
    ASSERT_TRUE(bool(check));
    for (const char *size : {"s=1", "s=64", "s=70", "s=0"})
      check.run(GpuTarget::all().front().thread(), size, reference::Tolerance{1.6e-2, 2e-2});
  }
}

/// What tensor cores do not take has another form: rows of A in parts of words, halves of another layout.
TEST(GpuTensorTest, OtherLayersAreNot) {
  for (auto [type, depth] : {std::pair("f16", 32), {"bf16", 40}, {"f32", 32}}) {
    KernelCheck check(linear(type, type, depth, 24, "activation relu"), "contraction");
    ASSERT_TRUE(bool(check));
    check.run(GpuTarget::all().front().thread(), "s=5", reference::Tolerance{1.6e-2, 2e-2});
    EXPECT_EQ(check.kernelOp().getScheduleAttr().getAs<mlir::StringAttr>("form").str(), "fma") << type;
  }
}

TEST(GpuTensorTest, IntegersAreExact) {
  for (auto [depth, columns] : {std::pair(64, 64), {192, 36}}) {
    KernelCheck check(linear("i8", "i32", depth, columns, ""), "contraction");
    ASSERT_TRUE(bool(check));
    for (const char *size : {"s=1", "s=65"})
      check.run(GpuTarget::all().front().thread(), size, reference::Tolerance{0, 0});
  }
}

TEST(GpuTensorTest, LargeBlocks) {
  KernelCheck check(linear("bf16", "bf16", 64, 2048, "activation none"), "contraction");
  ASSERT_TRUE(bool(check));
  check.run(GpuTarget::all().front().thread(), "s=130", reference::Tolerance{1.6e-2, 2e-2});
}

/// The swizzle of A has a period of 8 rows, so each thread's copies have to lie a multiple of it apart.
TEST(GpuTensorTest, CopiesKeepTheSwizzle) {
  KernelCheck check(linear("bf16", "bf16", 128, 64, "activation none"), "contraction");
  ASSERT_TRUE(bool(check));
  kern::KernelOp kernel = check.kernelOp();
  const GpuTarget &target = GpuTarget::all().front();
  ASSERT_TRUE(mlir::succeeded(selectGpuSchedule(kernel, target)));
  mlir::Builder b(kernel.getContext());
  auto error = [&](int64_t words) {
    mlir::NamedAttrList schedule;
    schedule.set("form", b.getStringAttr("tensor"));
    for (auto [name, value] : {std::pair("block_rows", int64_t(32)), {"block_columns", 64}, {"block_words", words}, {"warp_rows", 32}, {"warp_columns", 64}, {"stages", 2}})
      schedule.set(name, b.getI64IntegerAttr(value));
    kernel.setScheduleAttr(schedule.getDictionary(kernel.getContext()));
    std::string said;
    mlir::ScopedDiagnosticHandler handler(kernel.getContext(), [&](mlir::Diagnostic &diagnostic) { said += diagnostic.str(); });
    auto lowered = lowerGpuKernel(kernel, target, "kernel");
    if (!lowered)
      llvm::consumeError(lowered.takeError());
    return said;
  };
  EXPECT_THAT(error(32), HasSubstr("the threads copy 4 rows of A at once, which must be a multiple of 8"));
  EXPECT_EQ(error(16), "");
}

TEST(GpuTensorTest, UsesTheUnits) {
  std::string text = linear("bf16", "bf16", 768, 3072, "activation gelu_erf");
  std::string ptx = ptxOf(text.c_str(), "contraction", GpuTarget::all().front());
  for (const char *word : {"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "ldmatrix.sync.aligned.m8n8.x4.shared.b16",
                           "cp.async.cg.shared.global", "ld.shared.v4.b32", "bar.sync"})
    EXPECT_THAT(ptx, HasSubstr(word));
}

TEST(GpuTensorTest, NothingSpills) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "this machine has no ptxas";
  for (const GpuTarget &target : GpuTarget::all())
    for (int64_t columns : {768, 3072}) {
      auto cubin = assemblePtx(ptxOf(linear("bf16", "bf16", 768, columns, "activation gelu_erf").c_str(), "contraction", target), target, *ptxas);
      if (std::string why = cubin ? "" : llvm::toString(cubin.takeError()); !why.empty()) {
        if (!isTooOld(why))
          ADD_FAILURE() << why;
        continue;
      }
      EXPECT_EQ(cubin->report.spillBytes, 0u) << target.name.str() << ", " << columns << " columns";
    }
}

} // namespace
