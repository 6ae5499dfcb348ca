//===- KernelCostsTest.cpp - passes that ask what is faster ------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The answers come from a toy here; lib/Pipelines has the one with the cost model. Kernels that passes ask about must be kernels.
//
//===----------------------------------------------------------------------===//

#include "Kern/Kern.h"
#include "permalloy/Conversion/Passes.h"
#include "permalloy/Transforms/Quantization.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include "gmock/gmock.h"

using namespace mlir;
using namespace permalloy;
using testing::HasSubstr;
using testing::Not;

namespace {

/// Answers by a function of the kernel's text.
class ToyCosts : public KernelCosts {
public:
  explicit ToyCosts(std::function<std::vector<double>(StringRef)> answer) : answer(std::move(answer)) {}
  std::vector<double> microseconds(const std::string &kernel) const override {
    MLIRContext context;
    context.loadDialect<tfm::TfmDialect, kern::KernDialect>();
    auto module = parseSourceString<ModuleOp>(kernel, &context);
    EXPECT_TRUE(module && !module->getOps<kern::KernelOp>().empty()) << kernel;
    asked.push_back(kernel);
    return answer(kernel);
  }
  mutable std::vector<std::string> asked;

private:
  std::function<std::vector<double>(StringRef)> answer;
};

TEST(KernelCosts, ComparesByTheGeometricMeanOfAllSizes) {
  ToyCosts costs([](StringRef text) { return text.contains("relu") ? std::vector<double>{1, 8} : std::vector<double>{2, 4}; });
  auto kernel = [](const char *op) {
    return std::string("kern.kernel @k row attributes {arg_dims = [[#tfm.dim<d0>]], symbols = [\"d0\"]} {\n^bb0(%x: tensor<?xf32>):\n  %0 = tfm.unary ") + op +
           " %x : (tensor<?xf32>) -> tensor<?xf32>\n  kern.yield %0 : tensor<?xf32>\n}";
  };
  std::string relu = kernel("relu"), exp = kernel("exp");
  EXPECT_NEAR(*costs.quotient(relu, exp), 1, 1e-9);
  EXPECT_NEAR(*costs.quotient({relu, exp}, exp), std::sqrt(1.5 * 3), 1e-9);
  ToyCosts silent([](StringRef) { return std::vector<double>(); });
  EXPECT_FALSE(silent.quotient(relu, exp));
}

class PassesThatAsk : public testing::Test {
protected:
  PassesThatAsk() { context.loadDialect<tfm::TfmDialect, kern::KernDialect, func::FuncDialect>(); }

  /// What a layer of 96 x 64 gets; `dims` and `type` are of what it reads.
  PrecisionChoice choiceFor(const char *level, const KernelCosts *costs, bool bf16 = false, const char *dims = "[#tfm.dim<n>, #tfm.dim<96>]",
                            std::string type = "?x") {
    std::string x = "tensor<" + type + "96xf32>", y = "tensor<" + type + "64xf32>";
    auto module = parseSourceString<ModuleOp>("func.func @main(%x: " + x + " {tfm.dims = " + dims + "}) -> " + y + R"mlir( {
        %w = tfm.get_weight @w : tensor<96x64xf32>
        %0 = tfm.linear %x, %w : ()mlir" + x + ", tensor<96x64xf32>) -> " + y + "\n  %1 = tfm.unary neg %0 : (" + y + ") -> " + y + "\n  return %1 : " + y + R"mlir(
      }
      tfm.weight @w : tensor<96x64xf32> = #tfm.seeded<1, 1.0>)mlir", &context);
    auto request = llvm::cantFail(QuantizationRequest::parse(level, "magnitude"));
    request.minElements = 1, request.head = level, request.costs = costs;
    PrecisionPlan plan = uniformPlan(*module, bf16 ? "bf16" : "f32");
    addFormats(*module, request, plan);
    return plan.choices[0];
  }
  std::string reasonFor(const char *level, const KernelCosts *costs) {
    PrecisionChoice choice = choiceFor(level, costs);
    return choice.format.empty() ? choice.reason : "";
  }

  /// The groups of plan-kernels: "gather=0 layer_norm=0 linear=1".
  std::string groupsOf(const char *function, const KernelCosts *costs) {
    auto module = parseSourceString<ModuleOp>(function, &context);
    PassManager passes(&context);
    passes.addNestedPass<func::FuncOp>(createPlanKernels(costs));
    EXPECT_TRUE(succeeded(passes.run(*module)));
    std::string text;
    module->walk([&](Operation *op) {
      if (auto group = op->getAttrOfType<IntegerAttr>(kGroupAttr))
        text += (text.empty() ? "" : " ") + op->getName().stripDialect().str() + "=" + std::to_string(group.getInt());
    });
    return text;
  }

