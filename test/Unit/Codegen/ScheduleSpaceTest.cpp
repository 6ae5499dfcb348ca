//===- ScheduleSpaceTest.cpp - schedules as data ----------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/ScheduleSpace.h"
#include "KernelCheck.h"
#include "permalloy/Codegen/KernelEmitter.h"

#include "gmock/gmock.h"

#include <random>

using namespace permalloy;
using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using reference::Tolerance;
using testing::ElementsAre;
using Values = ScheduleSpace::Values;

namespace {

struct Toy {
  unsigned width = 1;
  int64_t height = 0;
};

/// Heights are multiples of the width, and 6 x 6 is too much.
ScheduleSpaceOf<Toy> toySpace() {
  ScheduleSpaceOf<Toy> space;
  space.add("width", "columns", &Toy::width, {1, 2, 6});
  space.add("height", "rows", &Toy::height, [](const Toy &toy) { return Values{toy.width, 3 * toy.width}; });
  space.require([](const Toy &toy) { return toy.width * toy.height <= 36 ? "" : "more than 36 cells"; });
  return space;
}

std::string messageOf(llvm::Expected<Values> values) {
  return values ? "" : llvm::toString(values.takeError());
}

TEST(ScheduleSpaceTest, EnumeratesWhatIsLegal) {
  EXPECT_THAT(toySpace().all(), ElementsAre(Values{1, 1}, Values{1, 3}, Values{2, 2}, Values{2, 6}, Values{6, 6}));
  EXPECT_EQ(2u, toySpace().all(2).size());
}

TEST(ScheduleSpaceTest, NeighboursDifferByOneStep) {
  // Of a width of 2 the heights are 2 and 6: 3 becomes the nearer one.
  EXPECT_THAT(toySpace().neighbours({1, 3}), ElementsAre(Values{2, 2}, Values{1, 1}));
  EXPECT_THAT(toySpace().neighbours({6, 6}), ElementsAre(Values{2, 6}));
  // A value that is none of the declared ones lies between two of them.
  EXPECT_THAT(toySpace().neighbours({2, 4}), ElementsAre(Values{1, 3}, Values{6, 6}, Values{2, 2}, Values{2, 6}));
}

TEST(ScheduleSpaceTest, SamplesAreLegal) {
  std::mt19937_64 engine(1);
  auto random = [&](uint64_t n) { return engine() % n; };
  for (int i = 0; i < 50; ++i) {
    auto values = toySpace().sample(random);
    ASSERT_TRUE(values.has_value());
    EXPECT_EQ("", toySpace().whyIllegal(*values));
  }
}

TEST(ScheduleSpaceTest, AttributesAreChecked) {
  mlir::MLIRContext context;
  mlir::Builder b(&context);
  auto space = toySpace();
  mlir::DictionaryAttr attribute = space.attribute(&context, {2, 6});
  EXPECT_THAT(*space.values(attribute), ElementsAre(2, 6));
  EXPECT_EQ(6, space.read(attribute)->height);
  EXPECT_EQ("width=2 height=6", space.str({2, 6}));
  auto with = [&](llvm::StringRef name, mlir::Attribute value) {
    mlir::NamedAttrList list(attribute);
    list.set(name, value);
    return messageOf(space.values(list.getDictionary(&context)));
  };
  EXPECT_EQ("'depth' is unknown; the parameters are width, height", with("depth", b.getI64IntegerAttr(1)));
  EXPECT_EQ("'width' is no number", with("width", b.getStringAttr("2")));
  EXPECT_EQ("'width' is -1, which is not within 0 and 1073741824", with("width", b.getI64IntegerAttr(-1)));
  EXPECT_EQ("more than 36 cells", with("height", b.getI64IntegerAttr(20)));
  EXPECT_EQ("", with("height", b.getI64IntegerAttr(5)));
  EXPECT_EQ("'width' is missing; the parameters are width, height", messageOf(space.values(mlir::DictionaryAttr())));
}

/// A small kernel of each emitter, with the sizes it is run at.
struct Example {
  const char *name, *emitter, *text;
  std::vector<const char *> sizes;
};

const Example kExamples[] = {
    {"Linear", "contraction",
     R"mlir(func.func @main(%x: tensor<?x410xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<410>]}, %w: tensor<410x100xf32>, %b: tensor<100xf32>) -> tensor<?x100xf32> {
       %0 = tfm.linear %x, %w bias %b activation relu : (tensor<?x410xf32>, tensor<410x100xf32>, tensor<100xf32>) -> tensor<?x100xf32>
       return %0 : tensor<?x100xf32>
     })mlir",
     {"s=1", "s=37"}},
    {"HalfLinear", "contraction",
     R"mlir(func.func @main(%x: tensor<?x210xbf16> {tfm.dims = [#tfm.dim<s>, #tfm.dim<210>]}, %w: tensor<210x35xbf16>) -> tensor<?x35xbf16> {
       %0 = tfm.linear %x, %w : (tensor<?x210xbf16>, tensor<210x35xbf16>) -> tensor<?x35xbf16>
       return %0 : tensor<?x35xbf16>
     })mlir",
     {"s=1", "s=40"}},
    {"Attention", "attention",
     R"mlir(func.func @main(%q: tensor<?x?x96xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<96>]}, %k: tensor<?x?x96xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<t>, #tfm.dim<96>]}, %v: tensor<?x?x96xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<t>, #tfm.dim<96>]}) -> tensor<?x?x96xf32> {
       %0 = tfm.attention %q, %k, %v {num_heads = 3 : i64, num_kv_heads = 3 : i64, scale = 0.17 : f32, causal} : (tensor<?x?x96xf32>, tensor<?x?x96xf32>, tensor<?x?x96xf32>) -> tensor<?x?x96xf32>
       return %0 : tensor<?x?x96xf32>
     })mlir",
     {"b=2,s=1,t=70", "b=1,s=77,t=90"}},
    {"Norm", "row",
     R"mlir(func.func @main(%x: tensor<?x70xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<70>]}, %g: tensor<70xf32>, %b: tensor<70xf32>) -> tensor<?x70xf32> {
       %0 = tfm.layer_norm %x, %g, %b {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<?x70xf32>, tensor<70xf32>, tensor<70xf32>) -> tensor<?x70xf32>
       return %0 : tensor<?x70xf32>
     })mlir",
     {"s=1", "s=300"}},
    {"Transpose", "generic",
     R"mlir(func.func @main(%x: tensor<?x70xf32> {tfm.dims = [#tfm.dim<s>, #tfm.dim<70>]}) -> tensor<70x?xf32> {
       %0 = tfm.transpose %x [1, 0] : (tensor<?x70xf32>) -> tensor<70x?xf32>
       return %0 : tensor<70x?xf32>
     })mlir",
     {"s=1", "s=300"}},
};

