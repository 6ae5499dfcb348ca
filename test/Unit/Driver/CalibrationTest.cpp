//===- CalibrationTest.cpp - what layers read, and its statistics *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "ImportModel.h"

#include "permalloy/Support/Files.h"
#include "permalloy/Transforms/Calibration.h"
#include "permalloy/Transforms/Levels.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

#include <cstring>

using namespace permalloy;

namespace {

/// q and k read one value, o reads another; `computed` has no stored weight.
constexpr const char *kModel = R"(
tfm.weight @wq : tensor<8x4xf32> = #tfm.seeded<1, 1.0>
tfm.weight @wk : tensor<8x4xf32> = #tfm.seeded<2, 1.0>
tfm.weight @wo : tensor<4x6xf32> = #tfm.seeded<3, 1.0>
func.func @main(%x: tensor<?x8xf32> {tfm.name = "x", tfm.dims = [#tfm.dim<n>, #tfm.dim<8>]}) -> (tensor<?x6xf32> {tfm.name = "y"}, tensor<?x8xf32> {tfm.name = "z"}) {
  %wq = tfm.get_weight @wq : tensor<8x4xf32>
  %wk = tfm.get_weight @wk : tensor<8x4xf32>
  %wo = tfm.get_weight @wo : tensor<4x6xf32>
  %q = tfm.linear %x, %wq : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32> loc("qkv")
  %k = tfm.linear %x, %wk : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32> loc("qkv")
  %s = tfm.binary mul %q, %k : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %y = tfm.linear %s, %wo : (tensor<?x4xf32>, tensor<4x6xf32>) -> tensor<?x6xf32> loc("o")
  %z = tfm.unary exp %x : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %y, %z : tensor<?x6xf32>, tensor<?x8xf32>
})";

class CalibrationTest : public testing::Test {
protected:
  CalibrationTest() : module(mlir::parseSourceString<mlir::ModuleOp>(kModel, mlir::ParserConfig(&context.get()))) {}
  mlir::func::FuncOp main() { return module->lookupSymbol<mlir::func::FuncOp>("main"); }
  /// Statistics of the model on x = [1 ... 8], [0 ... 0].
  std::string writeStatistics(solvers::Statistics level) {
    std::string path = folder->file("statistics");
    mlir::OwningOpRef<mlir::ModuleOp> copy(module->clone());
    auto values = addCalibrationOutputs(*copy);
    auto writer = StatisticsWriter::create(path, *values, level, {"m", "d", 2});
    EXPECT_TRUE(writer.ok());
    float x[16] = {1, 2, 3, 4, 5, 6, 7, 8}, s[8] = {1, -1, 2, 0};
    (*writer)->add(0, x, 2);
    (*writer)->add(1, s, 2);
    EXPECT_TRUE((*writer)->finish().ok());
    return path;
  }
  std::string messageOf(const std::string &path) {
    std::string message;
    mlir::ScopedDiagnosticHandler handler(&context.get(), [&](mlir::Diagnostic &diagnostic) { message = diagnostic.str(); });
    EXPECT_TRUE(failed(attachStatistics(*module, path)));
    return message;
  }

  ToolContext context{1};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  Result<TempFolder> folder = TempFolder::create();
};

} // namespace

TEST_F(CalibrationTest, TheModelReturnsEachValueOnceAndComputesNoMore) {
  auto values = addCalibrationOutputs(*module);
  ASSERT_TRUE(succeeded(values));
  ASSERT_EQ(values->size(), 2u);
  EXPECT_EQ((*values)[0].layers, (std::vector<std::string>{"qkv", "qkv#1"}));
  EXPECT_EQ((*values)[1].layers, (std::vector<std::string>{"o"}));
  EXPECT_EQ((*values)[0].k, 8);
  EXPECT_EQ((*values)[1].k, 4);
  EXPECT_EQ(main().getNumResults(), 2u);
  EXPECT_EQ(main().getResultAttrOfType<mlir::StringAttr>(1, "tfm.name"), (*values)[1].output);
  EXPECT_TRUE(succeeded(mlir::verify(*module)));
  unsigned layers = 0, others = 0;
  main().walk([&](tfm::LinearOp) { ++layers; });
  main().walk([&](tfm::UnaryOp) { ++others; });
  EXPECT_EQ(layers, 2u);
  EXPECT_EQ(others, 0u);
}

TEST_F(CalibrationTest, WithoutLayersThereIsNothingToCalibrate) {
  std::string message;
  mlir::ScopedDiagnosticHandler handler(&context.get(), [&](mlir::Diagnostic &diagnostic) { message = diagnostic.str(); });
  auto empty = mlir::parseSourceString<mlir::ModuleOp>("func.func @main() { return }", mlir::ParserConfig(&context.get()));
  EXPECT_TRUE(failed(addCalibrationOutputs(*empty)));
  EXPECT_EQ(message, "the model has no linear layers with stored weights to calibrate");
}

TEST_F(CalibrationTest, LayersGetTheirStatistics) {
  std::string path = writeStatistics(solvers::Statistics::gram);
  ASSERT_TRUE(succeeded(attachStatistics(*module, path)));
  EXPECT_TRUE(succeeded(mlir::verify(*module)));
  std::vector<std::string> grams;
  main().walk([&](tfm::LinearOp linear) {
    grams.push_back(linear->getAttrOfType<mlir::FlatSymbolRefAttr>(kGramAttr).getValue().str());
    EXPECT_TRUE(linear->hasAttr(kSecondAttr));
  });
  EXPECT_EQ(grams, (std::vector<std::string>{"statistics.qkv.gram", "statistics.qkv.gram", "statistics.o.gram"}));
  auto gram = module->lookupSymbol<tfm::WeightOp>("statistics.o.gram");
  auto source = llvm::cast<tfm::FileAttr>(*gram.getSource());
  EXPECT_EQ(source.getOffset() % 64, 0);
  auto bytes = readFile(path);
  float numbers[16];
  std::memcpy(numbers, bytes->data() + source.getOffset(), sizeof numbers);
  const float expected[16] = {1, -1, 2, 0, -1, 1, -2, 0, 2, -2, 4, 0, 0, 0, 0, 0};
  EXPECT_TRUE(std::equal(numbers, numbers + 16, expected));
}

TEST_F(CalibrationTest, ChannelStatisticsHaveNoGram) {
  ASSERT_TRUE(succeeded(attachStatistics(*module, writeStatistics(solvers::Statistics::channel))));
  main().walk([&](tfm::LinearOp linear) {
    EXPECT_FALSE(linear->hasAttr(kGramAttr));
    EXPECT_TRUE(linear->hasAttr(kSecondAttr));
  });
}

TEST_F(CalibrationTest, FilesThatAreNoneOrOfAnotherModel) {
  std::string path = writeStatistics(solvers::Statistics::gram);
  std::vector<std::byte> good = *readFile(path);
  auto altered = [&](const std::string &from, const std::string &to) {
    std::string text(reinterpret_cast<const char *>(good.data()), good.size());
    text.replace(text.find(from), from.size(), to);
    EXPECT_TRUE(writeFile(path, text).ok());
    return messageOf(path);
  };
  EXPECT_NE(altered("statistics-1", "statistics-9").find("its format is not"), std::string::npos);
  EXPECT_NE(altered("[8,8]", "[8,9]").find("is damaged or cut off"), std::string::npos);
  EXPECT_NE(altered("[0,256]", "[0,-26]").find("is damaged or cut off"), std::string::npos);
  EXPECT_NE(altered("__metadata__", "__metadat{__").find("its format is not"), std::string::npos);
  EXPECT_NE(messageOf(folder->file("none")).find("none"), std::string::npos);
  ASSERT_TRUE(writeFile(path, std::span(good).first(5)).ok());
  EXPECT_NE(messageOf(path).find("its header is cut off"), std::string::npos);
  ASSERT_TRUE(writeFile(path, std::span(good).first(good.size() - 40)).ok());
  EXPECT_NE(messageOf(path).find("is damaged or cut off"), std::string::npos);
  ASSERT_TRUE(writeFile(path, good).ok());
  main().walk([](tfm::LinearOp linear) { linear->setLoc(mlir::NameLoc::get(mlir::StringAttr::get(linear->getContext(), "other"))); });
  EXPECT_NE(messageOf(path).find("none of its layers is there"), std::string::npos);
}
