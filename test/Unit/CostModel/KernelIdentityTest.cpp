//===- KernelIdentityTest.cpp - when two kernels are the same for tuning *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/KernelIdentity.h"

#include "mlir/Parser/Parser.h"
#include "gmock/gmock.h"

using namespace permalloy;
using testing::ElementsAre;

namespace {

class KernelIdentityTest : public testing::Test {
protected:
  KernelIdentityTest() { context.loadDialect<tfm::TfmDialect, kern::KernDialect>(); }

  kern::KernelOp parse(const std::string &text) {
    modules.push_back(mlir::parseSourceString<mlir::ModuleOp>(text, &context));
    return *modules.back()->getOps<kern::KernelOp>().begin();
  }
  /// A linear layer; `rows` is a number or d0.
  kern::KernelOp linear(const std::string &name, const std::string &rows, int64_t n, const std::string &rest = "") {
    std::string m = rows == "d0" ? "?" : rows, width = std::to_string(n);
    std::string x = "tensor<" + m + "x64xf32>", w = "tensor<64x" + width + "xf32, #tfm.panels>", y = "tensor<" + m + "x" + width + "xf32>";
    return parse("kern.kernel @" + name + " contraction attributes {arg_dims = [[#tfm.dim<" + rows +
                 ">, #tfm.dim<64>], [#tfm.dim<64>, #tfm.dim<" + width + ">]], symbols = [" + (rows == "d0" ? "\"d0\"" : "") +
                 "]" + rest + "} {\n^bb0(%x: " + x + ", %w: " + w + "):\n  %0 = tfm.linear %x, %w : (" + x + ", " + w +
                 ") -> " + y + "\n  kern.yield %0 : " + y + "\n}");
  }

  mlir::MLIRContext context;
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
};

TEST_F(KernelIdentityTest, IgnoresNameAndSchedule) {
  KernelIdentity a = identityOf(linear("one", "d0", 32));
  KernelIdentity b = identityOf(linear("two", "d0", 32, ", schedule = {tile_rows = 3}, tiles = #tfm.dim<d0>"));
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ("contraction", a.emitter);
  EXPECT_EQ("f32", a.dtype);
  EXPECT_THAT(a.dims, ElementsAre("d0", "64"));
  EXPECT_EQ(a.id, identityOf(parse(a.text)).id);
}

TEST_F(KernelIdentityTest, StructureLeavesOutSizesThatRunsDifferIn) {
  KernelIdentity dynamic = identityOf(linear("k", "d0", 32)), fixed = identityOf(linear("k", "128", 32));
  EXPECT_NE(dynamic.id, fixed.id);
  EXPECT_EQ(dynamic.structure, fixed.structure);
  EXPECT_NE(dynamic.structure, identityOf(linear("k", "d0", 48)).structure);
}

TEST_F(KernelIdentityTest, SizesAtSymbols) {
  EXPECT_THAT(sizesOf(linear("k", "d0", 32), {}), ElementsAre(-1, 64));
  reference::Symbols symbols;
  symbols["d0"] = 7;
  EXPECT_THAT(sizesOf(linear("k", "d0", 32), symbols), ElementsAre(7, 64));
  EXPECT_THAT(sizesOf(linear("k", "128", 32), {}), ElementsAre(128, 64));
}

} // namespace
