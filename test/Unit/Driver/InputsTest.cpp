//===- InputsTest.cpp - sizes and random inputs ------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Inputs.h"

#include "Compare.h"

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
  Array mask = randomArray("attention_mask", DType::i64, {9, 16}, 0);
  for (int64_t row = 0; row < 9; ++row) {
    EXPECT_EQ(elementAt(mask, static_cast<uint64_t>(row * 16)), 1);
    EXPECT_EQ(elementAt(mask, static_cast<uint64_t>(row * 16 + 15)), row % 8 == 0);
  }
  Array ids = randomArray("input_ids", DType::i32, {2, 50}, 0);
  Array floats = randomArray("x", DType::f16, {100}, 0);
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_LT(elementAt(ids, i), 64);
    EXPECT_GE(elementAt(ids, i), 0);
    EXPECT_LE(std::abs(elementAt(floats, i)), 1);
  }
  EXPECT_EQ(randomArray("x", DType::f32, {8}, 1).data, randomArray("x", DType::f32, {8}, 1).data);
  EXPECT_NE(randomArray("x", DType::f32, {8}, 1).data, randomArray("x", DType::f32, {8}, 2).data);
  EXPECT_EQ(randomArray("x", DType::f32, {0, 8}, 1).data.size(), 0u);
}
