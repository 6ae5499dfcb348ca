//===- TextTest.cpp - numbers with units -------------------------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Support/Text.h"

#include <gtest/gtest.h>

using namespace permalloy;

TEST(Text, Bytes) {
  EXPECT_EQ(formatBytes(0), "0 B");
  EXPECT_EQ(formatBytes(999), "999 B");
  EXPECT_EQ(formatBytes(1500), "1.50 kB");
  EXPECT_EQ(formatBytes(90'868'376), "90.9 MB");
  EXPECT_EQ(formatBytes(999'999), "1.00 MB");
  EXPECT_EQ(formatBytes(UINT64_MAX), "18.4 EB");
}

TEST(Text, Seconds) {
  EXPECT_EQ(formatSeconds(5e-9), "5.00 ns");
  EXPECT_EQ(formatSeconds(12.34e-6), "12.3 us");
  EXPECT_EQ(formatSeconds(0.00456), "4.56 ms");
  EXPECT_EQ(formatSeconds(1.234), "1.23 s");
  EXPECT_EQ(formatSeconds(125), "2 min 5 s");
}

TEST(Text, Lists) {
  EXPECT_EQ(formatCount(1, "kernel"), "1 kernel");
  EXPECT_EQ(formatCount(0, "kernel"), "0 kernels");
  EXPECT_EQ(formatDims(std::vector<int64_t>{2, 16}), "[2, 16]");
  EXPECT_EQ(joined({}), "none");
  EXPECT_EQ(joined({"a", "b"}), "a, b");
  EXPECT_EQ(split("", ','), std::vector<std::string>{});
  EXPECT_EQ(split("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
}

TEST(Text, NestingOfJson) {
  auto nested = [](unsigned depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_FALSE(nestsTooDeeply(nested(64)));
  EXPECT_TRUE(nestsTooDeeply(nested(65)));
  EXPECT_TRUE(nestsTooDeeply(std::string(1000, '{')));
  EXPECT_FALSE(nestsTooDeeply("{\"text\":\"\\\"" + std::string(1000, '[') + "\"}"));
  std::string many = "[";
  for (int i = 0; i < 1000; ++i)
    many += "{},";
  EXPECT_FALSE(nestsTooDeeply(many + "{}]"));
}

TEST(Text, PrintableKeepsTextAndEscapesTheRest) {
  EXPECT_EQ(printable("/layer.0/Größe\t✓ 𝄞\n"), "/layer.0/Größe\t✓ 𝄞\n");
  EXPECT_EQ(printable("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(printable("MatMu\x81"), "MatMu\\x81");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");         // a C1 control character
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");         // '/' in a longer form than needed
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80"); // a surrogate
  EXPECT_EQ(printable("\xe2\x9c"), "\\xe2\\x9c");         // cut off
  EXPECT_EQ(printable(""), "");
}