class EveryScheduleTest : public testing::TestWithParam<std::tuple<const CpuTarget *, Example>> {
protected:
  /// Kernels compiled for each example: all with PERMALLOY_ALL_SCHEDULES=1, else some, evenly spread.
  static constexpr size_t kSome = 8;
};

TEST_P(EveryScheduleTest, GivesRightResults) {
  const auto &[target, example] = GetParam();
  if (!target->supportedByHost())
    GTEST_SKIP() << "this machine lacks " << target->name.str();
  if (target->hasAmx() && !requestAmxPermission())
    GTEST_SKIP() << "Linux refuses the AMX tile state";
  KernelCheck kernel(example.text, example.emitter);
  ASSERT_TRUE(bool(kernel));
  ASSERT_TRUE(succeeded(selectSchedule(kernel.kernelOp(), *target)));
  ASSERT_EQ(example.emitter, stringifyEmitter(kernel.kernelOp().getEmitter()));
  auto space = scheduleSpace(kernel.kernelOp(), *target);
  auto byDefault = space->values(kernel.kernelOp().getScheduleAttr());
  ASSERT_TRUE(bool(byDefault)) << llvm::toString(byDefault.takeError());
  std::vector<Values> schedules = space->all();
  ASSERT_FALSE(schedules.empty());
  size_t step = getenv("PERMALLOY_ALL_SCHEDULES") ? 1 : std::max<size_t>(schedules.size() / kSome, 1) | 1;
  bool half = llvm::StringRef(example.name).starts_with("Half");
  for (size_t i = 0; i < schedules.size(); i += step) {
    SCOPED_TRACE(space->str(schedules[i]));
    kernel.setSchedule(space->attribute(kernel.kernelOp().getContext(), schedules[i]));
    for (const char *size : example.sizes)
      kernel.run(*target, size, half ? Tolerance{8e-3, 2e-2} : Tolerance{1e-5, 4e-5});
    if (HasFailure())
      return;
  }
}

/// Targets that have code of their own for the example.
std::vector<std::tuple<const CpuTarget *, Example>> examplesOfTargets() {
  std::vector<std::tuple<const CpuTarget *, Example>> result;
  for (const Example &example : kExamples)
    for (const CpuTarget *target : llvm::StringRef(example.name).starts_with("Half") ? allTargets() : vectorTargets())
      result.push_back({target, example});
  return result;
}

INSTANTIATE_TEST_SUITE_P(Schedules, EveryScheduleTest, testing::ValuesIn(examplesOfTargets()),
                         [](const auto &info) {
                           std::string name = std::get<1>(info.param).name + ("_" + std::get<0>(info.param)->name.str());
                           llvm::replace(name, '-', '_');
                           return name;
                         });

} // namespace
