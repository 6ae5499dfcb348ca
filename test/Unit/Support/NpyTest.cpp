//===- NpyTest.cpp - .npy and .npz files -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Support/Npy.h"
#include "permalloy/Support/Files.h"

#include <cstring>
#include <gtest/gtest.h>

using namespace permalloy;
using artifact::DType;

static std::vector<std::byte> bytesOf(const std::string &text) {
  std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

/// An .npy file of version 1 with this dict and data.
static std::vector<std::byte> npy(std::string dict, const std::string &data) {
  dict += '\n';
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(dict.size());
  text += '\0';
  return bytesOf(text + dict + data);
}

static std::string failure(std::vector<std::byte> bytes) {
  Result<Array> array = parseNpy(bytes, "x.npy");
  return array.ok() ? "" : array.status().message();
}

static Array iota(DType dtype, std::vector<int64_t> dims) {
  Array array{dtype, dims, {}};
  array.data.resize(array.elements() * artifact::dtypeSize(dtype));
  for (size_t i = 0; i < array.data.size(); ++i)
    array.data[i] = static_cast<std::byte>(i);
  return array;
}

TEST(Npy, RoundTrip) {
  for (DType dtype : {DType::f32, DType::f16, DType::f64, DType::boolean, DType::i8, DType::u8,
                      DType::i16, DType::u16, DType::i32, DType::u32, DType::i64, DType::u64})
    for (const std::vector<int64_t> &dims :
         {std::vector<int64_t>{}, {3}, {2, 3}, {0, 4}, {1, 2, 3, 4}}) {
      Array array = iota(dtype, dims);
      std::vector<std::byte> bytes = npyBytes(array);
      EXPECT_EQ((bytes.size() - array.data.size()) % 64, 0u);
      Result<Array> back = parseNpy(bytes, "x.npy");
      ASSERT_TRUE(back.ok()) << back.status().message();
      EXPECT_EQ(back->dtype, dtype);
      EXPECT_EQ(back->dims, dims);
      EXPECT_EQ(back->data, array.data);
    }
}

TEST(Npy, Bfloat16IsUint16) {
  Result<Array> back = parseNpy(npyBytes(iota(DType::bf16, {2})), "x.npy");
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->dtype, DType::u16);
  asType(*back, DType::bf16);
  EXPECT_EQ(back->dtype, DType::bf16);
}

TEST(Npy, FortranOrder) {
  // [[0, 2, 4], [1, 3, 5]] stored by columns.
  Result<Array> array = parseNpy(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}",
                                     std::string("\0\1\2\3\4\5", 6)),
                                 "x.npy");
  ASSERT_TRUE(array.ok()) << array.status().message();
  EXPECT_EQ(array->data, bytesOf(std::string("\0\2\4\1\3\5", 6)));
}

TEST(Npy, Refused) {
  EXPECT_NE(failure(bytesOf("PK34")).find("numpy's signature"), std::string::npos);
  EXPECT_NE(failure(bytesOf("\x93NUMPY\x01")).find("ends within"), std::string::npos);
  std::string f4 = "{'descr': '<f4', 'fortran_order': False, 'shape': ";
  EXPECT_EQ(
      failure(npy(f4 + "(2, 3)}", "1234")),
      "'x.npy' is not a usable .npy file: shape [2, 3] of float32 needs 24 bytes, 4 are there");
  EXPECT_NE(failure(npy(f4 + "(9223372036854775807, 9)}", "")).find("more elements"),
            std::string::npos);
  EXPECT_NE(failure(npy(f4 + "(99999999999999999999,)}", "")).find("damaged"), std::string::npos);
  EXPECT_NE(failure(npy(f4 + "(-1,)}", "")).find("damaged"), std::string::npos);
  EXPECT_NE(failure(npy("{'descr': '>f4', 'fortran_order': False, 'shape': ()}", "1234"))
                .find("big-endian"),
            std::string::npos);
  EXPECT_NE(failure(npy("{'descr': '|O', 'fortran_order': False, 'shape': ()}", "")).find("'|O'"),
            std::string::npos);
  EXPECT_NE(failure(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", ""))
                .find("structs"),
            std::string::npos);
}

TEST(Npy, EveryTruncationIsRefused) {
  std::vector<std::byte> bytes = npyBytes(iota(DType::f32, {2, 3}));
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_NE(failure({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}), "");
}

TEST(Npz, RoundTripAndSameBytes) {
  Result<TempFolder> folder = TempFolder::create();
  ASSERT_TRUE(folder.ok());
  std::vector<NamedArray> arrays = {{"ids", iota(DType::i64, {2, 3})},
                                    {"é/x", iota(DType::f32, {})}};
  ASSERT_TRUE(writeNpz(folder->file("a.npz"), arrays).ok());
  ASSERT_TRUE(writeNpz(folder->file("b.npz"), arrays).ok());
  EXPECT_EQ(*readFile(folder->file("a.npz")), *readFile(folder->file("b.npz")));
  Result<std::vector<NamedArray>> back = readNpz(folder->file("a.npz"));
  ASSERT_TRUE(back.ok()) << back.status().message();
  ASSERT_EQ(back->size(), 2u);
  EXPECT_EQ((*back)[1].name, "é/x");
  EXPECT_EQ((*back)[0].array.dims, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*back)[0].array.data, arrays[0].array.data);
}

TEST(Npz, Refused) {
  Result<TempFolder> folder = TempFolder::create();
  ASSERT_TRUE(folder.ok());
  std::string path = folder->file("a.npz");
  ASSERT_TRUE(writeFile(path, std::string("no archive")).ok());
  EXPECT_NE(readNpz(path).status().message().find("not a usable .npz file"), std::string::npos);
  std::vector<NamedArray> arrays = {{"x", iota(DType::f32, {64})}};
  ASSERT_TRUE(writeNpz(path, arrays).ok());
  std::vector<std::byte> bytes = *readFile(path);
  bytes[200] ^= std::byte{1};
  ASSERT_TRUE(writeFile(path, bytes).ok());
  EXPECT_NE(readNpz(path).status().message().find("'x.npy' is truncated or altered"),
            std::string::npos);
}
