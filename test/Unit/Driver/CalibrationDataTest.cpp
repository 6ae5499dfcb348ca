//===- CalibrationDataTest.cpp - samples for a model -------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "CalibrationData.h"

#include "permalloy/Support/Files.h"

#include <gtest/gtest.h>

#include <numeric>

using namespace permalloy;
using artifact::DType;

namespace {

/// ids [batch, seq] i64, mask [b2, seq] i64, size [2] f32, image [1, 3] f32.
artifact::Manifest manifest(std::vector<std::string> names) {
  artifact::Manifest all;
  for (const std::string &name : names) {
    if (name == "ids" || name == "mask")
      all.inputs.push_back({name, DType::i64, {{0, name == "ids" ? "batch" : "b2"}, {1, "seq"}}});
    else if (name == "size")
      all.inputs.push_back({name, DType::f32, {{2, "2"}}});
    else
      all.inputs.push_back({name, DType::f32, {{3, "1"}, {4, "3"}}});
  }
  for (uint32_t i = 0; i < all.inputs.size(); ++i)
    if (all.inputs[i].name == "ids" || all.inputs[i].name == "mask")
      all.symbols.push_back({all.inputs[i].dims[0].text, 0, INT64_MAX, i, 0});
  if (all.inputs[0].dims.back().text == "seq")
    all.symbols.push_back({"seq", 0, INT64_MAX, 0, 1});
  return all;
}

template <class T> NamedArray array(const std::string &name, DType dtype, std::vector<int64_t> dims) {
  Array result{dtype, dims, {}};
  std::vector<T> values(result.elements());
  std::iota(values.begin(), values.end(), T(0));
  auto bytes = std::as_bytes(std::span(values));
  result.data.assign(bytes.begin(), bytes.end());
  return {name, result};
}

NamedArray tokens(const std::string &name, std::vector<int64_t> dims) { return array<int64_t>(name, DType::i64, dims); }
NamedArray floats(const std::string &name, std::vector<int64_t> dims) { return array<float>(name, DType::f32, dims); }

class CalibrationDataTest : public testing::Test {
protected:
  Result<CalibrationData> open(const std::vector<NamedArray> &arrays) {
    std::vector<std::string> names;
    for (const NamedArray &entry : arrays)
      names.push_back(entry.name);
    return open(arrays, names);
  }
  Result<CalibrationData> open(const std::vector<NamedArray> &arrays, const std::vector<std::string> &names) {
    std::string path = folder->file("data.npz");
    if (Status status = writeNpz(path, arrays); !status.ok())
      return status;
    return CalibrationData::open(path, manifest(names));
  }
  /// All elements of input `index`, run after run.
  std::vector<std::byte> all(CalibrationData &data, size_t index) {
    std::vector<std::byte> bytes;
    for (int64_t run = 0; run < data.runs(); ++run) {
      auto arrays = data.next();
      EXPECT_TRUE(arrays.ok()) << arrays.status().message();
      const std::vector<std::byte> &part = (*arrays)[index].array.data;
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
    return bytes;
  }
  Result<TempFolder> folder = TempFolder::create();
};

} // namespace

TEST_F(CalibrationDataTest, CutsTheBatchIntoRuns) {
  for (int64_t length : {1, 100, 600}) {
    NamedArray ids = tokens("ids", {21, length}), mask = tokens("mask", {21, length});
    auto data = open({ids, mask});
    ASSERT_TRUE(data.ok()) << data.status().message();
    EXPECT_EQ(data->runs(), length == 1 ? 1 : length == 100 ? 5 : 21);
    EXPECT_EQ(all(*data, 1), mask.array.data);
  }
}

TEST_F(CalibrationDataTest, FixedBatchesAndSamplesInFront) {
  for (std::vector<int64_t> dims : {std::vector<int64_t>{5, 3}, {5, 1, 3}}) {
    NamedArray image = floats("image", dims);
    auto data = open({image});
    ASSERT_TRUE(data.ok()) << data.status().message();
    EXPECT_EQ(data->runs(), 5);
    auto first = data->next();
    EXPECT_EQ(first->front().array.dims, (std::vector<int64_t>{1, 3}));
    EXPECT_EQ(first->front().array.data.size(), 12u);
  }
  // What has the input's own shape is the same for all runs.
  auto data = open({tokens("ids", {3, 500}), floats("size", {2})});
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->runs(), 3);
  EXPECT_EQ(all(*data, 1).size(), 3 * 8u);
  // Samples of different lengths in files of one array each have no place here; one of a model without a batch has.
  auto single = open({floats("size", {2})});
  ASSERT_TRUE(single.ok());
  EXPECT_EQ(single->runs(), 1);
}

TEST_F(CalibrationDataTest, SaysWhatDoesNotFit) {
  auto message = [](const Result<CalibrationData> &data) { return data.ok() ? "" : data.status().message(); };
  auto has = [&](const Result<CalibrationData> &data, const char *text) {
    EXPECT_NE(message(data).find(text), std::string::npos) << message(data);
  };
  has(open({tokens("ids", {4, 8})}, {"ids", "mask"}), "input 'mask' is missing");
  has(open({tokens("ids", {4, 8}), tokens("idz", {4, 8})}, {"ids"}), "the model has no input 'idz'");
  has(open({tokens("ids", {4, 8}), tokens("mask", {5, 8})}), "input 'mask' has 5 samples, 'ids' has 4");
  has(open({floats("ids", {4, 8})}), "input 'ids' is float32, the model takes int64");
  has(open({tokens("ids", {4})}), "input 'ids' has shape [4], the model takes [batch, seq]");
  has(open({floats("image", {4, 2})}), "input 'image' has shape [4, 2], the model takes [1, 3]");
  has(open({tokens("ids", {0, 8})}), "has no samples");
  has(CalibrationData::open(folder->file("none.npz"), manifest({"ids"})), "none.npz");
  NamedArray ids = tokens("ids", {4, 8});
  std::string path = folder->file("cut.npz");
  ASSERT_TRUE(writeNpz(path, std::vector<NamedArray>{ids}).ok());
  auto bytes = readFile(path);
  bytes->resize(100);
  ASSERT_TRUE(writeFile(path, *bytes).ok());
  EXPECT_FALSE(CalibrationData::open(path, manifest({"ids"})).ok());
}
