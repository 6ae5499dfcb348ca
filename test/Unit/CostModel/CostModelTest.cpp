//===- CostModelTest.cpp - features, trees, and what they predict *- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/CostModel/CostModel.h"
#include "permalloy/CostModel/Trees.h"

#include "mlir/Parser/Parser.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <chrono>
#include <fstream>
#include <sstream>

extern "C" const char permalloyTreesBegin[], permalloyTreesEnd[];

using namespace permalloy;
using testing::HasSubstr;

namespace {

/// A file of trees by hand.
class TreeFile {
public:
  explicit TreeFile(const std::string &target = "cpu", uint32_t version = kTreesVersion, uint64_t hash = 7, uint32_t features = 2) {
    bytes = "PMTREES1";
    add(version), add(features), add(hash);
    text(target, 32);
    add(uint32_t(2)), text("some-cpu", 64), text("other-cpu", 64);
    add(2.0), add(3.0);
  }
  template <typename T> TreeFile &add(T value) {
    bytes.append(reinterpret_cast<const char *>(&value), sizeof value);
    return *this;
  }
  void text(std::string value, size_t size) {
    value.resize(size);
    bytes += value;
  }
  TreeFile &node(uint16_t feature, int16_t left, int16_t right, float threshold) {
    return add(feature).add(left).add(right).add(uint16_t(0)).add(threshold);
  }
  /// One member; its absolute head has two trees, the ranking head one leaf.
  TreeFile &twoTrees() {
    add(uint32_t(1)).add(uint32_t(2)).add(uint32_t(2)).add(uint32_t(1));
    add(uint32_t(2)).node(0, 1, -3, 0.5f).node(1, -1, -2, 10.0f).add(1.0).add(2.0).add(4.0);
    add(uint32_t(1)).node(1, -1, -2, 3.0f).add(0.25).add(0.5);
    return add(uint32_t(0)).add(-1.5);
  }
  std::string bytes;
};

Result<Trees> parse(const TreeFile &file) { return Trees::parse(file.bytes, "cpu", 7, 2); }
std::string errorOf(const TreeFile &file) {
  Result<Trees> trees = parse(file);
  return trees.ok() ? "" : trees.status().message();
}

TEST(TreesTest, AddsTheLeavesThatARowFallsInto) {
  Result<Trees> trees = parse(TreeFile().twoTrees());
  ASSERT_TRUE(trees.ok()) << trees.status().message();
  auto at = [&](float a, float b) {
    std::vector<float> row = {a, b};
    return trees->predict(0, Trees::Absolute, row);
  };
  EXPECT_EQ(at(0.5f, 3), 1.25); // at a threshold: left
  EXPECT_EQ(at(0, 10), 1.5);
  EXPECT_EQ(at(0, 11), 2.5);
  EXPECT_EQ(at(1, 0), 4.25);
  std::vector<float> row = {0, 0};
  EXPECT_EQ(trees->predict(0, Trees::Ranking, row), -1.5);
  EXPECT_TRUE(trees->knows("some-cpu") && trees->knows("other-cpu"));
  EXPECT_FALSE(trees->knows("another-cpu"));
  EXPECT_EQ(trees->absoluteScale(), 2);
  EXPECT_EQ(trees->rankingScale(), 3);
}

TEST(TreesTest, RefusesWhatItWouldMisread) {
  EXPECT_THAT(errorOf(TreeFile("gpu").twoTrees()), HasSubstr("target kind 'gpu', not 'cpu'"));
  EXPECT_THAT(errorOf(TreeFile("cpu", 9).twoTrees()), HasSubstr("version 9, this compiler reads version 2"));
  EXPECT_THAT(errorOf(TreeFile("cpu", kTreesVersion, 8).twoTrees()), HasSubstr("hash 0000000000000008"));
  EXPECT_THAT(errorOf(TreeFile("cpu", kTreesVersion, 7, 3).twoTrees()), HasSubstr("trained on 3 features"));
  TreeFile file;
  file.bytes[0] = 'X';
  EXPECT_THAT(errorOf(file), HasSubstr("holds no trees"));
}

TEST(TreesTest, RefusesWhatIsDamaged) {
  std::string whole = TreeFile().twoTrees().bytes;
  for (size_t size = 0; size < whole.size(); ++size) {
    TreeFile file;
    file.bytes = whole.substr(0, size);
    EXPECT_NE(errorOf(file), "") << size;
  }
  TreeFile file;
  file.bytes = whole + "x";
  EXPECT_THAT(errorOf(file), HasSubstr("goes on"));
  TreeFile loop; // a node whose child is itself
  loop.add(uint32_t(1)).add(uint32_t(2)).add(uint32_t(1)).add(uint32_t(0)).add(uint32_t(1)).node(0, 0, -1, 1).add(0.0).add(0.0);
  EXPECT_THAT(errorOf(loop), HasSubstr("damaged"));
  TreeFile feature;
  feature.add(uint32_t(1)).add(uint32_t(2)).add(uint32_t(1)).add(uint32_t(0)).add(uint32_t(1)).node(2, -1, -2, 1).add(0.0).add(0.0);
  EXPECT_THAT(errorOf(feature), HasSubstr("damaged"));
}

class CostModelTest : public testing::Test {
protected:
  CostModelTest() { context.loadDialect<tfm::TfmDialect, kern::KernDialect>(); }

