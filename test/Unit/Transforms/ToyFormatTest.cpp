//===- ToyFormatTest.cpp - a format and a solver in one file -----*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// What a new format and a new solver take: a class each and the lines that register them. Everything else (plans, passes,
// evaluation) finds them by name.
//
//===----------------------------------------------------------------------===//

#include "permalloy/Reference/Interpreter.h"
#include "permalloy/Solvers/WeightSolver.h"
#include "permalloy/Transforms/EncodeAsCodes.h"
#include "permalloy/Transforms/Passes.h"
#include "permalloy/Transforms/Quantization.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <gtest/gtest.h>

using namespace mlir;
using namespace permalloy;

namespace {

/// "ternary": -1, 0 and 1 times a scale for each column.
class Ternary : public WeightFormat {
public:
  std::string names() const override { return "ternary"; }
  bool accepts(StringRef level) const override { return level == "ternary"; }
  double bitsPerWeight(StringRef, int64_t k, int64_t) const override { return 4 + 32.0 / double(k); }
  std::string whyNot(StringRef, WeightSite ) const override { return ""; }
  LogicalResult encode(StringRef level, StringRef solver, WeightSite site, EncodeContext &context) const override {
    MLIRContext *mlir = site.op->getContext();
    Type f32 = Float32Type::get(mlir);
    auto codebook = DenseElementsAttr::get(RankedTensorType::get({4}, f32), ArrayRef<float>{-1, 0, 1, 0});
    return encodeAsCodes(level, solver, site, context,
                         [&](int64_t k) { return CodeTypes{tfm::QuantType::get(mlir, false, 2, k), f32, false, codebook}; });
  }
};

/// "signs": the sign of each element, times the mean magnitude of its column.
class Signs : public solvers::WeightSolver {
public:
  std::string name() const override { return "signs"; }
  solvers::Statistics needs() const override { return solvers::Statistics::none; }
  std::string solve(const solvers::Problem &problem, solvers::Solution &solution) const override {
    solution.scales.assign(problem.n, 0);
    for (int64_t i = 0; i < problem.k * problem.n; ++i) {
      float value = problem.weight[i];
      solution.codes.push_back(value < 0 ? 0 : value > 0 ? 2 : 1);
      solution.scales[i % problem.n] += std::abs(value) / float(problem.k);
    }
    return "";
  }
};

constexpr const char *kModel = R"(
  tfm.weight @w : tensor<4x2xf32> {
    %0 = tfm.constant dense<[[1.0, -2.0], [-3.0, 2.0], [0.0, 2.0], [4.0, -2.0]]> : tensor<4x2xf32>
    tfm.yield %0 : tensor<4x2xf32>
  }
  func.func @main(%x: tensor<4x4xf32>) -> tensor<4x2xf32> {
    %w = tfm.get_weight @w : tensor<4x2xf32>
    %0 = tfm.linear %x, %w : (tensor<4x4xf32>, tensor<4x2xf32>) -> tensor<4x2xf32>
    %1 = tfm.binary add %0, %0 : (tensor<4x2xf32>, tensor<4x2xf32>) -> tensor<4x2xf32>
    return %1 : tensor<4x2xf32>
  })";

TEST(ToyFormat, IsPlannedAppliedAndEvaluated) {
  registerWeightFormat(std::make_unique<Ternary>());
  solvers::registerSolver(std::make_unique<Signs>());
  DialectRegistry registry;
  registry.insert<tfm::TfmDialect, func::FuncDialect>();
  MLIRContext context(registry);
  auto module = parseSourceString<ModuleOp>(kModel, &context);
  ASSERT_TRUE(module);

  auto request = QuantizationRequest::parse("ternary", "signs");
  ASSERT_TRUE(bool(request)) << llvm::toString(request.takeError());
  request->minElements = 1;
  PrecisionPlan plan = uniformPlan(*module, "f32");
  addFormats(*module, *request, plan);
  ASSERT_EQ(plan.choices.size(), 1u);
  EXPECT_EQ(plan.choices[0].level(), "ternary");
  ASSERT_TRUE(succeeded(annotatePrecision(*module, plan)));
  PassManager passes(&context);
  passes.addPass(createApplyQuantization());
  ASSERT_TRUE(succeeded(passes.run(*module)));

  auto main = module->lookupSymbol<func::FuncOp>("main");
  reference::Tensor identity(Float32Type::get(&context), {4, 4});
  for (int64_t i = 0; i < 4; ++i)
    identity.setNumber(5 * i, 0.5);
  auto results = reference::interpret(main, {identity});
  ASSERT_TRUE(succeeded(results));
  std::vector<double> expected = {2, -2, -2, 2, 0, 2, 2, -2}; // mean magnitudes are 2 and 2
  EXPECT_EQ(results->front().numbers(), expected);
}

} // namespace
