//===- GpuScheduleTest.cpp - schedules of GPU kernels, priced ----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "KernelCheck.h"
#include "permalloy/Codegen/GPU/SchedulePrice.h"

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;

namespace {

/// A linear layer in bf16, of 768 x `columns`.
std::string linear(int64_t columns) {
  std::string n = std::to_string(columns), x = "tensor<?x768xbf16>", w = "tensor<768x" + n + "xbf16>", y = "tensor<?x" + n + "xbf16>";
  return "func.func @main(%x: " + x + " {tfm.dims = [#tfm.dim<s>, #tfm.dim<768>]}, %w: " + w + ") -> " + y +
         " {\n  %0 = tfm.linear %x, %w : (" + x + ", " + w + ") -> " + y + "\n  return %0 : " + y + "\n}";
}

class GpuScheduleTest : public ::testing::Test {
protected:
  GpuScheduleTest() : check(linear(3072).c_str(), "contraction") {}

  /// The default schedule with some parameters changed.
  mlir::DictionaryAttr with(std::initializer_list<std::pair<const char *, int64_t>> changes) {
    EXPECT_TRUE(mlir::succeeded(selectGpuSchedule(check.kernelOp(), target)));
    mlir::NamedAttrList schedule(check.kernelOp().getScheduleAttr());
    mlir::Builder b(check.kernelOp().getContext());
    for (auto [name, value] : changes)
      schedule.set(name, b.getI64IntegerAttr(value));
    return schedule.getDictionary(b.getContext());
  }

  const GpuTarget &target = GpuTarget::all().front();
  KernelCheck check;
};

TEST_F(GpuScheduleTest, PricesWhatTheFormTakes) {
  ASSERT_TRUE(bool(check));
  mlir::DictionaryAttr usual = with({}), illegal = with({{"stages", 1}}), deep = with({{"stages", 4}}), shallow = with({{"stages", 2}});
  GpuSchedulePricer pricer(check.kernelOp(), target);
  auto price = pricer.price(usual);
  ASSERT_TRUE(price.has_value());
  EXPECT_EQ(price->us.size(), 5u) << "1 to 2,048 rows";
  EXPECT_GT(price->mean(), kGpuLaunchUs);
  EXPECT_GT(price->registers, 32);
  EXPECT_LE(pricer.price(deep)->mean(), pricer.price(shallow)->mean()) << "fewer bytes are under way";
  unsigned said = 0;
  mlir::ScopedDiagnosticHandler count(check.kernelOp().getContext(), [&](mlir::Diagnostic &) {
    ++said;
    return mlir::success();
  });
  EXPECT_FALSE(pricer.price(illegal).has_value());
  EXPECT_EQ(said, 0u) << "an illegal candidate is no error";
}

TEST_F(GpuScheduleTest, GridsFollowSizes) {
  ASSERT_TRUE(bool(check));
  ASSERT_TRUE(mlir::succeeded(setGpuSchedule(check.kernelOp(), target, with({}))));
  reference::Symbols symbols;
  for (auto symbol : check.kernelOp().getSymbols().getAsRange<mlir::StringAttr>())
    symbols[symbol.getValue()] = 300;
  auto grid = gridOf(check.kernelOp(), symbols, 200);
  ASSERT_TRUE(grid.has_value());
  EXPECT_EQ(grid->form, "tensor");
  EXPECT_EQ(grid->registers, 200u);
  EXPECT_GE(grid->blocks, 3.0 * 24);
  EXPECT_GT(grid->sharedBytes, 0u);
}

} // namespace
