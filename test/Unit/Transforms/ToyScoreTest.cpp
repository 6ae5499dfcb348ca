//===- ToyScoreTest.cpp - a score of tokens in one file ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Analysis/SharedNumbers.h"
#include "permalloy/Transforms/Passes.h"
#include "permalloy/Transforms/TokenScore.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace permalloy;

namespace {

/// The first tokens that may go merge into the one behind them: nothing but the mechanism.
struct FrontScore : TokenScore {
  std::string name() const override { return "front"; }
  Value build(OpBuilder &builder, SymbolicShapes &shapes, const TokenSite &site) const override {
    tfm::Dims dims = shapes.dims(site.tokens);
    int64_t n = *dims[1].asConstant(), removed = n - *resolveSharedNumbers(site.kept).asConstant();
    SmallVector<int64_t> map;
    for (int64_t i = 0, next = 0; i < n; ++i) {
      int64_t free = i - site.protectedTokens;
      bool goes = free >= 0 && free % 2 == 0 && free / 2 < removed;
      map.push_back(next);
      next += goes ? 0 : 1;
    }
    auto type = RankedTensorType::get({1, n}, builder.getI64Type());
    Value row = tfm::ConstantOp::create(builder, site.loc, cast<ElementsAttr>(DenseElementsAttr::get(type, ArrayRef(map))));
    auto result = RankedTensorType::get(tfm::staticShape({dims[0], dims[1]}), builder.getI64Type());
    return tfm::BroadcastOp::create(builder, site.loc, result, row, Value(), tfm::dimArray(builder.getContext(), {dims[0], dims[1]}));
  }
};

constexpr const char *kModel = R"(
func.func @main(%x: tensor<?x9x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<9>, #tfm.dim<8>]}, %s: tensor<8xf32>) -> tensor<?x9x8xf32> {
  %n = tfm.layer_norm %x, %s, %s {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x9x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x9x8xf32>
  %a = tfm.attention %n, %n, %n {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x9x8xf32>, tensor<?x9x8xf32>, tensor<?x9x8xf32>) -> tensor<?x9x8xf32>
  %y = tfm.binary add %x, %a : (tensor<?x9x8xf32>, tensor<?x9x8xf32>) -> tensor<?x9x8xf32>
  return %y : tensor<?x9x8xf32>
})";

TEST(ToyScore, IsFoundByItsName) {
  registerTokenScore(std::make_unique<FrontScore>());
  MLIRContext context;
  context.loadDialect<tfm::TfmDialect, func::FuncDialect>();
  auto module = parseSourceString<ModuleOp>(kModel, &context);
  ASSERT_TRUE(bool(module));
  PassManager passes(&context);
  PlanTokenReductionOptions plan;
  plan.merge = "3";
  plan.score = "front";
  plan.protect = 1;
  passes.addNestedPass<func::FuncOp>(createPlanTokenReduction(plan));
  passes.addNestedPass<func::FuncOp>(createApplyTokenReduction());
  ASSERT_TRUE(succeeded(passes.run(*module)));
  std::string text;
  llvm::raw_string_ostream(text) << *module;
  EXPECT_NE(text.find("dense<[[0, 1, 1, 2, 2, 3, 3, 4, 5]]>"), std::string::npos) << text;
  EXPECT_NE(text.find("tfm.token_unmerge"), std::string::npos) << text;
}

} // namespace