  /// A linear layer whose values have these names.
  kern::KernelOp parse(const std::string &x, const std::string &y) {
    std::string text = "kern.kernel @k contraction attributes {arg_dims = [[#tfm.dim<d0>, #tfm.dim<768>], [#tfm.dim<768>, #tfm.dim<768>]], "
                       "symbols = [\"d0\"]} {\n^bb0(%" + x + ": tensor<?x768xf32>, %w: tensor<768x768xf32, #tfm.panels>):\n  %" + y + " = tfm.linear %" + x +
                       ", %w activation gelu_erf : (tensor<?x768xf32>, tensor<768x768xf32, #tfm.panels>) -> tensor<?x768xf32>\n  kern.yield %" + y +
                       " : tensor<?x768xf32>\n}";
    modules.push_back(mlir::parseSourceString<mlir::ModuleOp>(text, &context));
    return *modules.back()->getOps<kern::KernelOp>().begin();
  }
  std::optional<KernelFacts> factsAt(kern::KernelOp kernel, int64_t rows) {
    reference::Symbols symbols;
    symbols["d0"] = rows;
    return factsOf(kernel, symbols);
  }

  mlir::MLIRContext context;
  std::vector<mlir::OwningOpRef<mlir::ModuleOp>> modules;
  MachineRates rates = MachineRates::committed("GenuineIntel-6-167-926136e5");
  NamedNumbers schedule = {{"block_rows", 240}, {"block_steps", 768}, {"prefetch_period", 8}, {"tile_panels", 3}, {"tile_rows", 8}};
};

TEST_F(CostModelTest, FeaturesDoNotKnowNames) {
  TargetUnits units = unitsOf("x86-64-v4");
  Machine machine(rates, units);
  std::vector<float> rows[2];
  kern::KernelOp kernels[] = {parse("x", "y"), parse("hidden", "out")};
  for (int index : {0, 1}) {
    auto facts = factsAt(kernels[index], 128);
    features::compute({*facts, schedule, units, machine, estimateCost(*facts, schedule, machine)}, rows[index]);
  }
  EXPECT_EQ(rows[0], rows[1]);
  EXPECT_EQ(rows[0].size(), features::names().size());
}

TEST_F(CostModelTest, FactsAreThoseOfTheKernel) {
  auto facts = factsAt(parse("x", "y"), 128);
  EXPECT_EQ(facts->m, 128);
  EXPECT_EQ(facts->n, 768);
  EXPECT_EQ(facts->k, 768);
  EXPECT_EQ(facts->weightBytes, 768 * 768 * 4);
  EXPECT_EQ(facts->weightBits, 32);
  EXPECT_EQ(facts->density, 1);
}

TEST_F(CostModelTest, TheTreesThatComeWithTheCompilerPredict) {
  auto model = CostModel::make("trees", rates);
  ASSERT_TRUE(model.ok()) << model.status().message();
  auto facts = factsAt(parse("x", "y"), 128);
  CostAnswer answer = (*model)->predict(*facts, schedule, "x86-64-v4");
  double peakUs = 2.0 * 128 * 768 * 768 / rates.avx512Gflops / 1e3;
  EXPECT_GT(answer.us, 0.9 * peakUs);
  EXPECT_LT(answer.us, 2 * peakUs);
  EXPECT_GT(answer.sigma, 0);
  EXPECT_LT((*model)->predict(*factsAt(parse("x", "y"), 64), schedule, "x86-64-v4").us, answer.us);
  // On another kind of CPU it is less sure.
  MachineRates other = rates;
  other.cpu = "another";
  EXPECT_GT((*CostModel::make("trees", other))->predict(*facts, schedule, "x86-64-v4").sigma, answer.sigma);
}

/// Rows and what LightGBM predicted of them when train.py wrote the trees.
TEST_F(CostModelTest, FollowTheSpeedOfTheMachine) {
  auto usual = CostModel::make("trees", rates);
  MachineSpeed speed = rates.speed();
  speed.fmaGflops *= 1.2;
  auto fast = CostModel::make("trees", rates.at(speed));
  ASSERT_TRUE(usual.ok() && fast.ok());
  // Products of 128 rows wait for arithmetic; which schedule is best does not depend on the clock.
  auto facts = factsAt(parse("x", "y"), 128);
  CostAnswer before = (*usual)->predict(*facts, schedule, "x86-64-v4"), after = (*fast)->predict(*facts, schedule, "x86-64-v4");
  EXPECT_LT(after.us, before.us / 1.1);
  EXPECT_GE(after.us, before.us / 1.21);
  EXPECT_EQ(after.score, before.score);
}

TEST(MachineRatesTest, ScaleWithTheSpeed) {
  MachineRates rates = MachineRates::committed("GenuineIntel-6-167-926136e5");
  MachineRates fast = rates.at({2 * rates.avx512Gflops, 3 * rates.memory});
  EXPECT_DOUBLE_EQ(fast.avx512Gflops, 2 * rates.avx512Gflops);
  EXPECT_DOUBLE_EQ(fast.amxInt8Gops, 2 * rates.amxInt8Gops);
  EXPECT_DOUBLE_EQ(fast.l2, 2 * rates.l2);
  EXPECT_DOUBLE_EQ(fast.l3, 3 * rates.l3);
  EXPECT_DOUBLE_EQ(fast.memory, 3 * rates.memory);
  EXPECT_DOUBLE_EQ(fast.launchNs, rates.launchNs / 2);
  EXPECT_EQ(fast.l2Bytes, rates.l2Bytes);
  EXPECT_EQ(rates.at({}).avx512Gflops, rates.avx512Gflops); // unknown
}

TEST(TreesTest, PredictTheBitsOfLightGbm) {
  Result<Trees> trees = Trees::parse({permalloyTreesBegin, permalloyTreesEnd}, "cpu", features::hash(), features::names().size());
  ASSERT_TRUE(trees.ok()) << trees.status().message();
  std::ifstream file(PERMALLOY_TREES_ROWS);
  std::string line;
  unsigned rows = 0;
  for (; std::getline(file, line); ++rows) {
    std::istringstream in(line);
    std::vector<float> row(features::names().size());
    std::string cell;
    while (in >> cell && cell != "|")
      row[std::stoul(cell)] = std::strtof(cell.c_str() + cell.find(':') + 1, nullptr);
    for (size_t member = 0; member < trees->members(); ++member)
      for (Trees::Head head : {Trees::Absolute, Trees::Ranking}) {
        ASSERT_TRUE(in >> cell);
        EXPECT_EQ(trees->predict(member, head, row), std::strtod(cell.c_str(), nullptr)) << rows << " " << member;
      }
  }
  EXPECT_GE(rows, 10u);
}

TEST_F(CostModelTest, NamesTheModelsThatThereAre) {
  EXPECT_EQ((*CostModel::make("prior", rates))->kind(), "prior");
  EXPECT_THAT(CostModel::make("oracle", rates).status().message(), HasSubstr("unknown cost model 'oracle'; there are prior and trees"));
  EXPECT_THAT(CostModel::make("trees", rates, "/nowhere.trees").status().message(), HasSubstr("/nowhere.trees"));
}

TEST_F(CostModelTest, AQueryTakesMicroseconds) {
  auto model = CostModel::make("trees", rates);
  ASSERT_TRUE(model.ok());
  auto facts = factsAt(parse("x", "y"), 128);
  double least = 1e9, sum = 0;
  for (int batch = 0; batch < 20; ++batch) {
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 50; ++i)
      sum += (*model)->predict(*facts, schedule, "x86-64-v4").us;
    least = std::min(least, std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() / 50);
  }
  EXPECT_GT(sum, 0);
  RecordProperty("us_per_query", std::to_string(least));
  EXPECT_LT(least, 200); // an unoptimised build; docs/cost-model.md has the figure
}

