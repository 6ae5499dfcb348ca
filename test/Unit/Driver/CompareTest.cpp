//===- CompareTest.cpp - how far two outputs are apart -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "Compare.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

using namespace permalloy;
using artifact::DType;

template <class T> static Array arrayOf(DType dtype, std::vector<T> values) {
  Array array{dtype, {static_cast<int64_t>(values.size())}, {}};
  array.data.resize(values.size() * sizeof(T));
  std::memcpy(array.data.data(), values.data(), array.data.size());
  return array;
}

static Array floats(std::vector<float> values) { return arrayOf(DType::f32, std::move(values)); }

TEST(Compare, RelativeToTheLargest) {
  Difference difference = compareArrays(floats({1, -8, 0.001f}), floats({1, -10, 0}));
  EXPECT_EQ(difference.maxAbs, 2);
  EXPECT_EQ(difference.magnitude, 10);
  EXPECT_EQ(difference.index, std::vector<int64_t>{1});
  EXPECT_NEAR(difference.relative(), 0.2, 1e-12);
  EXPECT_TRUE(difference.within(0.2));
  EXPECT_FALSE(difference.within(0.19));
}

TEST(Compare, InfinitiesAndNaN) {
  EXPECT_TRUE(compareArrays(floats({INFINITY, NAN}), floats({INFINITY, NAN})).within(0));
  for (auto [a, e] : {std::pair{NAN, 1.f}, {1.f, NAN}, {INFINITY, -INFINITY}, {1.f, INFINITY}})
    EXPECT_FALSE(compareArrays(floats({a}), floats({e})).within(1e9)) << a << " " << e;
}

TEST(Compare, TypesAndShapes) {
  EXPECT_NE(compareArrays(floats({1}), floats({1, 2})).mismatch.find("[1], expected [2]"),
            std::string::npos);
  EXPECT_EQ(compareArrays(arrayOf<int32_t>(DType::i32, {1}), floats({1})).mismatch,
            "is int32, expected float32");
  EXPECT_TRUE(compareArrays(floats({}), floats({})).within(0));
}

TEST(Compare, Elements) {
  EXPECT_EQ(elementAt(arrayOf<uint16_t>(DType::f16, {0xc500}), 0), -5);
  EXPECT_EQ(elementAt(arrayOf<uint16_t>(DType::f16, {1}), 0), 0x1p-24);
  EXPECT_EQ(elementAt(arrayOf<uint16_t>(DType::bf16, {0x3fc0}), 0), 1.5);
  EXPECT_EQ(elementAt(arrayOf<int8_t>(DType::i8, {-3}), 0), -3);
  EXPECT_EQ(elementAt(arrayOf<uint64_t>(DType::u64, {1ull << 63}), 0), 0x1p63);
}

TEST(Compare, HalvesWithAReferenceInF32) {
  Array bf16 = arrayOf<uint16_t>(DType::bf16, {0x3fc0, 0x4000}); // 1.5, 2
  Difference difference = compareArrays(bf16, floats({1.5f, 2.0625f}));
  EXPECT_EQ(difference.maxAbs, 0.0625);
  EXPECT_NEAR(difference.cosine, 1, 1e-3);
  EXPECT_TRUE(difference.within(defaultTolerance(DType::bf16)));
  EXPECT_FALSE(difference.within(defaultTolerance(DType::f16)));
  // Not the other way round, and not with the other half.
  EXPECT_FALSE(compareArrays(floats({1.5f, 2}), bf16).mismatch.empty());
  EXPECT_FALSE(compareArrays(bf16, arrayOf<uint16_t>(DType::f16, {0x3e00, 0x4000})).mismatch.empty());
}

TEST(Compare, Cosine) {
  EXPECT_EQ(compareArrays(floats({3, 0}), floats({1, 0})).cosine, 1);
  EXPECT_EQ(compareArrays(floats({1, 0}), floats({0, 1})).cosine, 0);
  EXPECT_EQ(compareArrays(floats({}), floats({})).cosine, 1);
}

TEST(Compare, PaddingIsCleared) {
  Array mask = arrayOf<int64_t>(DType::i64, {1, 0, 1, 1}), output = floats({1, 2, 3, 4, 5, 6, 7, 8}), pooled = floats({1, 2});
  mask.dims = {2, 2};
  output.dims = {2, 2, 2};
  pooled.dims = {2, 1};
  std::vector<NamedArray> inputs = {{"input_ids", mask}, {"attention_mask", mask}}, outputs = {{"y", output}, {"p", pooled}};
  clearPadding(inputs, outputs);
  for (auto [i, expected] : std::initializer_list<std::pair<int, double>>{{0, 1}, {1, 2}, {2, 0}, {3, 0}, {4, 5}, {7, 8}})
    EXPECT_EQ(elementAt(outputs[0].array, i), expected);
  EXPECT_EQ(elementAt(outputs[1].array, 1), 2);
  inputs.pop_back(); // no mask
  outputs[0].array = output;
  clearPadding(inputs, outputs);
  EXPECT_EQ(elementAt(outputs[0].array, 2), 3);
}