  MLIRContext context;
};

TEST_F(PassesThatAsk, SparseOrDense) {
  ToyCosts sparse([](StringRef text) { return std::vector<double>{text.contains("expand_blocks") ? 1.0 : 2.0}; });
  ToyCosts dense([](StringRef text) { return std::vector<double>{text.contains("expand_blocks") ? 3.0 : 2.0}; });
  EXPECT_EQ(reasonFor("block90", &sparse), "");
  EXPECT_EQ(reasonFor("block50", &dense), "50% of the blocks take 1.50 times as long as a dense weight, by the cost model");
  // Without answers, the bound.
  EXPECT_THAT(reasonFor("block90", nullptr), HasSubstr("at most 80% are faster"));
  EXPECT_EQ(reasonFor("block50", nullptr), "");
  ASSERT_EQ(sparse.asked.size(), 2u);
  EXPECT_THAT(sparse.asked[0], HasSubstr("tensor<4x86x16xf32>")); // 90% of 96 steps
}

/// Quads are asked about as blocks are; nobody has a bound for them.
TEST_F(PassesThatAsk, QuadsOrDense) {
  ToyCosts sparse([](StringRef text) { return std::vector<double>{text.contains("expand_quads") ? 1.0 : 2.0}; });
  ToyCosts dense([](StringRef text) { return std::vector<double>{text.contains("expand_quads") ? 3.0 : 2.0}; });
  EXPECT_EQ(reasonFor("1:4", &sparse), "");
  EXPECT_EQ(reasonFor("2:4", &dense), "2:4 takes 1.50 times as long as a dense weight, by the cost model");
  EXPECT_EQ(reasonFor("2:4", nullptr), "");
  EXPECT_THAT(sparse.asked[0], HasSubstr("tensor<4x24x16xf32>"));
  EXPECT_THAT(sparse.asked[0], HasSubstr("tensor<4x2x16xi32>"));
}

/// Blocks of codes compete with codes, and leave the layer to them.
TEST_F(PassesThatAsk, BlocksOfCodesOrCodes) {
  ToyCosts sparse([](StringRef text) { return std::vector<double>{text.contains("expand_blocks") ? 1.0 : 2.0}; });
  ToyCosts dense([](StringRef text) { return std::vector<double>{text.contains("expand_blocks") ? 3.0 : 2.0}; });
  EXPECT_EQ(choiceFor("block50w8a8", &sparse).format, "block50w8a8");
  PrecisionChoice choice = choiceFor("block50w8a8", &dense);
  EXPECT_EQ(choice.format, "w8a8");
  EXPECT_EQ(choice.solver, "rtn");
  EXPECT_EQ(choice.reason, "50% of the blocks take 1.50 times as long as a dense weight, by the cost model");
  EXPECT_THAT(sparse.asked[0], HasSubstr("tensor<4x12x64xi8>"));
  EXPECT_THAT(sparse.asked[1], HasSubstr("tensor<96x64xi8, #tfm.panels>"));
}

/// The dense layer is the one that there would be: of its precision and its rows, of a batch of one.
TEST_F(PassesThatAsk, AboutTheLayerAsItIs) {
  ToyCosts costs([](StringRef text) { return std::vector<double>{text.contains("expand_blocks") ? 1.0 : 2.0}; });
  choiceFor("block50", &costs, /*bf16=*/true);
  EXPECT_THAT(costs.asked[0], HasSubstr("tensor<?x96xf32>"));
  EXPECT_THAT(costs.asked[1], HasSubstr("tensor<96x64xbf16, #tfm.panels>"));
  costs.asked.clear();
  choiceFor("block50", &costs, false, "[#tfm.dim<batch>, #tfm.dim<1>, #tfm.dim<96>]", "?x1x");
  EXPECT_THAT(costs.asked[1], HasSubstr("%x: tensor<1x1x96xf32>"));
  EXPECT_THAT(costs.asked[1], HasSubstr("symbols = []"));
  costs.asked.clear();
  choiceFor("block50", &costs, false, "[#tfm.dim<batch>, #tfm.dim<past + seq>, #tfm.dim<96>]", "?x?x");
  EXPECT_THAT(costs.asked[0], HasSubstr("[#tfm.dim<1>, #tfm.dim<d0 + d1>, #tfm.dim<96>]"));
}

/// A gate of each batch scales all of its tokens.
constexpr const char *kGated = R"mlir(
  func.func @main(%x: tensor<?x?x64xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<64>]}, %g: tensor<?x1x64xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<64>]}) -> tensor<?x?x64xf32> {
    %0 = tfm.unary sigmoid %g : (tensor<?x1x64xf32>) -> tensor<?x1x64xf32>
    %1 = tfm.binary mul %x, %0 : (tensor<?x?x64xf32>, tensor<?x1x64xf32>) -> tensor<?x?x64xf32>
    return %1 : tensor<?x?x64xf32>
  })mlir";

TEST_F(PassesThatAsk, FuseOrNot) {
  auto together = [](double us) {
    return [us](StringRef text) { return std::vector<double>{text.contains("sigmoid") && text.contains("binary") ? us : 1.0}; };
  };
  ToyCosts slow(together(3)), fast(together(1.5)), close(together(2.1));
  EXPECT_EQ(groupsOf(kGated, nullptr), "unary=0 binary=0");
  EXPECT_EQ(groupsOf(kGated, &slow), "unary=0 binary=1");
  EXPECT_EQ(groupsOf(kGated, &fast), "unary=0 binary=0");
  EXPECT_EQ(groupsOf(kGated, &close), "unary=0 binary=0");
  ASSERT_EQ(slow.asked.size(), 3u);
  for (const std::string &kernel : slow.asked) // sizes have one name in all of them
    EXPECT_THAT(kernel, HasSubstr("symbols = [\"d0\", \"d1\"]"));
}

/// Nothing is computed twice, so nobody is asked.
TEST_F(PassesThatAsk, NotWhereNothingIsComputedAgain) {
  ToyCosts costs([](StringRef) { return std::vector<double>{1}; });
  EXPECT_EQ(groupsOf(R"mlir(
    func.func @main(%x: tensor<?x64xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<64>]}, %g: tensor<?x64xf32> {tfm.dims = [#tfm.dim<n>, #tfm.dim<64>]}) -> tensor<?x64xf32> {
      %0 = tfm.unary sigmoid %g : (tensor<?x64xf32>) -> tensor<?x64xf32>
      %1 = tfm.binary mul %x, %0 : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
      return %1 : tensor<?x64xf32>
    })mlir", &costs), "unary=0 binary=0");
  EXPECT_TRUE(costs.asked.empty());
}

} // namespace
