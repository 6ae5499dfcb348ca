//===- InputsTest.cpp - sizes and random inputs ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Inputs.h"

#include "Compare.h"
#include "InputRoles.h"

#include <gtest/gtest.h>

using namespace permalloy;
using artifact::DType;

TEST(Inputs, Sizes) {
  Result<std::vector<Sizes>> all = parseSizes({"batch=1,3", "sequence=7,16"});
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 4u);
  EXPECT_EQ((*all)[1], (Sizes{{"batch", 1}, {"sequence", 16}}));
  EXPECT_EQ(parseSizes({})->size(), 1u);
  for (const char *bad : {"batch", "=3", "batch=", "batch=x", "batch=-1", "batch=1,", "batch=1..4"})
    EXPECT_FALSE(parseSizes({bad}).ok()) << bad;
  EXPECT_FALSE(parseSizes({"batch=1", "batch=2"}).ok());
}

TEST(Inputs, RandomValuesSuitTheName) {
  Array mask = randomArray("attention_mask", DType::i64, {9, 16});
  for (int64_t row = 0; row < 9; ++row) {
    EXPECT_EQ(elementAt(mask, static_cast<uint64_t>(row * 16)), 1);
    EXPECT_EQ(elementAt(mask, static_cast<uint64_t>(row * 16 + 15)), row % 8 == 0);
  }
  Array ids = randomArray("input_ids", DType::i32, {2, 50});
  Array floats = randomArray("x", DType::f16, {100});
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_LT(elementAt(ids, i), 64);
    EXPECT_GE(elementAt(ids, i), 0);
    EXPECT_LE(std::abs(elementAt(floats, i)), 1);
  }
  EXPECT_EQ(randomArray("x", DType::f32, {8}, {.seed = 1}).data,
            randomArray("x", DType::f32, {8}, {.seed = 1}).data);
  EXPECT_NE(randomArray("x", DType::f32, {8}, {.seed = 1}).data,
            randomArray("x", DType::f32, {8}, {.seed = 2}).data);
  EXPECT_EQ(randomArray("x", DType::f32, {0, 8}).data.size(), 0u);
}

TEST(Inputs, PaddingOnTheLeftLeavesNewPositionsAndCountsFromTheFirstToken) {
  RandomSettings decode{.past = 6, .padding = Padding::left};
  Array mask = randomArray("attention_mask", DType::i64, {8, 8}, decode);
  Array positions = randomArray("position_ids", DType::i64, {8, 2}, decode);
  for (uint64_t row = 0; row < 8; ++row) {
    uint64_t hidden = std::min<uint64_t>(row, 6);
    for (uint64_t column = 0; column < 8; ++column)
      EXPECT_EQ(elementAt(mask, row * 8 + column), column >= hidden);
    for (uint64_t column = 0; column < 2; ++column)
      EXPECT_EQ(elementAt(positions, row * 2 + column), 6 + column - hidden);
  }
  Array full = randomArray("attention_mask", DType::i64, {8, 8}, {.padding = Padding::none});
  for (uint64_t i = 0; i < 64; ++i)
    EXPECT_EQ(elementAt(full, i), 1);
}

/// The inputs of a decoder as torch.export names their dimensions.
static artifact::Manifest decoder() {
  artifact::Manifest manifest;
  manifest.inputs = {
      {"input_ids", DType::i64, {{0, "s10"}, {1, "s70"}}},
      {"attention_mask", DType::i64, {{2, "s43"}, {3, "s53"}}},
      {"past_key_values.0.key", DType::f32, {{0, "s10"}, {5, "4"}, {4, "s15"}, {5, "4"}}}};
  manifest.symbols = {{"s10", 0, INT64_MAX, 0, 0},
                      {"s70", 0, INT64_MAX, 0, 1},
                      {"s43", 0, INT64_MAX, 1, 0},
                      {"s53", 0, INT64_MAX, 1, 1},
                      {"s15", 0, 7, 2, 2}};
  return manifest;
}

TEST(Inputs, DimensionsFollowTheirRoles) {
  artifact::Manifest manifest = decoder();
  EXPECT_EQ(symbolRoles(manifest),
            (std::vector<Role>{Role::batch, Role::sequence, Role::batch, Role::total, Role::past}));
  auto nothing = [](const artifact::Symbol &) { return std::optional<int64_t>(); };
  using Values = std::vector<int64_t>;
  EXPECT_EQ(sizesByRole(manifest, nothing, {}), (Values{2, 16, 2, 23, 7}));
  EXPECT_EQ(sizesByRole(manifest, nothing, {{Role::batch, 4}, {Role::past, 6}}),
            (Values{4, 16, 4, 22, 6}));
  EXPECT_EQ(sizesByRole(manifest, nothing, {{Role::total, 9}}), (Values{2, 16, 2, 9, 7}));
  auto named = [](const artifact::Symbol &symbol) {
    return symbol.name == "s43" ? std::optional<int64_t>(3) : std::nullopt;
  };
  EXPECT_EQ(sizesByRole(manifest, named, {{Role::sequence, 1}}), (Values{3, 1, 3, 8, 7}));
}