TEST(MachineRatesTest, ComeBackFromTheirFile) {
  MachineRates rates = MachineRates::committed("GenuineIntel-6-167-926136e5");
  EXPECT_THAT(rates.source, HasSubstr("committed"));
  Result<MachineRates> again = MachineRates::parse(rates.toJson());
  ASSERT_TRUE(again.ok()) << again.status().message();
  for (const MachineRates::Field &field : MachineRates::fields())
    EXPECT_EQ((*again).*field.member, rates.*field.member) << field.name;
  EXPECT_EQ(again->cpu, rates.cpu);
  EXPECT_EQ(again->l2Bytes, rates.l2Bytes);
}

TEST(MachineRatesTest, SayWhatIsWrongWithAFile) {
  EXPECT_THAT(MachineRates::parse("{}").status().message(), HasSubstr("\"permalloy\" is not \"rates\""));
  EXPECT_THAT(MachineRates::parse("{\"permalloy\":\"rates\",\"version\":2}").status().message(), HasSubstr("version is not 1"));
  EXPECT_THAT(MachineRates::parse("{\"permalloy\":\"rates\",\"version\":1}").status().message(), HasSubstr("\"avx2_gflops\" is no number"));
}

TEST(MachineRatesTest, OfAnUnknownKindAreThoseOfItsVendor) {
  EXPECT_THAT(MachineRates::committed("other").source, HasSubstr("assumed, those of GenuineIntel"));
  MachineRates ryzen = MachineRates::committed("AuthenticAMD-26-68-00000000");
  EXPECT_THAT(ryzen.source, HasSubstr("assumed, those of AuthenticAMD-25-17"));
  EXPECT_EQ(ryzen.amxBf16Gflops, 0);
}

/// A CPU without tiles says what code for tiles takes where there are some.
TEST(MachineRatesTest, OfAnotherMachinePriceWhatThisOneLacks) {
  MachineRates zen = MachineRates::committed("AuthenticAMD-25-17-4f99f299");
  EXPECT_FALSE(runsOn(unitsOf("sapphirerapids"), zen));
  EXPECT_GT(Machine(zen, unitsOf("sapphirerapids")).amxTileCycles, 0);
  EXPECT_EQ(Machine(zen, unitsOf("icelake-server")).peakGflops, zen.avx512Gflops);
}

} // namespace
